//! Which requests may do what: the service key, and the thread that a path names.

use std::sync::Arc;

use agentwire_bridge::StreamKey;
use axum::http::{HeaderMap, StatusCode, header};

use super::refused::Refused;
use crate::auth::keys::ServiceKey;
use crate::config::KeyRight;
use crate::state::Shared;

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The service key of a request, if it has this right.
pub(super) fn key(shared: &Shared, headers: &HeaderMap, right: KeyRight) -> Result<Arc<ServiceKey>, Refused> {
    let found = bearer(headers).and_then(|token| shared.auth.service_key(token));
    let Some(key) = found else {
        let message =
            "send `Authorization: Bearer <service key>` with a key of the configuration (`[[keys]]`)";
        return Err(Refused::new(StatusCode::UNAUTHORIZED, "key_invalid", message));
    };
    if key.may(right) {
        return Ok(key);
    }
    let message = format!("the key `{}` does not have the right `{}`", key.name(), right.name());
    Err(Refused::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// The thread of a path, if the key of the request has this right to it.
pub(super) fn thread(
    shared: &Shared,
    headers: &HeaderMap,
    right: KeyRight,
    thread: &str,
) -> Result<(Arc<ServiceKey>, StreamKey), Refused> {
    let key = key(shared, headers, right)?;
    let stream = StreamKey::from_text(thread).map_err(|error| Refused::bad_request(error.to_string()))?;
    if key.covers(stream.as_str()) {
        return Ok((key, stream));
    }
    let message = format!("the key `{}` is not for this thread (`threads` in the configuration)", key.name());
    Err(Refused::new(StatusCode::FORBIDDEN, "forbidden", message))
}
