//! The bridge: how it is put together.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Agents, UserMessage};
use crate::auth::{Authenticator, Authorizer, Gate, OwnStreams};
use crate::bounds::buffers::Buffers;
use crate::bounds::connections::Connections;
use crate::bounds::heavy::Heavy;
use crate::bounds::users::Users;
use crate::context::{Context, OnOutsideRun};
use crate::counters::Counters;
use crate::dispatch::Dispatcher;
use crate::emitter::Emitter;
use crate::expiry::Expiries;
#[cfg(feature = "faults")]
use crate::faults::{Sabotage, SabotagedLog};
use crate::health::Health;
use crate::hub::{CacheBounds, Hub};
use crate::inbox::Inboxes;
use crate::journal::Journal;
use crate::limits::{LimitError, Limits};
use crate::live::LiveRuns;
use crate::log::{Log, LogError};
use crate::origins::{OriginError, Origins};
use crate::outside::changes::Changes;
use crate::outside::leases::Leases;
use crate::outside::{self, Batch, BatchError, OpenRun, OutsideRun, Published, RunState};
use crate::retention::{self, Retention};
use crate::seal::Seals;
use crate::stream::{Position, StreamKey};
use crate::tasks::Tasks;
use crate::{effects, http, recovery, serve};

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
    /// The list of origins has something else in it.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The log did not answer during recovery.
    #[error("recovery failed: {0}")]
    Log(#[from] LogError),
}

/// Puts a [`Bridge`] together.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use agentwire_bridge::{Bridge, Hs256, Limits, MemoryLog, Turn};
///
/// let bridge = Bridge::builder()
///     .log(MemoryLog::new())
///     .authenticator(Hs256::new([7; 32])?)
///     .limits(Limits { max_connections: 500, ..Limits::default() })
///     .agent(async |turn: Turn| {
///         turn.run("echo").await?.complete("Heard.").await?;
///         Ok(())
///     })
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct BridgeBuilder {
    log: Option<Arc<dyn Log>>,
    agents: Agents,
    authenticator: Option<Arc<dyn Authenticator>>,
    authorizer: Option<Arc<dyn Authorizer>>,
    limits: Limits,
    origins: Option<Vec<String>>,
    on_outside_run: Option<OnOutsideRun>,
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

    /// Answers the messages that no named agent is chosen for. Without any agent, messages are stored and stay accepted.
    pub fn agent(mut self, agent: impl Agent) -> Self {
        self.agents.other = Some(Arc::new(agent));
        self
    }

    /// Answers the messages that are for `name`: by default, those whose field `agent` says so. A message for an agent
    /// that does not exist goes to that of [`BridgeBuilder::agent`]; without one, its run ends with `unknown_agent`.
    pub fn named_agent(mut self, name: &str, agent: impl Agent) -> Self {
        self.agents.named.retain(|(one, _)| one != name);
        self.agents.named.push((name.to_owned(), Arc::new(agent)));
        self
    }

    /// Chooses the agent of a message by its name, in place of the field `agent`. `None` is that of
    /// [`BridgeBuilder::agent`].
    pub fn route(mut self, route: impl Fn(&UserMessage) -> Option<String> + Send + Sync + 'static) -> Self {
        self.agents.route = Some(Box::new(route));
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

    /// The pages that may connect, by their origin: scheme, host and port, such as `https://chat.example.com`. Another page
    /// gets 403 when it opens a socket. Defaults to all pages: a page of another origin needs a token, too.
    ///
    /// Programs that are no browsers name no origin, or any that they like: this keeps out foreign pages that got hold of
    /// a token, and nothing else.
    pub fn origins<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Called with each run that begins with a [`Batch::lease`], and with those that are open when the bridge starts: their
    /// agents are in other processes. `call` must be quick.
    pub fn on_outside_run(mut self, call: impl Fn(OutsideRun) + Send + Sync + 'static) -> Self {
        self.on_outside_run = Some(Box::new(call));
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
        let origins = match &self.origins {
            Some(list) => Origins::new(list.iter().map(String::as_str))?,
            None => Origins::default(),
        };
        let log = self.log.ok_or(BuildError::NoLog)?;
        let authenticator = self.authenticator.ok_or(BuildError::NoAuthenticator)?;
        #[cfg_attr(not(feature = "faults"), expect(unused_mut, reason = "a fault changes one"))]
        let mut limits = self.limits;
        #[cfg(feature = "faults")]
        let log = match self.sabotage {
            Some(sabotage) => {
                if sabotage != Sabotage::Early {
                    // What is sent comes from the log, where the fault is.
                    limits.cache_events = 0;
                }
                Arc::new(SabotagedLog::new(log, sabotage))
            }
            None => log,
        };
        let tasks = Tasks::new();
        let horizon = limits.send_horizon + HORIZON_MARGIN;
        let seals = Seals::new(&log.secret());
        let journal = Arc::new(Journal::new(log, tasks.clone(), horizon, limits.log_timeout));
        let authorizer = self.authorizer.unwrap_or_else(|| Arc::new(OwnStreams));
        let context = Arc::new(Context {
            hub: Hub::start(Arc::clone(&journal), CacheBounds::new(&limits)),
            journal,
            gate: Gate::new(authenticator, authorizer, limits.auth_timeout),
            seals,
            live: LiveRuns::default(),
            leases: Leases::default(),
            on_outside_run: self.on_outside_run,
            changes: Changes::default(),
            connections: Connections::new(&limits),
            buffers: Buffers::default(),
            users: Users::new(&limits),
            heavy: Heavy::default(),
            health: Health::default(),
            tasks,
            closing: CancellationToken::new(),
            has_agents: !self.agents.is_empty(),
            has_inboxes: !self.no_inbox,
            limits,
            origins,
        });
        let dispatcher = Dispatcher::new(Arc::clone(&context), self.agents);
        let inboxes = Inboxes::new(Arc::clone(&context));
        let expiries = Expiries::new(Arc::clone(&context));
        follow(&context, &dispatcher, &inboxes, &expiries);
        recovery::recover(&context, &dispatcher, &inboxes).await?;
        Ok(Bridge { context, _parts: (dispatcher, inboxes, expiries) })
    }
}

/// Sets what the journal calls after each record. It holds weak references: all of these hold the journal.
fn follow(
    context: &Arc<Context>,
    dispatcher: &Arc<Dispatcher>,
    inboxes: &Arc<Inboxes>,
    expiries: &Arc<Expiries>,
) {
    let (shared, dispatcher) = (Arc::downgrade(context), Arc::downgrade(dispatcher));
    let (inboxes, expiries) = (Arc::downgrade(inboxes), Arc::downgrade(expiries));
    context.journal.follow(Box::new(move |key, record| {
        if let Some(context) = shared.upgrade() {
            effects::follow(&context, key, record);
        }
        if let Some(dispatcher) = dispatcher.upgrade() {
            dispatcher.follow(key, record);
        }
        if let Some(inboxes) = inboxes.upgrade() {
            inboxes.follow(key, record);
        }
        if let Some(expiries) = expiries.upgrade() {
            expiries.follow(key, record);
        }
    }));
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
    context: Arc<Context>,
    /// Kept as long as the bridge is.
    _parts: (Arc<Dispatcher>, Arc<Inboxes>, Arc<Expiries>),
}

impl Bridge {
    /// Begins to put a bridge together.
    pub fn builder() -> BridgeBuilder {
        BridgeBuilder::default()
    }

    #[cfg(feature = "__simulation")]
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The routes: `GET /ws`, `GET /healthz` and `GET /v1/threads/{thread}/events?from=&limit=&deltas=`.
    ///
    /// The last one answers `{epoch, oldest, head, first, events}` to `Authorization: Bearer <token>`. `from` is an
    /// offset, 1 by default. `limit` is 1 to `limits.http_page_events`; it is 100 by default, or that limit if lower.
    /// With `deltas=true` a list `frames` stands in the place of `events`. It has `events` and `deltas` frames as in the
    /// protocol, without their `ch`: a stream of text then takes a third of the bytes.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.context))
    }

    /// Serves `app`, which holds [`Bridge::router`], until [`Bridge::shutdown`] was called and the connections have ended,
    /// or `limits.shutdown_timeout` later.
    ///
    /// Beyond what a plain server does, it has deadlines for heads, bodies and writes, bounds the connections in all and
    /// from one address, and leaves the process the descriptors that its log needs. It raises the soft limit of open files
    /// to the hard one.
    ///
    /// ```no_run
    /// # async fn example(bridge: agentwire_bridge::Bridge) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// bridge.serve(listener, bridge.router()).await
    /// # }
    /// ```
    pub async fn serve(&self, listener: TcpListener, app: Router) -> io::Result<()> {
        serve::serve(&self.context, listener, app).await
    }

    /// Publishes to `thread` of `user`. A name that no stream can have is an error of the first publish.
    pub fn emitter(&self, user: &str, thread: &str) -> Emitter {
        Emitter::new(Arc::clone(&self.context), StreamKey::new(user, thread))
    }

    /// Publishes to a stream that an [`Authorizer`] gave a key of its own.
    pub fn stream_emitter(&self, stream: StreamKey) -> Emitter {
        Emitter::new(Arc::clone(&self.context), Ok(stream))
    }

    /// Publishes a batch of an agent of another process. It is durable when this returns.
    ///
    /// ```
    /// # async fn example(bridge: agentwire_bridge::Bridge) -> Result<(), Box<dyn std::error::Error>> {
    /// use agentwire_bridge::{Batch, Producer, StreamKey};
    /// use serde_json::json;
    ///
    /// let thread = StreamKey::new("ada", "thread-42")?;
    /// let started = json!({ "type": "agent_started", "runId": "run-1", "agent": "triage" });
    /// let producer = Some(Producer { id: "p-1".to_owned(), seq: 1 });
    /// let batch = Batch { producer, ..Batch::new(vec![started]) };
    /// let first = bridge.publish(&thread, batch.clone()).await?;
    /// assert_eq!((first.applied, first.repeated), (1, 0));
    /// let again = bridge.publish(&thread, batch).await?;
    /// assert_eq!((again.applied, again.repeated), (0, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish(&self, stream: &StreamKey, batch: Batch) -> Result<Published, BatchError> {
        outside::publish(&self.context, stream, batch).await
    }

    /// The last number of a producer and its place; `None` for one that is not known, or was forgotten: after
    /// `limits.send_horizon` without an event, or when 4,096 others came after it.
    pub async fn produced(
        &self,
        stream: &StreamKey,
        producer: &str,
    ) -> Result<Option<(u64, Position)>, LogError> {
        self.context.journal.produced(stream, producer).await
    }

    /// Renews the lease of a run, and of those that it is a part of. `None` if there is no such run.
    pub async fn heartbeat(&self, stream: &StreamKey, run: &str) -> Result<Option<RunState>, LogError> {
        outside::renew(&self.context, stream, &run.into()).await
    }

    /// The runs of a stream that are not over, in the order they started.
    pub async fn open_runs(&self, stream: &StreamKey) -> Result<Vec<OpenRun>, LogError> {
        let mut runs = Vec::new();
        for (id, lease_ms) in self.context.journal.open_runs(stream).await? {
            let signals = self.context.journal.run_signals(stream, &id).await?;
            let is_cancelled = signals.is_some_and(|signals| signals.is_cancelled);
            runs.push(OpenRun {
                id: id.to_string(),
                is_cancelled,
                lease: lease_ms.map(Duration::from_millis),
            });
        }
        Ok(runs)
    }

    /// A run, if there is one of this id.
    pub async fn outside_run(&self, stream: &StreamKey, run: &str) -> Result<Option<OutsideRun>, LogError> {
        let found = self.context.journal.run_signals(stream, run).await?;
        Ok(found.map(|_| OutsideRun::new(Arc::clone(&self.context), stream.clone(), run.into())))
    }

    /// Ends the subscriptions of all users to a stream with the reason `deleted`, ends its runs, and forgets its events.
    /// A page that subscribes again finds a stream without events. Returns whether there was one.
    pub async fn delete(&self, stream: &StreamKey) -> Result<bool, LogError> {
        outside::delete(&self.context, stream).await
    }

    /// Closes all sockets of a user with 4450, as for a token that is not valid. Returns how many. The [`Authenticator`] has to refuse the tokens of these
    /// sockets before this is called.
    pub fn revoke_user(&self, user: &str) -> usize {
        self.context.users.revoke(user)
    }

    /// Whether requests can be served: the log answers, and the bridge does not stop. The error says why not.
    pub async fn ready(&self) -> Result<(), &'static str> {
        if self.context.closing.is_cancelled() {
            return Err("the server stops");
        }
        self.context.health.check(self.context.journal.log()).await.map_or(Ok(()), Err)
    }

    /// Ends the subscriptions of `user` to a stream of the log, on all sockets at once: each page is sent
    /// `unsubscribed` with the reason `forbidden`, and nothing of the stream after it. Returns how many ended now; 0
    /// when there is none, or when it was done before.
    ///
    /// Nothing that is published after this returns reaches them. The [`Authorizer`] has to refuse the stream before
    /// this is called: it decides on every later subscription and send. Without this call a withdrawn right ends a
    /// subscription when the page refreshes its token.
    pub fn revoke(&self, user: &str, stream: &StreamKey) -> usize {
        self.context.hub.revoke(user, stream)
    }

    /// Trims a stream: removes its events up to `through`. Returns the new `oldest`. Pages that have not been sent them
    /// get a `gap`.
    pub async fn trim(&self, stream: &StreamKey, through: u64) -> Result<u64, LogError> {
        self.context.journal.trim(stream, through).await
    }

    /// Streams that something was written to: at most `max`, by key, after `after`.
    pub async fn streams(&self, after: Option<&StreamKey>, max: usize) -> Result<Vec<StreamKey>, LogError> {
        self.context.journal.log().streams(after, max).await
    }

    /// Forgets what a stream need not keep, as [`Bridge::trim`] does. Returns its `oldest`.
    pub async fn retain(&self, stream: &StreamKey, keep: Retention) -> Result<u64, LogError> {
        retention::retain(&self.context, stream, keep).await
    }

    /// Replaces an event by `void`. Returns whether there was one. Pages that have it keep it.
    pub async fn redact(&self, stream: &StreamKey, offset: u64) -> Result<bool, LogError> {
        self.context.journal.redact(stream, offset).await
    }

    /// What the bridge has made and given back since it was built, and what is there now. For checks of long runs.
    pub fn counters(&self) -> Counters {
        let Context { buffers, connections, hub, live, tasks, .. } = &*self.context;
        Counters {
            sockets: buffers.sockets(),
            sessions: connections.sessions(),
            subscriptions: hub.watches(),
            runs: live.runs(),
            tasks: tasks.handles(),
        }
    }

    /// The log, for readers. If you append to it directly, the bridge reads the stream again.
    pub fn log(&self) -> &dyn Log {
        self.context.journal.log()
    }

    /// Stops the bridge: tells pages to come back (`goaway`), closes their sockets with 4453 after answering what they
    /// sent, ends running turns, and waits until everything queued is durable. Bounded by `limits.shutdown_timeout`.
    ///
    /// Sockets that open afterwards are closed at once. Call it before the HTTP server stops.
    pub async fn shutdown(&self) {
        self.context.closing.cancel();
        // The writers of the streams are among them: nothing is queued any more when all have ended.
        if timeout(self.context.limits.shutdown_timeout, self.context.tasks.ended()).await.is_err() {
            tracing::warn!("the shutdown took too long; recovery will close what is still open");
        }
    }
}
