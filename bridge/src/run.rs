//! One execution of an agent, with methods that make a wrong life cycle hard to write.

mod approval;
mod message;
mod registry;
mod tool;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use approval::Decision;
pub use message::Message;
pub(crate) use registry::Runs;
pub use tool::{ToolCall, ToolStart};

use crate::emitter::{Emitter, PublishError};
use crate::event::Event;
use crate::log::{Guard, Ticket};
use crate::retry::until_written;
use crate::stream::Position;

/// How much a person is in a hurry, or should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Can wait.
    Low,
    /// As usual.
    Medium,
    /// Needs attention.
    High,
}

/// How bad an error is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// Nothing works.
    Critical,
    /// The run failed.
    #[default]
    High,
    /// A part failed.
    Medium,
    /// Worth knowing.
    Low,
}

/// What an agent is at. Every field is optional; what is absent is not sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thinking {
    /// The thought, for people.
    pub text: Option<String>,
    /// The step the run is at, from 1.
    pub step: Option<u32>,
    /// How many steps there are.
    pub total_steps: Option<u32>,
    /// How far the run is, from 0 to 100.
    pub progress: Option<f64>,
    /// How long it will still take, in milliseconds.
    pub remaining_ms: Option<u64>,
    /// How urgent it is.
    pub urgency: Option<Urgency>,
}

/// What a run has come to. A text becomes the summary, another JSON value the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The result, for programs.
    pub result: Option<Value>,
    /// One sentence, for people.
    pub summary: Option<String>,
    /// Tokens that were used: `{inputTokens, outputTokens, totalTokens}`.
    pub usage: Option<Value>,
}

impl From<&str> for Completion {
    fn from(summary: &str) -> Self {
        summary.to_owned().into()
    }
}

impl From<String> for Completion {
    fn from(summary: String) -> Self {
        Self { summary: Some(summary), ..Self::default() }
    }
}

impl From<Value> for Completion {
    fn from(result: Value) -> Self {
        Self { result: Some(result), ..Self::default() }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentError {
    /// For programs, such as `model_unavailable`. Required.
    pub code: String,
    /// For developers.
    pub message: Option<String>,
    /// How bad it is. Defaults to high.
    pub severity: Severity,
    /// What a person can do about it.
    pub suggestions: Vec<String>,
    /// When it is worth trying again, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// For people.
    pub user_message: Option<String>,
}

impl AgentError {
    /// An error of severity high.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: Some(message.into()), ..Self::default() }
    }
}

/// One execution of an agent. Every run ends: one that is dropped without an end is written as
/// `agent_died {cause: "dropped"}` (`"panicked"` while a panic unwinds, `"shutdown"` while the bridge stops). While the
/// log cannot be written, the bridge tries again until it has the end.
///
/// A method that returns a [`Position`] returns when its event is durable. After the end nothing of the run enters
/// the log any more: the methods of its tool calls and messages return [`PublishError::RunEnded`].
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
    ended: AtomicBool,
}

/// The message that a run answers.
pub(crate) struct Answers<'a> {
    pub(crate) send_id: &'a str,
    pub(crate) offset: u64,
}

impl Run {
    pub(crate) async fn start(
        emitter: Emitter,
        agent: &str,
        answers: Option<Answers<'_>>,
        parent: Option<&RunCore>,
    ) -> Result<Self, PublishError> {
        let id: Arc<str> = format!("run-{}", Uuid::new_v4().simple()).into();
        let mut fields = Map::new();
        fields.insert("agent".to_owned(), agent.into());
        fields.insert("runId".to_owned(), (*id).into());
        fields.insert("type".to_owned(), "agent_started".into());
        if let Some(answers) = &answers {
            fields.insert("sendId".to_owned(), answers.send_id.into());
        }
        if let Some(parent) = parent {
            fields.insert("parentRunId".to_owned(), (*parent.id).into());
        }
        let inner = Arc::clone(emitter.inner());
        let mut event = Event::new(fields.into(), inner.limits.max_frame_bytes)?;
        if let Some(answers) = answers {
            event = event.claiming(answers.offset);
        }
        let cancelled = parent.map_or_else(CancellationToken::new, |parent| parent.cancelled.child_token());
        // Known before it is visible, so that a cancel that follows the first event finds it.
        inner.runs.insert(emitter.key()?.clone(), &id, cancelled.clone());
        let core = RunCore {
            emitter,
            id,
            agent: agent.to_owned(),
            started: Instant::now(),
            cancelled,
            ended: AtomicBool::new(false),
        };
        let guard = parent.map_or(Guard::None, |parent| Guard::RunOpen(Arc::clone(&parent.id)));
        // From here on a drop writes the end, also when the caller stops waiting for the commit.
        let run = Self { core: Arc::new(core) };
        if let Err(error) = run.core.emitter.append(vec![event], guard).await {
            run.core.ended.store(true, Ordering::Release);
            run.core.forget();
            return Err(error);
        }
        tracing::debug!(run = &*run.core.id, agent, "run started");
        Ok(run)
    }

    /// The id that the bridge gave the run.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The name of the agent.
    pub fn agent(&self) -> &str {
        &self.core.agent
    }

    /// Says what the agent is at.
    pub async fn thinking(&self, text: &str) -> Result<Position, PublishError> {
        self.thinking_with(Thinking { text: Some(text.to_owned()), ..Thinking::default() }).await
    }

    /// Says what the agent is at, with steps, progress and urgency.
    pub async fn thinking_with(&self, thinking: Thinking) -> Result<Position, PublishError> {
        let mut fields = Map::new();
        put(&mut fields, "text", thinking.text);
        put(&mut fields, "step", thinking.step);
        put(&mut fields, "totalSteps", thinking.total_steps);
        put(&mut fields, "progress", thinking.progress.map(|progress| progress.clamp(0.0, 100.0)));
        put(&mut fields, "remainingMs", thinking.remaining_ms);
        let urgency = thinking.urgency.map(|urgency| match urgency {
            Urgency::Low => "low",
            Urgency::Medium => "medium",
            Urgency::High => "high",
        });
        put(&mut fields, "urgency", urgency);
        self.core.write("agent_thinking", fields).await
    }

    /// Starts a tool call: writes its `tool_executing`.
    pub async fn tool(&self, name: &str, args: Value) -> Result<ToolCall, PublishError> {
        self.tool_with(ToolStart { name: name.to_owned(), args, ..ToolStart::default() }).await
    }

    /// Starts a tool call, with its purpose and what is known of its cost.
    pub async fn tool_with(&self, start: ToolStart) -> Result<ToolCall, PublishError> {
        ToolCall::start(Arc::clone(&self.core), start).await
    }

    /// Starts a message of the agent; nothing is written before its first delta.
    pub fn message(&self) -> Message {
        Message::new(Arc::clone(&self.core))
    }

    /// Starts a sub-agent: a run whose `parentRunId` is this run. It is cancelled with its parent.
    pub async fn child(&self, agent: &str) -> Result<Self, PublishError> {
        Self::start(self.core.emitter.clone(), agent, None, Some(&self.core)).await
    }

    /// Asks a person: writes `approval_requested` and waits for the first answer of any device.
    ///
    /// Resolves to [`PublishError::Cancelled`] when the run is cancelled meanwhile. Dropping the future stops the
    /// waiting; an answer that comes later is still written, and changes nothing for the run.
    ///
    /// A turn that waits here does not count among those of [`Limits`](crate::Limits): it gives its place up when it
    /// begins to wait, and has one again when this resolves, before new turns of its user. A turn that asks several
    /// times at once has its place again after the first answer.
    pub async fn ask(&self, prompt: &str, options: Vec<Value>) -> Result<Decision, PublishError> {
        approval::ask(&self.core, prompt, options).await
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

    /// Resolves when a `cancel` names this run or a parent of it. The agent then ends it with [`Run::cancel`].
    ///
    /// From then on the log writes the end of the run that the `cancel` named as `agent_cancelled`, however the run ends:
    /// also by [`Run::complete`], by its drop, or by the recovery after a crash. Runs below it end as they say.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        self.core.cancelled.clone().cancelled_owned()
    }

    /// Whether a `cancel` has named this run or a parent of it.
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
        let mut fields = Map::new();
        put(&mut fields, "message", error.message);
        put(&mut fields, "retryAfterMs", error.retry_after_ms);
        put(&mut fields, "userMessage", error.user_message);
        if !error.suggestions.is_empty() {
            fields.insert("suggestions".to_owned(), error.suggestions.into());
        }
        let severity = match error.severity {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
        };
        fields.insert("code".to_owned(), error.code.into());
        fields.insert("severity".to_owned(), severity.into());
        fields.insert("recoverable".to_owned(), false.into());
        self.core.end("agent_error", fields).await
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
        let cause = if std::thread::panicking() {
            "panicked"
        } else if self.core.emitter.inner().closing.is_cancelled() {
            "shutdown"
        } else {
            "dropped"
        };
        self.core.died(cause);
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

impl RunCore {
    /// Builds an event of this run.
    fn event(&self, kind: &str, mut fields: Map<String, Value>) -> Result<Event, PublishError> {
        fields.insert("type".to_owned(), kind.into());
        fields.insert("runId".to_owned(), (*self.id).into());
        Ok(Event::new(fields.into(), self.emitter.inner().limits.max_frame_bytes)?.of_open_run())
    }

    fn guard(&self) -> Guard {
        Guard::RunOpen(Arc::clone(&self.id))
    }

    /// Writes an event and waits until it is durable.
    async fn write(&self, kind: &str, fields: Map<String, Value>) -> Result<Position, PublishError> {
        let event = self.event(kind, fields)?;
        Ok(self.emitter.append(vec![event], self.guard()).await?.position)
    }

    /// Gives an event its place; waits for room, not for the commit.
    async fn queue(&self, kind: &str, fields: Map<String, Value>) -> Result<Ticket, PublishError> {
        let event = self.event(kind, fields)?;
        self.emitter.queue(vec![event], self.guard()).await
    }

    async fn end(&self, kind: &str, fields: Map<String, Value>) -> Result<Position, PublishError> {
        let position = self.write(kind, fields).await?;
        // Only now: if the caller stops waiting or the log fails, the drop of the run tries once more.
        self.ended.store(true, Ordering::Release);
        self.forget();
        tracing::debug!(run = &*self.id, kind, "run ended");
        Ok(position)
    }

    /// Writes the end of a run that nobody ended, in a task of its own.
    fn died(self: &Arc<Self>, cause: &'static str) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.forget();
        let Value::Object(fields) = json!({ "cause": cause }) else {
            return;
        };
        let core = Arc::clone(self);
        self.emitter.inner().spawn(async move {
            let write = || core.write("agent_died", fields.clone());
            match until_written(&core.emitter.inner().closing, write).await {
                Ok(_) => tracing::warn!(run = &*core.id, cause, "run ended by its drop"),
                Err(PublishError::RunEnded) => {}
                Err(error) => {
                    tracing::warn!(run = &*core.id, %error, "the end of a dropped run was not written")
                }
            }
        });
    }

    fn forget(&self) {
        if let Ok(key) = self.emitter.key() {
            self.emitter.inner().runs.remove(key, &self.id);
        }
    }
}

fn put(fields: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(key.to_owned(), value.into());
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
