//! Workers: they hold a connection, and get deliveries on it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Uri};
use futures_util::Stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::NdJson;
use super::refused::Refused;
use super::runs::SIGN_OF_LIFE;
use super::{access, body};
use crate::config::KeyRight;
use crate::deliver::workers::{Answer, Workers};
use crate::state::Shared;

/// Deliveries that a worker works on at once when it does not say.
const DEFAULT_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    max: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    attempt: u64,
    #[serde(default)]
    done: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefuseBody {
    attempt: u64,
    #[serde(default)]
    message: String,
}

/// Gives deliveries to a worker for as long as it holds the connection.
pub(super) async fn hold(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<NdJson<impl Stream<Item = Bytes> + Send + 'static>, Refused> {
    let options: Options = body::query(&uri)?;
    let key = access::key(&shared, &headers, KeyRight::Deliver)?;
    let max = options.max.unwrap_or(DEFAULT_MAX);
    if !(1..=1_000).contains(&max) {
        return Err(Refused::bad_request("`max` is 1 to 1,000"));
    }
    let worker = workers(&shared)?.join(max, key);
    let closing = shared.closing.clone();
    Ok(NdJson(futures_util::stream::unfold((worker, closing), |(worker, closing)| async move {
        tokio::select! {
            biased;
            () = closing.cancelled() => None,
            line = worker.next() => Some((line, (worker, closing))),
            () = tokio::time::sleep(SIGN_OF_LIFE) => Some((Bytes::from_static(b"\n"), (worker, closing))),
        }
    })))
}

pub(super) async fn accept(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    access::key(&shared, request.headers(), KeyRight::Deliver)?;
    let AcceptBody { attempt, done } = body::read(request, shared.max_body_bytes).await?;
    answer(&shared, &id, attempt, Answer::Accepted { done })
}

pub(super) async fn refuse(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    access::key(&shared, request.headers(), KeyRight::Deliver)?;
    let RefuseBody { attempt, message } = body::read(request, shared.max_body_bytes).await?;
    answer(&shared, &id, attempt, Answer::Refused { message })
}

fn answer(shared: &Shared, id: &str, attempt: u64, answer: Answer) -> Result<Json<Value>, Refused> {
    if workers(shared)?.answer(id, attempt, answer) {
        return Ok(Json(json!({})));
    }
    Err(Refused::not_found("this delivery is over, or another worker has it by now"))
}

fn workers(shared: &Shared) -> Result<&Arc<Workers>, Refused> {
    let message = "deliveries go to workers only with `deliver.mode = \"worker\"` in the configuration";
    shared.workers.as_ref().ok_or_else(|| Refused::bad_request(message))
}
