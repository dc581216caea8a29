//! A tool call: what an agent does between two thoughts.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

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
}

/// A tool call that is under way. Several of one run may be, side by side.
///
/// One that is dropped without an end is written as failed, unless the run is over by then.
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
        let ticket = core.queue("tool_executing", fields).await?;
        // The start has its place in the log's queue: from here on a drop writes the end behind it.
        Ok((Self { core, id, name: start.name, started: Instant::now(), ended: false }, ticket))
    }

    /// Waits until the start is durable.
    pub(super) async fn started(mut self, ticket: Ticket) -> Result<Self, PublishError> {
        if let Err(error) = settle(ticket.durable().await) {
            self.ended = true;
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

    async fn end(&mut self, fields: Map<String, Value>) -> Result<Position, PublishError> {
        let ticket = self.core.queue("tool_completed", fields).await?;
        // The end has its place in the log's queue: a drop while it waits for the commit must not write another one.
        self.ended = true;
        let settled = settle(ticket.durable().await);
        self.ended = !matches!(settled, Err(PublishError::Log(_)));
        Ok(settled?.position)
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
        let mut fields = self.outcome(false);
        fields.insert("error".to_owned(), "the tool call was dropped".into());
        self.core.end_part("tool_completed", fields);
    }
}

impl std::fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolCall").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
