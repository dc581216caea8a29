//! The bridge: how it is put together, and what its parts share.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{Access, AuthError, Authenticator, Authorizer, Identity, OwnStreams, Refusal};
use crate::clock::now_ms;
use crate::connections::Connections;
use crate::dispatch::{Agent, Dispatcher};
use crate::emitter::Emitter;
#[cfg(feature = "faults")]
use crate::faults::{EarlyLog, Sabotage};
use crate::hub::Store;
use crate::limits::{LimitError, Limits};
use crate::log::{Log, LogError};
use crate::run::Runs;
use crate::stream::{INBOX, StreamKey};
use crate::{http, recovery};

/// How much longer than the horizon says ids of sends are remembered: clocks are set, and frames are late (SND-5).
const HORIZON_MARGIN: Duration = Duration::from_secs(15 * 60);

/// Why a bridge could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The builder has no log.
    #[error("a bridge needs a log: call `log(SqliteLog::open(path)?)` or `log(MemoryLog::new())`")]
    NoLog,
    /// The builder has no authenticator.
    #[error("a bridge needs an authenticator: call `authenticator(Hs256::new(secret))`")]
    NoAuthenticator,
    /// A limit is out of its range.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The log did not answer during recovery.
    #[error("recovery failed: {0}")]
    Log(#[from] LogError),
}

/// Puts a [`Bridge`] together.
#[derive(Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct BridgeBuilder {
    log: Option<Arc<dyn Log>>,
    agent: Option<Arc<dyn Agent>>,
    authenticator: Option<Arc<dyn Authenticator>>,
    authorizer: Option<Arc<dyn Authorizer>>,
    limits: Limits,
    no_inbox: bool,
    #[cfg(feature = "faults")]
    sabotage: Option<Sabotage>,
}

impl BridgeBuilder {
    /// Keeps the events. Required.
    pub fn log(mut self, log: impl Log) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Answers messages. Without one, messages are stored and stay accepted.
    pub fn agent(mut self, agent: impl Agent) -> Self {
        self.agent = Some(Arc::new(agent));
        self
    }

    /// Says whom tokens name. Required.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Says which streams a user may use. Defaults to [`OwnStreams`].
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Bounds everything. Defaults to [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether a user's `inbox` stream is notified of messages and ends of runs in threads. Defaults to true.
    pub fn inbox(mut self, inbox: bool) -> Self {
        self.no_inbox = !inbox;
        self
    }

    /// Makes the bridge break its promise in one way, so that a check can prove that it notices.
    #[cfg(feature = "faults")]
    pub fn sabotage(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self
    }

    /// Builds the bridge and recovers what a former process left: closes its open runs, and gives the agent the
    /// messages that no run claimed.
    ///
    /// # Panics
    /// Panics outside of a tokio runtime.
    pub async fn build(self) -> Result<Bridge, BuildError> {
        self.limits.check()?;
        let log = self.log.ok_or(BuildError::NoLog)?;
        let authenticator = self.authenticator.ok_or(BuildError::NoAuthenticator)?;
        #[cfg(feature = "faults")]
        let log = match self.sabotage {
            Some(Sabotage::Early) => Arc::new(EarlyLog::new(log)),
            _ => log,
        };
        let store = Store::new(log, self.limits.cache_events, self.limits.cache_bytes);
        #[cfg(feature = "faults")]
        let store = store.sabotaged(self.sabotage);
        let inner = Arc::new(Inner {
            store,
            authenticator,
            authorizer: self.authorizer.unwrap_or_else(|| Arc::new(OwnStreams)),
            agent: self.agent,
            runs: Runs::default(),
            dispatcher: Dispatcher::new(&self.limits),
            connections: Connections::new(&self.limits),
            inbox: !self.no_inbox,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            limits: self.limits,
        });
        recovery::recover(&inner).await?;
        let horizon = inner.limits.send_horizon;
        inner.spawn(forget_sends(Arc::downgrade(&inner), horizon, inner.closing.clone()));
        Ok(Bridge { inner })
    }
}

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder")
            .field("log", &self.log)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The server half of agentwire. Cheap to clone; all clones are one bridge.
#[derive(Clone, Debug)]
pub struct Bridge {
    inner: Arc<Inner>,
}

impl Bridge {
    /// Begins to put a bridge together.
    pub fn builder() -> BridgeBuilder {
        BridgeBuilder::default()
    }

    /// The routes: `GET /ws`, `GET /healthz` and `GET /v1/threads/{thread}/events?from=&limit=`.
    ///
    /// The last one answers `{epoch, oldest, head, first, events}` to `Authorization: Bearer <token>`.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.inner))
    }

    /// Publishes to `thread` of `user`. A name that no stream can have is an error of the first publish.
    pub fn emitter(&self, user: &str, thread: &str) -> Emitter {
        Emitter::new(Arc::clone(&self.inner), StreamKey::new(user, thread))
    }

    /// Ends the subscriptions of `user` to a stream of the log, on all sockets at once: each page is sent
    /// `unsubscribed` with the reason `forbidden`, and nothing of the stream after it. Returns how many ended now; 0
    /// when there is none, or when it was done before.
    ///
    /// Nothing that is published after this returns reaches them. The [`Authorizer`] has to refuse the stream before
    /// this is called: it decides on every later subscription and send. Without this call a withdrawn right ends a
    /// subscription when the page refreshes its token.
    pub fn revoke(&self, user: &str, stream: &StreamKey) -> usize {
        self.inner.store.revoke(user, stream)
    }

    /// Forgets the events of a stream up to `through`. Pages that have not been sent them get a `gap`.
    pub async fn trim(&self, stream: &StreamKey, through: u64) -> Result<u64, LogError> {
        self.inner.store.log().trim(stream, through).await
    }

    /// Replaces an event by `void`. Returns whether there was one. Pages that have it keep it.
    pub async fn redact(&self, stream: &StreamKey, offset: u64) -> Result<bool, LogError> {
        self.inner.store.log().redact(stream, offset).await
    }

    /// The log, for readers.
    pub fn log(&self) -> &dyn Log {
        self.inner.store.log()
    }

    /// Stops the bridge: tells pages to come back (`goaway`), closes their sockets with 4453 after answering what they
    /// sent, ends running turns, and waits until everything queued is durable. Bounded by `limits.shutdown_timeout`.
    ///
    /// Sockets that open afterwards are closed at once. Call it before the HTTP server stops.
    pub async fn shutdown(&self) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        let stop = async {
            self.inner.tasks.wait().await;
            if let Err(error) = self.inner.store.log().check().await {
                tracing::warn!(%error, "the log could not be flushed");
            }
        };
        if timeout(self.inner.limits.shutdown_timeout, stop).await.is_err() {
            tracing::warn!("the shutdown took too long; recovery will close what is still open");
        }
    }
}

/// What the parts of a bridge share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    pub(crate) agent: Option<Arc<dyn Agent>>,
    pub(crate) runs: Runs,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) connections: Connections,
    pub(crate) closing: CancellationToken,
    pub(crate) limits: Limits,
    inbox: bool,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Inner {
    /// Runs a task that a shutdown waits for. Works outside of the runtime, too: in the drop of a run.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn_on(task, &self.runtime)
    }

    /// Counts a future that is driven by others among those a shutdown waits for.
    pub(crate) fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(future)
    }

    /// Whom a token names now, within the time that a check may take.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, AuthError> {
        let checked = timeout(self.limits.auth_timeout, self.authenticator.authenticate(token)).await;
        let identity =
            checked.map_err(|_| AuthError::Unavailable("the check took too long".to_owned()))??;
        if identity.expires_at_ms.is_some_and(|expires| expires <= now_ms()) {
            return Err(AuthError::Expired);
        }
        Ok(identity)
    }

    /// The stream that a name means for a user, within the time that a check may take.
    pub(crate) async fn authorize(
        &self,
        subject: &str,
        stream: &str,
        access: Access,
    ) -> Result<StreamKey, Refusal> {
        let checked = timeout(self.limits.auth_timeout, self.authorizer.authorize(subject, stream, access));
        checked.await.unwrap_or_else(|_| {
            tracing::warn!(user = subject, stream, "the rights to a stream could not be checked in time");
            Err(Refusal::Unavailable)
        })
    }

    /// The inbox that is notified of notable events of a stream.
    pub(crate) fn inbox_of(&self, key: &StreamKey) -> Option<StreamKey> {
        (self.inbox && key.name() != INBOX).then(|| key.inbox())
    }
}

/// Forgets ids of sends that are older than the horizon: a few times per horizon, at most once a minute. Ends with the
/// bridge, which it does not keep alive.
async fn forget_sends(inner: Weak<Inner>, horizon: Duration, closing: CancellationToken) {
    let pause = (horizon / 4).clamp(Duration::from_secs(60), Duration::from_secs(3_600));
    let horizon_ms = u64::try_from((horizon + HORIZON_MARGIN).as_millis()).unwrap_or(u64::MAX);
    let sweep = async {
        while let Some(inner) = inner.upgrade() {
            match inner.store.log().forget_sends(now_ms().saturating_sub(horizon_ms)).await {
                Ok(0) => {}
                Ok(forgotten) => tracing::debug!(forgotten, "ids of sends are past the horizon"),
                Err(error) => tracing::warn!(%error, "ids of sends past the horizon could not be forgotten"),
            }
            drop(inner);
            tokio::time::sleep(pause).await;
        }
    };
    closing.run_until_cancelled(sweep).await;
}

impl fmt::Debug for dyn Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

impl fmt::Debug for dyn Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorizer")
    }
}
