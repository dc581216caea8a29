//! The arguments of a tool call, while a model writes them.

use std::fmt;
use std::sync::Arc;

use serde_json::Map;
use tokio::time::Instant;

use super::unsettled::Unsettled;
use super::writes::OpenTool;
use super::{RunCore, ToolCall, ToolStart};
use crate::emitter::PublishError;

/// The arguments of a tool call that has not started, as pieces of their JSON text.
///
/// Deltas are queued in order and wait only for room in the log's queue. An error of one is returned by a later call, at the
/// latest by [`ToolArgs::start`]. One that is dropped after a delta is written as a failed call, unless the run is over by
/// then.
///
/// ```
/// # async fn example(run: agentwire_bridge::Run) -> Result<(), agentwire_bridge::PublishError> {
/// use agentwire_bridge::ToolStart;
/// use serde_json::json;
///
/// let mut args = run.tool_args();
/// for piece in [r#"{"query":"#, r#""tide tables"}"#] {
///     args.delta(piece).await?;
/// }
/// let start = ToolStart { name: "search".to_owned(), args: json!({ "query": "tide tables" }), ..ToolStart::default() };
/// let tool = args.start(start).await?;
/// tool.complete(json!({ "hits": 3 })).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "arguments that are dropped after a delta are written as a failed call"]
pub struct ToolArgs {
    core: Arc<RunCore>,
    id: Arc<str>,
    /// Whether pages know of the call, and it has no end yet.
    is_open: bool,
    unsettled: Unsettled,
}

impl ToolArgs {
    pub(super) fn new(core: Arc<RunCore>) -> Self {
        Self { core, id: ToolCall::new_id(), is_open: false, unsettled: Unsettled::default() }
    }

    /// The id that the bridge gave the call.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends text. An empty text writes nothing.
    pub async fn delta(&mut self, text: &str) -> Result<(), PublishError> {
        if text.is_empty() {
            return Ok(());
        }
        let mut fields = Map::new();
        fields.insert("toolCallId".to_owned(), (*self.id).into());
        fields.insert("text".to_owned(), text.into());
        if self.is_open {
            return self.unsettled.queue(&self.core, "tool_args_delta", fields).await;
        }
        let tool = OpenTool { id: Arc::clone(&self.id), name: None, started: Instant::now() };
        let ticket = self.core.begin_tool("tool_args_delta", fields, tool).await?;
        self.is_open = true;
        self.unsettled.push(ticket);
        Ok(())
    }

    /// Starts the call: writes its `tool_executing`, with the arguments that `start` has.
    pub async fn start(mut self, start: ToolStart) -> Result<ToolCall, PublishError> {
        let (call, ticket) = ToolCall::queue(Arc::clone(&self.core), Arc::clone(&self.id), start).await?;
        // From here on the call writes its end.
        self.is_open = false;
        let call = call.started(ticket).await?;
        self.unsettled.settle().await?;
        Ok(call)
    }
}

impl Drop for ToolArgs {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        self.core.end_tool_later(&self.id, "the tool call was dropped before it started");
    }
}

impl fmt::Debug for ToolArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolArgs").field("id", &self.id).finish_non_exhaustive()
    }
}
