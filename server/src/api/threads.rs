//! Threads: their events, their members, and their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentwire_bridge::StreamKey;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::refused::Refused;
use super::{access, body};
use crate::config::{KeyRight, RightsMode};
use crate::members::{Members, Right};
use crate::state::Shared;

/// Members of one thread.
const MAX_MEMBERS: usize = 10_000;

/// Threads of one page of the list.
const MAX_LIST: usize = 1_000;

/// Events that an answer holds when the request does not say.
const DEFAULT_EVENTS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody {
    members: BTreeMap<String, Vec<Right>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrimBody {
    through: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, &headers, KeyRight::Read, &thread)?;
    let head = shared.bridge.log().head(&stream).await?;
    let members = shared.members.of(stream.as_str()).await.map_err(members_failed)?;
    // After its deletion a thread has no events, but their numbers are used.
    if head.oldest > head.offset && members.is_none() {
        return Err(no_thread());
    }
    Ok(Json(json!({
        "key": stream.as_str(), "epoch": &*head.epoch, "oldest": head.oldest, "head": head.offset, "members": members,
    })))
}

pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, request.headers(), KeyRight::Admin, &thread)?;
    if shared.rights_mode != RightsMode::Members {
        let message = "threads have members only with `rights.mode = \"members\"` in the configuration";
        return Err(Refused::bad_request(message));
    }
    let PutBody { members } = body::read(request, shared.max_body_bytes).await?;
    if members.len() > MAX_MEMBERS {
        return Err(Refused::bad_request(format!("a thread has at most {MAX_MEMBERS} members")));
    }
    if members.keys().any(|user| StreamKey::new(user, "t").is_err()) {
        return Err(Refused::bad_request("a user is named by 1 to 256 bytes without control characters"));
    }
    let members: Members =
        members.into_iter().map(|(user, rights)| (user, rights.into_iter().collect())).collect();
    let before =
        shared.members.put(stream.as_str(), &members).await.map_err(members_failed)?.unwrap_or_default();
    // After the change: nobody subscribes again with the right from before.
    for user in before.iter().filter(|(_, rights)| rights.contains(&Right::Read)).map(|(user, _)| user) {
        if !members.get(user).is_some_and(|rights| rights.contains(&Right::Read)) {
            shared.bridge.revoke(user, &stream);
        }
    }
    Ok(Json(json!({ "key": stream.as_str(), "members": members })))
}

pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (key, stream) = access::thread(&shared, &headers, KeyRight::Admin, &thread)?;
    // First: nobody subscribes again.
    let had_members = shared.members.delete(stream.as_str()).await.map_err(members_failed)?;
    let head = shared.bridge.log().head(&stream).await?;
    let had_events = head.oldest <= head.offset;
    shared.bridge.delete(&stream).await?;
    if !had_members && !had_events {
        return Err(no_thread());
    }
    tracing::info!(%stream, key = key.name(), "a thread was deleted");
    Ok(Json(json!({ "deleted": true })))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let page: Page = body::query(&uri)?;
    let key = access::key(&shared, &headers, KeyRight::Read)?;
    let limit = page.limit.unwrap_or(100);
    if !(1..=MAX_LIST).contains(&limit) {
        return Err(Refused::bad_request(format!("`limit` is 1 to {MAX_LIST}")));
    }
    let after = page.after.as_deref();
    let after_key = after
        .map(StreamKey::from_text)
        .transpose()
        .map_err(|error| Refused::bad_request(error.to_string()))?;
    // Those that were put and those that were written, each in order.
    let put = shared.members.list(after, limit).await.map_err(members_failed)?;
    let written = shared.bridge.streams(after_key.as_ref(), limit).await?;
    let mut all: BTreeMap<String, Option<Members>> =
        written.into_iter().map(|key| (key.as_str().to_owned(), None)).collect();
    all.extend(put.into_iter().map(|(thread, members)| (thread, Some(members))));
    let page: Vec<_> = all.into_iter().take(limit).collect();
    let next = (page.len() == limit).then(|| page.last().map(|(thread, _)| thread.clone())).flatten();
    let mut threads = Vec::new();
    for (thread, members) in page.into_iter().filter(|(thread, _)| key.covers(thread)) {
        threads.push(json!({ "key": thread, "members": members }));
    }
    Ok(Json(json!({ "threads": threads, "next": next })))
}

/// Events of a thread for a service key. With the token of a user, the bridge answers for the thread of that user.
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    mut request: Request,
) -> Response {
    let is_service =
        access::bearer(request.headers()).is_none_or(|token| shared.auth.service_key(token).is_some());
    if !is_service {
        // What this router found in the path is not for the next one.
        request.extensions_mut().clear();
        let answered = shared.pages.clone().oneshot(request).await;
        return answered.unwrap_or_else(|never| match never {});
    }
    read(&shared, &thread, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn read(shared: &Shared, thread: &str, request: Request) -> Result<Response, Refused> {
    let (_, stream) = access::thread(shared, request.headers(), KeyRight::Read, thread)?;
    let range: Range = body::query(request.uri())?;
    let (from, most) = (range.from.unwrap_or(1), shared.page_events);
    let limit = range.limit.unwrap_or_else(|| DEFAULT_EVENTS.min(most));
    if !(1..=most).contains(&limit) || !(1..1 << 53).contains(&from) {
        let message = format!("`from` is an offset from 1, and `limit` is 1 to {most}");
        return Err(Refused::bad_request(message));
    }
    let head = shared.bridge.log().head(&stream).await?;
    let page = shared.bridge.log().read(&stream, from, limit, shared.page_bytes).await?;
    let body = format!(
        r#"{{"epoch":{},"oldest":{},"head":{},"first":{},"events":[{}]}}"#,
        json!(&*head.epoch),
        head.oldest,
        head.offset,
        page.first,
        page.bodies.join(","),
    );
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

pub(super) async fn redact(
    State(shared): State<Arc<Shared>>,
    Path((thread, offset)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let offset = offset.parse().map_err(|_| Refused::bad_request("an offset is a number from 1"))?;
    let (key, stream) = access::thread(&shared, &headers, KeyRight::Admin, &thread)?;
    if !shared.bridge.redact(&stream, offset).await? {
        return Err(Refused::not_found("there is no event at this offset, or it was forgotten"));
    }
    tracing::info!(%stream, offset, key = key.name(), "an event was redacted");
    Ok(Json(json!({ "redacted": true })))
}

pub(super) async fn trim(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, request.headers(), KeyRight::Admin, &thread)?;
    let TrimBody { through } = body::read(request, shared.max_body_bytes).await?;
    let oldest = shared.bridge.trim(&stream, through).await?;
    Ok(Json(json!({ "oldest": oldest })))
}

fn no_thread() -> Refused {
    Refused::not_found("there is no such thread: it has no events, and no members were put")
}

pub(super) fn members_failed(error: crate::members::MembersError) -> Refused {
    tracing::warn!(%error, "the file of threads cannot be used now");
    Refused::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the members of threads cannot be read or written now",
    )
}
