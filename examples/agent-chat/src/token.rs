//! `POST /demo/token`: a token for any user who is named. For demos on a loopback address only.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::secret::Secret;

/// How long a token is valid when the request does not say, in milliseconds.
const DEFAULT_TTL_MS: u64 = 3_600_000;

/// Longest time a token is valid, in milliseconds: a day.
const MAX_TTL_MS: u64 = 86_400_000;

/// Longest name of a user, in bytes.
const MAX_USER_BYTES: usize = 128;

/// What the handler needs.
struct Desk {
    key: EncodingKey,
    loopback_only: bool,
}

/// Returns the route. With `loopback_only`, a request must name a loopback host, so that a page of another site whose
/// name was made to point here gets nothing.
pub(crate) fn router(secret: &Secret, loopback_only: bool) -> Router {
    let desk = Desk { key: EncodingKey::from_secret(secret.bytes()), loopback_only };
    Router::new().route("/demo/token", post(token)).with_state(Arc::new(desk))
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    user: String,
    ttl_ms: Option<u64>,
}

/// What the token says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
}

type Answer = (StatusCode, Json<Value>);

async fn token(State(desk): State<Arc<Desk>>, headers: HeaderMap, Json(request): Json<Request>) -> Answer {
    if desk.loopback_only && !names_loopback(&headers) {
        return refuse(StatusCode::FORBIDDEN, "tokens are given to pages of a loopback host only");
    }
    let user = request.user.as_str();
    if user.is_empty() || user.len() > MAX_USER_BYTES || user.chars().any(char::is_control) {
        return refuse(StatusCode::BAD_REQUEST, "`user` must have 1 to 128 bytes and no control characters");
    }
    let ttl_ms = request.ttl_ms.unwrap_or(DEFAULT_TTL_MS);
    if ttl_ms == 0 || ttl_ms > MAX_TTL_MS {
        return refuse(StatusCode::BAD_REQUEST, "`ttlMs` must be 1 to 86400000");
    }
    let now_ms = now_ms();
    // Tokens count whole seconds; what is answered is when it really expires.
    let exp = (now_ms + ttl_ms).div_ceil(1000);
    let claims = Claims { sub: user, iat: now_ms / 1000, exp };
    match jsonwebtoken::encode(&Header::default(), &claims, &desk.key) {
        Ok(token) => (StatusCode::OK, Json(json!({ "token": token, "expiresInMs": exp * 1000 - now_ms }))),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the token could not be signed"),
    }
}

fn refuse(status: StatusCode, message: &str) -> Answer {
    (status, Json(json!({ "error": message })))
}

/// Says whether the `Host` of a request is this machine.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[expect(clippy::disallowed_methods, reason = "the border of the program: tokens carry wall-clock time")]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        let names = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            names_loopback(&headers)
        };
        for host in ["127.0.0.1:8787", "localhost", "LOCALHOST:1", "[::1]:80", "127.1.2.3"] {
            assert!(names(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com:80", "192.168.0.1", "[2001:db8::1]:80", ""] {
            assert!(!names(host), "{host}");
        }
        assert!(!names_loopback(&HeaderMap::new()));
    }
}
