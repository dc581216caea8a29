//! Users: they are signed out, and their data is exported and erased.

use std::sync::Arc;

use agentwire_bridge::{LogError, StreamKey};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use futures_util::Stream;
use serde_json::{Value, json};

use super::access;
use super::body::NdJson;
use super::refused::Refused;
use super::threads::members_failed;
use crate::auth::keys::ServiceKey;
use crate::config::KeyRight;
use crate::state::Shared;

/// Threads that are looked up at once.
const PAGE: usize = 256;

/// Refuses the tokens that a user has, and closes the user's sockets.
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let key = whole_key(&shared, &headers, KeyRight::Admin)?;
    namespace(&user)?;
    let sockets = sign_out(&shared, &user).await?;
    tracing::info!(user, sockets, key = key.name(), "a user was revoked");
    Ok(Json(json!({ "sockets": sockets })))
}

/// Everything that is kept of a user, as lines: the events of the user's own threads, and of those that the user is a member of.
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<NdJson<impl Stream<Item = Bytes> + Send + 'static>, Refused> {
    whole_key(&shared, &headers, KeyRight::Admin)?;
    let mut threads = own_threads(&shared, &user).await?;
    for thread in shared.members.of_user(&user).await.map_err(members_failed)? {
        let stream =
            StreamKey::from_text(&thread).map_err(|error| Refused::bad_request(error.to_string()))?;
        if !threads.contains(&stream) {
            threads.push(stream);
        }
    }
    threads.reverse();
    let exporting = Exporting { shared, threads, thread: None, failed: false };
    Ok(NdJson(futures_util::stream::unfold(exporting, next_page)))
}

/// Signs a user out, deletes the user's own threads, and takes the user out of those of others.
pub(super) async fn erase(
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let key = whole_key(&shared, &headers, KeyRight::Admin)?;
    namespace(&user)?;
    let sockets = sign_out(&shared, &user).await?;
    let left = shared.members.remove_user(&user).await.map_err(members_failed)?;
    let threads = own_threads(&shared, &user).await?;
    for thread in &threads {
        shared.bridge.delete(thread).await?;
    }
    tracing::info!(user, sockets, deleted = threads.len(), left, key = key.name(), "a user was erased");
    Ok(Json(json!({ "sockets": sockets, "deleted": threads.len(), "left": left })))
}

/// Refuses the tokens that a user has, also after a restart, and closes the user's sockets. Returns how many.
async fn sign_out(shared: &Shared, user: &str) -> Result<usize, Refused> {
    // First: no socket comes back with a token from before.
    let at_ms = shared.auth.revoke(user);
    let since_ms = at_ms.saturating_sub(shared.revoke_ms);
    let kept = shared.members.note_revoked(user, at_ms, since_ms).await;
    let sockets = shared.bridge.revoke_user(user);
    kept.map_err(members_failed)?;
    Ok(sockets)
}

/// A key that is for all threads: a user can have any of them.
fn whole_key(shared: &Shared, headers: &HeaderMap, right: KeyRight) -> Result<Arc<ServiceKey>, Refused> {
    let key = access::key(shared, headers, right)?;
    if key.covers_all() {
        return Ok(key);
    }
    let message = format!("the key `{}` is for some threads alone, and a user has others", key.name());
    Err(Refused::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// What the keys of a user's own threads begin with. Fails for what can be no user.
fn namespace(user: &str) -> Result<String, Refused> {
    let any = StreamKey::new(user, "-").map_err(|error| Refused::bad_request(error.to_string()))?;
    Ok(any.as_str().strip_suffix('-').unwrap_or_default().to_owned())
}

/// The threads in the namespace of a user, the inbox among them.
async fn own_threads(shared: &Shared, user: &str) -> Result<Vec<StreamKey>, Refused> {
    let namespace = namespace(user)?;
    // The slash is below every character that can follow it.
    let mut after =
        StreamKey::from_text(&namespace).map_err(|error| Refused::bad_request(error.to_string()))?;
    let mut found = Vec::new();
    loop {
        let page = shared.bridge.streams(Some(&after), PAGE).await?;
        let Some(last) = page.last().cloned() else { return Ok(found) };
        let is_own = last.as_str().starts_with(&namespace);
        found.extend(page.into_iter().filter(|key| key.as_str().starts_with(&namespace)));
        if !is_own {
            return Ok(found);
        }
        after = last;
    }
}

struct Exporting {
    shared: Arc<Shared>,
    /// Those that follow, the next one last.
    threads: Vec<StreamKey>,
    /// The one at hand, and the next offset of it.
    thread: Option<(StreamKey, u64)>,
    failed: bool,
}

/// The next lines of an export. One that ends with `{"error"}` is not whole.
async fn next_page(mut exporting: Exporting) -> Option<(Bytes, Exporting)> {
    loop {
        if exporting.failed {
            return None;
        }
        let (stream, from) = match exporting.thread.take() {
            Some(thread) => thread,
            None => (exporting.threads.pop()?, 1),
        };
        match lines(&exporting.shared, &stream, from).await {
            Ok((lines, next)) => {
                exporting.thread = next.map(|next| (stream, next));
                if !lines.is_empty() {
                    return Some((lines.into(), exporting));
                }
            }
            Err(error) => {
                tracing::warn!(%stream, %error, "an export failed");
                exporting.failed = true;
                return Some((Bytes::from_static(b"{\"error\":\"unavailable\"}\n"), exporting));
            }
        }
    }
}

/// Lines of a thread from an offset on, and the offset after them if there may be more.
async fn lines(shared: &Shared, stream: &StreamKey, from: u64) -> Result<(String, Option<u64>), LogError> {
    let page = shared.bridge.log().read(stream, from, PAGE, shared.page_bytes).await?;
    let thread = json!(stream.as_str());
    let mut lines = String::new();
    for (offset, body) in (page.first..).zip(&page.bodies) {
        lines += &format!("{{\"thread\":{thread},\"offset\":{offset},\"event\":{body}}}\n");
    }
    let next = page.first + page.bodies.len() as u64;
    Ok((lines, (!page.bodies.is_empty()).then_some(next)))
}
