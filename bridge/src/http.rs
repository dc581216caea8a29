//! The routes.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tracing::Instrument;

use crate::auth::{Access, AuthError, Refusal};
use crate::context::Context;
use crate::log::LogError;
use crate::serve::Admitted;
use crate::session;
use crate::socket::handshake::{self, Refused};
use crate::socket::{Gauge, WebSocket};
use crate::wire::encode;

/// Events that an answer holds when the request does not say.
const DEFAULT_EVENTS: usize = 100;

pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/ws", get(socket))
        .route("/healthz", get(health))
        .route("/v1/threads/{thread}/events", get(events))
        .with_state(context)
}

async fn socket(State(context): State<Arc<Context>>, mut request: Request) -> Response {
    if !context.origins.allow(request.headers()) {
        let message = "pages of this origin may not connect; add it to the `origins` of the server";
        return refuse(StatusCode::FORBIDDEN, "origin_not_allowed", message);
    }
    let (upgrade, response) = match handshake::accept(&mut request) {
        Ok(accepted) => accepted,
        Err(refused) => return refuse_socket(refused),
    };
    let admitted = request.extensions_mut().remove::<Arc<Admitted>>();
    let tasks = context.tasks.clone();
    let served = async move {
        match upgrade.await {
            Ok(connection) => {
                let _admitted = admitted;
                let gauge = Arc::<Gauge>::default();
                let socket = WebSocket::new(TokioIo::new(connection), Arc::clone(&gauge));
                session::run(socket, gauge, context).await;
            }
            Err(error) => tracing::debug!(%error, "a socket broke before it began"),
        }
    };
    // What an application knows of the request, such as the address of the client, is in the log lines of the socket, too.
    tasks.spawn(served.in_current_span());
    response
}

fn refuse_socket(refused: Refused) -> Response {
    match refused {
        Refused::NoUpgrade => {
            let message =
                "connect with a WebSocket; a proxy in front has to pass on `Upgrade` and `Connection`";
            let refused = refuse(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
            ([(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")], refused).into_response()
        }
        Refused::Malformed => {
            let refused =
                refuse(StatusCode::BAD_REQUEST, "bad_request", "the handshake is not as RFC 6455 says");
            ([(header::SEC_WEBSOCKET_VERSION, "13")], refused).into_response()
        }
        Refused::Subprotocol => {
            refuse(StatusCode::BAD_REQUEST, "unsupported_protocol", "offer the subprotocol agentwire.v1")
        }
    }
}

async fn health(State(context): State<Arc<Context>>) -> Response {
    match context.health.check(context.journal.log()).await {
        None => Json(json!({ "status": "ok" })).into_response(),
        Some(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why),
    }
}

#[derive(Deserialize)]
struct Range {
    from: Option<u64>,
    limit: Option<usize>,
    /// Whether the events come as frames, deltas among them.
    #[serde(default)]
    deltas: bool,
}

async fn events(
    State(context): State<Arc<Context>>,
    Path(thread): Path<String>,
    Query(range): Query<Range>,
    headers: HeaderMap,
) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(bearer) else {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "token_invalid",
            "send a header `Authorization: Bearer <token>`",
        );
    };
    let identity = match context.gate.identify(token).await {
        Ok(identity) => identity,
        Err(error) => {
            let (status, code) = match &error {
                AuthError::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
                AuthError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                AuthError::Expired => (StatusCode::UNAUTHORIZED, "token_expired"),
                AuthError::Invalid(_) => (StatusCode::UNAUTHORIZED, "token_invalid"),
            };
            return refuse(status, code, &error.to_string());
        }
    };
    if let Err(wait) = context.users.of(&identity.subject).intake.frames.try_take(1) {
        let refused = refuse(StatusCode::TOO_MANY_REQUESTS, "overloaded", "this user asks too much");
        return ([(header::RETRY_AFTER, wait.as_secs().max(1).to_string())], refused).into_response();
    }
    let key = match context.gate.open(&identity.subject, &thread, Access::Read).await {
        Ok(key) => key,
        Err(error @ Refusal::Forbidden) => {
            return refuse(StatusCode::FORBIDDEN, "forbidden", &error.to_string());
        }
        Err(error @ Refusal::UnknownStream) => {
            return refuse(StatusCode::NOT_FOUND, "unknown_stream", &error.to_string());
        }
        Err(error @ Refusal::Unavailable) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string());
        }
    };
    let most = context.limits.http_page_events;
    let limit = range.limit.unwrap_or_else(|| DEFAULT_EVENTS.min(most));
    let from = range.from.unwrap_or(1);
    if !(1..=most).contains(&limit) || !(1..1 << 53).contains(&from) {
        let message = format!("`from` is an offset from 1, and `limit` is 1 to {most}");
        return refuse(StatusCode::BAD_REQUEST, "bad_request", &message);
    }
    let journal = &context.journal;
    let read = async {
        let head = journal.state(&key).await?.head;
        let page = journal.read(&key, from, limit, context.limits.max_frame_bytes).await?;
        Ok::<_, LogError>((head, page))
    };
    match read.await {
        Ok((head, page)) => {
            // The texts of the log go out as they are.
            let (name, events) = if range.deltas {
                ("frames", encode::event_frames(page.first, &page.bodies))
            } else {
                ("events", format!("[{}]", page.bodies.join(",")))
            };
            let body = format!(
                r#"{{"epoch":{},"oldest":{},"head":{},"first":{},"{name}":{events}}}"#,
                json!(&*head.epoch),
                head.oldest,
                head.offset,
                page.first,
            );
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "events could not be read");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the log cannot be read now")
        }
    }
}

/// The token of an `Authorization: Bearer`; the scheme is written in any case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}
