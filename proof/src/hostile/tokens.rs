//! Tokens, right and wrong ones, made by hand: a library refuses to make the wrong ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The secret of the server under attack.
pub(super) const SECRET: &str = "a secret for hostile tests, of 32 bytes or more";

/// Every token begins so, and no line of a log may have it.
pub(super) const PREFIX: &str = "eyJ";

/// Far enough ahead for a token that does not expire within a run.
pub(super) const LATER: u64 = 4_000_000_000;

/// A valid token of `user`.
pub(super) fn of(user: &str) -> String {
    made(&json!({ "alg": "HS256", "typ": "JWT" }), &json!({ "sub": user, "exp": LATER }), SECRET)
}

/// A token with this header and these claims, signed with `secret`.
pub(super) fn made(header: &Value, claims: &Value, secret: &str) -> String {
    signed(&format!("{}.{}", part(header.to_string()), part(claims.to_string())), secret)
}

/// Signs what stands before the last dot.
pub(super) fn signed(parts: &str, secret: &str) -> String {
    let signature = match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        Ok(mut mac) => {
            mac.update(parts.as_bytes());
            mac.finalize().into_bytes()
        }
        Err(_) => unreachable!("HMAC takes a key of any length"),
    };
    format!("{parts}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A part of a token.
pub(super) fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
