//! A JSON Web Key Set that changes: in a file, or at a URL.
//!
//! The last set that could be read is kept until another one can be. Before the first one nothing is known: fail closed.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex as SyncMutex;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::keyset::{VerifyingKey, read_set};
use crate::config::Endpoint;
use crate::outbound::{Outbound, OutboundError};

/// Bytes of the largest set.
const MAX_BYTES: usize = 262_144;

/// The longest time between two tries while a set cannot be fetched.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// How often a set is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksTimes {
    /// How old a set may become. Of a file: how often it is looked at.
    pub refresh: Duration,
    /// How long after a fetch an unknown key id leads to another one, at the least.
    pub unknown: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
}

impl JwksTimes {
    /// Those of a URL: an unknown key id is looked for once a minute, and a fetch takes up to 5 seconds.
    pub fn of_url(refresh: Duration) -> Self {
        Self { refresh, unknown: Duration::from_secs(60), timeout: Duration::from_secs(5) }
    }

    /// Those of a file: it is looked at every 10 seconds, and for an unknown key id once a second.
    pub fn of_file() -> Self {
        let [unknown, refresh, timeout] = [1, 10, 5].map(Duration::from_secs);
        Self { refresh, unknown, timeout }
    }
}

/// Where a set comes from.
#[derive(Clone, Debug)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// A URL, and what calls it.
    Url(Endpoint, Outbound),
}

impl fmt::Display for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url, _) => write!(f, "{url}"),
        }
    }
}

/// What is known of a key id that the set does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The set was read anew: look again.
    Fresh,
    /// The set could not be read, or was read too short a time ago.
    Later,
}

/// A set, and the task that keeps it fresh until this is dropped.
#[derive(Debug)]
pub struct Jwks {
    source: JwksSource,
    times: JwksTimes,
    keys: ArcSwapOption<Vec<VerifyingKey>>,
    /// When the set was last fetched, whatever came of it. One fetch at a time.
    tried: Mutex<Option<Instant>>,
    task: SyncMutex<Option<AbortHandle>>,
}

impl Jwks {
    /// Reads the set once, and keeps it fresh. A set that cannot be read now is logged, and tried again.
    pub async fn start(source: JwksSource, times: JwksTimes) -> Arc<Self> {
        let jwks = Arc::new(Self {
            source,
            times,
            keys: ArcSwapOption::empty(),
            tried: Mutex::new(None),
            task: SyncMutex::new(None),
        });
        let is_there = jwks.refresh().await;
        let task = tokio::spawn(keep_fresh(Arc::downgrade(&jwks), times.refresh, is_there));
        *jwks.task.lock() = Some(task.abort_handle());
        jwks
    }

    /// Whether this is the set of that place.
    pub(super) fn is_of(&self, source: &JwksSource, times: JwksTimes) -> bool {
        let is_same = match (&self.source, source) {
            (JwksSource::File(one), JwksSource::File(other)) => one == other,
            (JwksSource::Url(one, client), JwksSource::Url(other, other_client)) => {
                one == other && client.allows_private() == other_client.allows_private()
            }
            _ => false,
        };
        is_same && self.times == times
    }

    /// The keys; `None` before the first set.
    pub(super) fn keys(&self) -> Option<Arc<Vec<VerifyingKey>>> {
        self.keys.load_full()
    }

    /// Reads the set now. Returns whether there is one that is fresh.
    pub async fn refresh(&self) -> bool {
        let mut tried = self.tried.lock().await;
        self.fetch(&mut tried).await
    }

    /// Reads the set because it lacks a key id, unless that was done a short time ago. All that wait for it share one
    /// fetch. It goes on when nobody waits any more: otherwise a slow site would be asked again by each of them.
    pub(super) async fn look_for(self: &Arc<Self>, id: &str) -> Lookup {
        let (jwks, id) = (Arc::clone(self), id.to_owned());
        let looked = tokio::spawn(async move {
            let mut tried = jwks.tried.lock().await;
            // Another one has fetched it meanwhile.
            if jwks.has(&id) {
                return Lookup::Fresh;
            }
            if tried.is_some_and(|at| at.elapsed() < jwks.times.unknown) {
                return Lookup::Later;
            }
            if jwks.fetch(&mut tried).await { Lookup::Fresh } else { Lookup::Later }
        });
        looked.await.unwrap_or(Lookup::Later)
    }

    /// Whether the set has a key of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.load().as_ref().is_some_and(|keys| keys.iter().any(|key| key.id.as_deref() == Some(id)))
    }

    async fn fetch(&self, tried: &mut Option<Instant>) -> bool {
        let read = self.read().await;
        *tried = Some(Instant::now());
        match read.and_then(|text| read_set(&text)) {
            Ok((keys, refused)) => {
                tracing::debug!(source = %self.source, keys = keys.len(), ?refused, "a key set was read");
                self.keys.store(Some(Arc::new(keys)));
                true
            }
            Err(error) => {
                let kept = self.keys.load().is_some();
                tracing::warn!(source = %self.source, error, kept, "a key set cannot be read; the last one is kept");
                false
            }
        }
    }

    async fn read(&self) -> Result<Vec<u8>, String> {
        match &self.source {
            JwksSource::File(path) => {
                let read = async {
                    let size = tokio::fs::metadata(path).await?.len();
                    if size > MAX_BYTES as u64 { Ok(Err(size)) } else { tokio::fs::read(path).await.map(Ok) }
                };
                let read = read.await.map_err(|error| format!("cannot be read: {error}"))?;
                read.map_err(|size| format!("has {size} bytes; the most are {MAX_BYTES}"))
            }
            JwksSource::Url(url, client) => {
                let client = client.clone().within(self.times.timeout).at_most(MAX_BYTES);
                let answer = client.get(url.url()).await.map_err(|error: OutboundError| error.to_string())?;
                if answer.status != 200 {
                    return Err(format!("was answered with status {}", answer.status));
                }
                Ok(answer.body)
            }
        }
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// Reads the set again and again. After a failure it waits 1, 2, 4, … up to 60 seconds.
async fn keep_fresh(jwks: Weak<Jwks>, refresh: Duration, is_there: bool) {
    let mut failures = u32::from(!is_there);
    loop {
        let retry = Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(MAX_RETRY);
        sleep(if failures == 0 { refresh } else { retry.min(refresh) }).await;
        let Some(jwks) = jwks.upgrade() else { return };
        failures = if jwks.refresh().await { 0 } else { failures.saturating_add(1) };
    }
}
