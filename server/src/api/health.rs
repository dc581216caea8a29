//! Whether the server lives, can serve, and what it has counted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::refused::Refused;
use crate::state::Shared;

pub(super) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Refused> {
    match shared.bridge.ready().await {
        Ok(()) => Ok(Json(json!({ "status": "ok" }))),
        Err(why) => Err(Refused::unavailable(why)),
    }
}

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    if shared.has_metrics_address {
        return Refused::not_found("metrics have an address of their own: `server.metrics_listen`")
            .into_response();
    }
    text(&shared)
}

/// The counts as Prometheus reads them.
pub(crate) fn text(shared: &Shared) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, shared.metrics.render(&shared.bridge)).into_response()
}
