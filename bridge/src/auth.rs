//! Who a page is, and which streams it may use.

use std::fmt;

use futures_util::future::BoxFuture;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::stream::{INBOX, StreamKey};

/// The user that a token names, and how long it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user: `subject` of the `welcome`.
    pub subject: String,
    /// When the token expires, in milliseconds since the Unix epoch; `None` when it does not.
    pub expires_at_ms: Option<u64>,
}

/// Why a token does not open a connection. No variant holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token is malformed, badly signed or for somebody else: `token_invalid`, close 4450.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// The token was valid once: `token_expired`, close 4451.
    #[error("the token has expired")]
    Expired,
    /// The token is valid, but its user may not connect: `forbidden`, close 4403.
    #[error("this user may not connect")]
    Forbidden,
    /// The token cannot be checked now: `unavailable`, close 4456.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
}

/// Says whom a token names.
pub trait Authenticator: Send + Sync + 'static {
    /// Checks a token of a `hello`, a `refresh` or a request. An implementation must not log it.
    ///
    /// It has `limits.auth_timeout` for it, and its socket waits meanwhile. The bridge itself looks at the expiry.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>>;
}

/// Reads JSON Web Tokens signed with HMAC-SHA-256: the user from `sub`, the expiry from `exp`.
///
/// A token without `exp` does not expire. No leeway is given: a token is over when its `exp` is.
pub struct Hs256 {
    key: DecodingKey,
    validation: Validation,
}

impl Hs256 {
    /// Accepts tokens signed with `secret`.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.leeway = 0;
        validation.validate_aud = false;
        validation.validate_nbf = true;
        Self { key: DecodingKey::from_secret(secret.as_ref()), validation }
    }

    /// Accepts only tokens that are meant for `audience`.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.validation.set_audience(&[audience]);
        self.validation.validate_aud = true;
        self.validation.required_spec_claims.insert("aud".to_owned());
        self
    }

    /// Accepts only tokens that `issuer` signed.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.validation.set_issuer(&[issuer]);
        self.validation.required_spec_claims.insert("iss".to_owned());
        self
    }

    fn check(&self, token: &str) -> Result<Identity, AuthError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => AuthError::Expired,
                // The kind names what is wrong; the error's own text could quote a part of the token.
                ErrorKind::Json(_) => AuthError::Invalid("its claims are not as expected".to_owned()),
                ErrorKind::Base64(_) | ErrorKind::Utf8(_) => AuthError::Invalid("it is not a JWT".to_owned()),
                ErrorKind::InvalidSignature => AuthError::Invalid("its signature does not match".to_owned()),
                ErrorKind::InvalidAudience => AuthError::Invalid("it is for another audience".to_owned()),
                ErrorKind::InvalidIssuer => AuthError::Invalid("it is from another issuer".to_owned()),
                ErrorKind::InvalidAlgorithm => AuthError::Invalid("it is not signed with HS256".to_owned()),
                ErrorKind::ImmatureSignature => AuthError::Invalid("it is not valid yet".to_owned()),
                _ => AuthError::Invalid("it is not a JWT that this server accepts".to_owned()),
            })?
            .claims;
        let expires_at_ms = claims.exp.map(|seconds| (seconds.max(0.0) * 1000.0) as u64);
        Ok(Identity { subject: claims.sub, expires_at_ms })
    }
}

impl fmt::Debug for Hs256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hs256").finish_non_exhaustive()
    }
}

impl Authenticator for Hs256 {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(std::future::ready(self.check(token)))
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: Option<f64>,
}

/// What a page wants to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Subscribe, read, ask for a replay.
    Read,
    /// Send, cancel, approve, signal.
    Write,
}

/// Why a page may not use a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The user has no right to it.
    #[error("this user may not use the stream")]
    Forbidden,
    /// There is no such stream.
    #[error("there is no such stream")]
    UnknownStream,
    /// It cannot be found out now: `unavailable`, to be tried again.
    #[error("the rights to the stream cannot be checked now")]
    Unavailable,
}

/// Says which stream of the log a name means for a user, or that it means none.
pub trait Authorizer: Send + Sync + 'static {
    /// Asked for every subscription, send, cancel, approval, signal and read, and again for each subscription of a socket
    /// whose token is refreshed: one that is refused then ends. It has `limits.auth_timeout` for it, and its socket waits
    /// meanwhile. [`Bridge::revoke`](crate::Bridge::revoke) ends subscriptions without waiting for a refresh.
    fn authorize<'a>(
        &'a self,
        subject: &'a str,
        stream: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<StreamKey, Refusal>>;
}

/// The default [`Authorizer`]: every name lives in the subject's own namespace, so that no two users can meet.
///
/// The `inbox` is read-only for pages: the bridge alone writes to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnStreams;

impl Authorizer for OwnStreams {
    fn authorize<'a>(
        &'a self,
        subject: &'a str,
        stream: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<StreamKey, Refusal>> {
        let answer = if access == Access::Write && stream == INBOX {
            Err(Refusal::Forbidden)
        } else {
            StreamKey::new(subject, stream).map_err(|_| Refusal::UnknownStream)
        };
        Box::pin(std::future::ready(answer))
    }
}
