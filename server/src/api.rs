//! The HTTP API for backends. `docs/HTTP.md` describes it; a file here is a section of it.

mod access;
mod body;
mod client;
mod deliveries;
mod health;
mod lines;
mod publish;
mod refused;
mod runs;
mod stream;
mod strict;
mod threads;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

pub(crate) use self::health::text as metrics_text;
use self::refused::Refused;
use crate::state::Shared;

/// The routes for backends. What is not among them goes to `pages`, the routes of the bridge.
pub(crate) fn router(shared: Arc<Shared>, pages: Router) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/threads", get(threads::list))
        .route("/v1/threads/{key}", get(threads::show).put(threads::put).delete(threads::delete))
        .route("/v1/threads/{key}/events", get(threads::events).post(publish::publish))
        .route("/v1/threads/{key}/events/{offset}", delete(threads::redact))
        .route("/v1/threads/{key}/trim", post(threads::trim))
        .route("/v1/threads/{key}/stream", post(stream::publish))
        .route("/v1/threads/{key}/producers/{id}", get(publish::producer))
        .route("/v1/threads/{key}/runs", get(runs::list))
        .route("/v1/threads/{key}/runs/{run}/heartbeat", post(runs::heartbeat))
        .route("/v1/threads/{key}/runs/{run}/signals", get(runs::signals))
        .route("/v1/deliveries", get(deliveries::hold))
        .route("/v1/deliveries/{id}/accept", post(deliveries::accept))
        .route("/v1/deliveries/{id}/refuse", post(deliveries::refuse))
        .route("/v1/users/{user}", delete(users::erase))
        .route("/v1/users/{user}/export", get(users::export))
        .route("/v1/users/{user}/revoke", post(users::revoke))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(&shared))
        .fallback_service(pages.fallback(not_found))
        .layer(from_fn_with_state(shared, client::traced))
}

async fn method_not_allowed() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes another method")
}

async fn not_found(request: Request) -> Response {
    let message = format!("there is nothing at `{}`: see docs/HTTP.md", request.uri().path());
    Refused::new(StatusCode::NOT_FOUND, "not_found", message).into_response()
}
