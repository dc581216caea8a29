//! One execution of an agent, with methods that make a wrong life cycle hard to write.

mod approval;
mod clock;
mod message;
mod start;
mod steering;
mod tool;
mod tool_args;
mod unsettled;
mod values;
mod watch;
mod writes;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use approval::Question;
use clock::Clock;
pub use message::Message;
pub(crate) use start::Answers;
pub use start::{AcceptedRun, RunStart};
use steering::Taking;
pub use tool::{ToolCall, ToolStart};
pub use tool_args::ToolArgs;
use values::Recoverable;
pub use values::{AgentError, Completion, Severity, Thinking, Urgency};
use writes::OpenTool;

use crate::counters::Counted;
use crate::emitter::{Emitter, PublishError};
use crate::event::MAX_INTEGER;
use crate::live::{Answer, Decision};
use crate::stream::Position;

/// One execution of an agent. Every run ends: one that is dropped without an end is written as
/// `agent_died {cause: "dropped"}` (`"panicked"` while a panic unwinds, `"shutdown"` while the bridge stops,
/// `"log_unavailable"` when the log has refused its last event). While the log cannot be written, the bridge tries again
/// until it has the end.
///
/// A method that returns a [`Position`] returns when its event is durable. After the end nothing of the run enters
/// the log any more: the methods of its tool calls and messages return [`PublishError::RunEnded`].
///
/// A run that an agent drops while it handles a message ends when the agent returns: with the agent's error, if it
/// returns one.
///
/// ```
/// # async fn example(bridge: agentwire_bridge::Bridge) -> Result<(), agentwire_bridge::PublishError> {
/// use serde_json::json;
///
/// let run = bridge.emitter("ada", "thread-42").run("librarian").await?;
/// run.thinking("Looking it up").await?;
/// let tool = run.tool("search", json!({ "query": "tide tables" })).await?;
/// tool.complete(json!({ "hits": 3 })).await?;
/// let mut answer = run.message();
/// answer.delta("There are three.").await?;
/// answer.complete().await?;
/// run.complete("Found three tide tables.").await?;
/// # Ok(())
/// # }
/// ```
pub struct Run {
    core: Arc<RunCore>,
}

/// What a run shares with its tool calls and messages.
pub(crate) struct RunCore {
    emitter: Emitter,
    id: Arc<str>,
    agent: String,
    started: Instant,
    cancelled: CancellationToken,
    /// Notified when there may be a message for the run.
    steered: Arc<Notify>,
    taking: Taking,
    ended: AtomicBool,
    /// Whether the log has refused the last event of the run.
    log_failed: AtomicBool,
    /// The turn that started it.
    turn: Weak<TurnRuns>,
    clock: Arc<Clock>,
    /// Tool calls that have no end yet. Held while what begins or ends one gets its place in the order.
    tools: tokio::sync::Mutex<Vec<OpenTool>>,
    _counted: Counted,
}

/// The runs of an agent while it handles a message.
pub(crate) struct TurnRuns {
    /// Those that it dropped before their end. `None` when it handles the message no more.
    dropped: Mutex<Option<Vec<Arc<RunCore>>>>,
    /// Cancelled when the time of one is over.
    abandoned: CancellationToken,
}

impl Run {
    /// The id that the bridge gave the run.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The name of the agent.
    pub fn agent(&self) -> &str {
        &self.core.agent
    }

    /// Reports what the agent is doing.
    pub async fn thinking(&self, text: &str) -> Result<Position, PublishError> {
        self.thinking_with(Thinking { text: Some(text.to_owned()), ..Thinking::default() }).await
    }

    /// Reports what the agent is doing, with steps, progress and urgency.
    pub async fn thinking_with(&self, thinking: Thinking) -> Result<Position, PublishError> {
        let mut fields = Map::new();
        put(&mut fields, "text", thinking.text);
        put(&mut fields, "step", thinking.step);
        put(&mut fields, "totalSteps", thinking.total_steps);
        put(&mut fields, "progress", thinking.progress.map(|progress| progress.clamp(0.0, 100.0)));
        put(&mut fields, "remainingMs", thinking.remaining_ms);
        put(&mut fields, "urgency", thinking.urgency.map(Urgency::as_str));
        self.core.write("agent_thinking", fields).await
    }

    /// Starts a tool call: writes its `tool_executing`.
    pub async fn tool(&self, name: &str, args: Value) -> Result<ToolCall, PublishError> {
        self.tool_with(ToolStart { name: name.to_owned(), args, ..ToolStart::default() }).await
    }

    /// Starts a tool call, with its purpose and what is known of its cost.
    pub async fn tool_with(&self, start: ToolStart) -> Result<ToolCall, PublishError> {
        ToolCall::start(Arc::clone(&self.core), ToolCall::new_id(), start).await
    }

    /// Starts the arguments of a tool call, which a model writes piece by piece; nothing is written before the first delta.
    pub fn tool_args(&self) -> ToolArgs {
        ToolArgs::new(Arc::clone(&self.core))
    }

    /// Writes a whole answer as a message of its own: `agent_response`.
    pub async fn respond(&self, content: &str) -> Result<Position, PublishError> {
        let mut fields = Map::new();
        fields.insert("content".to_owned(), content.into());
        self.core.write("agent_response", fields).await
    }

    /// Reports an error that the run survives: `agent_error`, recoverable.
    ///
    /// ```
    /// # async fn example(run: agentwire_bridge::Run) -> Result<(), agentwire_bridge::PublishError> {
    /// use agentwire_bridge::{AgentError, Severity};
    ///
    /// let slow = AgentError {
    ///     severity: Severity::Low,
    ///     suggestions: vec!["Wait for a minute".to_owned()],
    ///     retry_after_ms: Some(60_000),
    ///     details: Some(serde_json::json!({ "model": "large", "status": 529 })),
    ///     ..AgentError::new("model_overloaded", "the model answered 529; another one is tried")
    /// };
    /// run.report(slow).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn report(&self, error: AgentError) -> Result<Position, PublishError> {
        self.core.write("agent_error", error.into_fields(&self.core.id, Recoverable::Yes)).await
    }

    /// Starts a message of the agent; nothing is written before its first delta.
    pub fn message(&self) -> Message {
        Message::new(Arc::clone(&self.core))
    }

    /// Starts a sub-agent: a run whose `parentRunId` is this run. It is cancelled with its parent.
    pub async fn child(&self, start: impl Into<RunStart>) -> Result<Self, PublishError> {
        Self::start(self.core.emitter.clone(), start.into(), None, Some(&self.core)).await
    }

    /// Asks a person: writes `approval_requested` and waits for the first answer of any device.
    ///
    /// Resolves to [`PublishError::Cancelled`] when the run is cancelled meanwhile. Dropping the future stops the
    /// waiting; an answer that comes later is still written, and changes nothing for the run.
    ///
    /// A turn that waits here does not count among those of [`Limits`](crate::Limits): it gives its permit up when it
    /// begins to wait, and has one again when this resolves, before new turns of its user. A turn that asks several
    /// times at once has its permit again after the first answer.
    pub async fn ask(&self, prompt: &str, options: Vec<Value>) -> Result<Decision, PublishError> {
        let question = Question { options, ..Question::new(prompt) };
        Ok(self.ask_with(question).await?.decision)
    }

    /// As [`Run::ask`], with a form to fill in, arguments to change or a time to answer in. The payload and the edits of the
    /// answer fit the question.
    pub async fn ask_with(&self, question: Question) -> Result<Answer, PublishError> {
        approval::ask(&self.core, question).await
    }

    /// Publishes an event of another type as a part of this run: `runId` is added.
    pub async fn publish(&self, event: Value) -> Result<Position, PublishError> {
        let Value::Object(mut fields) = event else {
            return Err(crate::EventError::NotAnObject.into());
        };
        let Some(Value::String(kind)) = fields.remove("type") else {
            return Err(crate::EventError::NoType.into());
        };
        self.core.write(&kind, fields).await
    }

    /// Gives a sign of life without an event; see [`RunStart::heartbeat`].
    pub fn heartbeat(&self) {
        self.core.clock.sign();
    }

    /// Resolves when a `cancel` names this run or a parent of it, or when the time of one is over. The agent then ends it with
    /// [`Run::cancel`].
    ///
    /// From then on the log writes the end of the run that the `cancel` named as `agent_cancelled`, however the run ends:
    /// also by [`Run::complete`], by its drop, or by the recovery after a crash. Runs below it end as they say.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        self.core.cancelled.clone().cancelled_owned()
    }

    /// Whether a `cancel` has named this run or a parent of it, or the time of one is over.
    pub fn is_cancelled(&self) -> bool {
        self.core.cancelled.is_cancelled()
    }

    /// Ends the run: `agent_completed`.
    pub async fn complete(self, completion: impl Into<Completion>) -> Result<Position, PublishError> {
        let completion = completion.into();
        let mut fields = Map::new();
        put(&mut fields, "result", completion.result);
        put(&mut fields, "summary", completion.summary);
        put(&mut fields, "usage", completion.usage);
        fields.insert("durationMs".to_owned(), elapsed_ms(self.core.started).into());
        self.core.end("agent_completed", fields).await
    }

    /// Ends the run: `agent_error`, not recoverable.
    pub async fn fail(self, error: AgentError) -> Result<Position, PublishError> {
        self.core.end("agent_error", error.into_fields(&self.core.id, Recoverable::No)).await
    }

    /// Ends the run: `agent_cancelled`.
    pub async fn cancel(self, reason: &str) -> Result<Position, PublishError> {
        let mut fields = Map::new();
        fields.insert("reason".to_owned(), reason.into());
        self.core.end("agent_cancelled", fields).await
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.core.ended.load(Ordering::Acquire) {
            return;
        }
        if let Some(turn) = self.core.turn.upgrade()
            && let Some(runs) = &mut *turn.dropped.lock()
        {
            runs.push(Arc::clone(&self.core));
            return;
        }
        self.core.died(if std::thread::panicking() { "panicked" } else { "dropped" });
    }
}

impl fmt::Debug for TurnRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnRuns")
    }
}

impl Default for TurnRuns {
    fn default() -> Self {
        Self { dropped: Mutex::new(Some(Vec::new())), abandoned: CancellationToken::new() }
    }
}

impl TurnRuns {
    /// The time of a run is over: nobody waits for the agent any more.
    fn abandon(&self) {
        self.abandoned.cancel();
    }

    /// Resolves when the time of a run is over.
    pub(crate) fn abandoned(&self) -> impl Future<Output = ()> + '_ {
        self.abandoned.cancelled()
    }

    /// The agent is done: ends what it dropped, by its error or as died of `cause`.
    pub(crate) fn end(&self, error: Option<AgentError>, cause: &'static str) {
        for core in self.dropped.lock().take().into_iter().flatten() {
            match error.clone() {
                // What the agent returns then is a consequence.
                Some(error) if !core.log_failed.load(Ordering::Acquire) => {
                    let max = core.emitter.context().limits.max_frame_bytes;
                    let fields = error.fitting(max).into_fields(&core.id, Recoverable::No);
                    core.end_later("agent_error", fields);
                }
                _ => core.died(cause),
            }
        }
    }
}

impl Drop for TurnRuns {
    fn drop(&mut self) {
        self.end(None, "dropped");
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.core.id)
            .field("agent", &self.core.agent)
            .finish_non_exhaustive()
    }
}

fn put(fields: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(key.to_owned(), value.into());
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(MAX_INTEGER)
}
