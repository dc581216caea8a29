//! Who a page is, and which streams it may use.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::time::timeout;

use crate::clock::now_ms;
use crate::stream::{INBOX, StreamKey, is_name};

/// The user that a token names, and when the token expires.
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
///
/// ```
/// use agentwire_bridge::{AuthError, Authenticator, Identity};
/// use futures_util::future::BoxFuture;
///
/// /// Asks your own service whom a session belongs to.
/// struct Sessions;
///
/// impl Authenticator for Sessions {
///     fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
///         Box::pin(async move {
///             let user = token.strip_prefix("session-of-").ok_or(AuthError::Expired)?;
///             Ok(Identity { subject: user.to_owned(), expires_at_ms: None })
///         })
///     }
/// }
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Checks a token of a `hello`, a `refresh` or a request. An implementation must not log it.
    ///
    /// It has `limits.auth_timeout` for it, and its socket waits meanwhile. The bridge itself looks at the expiry.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>>;
}

/// Reads JSON Web Tokens signed with HMAC-SHA-256: the user from `sub`, the expiry from `exp`.
///
/// A token without `exp` does not expire. There is no leeway for clock differences. An `nbf` is checked.
///
/// ```
/// use agentwire_bridge::Hs256;
///
/// let secret = [7; 32];
/// let tokens = Hs256::new(secret)?.audience("chat.example.com");
/// assert!(Hs256::new("too short").is_err());
/// # Ok::<_, agentwire_bridge::SecretError>(())
/// ```
pub struct Hs256 {
    key: DecodingKey,
    validation: Validation,
}

/// The shortest secret that is accepted, in bytes: one of HS256 has as many bits as its hash at the least (RFC 7518,
/// section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// A secret that is shorter than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret has {bytes} bytes, but HS256 needs {MIN_SECRET_BYTES} or more (RFC 7518); \
     make one with `openssl rand -hex 32`"
)]
pub struct SecretError {
    bytes: usize,
}

impl Hs256 {
    /// Accepts tokens signed with `secret`, which has 32 bytes or more.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let bytes = secret.as_ref().len();
        if bytes < MIN_SECRET_BYTES {
            return Err(SecretError { bytes });
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.leeway = 0;
        validation.validate_aud = false;
        validation.validate_nbf = true;
        Ok(Self { key: DecodingKey::from_secret(secret.as_ref()), validation })
    }

    /// Accepts only tokens whose `aud` has `audience`. Without this call, `aud` is not checked.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.validation.set_audience(&[audience]);
        self.validation.validate_aud = true;
        self.validation.required_spec_claims.insert("aud".to_owned());
        self
    }

    /// Accepts only tokens whose `iss` is `issuer`. Without this call, `iss` is not checked.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.validation.set_issuer(&[issuer]);
        self.validation.required_spec_claims.insert("iss".to_owned());
        self
    }

    fn check(&self, token: &str) -> Result<Identity, AuthError> {
        // What must be understood and is not makes a token invalid (RFC 7515, section 4.1.11).
        if jsonwebtoken::decode_header(token).is_ok_and(|header| header.crit.is_some()) {
            return Err(AuthError::Invalid(
                "it has critical extensions, and this server knows none".to_owned(),
            ));
        }
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
pub(crate) enum Access {
    /// Subscribe, read, ask for a replay.
    Read,
    /// Send, cancel, signal.
    Write,
    /// Answer an approval.
    Approve,
}

/// The stream that a name stands for, and what a user may do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The stream.
    pub stream: StreamKey,
    /// Subscribe, read, ask for a replay.
    pub read: bool,
    /// Send, cancel, withdraw, edit, signal.
    pub write: bool,
    /// Answer approvals.
    pub approve: bool,
    /// Act on what belongs to another user: cancel that user's runs, and withdraw or edit that user's messages. Needs
    /// `write`, too.
    pub manage: bool,
    /// Run the tools that agents ask pages for. Reserved: no frame asks for it yet.
    pub claim: bool,
}

impl Grant {
    /// Every right to a stream.
    pub fn all(stream: StreamKey) -> Self {
        Self { stream, read: true, write: true, approve: true, manage: true, claim: true }
    }

    /// The right to read a stream, and no other.
    pub fn read_only(stream: StreamKey) -> Self {
        Self { stream, read: true, write: false, approve: false, manage: false, claim: false }
    }

    fn allows(&self, access: Access) -> bool {
        match access {
            Access::Read => self.read,
            Access::Write => self.write,
            Access::Approve => self.approve,
        }
    }
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

/// An inbox that is notified of what happens in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// The inbox.
    pub inbox: StreamKey,
    /// The name of the stream for the users of the inbox: `thread` of the `thread_changed` event.
    pub thread: String,
}

/// Says which stream of the log a name stands for, and what a user may do with it.
///
/// The default, [`OwnStreams`], gives each user a namespace. Threads with several members need one of your own:
///
/// ```
/// use agentwire_bridge::{Authorizer, Grant, Refusal, StreamKey};
/// use futures_util::future::BoxFuture;
///
/// /// Everybody reads `news`; only the editors write to it.
/// struct News;
///
/// impl Authorizer for News {
///     fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
///         Box::pin(async move {
///             if name != "news" {
///                 return Err(Refusal::UnknownStream);
///             }
///             let stream = StreamKey::from_text("news").map_err(|_| Refusal::UnknownStream)?;
///             let is_editor = subject.ends_with("@editors");
///             Ok(Grant { write: is_editor, ..Grant::read_only(stream) })
///         })
///     }
/// }
/// ```
pub trait Authorizer: Send + Sync + 'static {
    /// Asked for every subscription, send, cancel, approval, signal and read, and again for each subscription of a socket
    /// whose token is refreshed: one without the right to read then ends. It has `limits.auth_timeout` for it, and its
    /// socket waits meanwhile. [`Bridge::revoke`](crate::Bridge::revoke) ends subscriptions without waiting for a
    /// refresh.
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>>;

    /// The inboxes that are notified of messages and ends of runs in a stream: one for each member. By default, that of
    /// the namespace that the stream is in. An error makes the bridge ask again.
    fn notified<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Vec<Notified>, Refusal>> {
        let inbox = stream.inbox().into_iter();
        let notified = inbox.map(|inbox| Notified { inbox, thread: stream.name() }).collect();
        Box::pin(std::future::ready(Ok(notified)))
    }
}

/// The default [`Authorizer`]: every name lives in the subject's own namespace, so that no two users can meet.
///
/// The `inbox` is read-only for pages: the bridge alone writes to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnStreams;

impl Authorizer for OwnStreams {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        let stream = StreamKey::new(subject, name).map_err(|_| Refusal::UnknownStream);
        let grant = stream.map(if name == INBOX { Grant::read_only } else { Grant::all });
        Box::pin(std::future::ready(grant))
    }
}

/// Asks the authenticator and the authorizer, within the time that an answer may take.
pub(crate) struct Gate {
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    timeout: Duration,
}

impl Gate {
    pub(crate) fn new(
        authenticator: Arc<dyn Authenticator>,
        authorizer: Arc<dyn Authorizer>,
        timeout: Duration,
    ) -> Self {
        Self { authenticator, authorizer, timeout }
    }

    /// Whom a token names now.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, AuthError> {
        let checked = timeout(self.timeout, self.authenticator.authenticate(token)).await;
        let identity =
            checked.map_err(|_| AuthError::Unavailable("the check took too long".to_owned()))??;
        if !is_name(&identity.subject) {
            // The `welcome` could not name it (GEN-6).
            let why = "its subject is not 1 to 256 bytes of UTF-8 without control characters";
            return Err(AuthError::Invalid(why.to_owned()));
        }
        if identity.expires_at_ms.is_some_and(|expires| expires <= now_ms()) {
            return Err(AuthError::Expired);
        }
        Ok(identity)
    }

    /// The stream that a name stands for, if the user may do this with it.
    pub(crate) async fn open(&self, subject: &str, name: &str, access: Access) -> Result<StreamKey, Refusal> {
        self.grant(subject, name, access).await.map(|grant| grant.stream)
    }

    /// As [`Gate::open`], with all that the user may do.
    pub(crate) async fn grant(&self, subject: &str, name: &str, access: Access) -> Result<Grant, Refusal> {
        let checked = timeout(self.timeout, self.authorizer.open(subject, name)).await;
        let grant = checked.unwrap_or_else(|_| {
            tracing::warn!(user = subject, name, "the rights to a stream could not be checked in time");
            Err(Refusal::Unavailable)
        })?;
        if grant.allows(access) { Ok(grant) } else { Err(Refusal::Forbidden) }
    }

    /// The inboxes that are notified of what happens in a stream.
    pub(crate) async fn notified(&self, stream: &StreamKey) -> Result<Vec<Notified>, Refusal> {
        let asked = AssertUnwindSafe(async { self.authorizer.notified(stream).await }).catch_unwind();
        match timeout(self.timeout, asked).await {
            Ok(Ok(answer)) => answer,
            // The inboxes are tried again.
            Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_are_refused() {
        for bytes in [0, 31] {
            let error = Hs256::new(vec![b'x'; bytes]).unwrap_err();
            assert!(error.to_string().contains(&format!("has {bytes} bytes")), "{error}");
        }
        assert!(Hs256::new([0; 32]).is_ok());
    }

    struct Subject(String);

    impl Authenticator for Subject {
        fn authenticate<'a>(&'a self, _token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
            Box::pin(std::future::ready(Ok(Identity { subject: self.0.clone(), expires_at_ms: None })))
        }
    }

    // PROTOCOL: GEN-6, HEL-3
    #[tokio::test]
    async fn a_subject_that_no_welcome_can_name_makes_the_token_invalid() {
        for subject in ["", "a\nb", "a\0", &"x".repeat(257)] {
            let gate = Gate::new(
                Arc::new(Subject(subject.to_owned())),
                Arc::new(OwnStreams),
                Duration::from_secs(1),
            );
            assert!(matches!(gate.identify("token").await, Err(AuthError::Invalid(_))), "{subject:?}");
        }
    }
}
