//! Agents: what answers messages.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::emitter::{Emitter, PublishError};
use crate::journal::Pending;
use crate::log::LogError;
use crate::run::{AcceptedRun, AgentError, Answers, Run, RunStart, TurnRuns};
use crate::stream::StreamKey;

/// Answers messages of users. An async closure is one, too.
///
/// ```
/// use agentwire_bridge::{Agent, AgentError, Turn};
///
/// struct Echo;
///
/// impl Agent for Echo {
///     async fn handle(&self, turn: Turn) -> Result<(), AgentError> {
///         let run = turn.run("echo").await?;
///         let mut answer = run.message();
///         answer.delta(&turn.message.content).await?;
///         answer.complete().await?;
///         run.complete("Echoed.").await?;
///         Ok(())
///     }
/// }
/// ```
pub trait Agent: Send + Sync + 'static {
    /// Handles one message. The next one of the same stream comes when the future is over.
    ///
    /// If this returns an error, the run of [`Turn::run`] ends with `agent_error`. After a panic it ends with
    /// `agent_died {cause: "panicked"}`.
    ///
    /// The message counts as claimed when a run that [`Turn::run`] started is durable, or when the future is over; one
    /// that is not claimed when the process ends is handled again by the next process. So is one whose [`Turn::run`]
    /// failed because the log could not be written: it comes again after a pause, before the later ones of its stream.
    fn handle(&self, turn: Turn) -> impl Future<Output = Result<(), AgentError>> + Send;
}

impl<F, R> Agent for F
where
    F: Fn(Turn) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), AgentError>> + Send,
{
    fn handle(&self, turn: Turn) -> impl Future<Output = Result<(), AgentError>> + Send {
        self(turn)
    }
}

/// Any agent.
pub(crate) trait AnyAgent: Send + Sync {
    fn handle(self: Arc<Self>, turn: Turn) -> BoxFuture<'static, Result<(), AgentError>>;
}

impl<A: Agent> AnyAgent for A {
    fn handle(self: Arc<Self>, turn: Turn) -> BoxFuture<'static, Result<(), AgentError>> {
        Box::pin(async move { Agent::handle(&*self, turn).await })
    }
}

/// Chooses an agent by its name.
pub(crate) type Route = Box<dyn Fn(&UserMessage) -> Option<String> + Send + Sync>;

/// The agents of a bridge.
#[derive(Default)]
pub(crate) struct Agents {
    pub(crate) named: Vec<(String, Arc<dyn AnyAgent>)>,
    /// Answers what none of the others is chosen for.
    pub(crate) other: Option<Arc<dyn AnyAgent>>,
    /// By default, the `agent` field of the message.
    pub(crate) route: Option<Route>,
}

impl Agents {
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.other.is_none()
    }

    /// The agent that answers a message, or the name of one that does not exist.
    pub(crate) fn choose(&self, message: &UserMessage) -> Result<Arc<dyn AnyAgent>, String> {
        let name = match &self.route {
            Some(route) => route(message),
            None => message.agent.clone(),
        };
        let named = self.named.iter().find(|(one, _)| Some(one) == name.as_ref()).map(|(_, agent)| agent);
        named.or(self.other.as_ref()).cloned().ok_or_else(|| name.unwrap_or_default())
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.named.iter().map(|(name, _)| name)).finish()
    }
}

/// What a user sent.
#[derive(Clone, Debug, PartialEq)]
pub struct UserMessage {
    /// Who sent it.
    pub user: String,
    /// The stream it was sent to.
    pub stream: StreamKey,
    /// The name of the stream in its namespace, or its key if it is in none.
    pub thread: String,
    /// The id its page chose.
    pub send_id: String,
    /// Its text.
    pub content: String,
    /// The agent that it names.
    agent: Option<String>,
    /// The trace that it belongs to.
    traceparent: Option<String>,
    text: Arc<str>,
}

/// What a bridge itself reads of a message. The rest can be large, and take many times as much memory as values.
#[derive(Default, Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    agent: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<&'a RawValue>,
}

impl UserMessage {
    pub(crate) fn new(stream: &StreamKey, pending: &Pending) -> Self {
        let text = |field: Option<&RawValue>| serde_json::from_str::<String>(field?.get()).ok();
        let head = serde_json::from_str::<Head<'_>>(&pending.body).unwrap_or_default();
        Self {
            user: pending.subject.to_string(),
            stream: stream.clone(),
            thread: stream.name(),
            send_id: pending.send_id.to_string(),
            content: text(head.content).unwrap_or_default(),
            agent: text(head.agent),
            traceparent: text(head.traceparent),
            text: Arc::clone(&pending.body),
        }
    }

    /// The JSON text of the whole event as it is stored, for those who read single fields of it.
    pub fn json(&self) -> &str {
        &self.text
    }

    /// The whole event as it is stored. Reads it anew; a message of many small values takes some milliseconds.
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// One message and the means to answer it.
///
/// ```
/// use agentwire_bridge::{AgentError, Turn};
///
/// async fn answer(turn: Turn) -> Result<(), AgentError> {
///     let run = turn.run("clock").await?;
///     if turn.message.content.contains("time") {
///         run.complete("It is noon.").await?;
///     } else {
///         run.fail(AgentError::new("not_understood", "only the time is known")).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Turn {
    /// What to answer.
    pub message: UserMessage,
    emitter: Emitter,
    /// The place of the message: its id may be one of another user, too.
    offset: u64,
    edited: Option<u64>,
    state: Arc<TurnState>,
}

/// What a turn leaves behind for the dispatcher.
#[derive(Debug, Default)]
pub(crate) struct TurnState {
    pub(crate) runs: Arc<TurnRuns>,
    log_failed: AtomicBool,
    is_outdated: AtomicBool,
}

impl TurnState {
    /// Whether a run could not be started because the log could not be written.
    pub(crate) fn has_log_failed(&self) -> bool {
        self.log_failed.load(Ordering::Acquire)
    }

    /// Whether the message was edited or withdrawn before a run claimed it.
    pub(crate) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Acquire)
    }
}

impl Turn {
    pub(crate) fn new(
        message: UserMessage,
        emitter: Emitter,
        pending: &Pending,
        state: Arc<TurnState>,
    ) -> Self {
        Self { message, emitter, offset: pending.offset, edited: pending.edited, state }
    }

    /// Starts a run whose `agent_started` carries the `sendId`: with it, the message is claimed.
    ///
    /// After an error of the log the message comes again when [`Agent::handle`] has returned. So does one that was edited
    /// meanwhile: that is [`PublishError::Outdated`], as for one that was withdrawn.
    pub async fn run(&self, start: impl Into<RunStart>) -> Result<Run, PublishError> {
        self.noted(Run::start(self.emitter.clone(), start.into(), Some(self.answers()), None).await)
    }

    /// As [`Turn::run`], for a run that begins to work later: `run_accepted` claims the message.
    pub async fn accept(&self, start: impl Into<RunStart>) -> Result<AcceptedRun, PublishError> {
        self.noted(AcceptedRun::new(self.emitter.clone(), start.into(), Some(self.answers())).await)
    }

    /// The place of the message.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The place of its text, if that was edited.
    pub(crate) fn edited(&self) -> Option<u64> {
        self.edited
    }

    /// Notes that the message has another text by now.
    pub(crate) fn outdate(&self) {
        self.state.is_outdated.store(true, Ordering::Release);
    }

    /// Notes that the log could not be used: the message comes again.
    pub(crate) fn postpone(&self) {
        self.state.log_failed.store(true, Ordering::Release);
    }

    fn answers(&self) -> Answers<'_> {
        Answers {
            send_id: &self.message.send_id,
            traceparent: self.message.traceparent.as_deref(),
            offset: self.offset,
            edited: self.edited,
            turn: &self.state.runs,
        }
    }

    /// Notes why the message was not claimed.
    fn noted<T>(&self, run: Result<T, PublishError>) -> Result<T, PublishError> {
        if matches!(run, Err(PublishError::Log(LogError::Unavailable(_) | LogError::Closed))) {
            self.postpone();
        }
        if matches!(run, Err(PublishError::Outdated)) {
            self.outdate();
        }
        run
    }

    /// Publishes to the stream of the message.
    pub fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }
}
