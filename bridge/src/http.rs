//! The routes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::auth::{Access, AuthError, Refusal};
use crate::context::Context;
use crate::log::LogError;
use crate::session;
use crate::wire::SUBPROTOCOL;

/// How long the log may take to answer a health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Events that an answer holds when the request does not say.
const DEFAULT_EVENTS: usize = 100;

pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/ws", get(socket))
        .route("/healthz", get(health))
        .route("/v1/threads/{thread}/events", get(events))
        .with_state(context)
}

async fn socket(State(context): State<Arc<Context>>, upgrade: WebSocketUpgrade) -> Response {
    // A frame that is somewhat too large is read whole, so that the page learns why the socket closes.
    let max = context.limits.max_frame_bytes * 2;
    let upgrade = upgrade.protocols([SUBPROTOCOL]).max_message_size(max).max_frame_size(max);
    if upgrade.selected_protocol().is_none() {
        return refuse(StatusCode::BAD_REQUEST, "unsupported_protocol", "offer the subprotocol agentwire.v1");
    }
    upgrade.on_upgrade(move |socket| {
        let session = session::run(socket, Arc::clone(&context));
        context.tasks.track(session)
    })
}

async fn health(State(context): State<Arc<Context>>) -> Response {
    match tokio::time::timeout(HEALTH_TIMEOUT, context.journal.log().check()).await {
        Ok(Ok(())) => Json(json!({ "status": "ok" })).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "unhealthy: the log failed");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the log failed")
        }
        Err(_) => {
            tracing::warn!("unhealthy: the log does not answer");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the log does not answer")
        }
    }
}

#[derive(Deserialize)]
struct Range {
    from: Option<u64>,
    limit: Option<usize>,
}

async fn events(
    State(context): State<Arc<Context>>,
    Path(thread): Path<String>,
    Query(range): Query<Range>,
    headers: HeaderMap,
) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
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
            let body = format!(
                "{{\"epoch\":{},\"oldest\":{},\"head\":{},\"first\":{},\"events\":[{}]}}",
                json!(&*head.epoch),
                head.oldest,
                head.offset,
                page.first,
                page.bodies.join(",")
            );
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "events could not be read");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the log cannot be read now")
        }
    }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}
