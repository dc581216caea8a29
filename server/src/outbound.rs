//! Calls to others over HTTP: webhooks, questions about rights, and key sets.
//!
//! A call resolves the name itself, refuses addresses that are not public unless they are allowed, and connects to an
//! address that it has checked. It follows no redirect and uses no proxy. Time and size of the answer are bounded.

mod addresses;
mod signing;

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, redirect};
use tokio::time::timeout;
use url::{Host, Url};

use addresses::Reach;
pub use signing::{SigningError, SigningKeys};

/// How long a call may take unless it is said, answer included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of the largest answer unless it is said.
const MAX_ANSWER_BYTES: usize = 65_536;

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, also one of an error.
    pub status: u16,
    /// `Retry-After`: how long to wait.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer. No variant holds more of the URL than its host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// The URL cannot be called at all.
    #[error("the URL cannot be called: {0}")]
    Url(&'static str),
    /// The host has no address that may be called.
    #[error("{0}; set `allow_private = true` in its section if it is yours")]
    Private(AddressRefused),
    /// The name has no address now.
    #[error("the name of the host cannot be resolved: {0}")]
    Resolve(String),
    /// The answer took too long.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The answer is too large.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The connection could not be made, or it broke.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The client could not be made.
    #[error("no HTTP client: {0}; are the CA certificates of the system installed?")]
    Setup(String),
}

/// A host without an address that may be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is at a private, loopback or reserved address")]
pub struct AddressRefused(String);

/// Makes calls. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    allow_private: bool,
    timeout: Duration,
    max_answer_bytes: usize,
}

impl Outbound {
    /// A client. With `allow_private`, private and loopback addresses may be called, but never link-local ones, such as
    /// those that clouds have for their metadata.
    pub fn new(allow_private: bool) -> Result<Self, OutboundError> {
        // An error says that the process has a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .dns_resolver(Checked { allow_private })
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("agentwire-bridge/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| OutboundError::Setup(whole(&error)))?;
        Ok(Self { client, allow_private, timeout: TIMEOUT, max_answer_bytes: MAX_ANSWER_BYTES })
    }

    /// The same client with another bound of time. Defaults to 10 seconds.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same client with another bound of the answer. Defaults to 65,536 bytes.
    #[must_use]
    pub fn at_most(mut self, max_answer_bytes: usize) -> Self {
        self.max_answer_bytes = max_answer_bytes;
        self
    }

    /// Whether private addresses may be called.
    pub fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Posts a body.
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, OutboundError> {
        self.call(url, self.client.post(url.clone()).headers(headers).body(body)).await
    }

    /// Gets a document.
    pub async fn get(&self, url: &Url) -> Result<Answer, OutboundError> {
        self.call(url, self.client.get(url.clone())).await
    }

    async fn call(&self, url: &Url, request: RequestBuilder) -> Result<Answer, OutboundError> {
        self.check(url)?;
        let answered = async { self.read(request.send().await.map_err(refine)?).await };
        timeout(self.timeout, answered).await.map_err(|_| OutboundError::Timeout(self.timeout))?
    }

    /// Refuses what the resolver never sees: hosts that are addresses, and other schemes.
    fn check(&self, url: &Url) -> Result<(), OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::Url("its scheme must be https or http"));
        }
        let address = match url.host() {
            None => return Err(OutboundError::Url("it has no host")),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
        };
        if addresses::reach(address).is_allowed(self.allow_private) {
            return Ok(());
        }
        Err(OutboundError::Private(AddressRefused(address.to_string())))
    }

    async fn read(&self, mut response: Response) -> Result<Answer, OutboundError> {
        let too_large = OutboundError::TooLarge(self.max_answer_bytes);
        if response.content_length().is_some_and(|bytes| bytes > self.max_answer_bytes as u64) {
            return Err(too_large);
        }
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(wait);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(refine)? {
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, body })
    }
}

/// Whether a host can only be called with `allow_private`, as far as that can be said without asking for its name.
pub fn is_private_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => addresses::reach(address.into()) != Reach::Public,
        Some(Host::Ipv6(address)) => addresses::reach(address.into()) != Reach::Public,
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

/// Whether a host is this machine, as far as that can be said without asking for its name.
pub fn is_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Resolves names to the addresses that may be called. The connection is made to one of them, so that a name which
/// resolves to another address a moment later changes nothing.
struct Checked {
    allow_private: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<_> = found.map_err(|error| Unresolved(error.to_string()))?.collect();
            let allowed =
                found.iter().copied().filter(|found| addresses::reach(found.ip()).is_allowed(allow_private));
            let allowed: Vec<_> = allowed.collect();
            if found.is_empty() {
                return Err(Unresolved("it has no address".to_owned()).into());
            }
            if allowed.is_empty() {
                return Err(AddressRefused(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[derive(Debug)]
struct Unresolved(String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unresolved {}

/// The error of the resolver, if it was that.
fn refine(error: reqwest::Error) -> OutboundError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<AddressRefused>() {
            return OutboundError::Private(refused.clone());
        }
        if let Some(Unresolved(why)) = inner.downcast_ref::<Unresolved>() {
            return OutboundError::Resolve(why.clone());
        }
        cause = inner.source();
    }
    OutboundError::Connection(whole(&error.without_url()))
}

/// An error with its causes.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// How long a `Retry-After` asks to wait: seconds, or a date.
#[expect(clippy::disallowed_methods, reason = "a date of HTTP is compared with the clock of the system")]
fn wait(header: &HeaderValue) -> Option<Duration> {
    let text = header.to_str().ok()?.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let wait = |text| wait(&HeaderValue::from_static(text));
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(
            wait("Fri, 31 Dec 9999 23:59:59 GMT").is_some_and(|wait| wait > Duration::from_secs(1 << 32))
        );
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
