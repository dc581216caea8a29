//! Users.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::access;
use super::refused::Refused;
use crate::config::KeyRight;
use crate::state::Shared;

/// Refuses the tokens that a user has, and closes the user's sockets.
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let key = access::key(&shared, &headers, KeyRight::Admin)?;
    if !key.covers_all() {
        let message = format!("the key `{}` is for some threads alone, and a user has others", key.name());
        return Err(Refused::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    // First: no socket comes back with a token from before.
    shared.auth.revoke(&user);
    let sockets = shared.bridge.revoke_user(&user);
    tracing::info!(user, sockets, key = key.name(), "a user was revoked");
    Ok(Json(json!({ "sockets": sockets })))
}
