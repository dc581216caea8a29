//! A tool call: what an agent does between two thoughts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::watch::watch_tool;
use super::writes::OpenTool;
use super::{RunCore, elapsed_ms, put};
use crate::emitter::{PublishError, settle};
use crate::journal::Ticket;
use crate::stream::Position;

/// What is known of a tool call when it starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolStart {
    /// Name of the tool. Required.
    pub name: String,
    /// What it is called with; null is not sent.
    pub args: Value,
    /// Why, for people.
    pub purpose: Option<String>,
    /// What kind of tool it is, such as `search`.
    pub category: Option<String>,
    /// How long it will take, in milliseconds.
    pub estimated_ms: Option<u64>,
    /// How long it may take. A fifth before, the run gets a recoverable `agent_error` with the code `timeout_soon`; then the
    /// bridge writes the call as failed, and [`ToolCall::cancelled`] resolves. The time for which the run waits for a person
    /// does not count.
    pub timeout: Option<Duration>,
}

/// A tool call that is under way. Several of one run may be, side by side.
///
/// One that is dropped without an end is written as failed, and so is one whose run ends first. After the end of a call,
/// [`ToolCall::complete`] and [`ToolCall::fail`] return [`PublishError::ToolEnded`] or [`PublishError::RunEnded`].
///
/// ```
/// # async fn example(run: agentwire_bridge::Run) -> Result<(), agentwire_bridge::PublishError> {
/// let tool = run.tool("search", serde_json::json!({ "query": "tide tables" })).await?;
/// match std::fs::read_to_string("tides.txt") {
///     Ok(text) => tool.complete(serde_json::json!({ "bytes": text.len() })).await?,
///     Err(error) => tool.fail(&error.to_string()).await?,
/// };
/// # Ok(())
/// # }
/// ```
#[must_use = "a tool call that is dropped is written as failed"]
pub struct ToolCall {
    core: Arc<RunCore>,
    id: Arc<str>,
    name: String,
    started: Instant,
    /// Cancelled when its time is over.
    expired: CancellationToken,
    /// Ends the watch over its time.
    _watched: DropGuard,
    ended: bool,
}

impl ToolCall {
    /// Makes the id of a call.
    pub(super) fn new_id() -> Arc<str> {
        format!("tool-{}", Uuid::new_v4().simple()).into()
    }

    pub(super) async fn start(
        core: Arc<RunCore>,
        id: Arc<str>,
        start: ToolStart,
    ) -> Result<Self, PublishError> {
        let (call, ticket) = Self::queue(core, id, start).await?;
        call.started(ticket).await
    }

    /// Gives the start its place in the log's queue.
    pub(super) async fn queue(
        core: Arc<RunCore>,
        id: Arc<str>,
        start: ToolStart,
    ) -> Result<(Self, Ticket), PublishError> {
        let mut fields = Map::new();
        fields.insert("toolCallId".to_owned(), (*id).into());
        fields.insert("toolName".to_owned(), start.name.as_str().into());
        if !start.args.is_null() {
            fields.insert("args".to_owned(), start.args);
        }
        put(&mut fields, "purpose", start.purpose);
        put(&mut fields, "category", start.category);
        put(&mut fields, "estimatedMs", start.estimated_ms);
        let (name, started) = (start.name, Instant::now());
        let tool = OpenTool { id: Arc::clone(&id), name: Some(name.clone()), started };
        let ticket = core.begin_tool("tool_executing", fields, tool).await?;
        let (expired, over) = (CancellationToken::new(), CancellationToken::new());
        if let Some(limit) = start.timeout {
            watch_tool(&core, &id, limit, expired.clone(), over.clone());
        }
        // The start has its place in the log's queue: from here on a drop writes the end behind it.
        Ok((Self { core, id, name, started, expired, _watched: over.drop_guard(), ended: false }, ticket))
    }

    /// Waits until the start is durable.
    pub(super) async fn started(mut self, ticket: Ticket) -> Result<Self, PublishError> {
        if let Err(error) = settle(ticket.durable().await) {
            self.ended = true;
            self.core.tools.lock().await.retain(|tool| tool.id != self.id);
            return Err(error);
        }
        Ok(self)
    }

    /// The id that the bridge gave the call.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the call with its result.
    pub async fn complete(mut self, result: Value) -> Result<Position, PublishError> {
        let mut fields = self.outcome(true);
        fields.insert("result".to_owned(), result);
        self.end(fields).await
    }

    /// Ends the call as failed, and says why. The run goes on.
    pub async fn fail(mut self, why: &str) -> Result<Position, PublishError> {
        let mut fields = self.outcome(false);
        fields.insert("error".to_owned(), why.into());
        self.end(fields).await
    }

    /// Resolves when its time is over, or when a `cancel` names the run. The call is then over, or its run soon is.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let (expired, cancelled) = (self.expired.clone(), self.core.cancelled.clone());
        async move {
            tokio::select! {
                () = expired.cancelled() => {}
                () = cancelled.cancelled() => {}
            }
        }
    }

    async fn end(&mut self, fields: Map<String, Value>) -> Result<Position, PublishError> {
        self.core.clock.sign();
        let ended = self.core.end_tool(&self.id, fields).await;
        // What the log did not take, or what does not fit into it, is for the drop.
        self.ended = !matches!(ended, Err(PublishError::Log(_) | PublishError::Event(_)));
        ended
    }

    fn outcome(&self, success: bool) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("toolCallId".to_owned(), (*self.id).into());
        fields.insert("toolName".to_owned(), self.name.as_str().into());
        fields.insert("success".to_owned(), success.into());
        fields.insert("durationMs".to_owned(), elapsed_ms(self.started).into());
        fields
    }
}

impl Drop for ToolCall {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.core.end_tool_later(&self.id, "the tool call was dropped");
    }
}

impl std::fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolCall").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
