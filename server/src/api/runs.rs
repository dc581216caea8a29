//! Runs whose agents are in backends: heartbeats, and what their agents are to know.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{RunSignal, Signals};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use futures_util::Stream;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::access;
use super::body::NdJson;
use super::refused::Refused;
use crate::config::KeyRight;
use crate::deliver::signal;
use crate::state::Shared;

/// How often an answer that has nothing to say gives a sign of life.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, &headers, KeyRight::Publish, &thread)?;
    let runs = shared.bridge.open_runs(&stream).await?;
    let runs: Vec<_> = runs
        .into_iter()
        .map(|run| {
            let lease_ms = run.lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
            json!({ "runId": run.id, "isCancelled": run.is_cancelled, "leaseMs": lease_ms })
        })
        .collect();
    Ok(Json(json!({ "runs": runs })))
}

pub(super) async fn heartbeat(
    State(shared): State<Arc<Shared>>,
    Path((thread, run)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, &headers, KeyRight::Publish, &thread)?;
    let state = shared.bridge.heartbeat(&stream, &run).await?.ok_or_else(no_run)?;
    Ok(Json(json!({ "runId": run, "isOpen": state.is_open, "isCancelled": state.is_cancelled })))
}

pub(super) async fn signals(
    State(shared): State<Arc<Shared>>,
    Path((thread, run)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<NdJson<impl Stream<Item = Bytes> + Send + 'static>, Refused> {
    let (_, stream) = access::thread(&shared, &headers, KeyRight::Publish, &thread)?;
    let run = shared.bridge.outside_run(&stream, &run).await?.ok_or_else(no_run)?;
    let telling = Telling { signals: run.signals(), closing: shared.closing.clone(), is_over: false };
    Ok(NdJson(futures_util::stream::unfold(telling, next)))
}

fn no_run() -> Refused {
    Refused::not_found("there is no such run in this thread; its first event makes it")
}

struct Telling {
    signals: Signals,
    closing: CancellationToken,
    is_over: bool,
}

/// The next line.
async fn next(mut telling: Telling) -> Option<(Bytes, Telling)> {
    if telling.is_over {
        return None;
    }
    let told = tokio::select! {
        biased;
        () = telling.closing.cancelled() => return None,
        told = telling.signals.next() => told,
        () = tokio::time::sleep(SIGN_OF_LIFE) => return Some((Bytes::from_static(b"\n"), telling)),
    };
    let signal = match told {
        Ok(signal) => signal?,
        Err(error) => {
            // The client comes again.
            tracing::warn!(%error, "the signals of a run cannot be read now");
            return None;
        }
    };
    telling.is_over = matches!(signal, RunSignal::Over);
    let mut line = Value::Object(signal::fields(&signal)).to_string();
    line.push('\n');
    Some((line.into(), telling))
}
