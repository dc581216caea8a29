//! What a run writes, and the order of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{RunCore, elapsed_ms};
use crate::emitter::{PublishError, settle};
use crate::event::Event;
use crate::journal::Ticket;
use crate::ledger::draft::Precondition;
use crate::retry::until_written;
use crate::stream::Position;

/// Tool calls that are ended with their run, at most. Pages take the others for orphans (RUN-2).
const MAX_ENDED_WITH_RUN: usize = 1_024;

/// A tool call that has no end yet.
pub(super) struct OpenTool {
    pub(super) id: Arc<str>,
    /// Not known while its arguments are written.
    pub(super) name: Option<String>,
    pub(super) started: Instant,
}

impl OpenTool {
    /// The fields of its end, if it failed.
    fn failed(&self, error: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("toolCallId".to_owned(), (*self.id).into());
        super::put(&mut fields, "toolName", self.name.as_deref());
        fields.insert("success".to_owned(), false.into());
        fields.insert("error".to_owned(), error.into());
        fields.insert("durationMs".to_owned(), elapsed_ms(self.started).into());
        fields
    }
}

impl RunCore {
    /// Builds an event of this run.
    pub(super) fn event(&self, kind: &str, mut fields: Map<String, Value>) -> Result<Event, PublishError> {
        fields.insert("type".to_owned(), kind.into());
        fields.insert("runId".to_owned(), (*self.id).into());
        Ok(Event::new(fields.into(), self.emitter.context().limits.max_frame_bytes)?.of_open_run())
    }

    pub(super) fn precondition(&self) -> Precondition {
        Precondition::RunOpen(Arc::clone(&self.id))
    }

    /// Writes an event and waits until it is durable.
    pub(super) async fn write(
        &self,
        kind: &str,
        fields: Map<String, Value>,
    ) -> Result<Position, PublishError> {
        self.clock.sign();
        let event = self.event(kind, fields)?;
        let written = self.emitter.append(vec![event], self.precondition()).await;
        Ok(self.noted(written)?.position)
    }

    /// Notes whether the log can be used.
    fn noted<T>(&self, written: Result<T, PublishError>) -> Result<T, PublishError> {
        self.log_failed.store(matches!(written, Err(PublishError::Log(_))), Ordering::Release);
        written
    }

    /// Gives an event its place; waits for room, not for the commit.
    pub(super) async fn queue(&self, kind: &str, fields: Map<String, Value>) -> Result<Ticket, PublishError> {
        self.clock.sign();
        let event = self.event(kind, fields)?;
        self.place(vec![event]).await
    }

    async fn place(&self, events: Vec<Event>) -> Result<Ticket, PublishError> {
        let queued = self.emitter.queue(events, self.precondition()).await;
        self.noted(queued)
    }

    pub(super) async fn end(&self, kind: &str, fields: Map<String, Value>) -> Result<Position, PublishError> {
        let position = self.write_end(kind, &fields).await?;
        // Only now: if the caller stops waiting or the log fails, the drop of the run tries once more.
        self.ended.store(true, Ordering::Release);
        self.forget();
        tracing::debug!(run = &*self.id, kind, "run ended");
        Ok(position)
    }

    /// Writes the end of the run, and before it those of its tool calls that have none: all of it or nothing.
    async fn write_end(&self, kind: &str, fields: &Map<String, Value>) -> Result<Position, PublishError> {
        let end = self.event(kind, fields.clone())?;
        let open = self.tools.lock().await;
        let ends = open.iter().take(MAX_ENDED_WITH_RUN).filter_map(|tool| {
            // One that does not fit into a frame must not keep the run open.
            self.event("tool_completed", tool.failed("the run ended before the tool call")).ok()
        });
        let events = ends.chain([end]).collect();
        let ticket = self.place(events).await?;
        // What comes behind it is refused, so it does not matter who is in the list.
        drop(open);
        let settled = settle(ticket.durable().await);
        Ok(self.noted(settled)?.position)
    }

    /// Gives the start of a tool call, or of its arguments, its place, and notes that the call is open.
    pub(super) async fn begin_tool(
        &self,
        kind: &str,
        fields: Map<String, Value>,
        tool: OpenTool,
    ) -> Result<Ticket, PublishError> {
        let mut open = self.tools.lock().await;
        let ticket = self.queue(kind, fields).await?;
        open.retain(|other| other.id != tool.id);
        open.push(tool);
        Ok(ticket)
    }

    /// Writes the end of a tool call, once.
    pub(super) async fn end_tool(
        &self,
        id: &str,
        fields: Map<String, Value>,
    ) -> Result<Position, PublishError> {
        let mut open = self.tools.lock().await;
        let Some(place) = open.iter().position(|tool| *tool.id == *id) else {
            return Err(PublishError::ToolEnded);
        };
        let event = self.event("tool_completed", fields)?;
        let ticket = self.place(vec![event]).await?;
        let tool = open.remove(place);
        drop(open);
        let settled = settle(ticket.durable().await);
        if matches!(settled, Err(PublishError::Log(_))) {
            self.tools.lock().await.push(tool);
        }
        Ok(self.noted(settled)?.position)
    }

    /// Writes the end of a tool call that was dropped, in a task of its own, unless it or the run is over.
    pub(super) fn end_tool_later(self: &Arc<Self>, id: &Arc<str>, error: &'static str) {
        let (core, id) = (Arc::clone(self), Arc::clone(id));
        self.emitter.context().tasks.spawn(async move { core.fail_tool(&id, error).await });
    }

    /// Ends a tool call as failed, unless it or the run is over.
    pub(super) async fn fail_tool(&self, id: &str, error: &str) {
        let write = async || {
            let failed =
                self.tools.lock().await.iter().find(|tool| *tool.id == *id).map(|tool| tool.failed(error));
            self.end_tool(id, failed.ok_or(PublishError::ToolEnded)?).await
        };
        match until_written(&self.emitter.context().closing, write).await {
            Ok(_) | Err(PublishError::RunEnded | PublishError::ToolEnded) => {}
            Err(error) => tracing::warn!(run = &*self.id, %error, "the end of a tool call was not written"),
        }
    }

    /// Writes the end of a run that nobody ended.
    pub(super) fn died(self: &Arc<Self>, cause: &'static str) {
        let is_closing = self.emitter.context().closing.is_cancelled();
        let cause = match cause {
            "dropped" if is_closing => "shutdown",
            "dropped" if self.log_failed.load(Ordering::Acquire) => "log_unavailable",
            cause => cause,
        };
        let mut fields = Map::new();
        fields.insert("cause".to_owned(), cause.into());
        self.end_later("agent_died", fields);
    }

    /// Writes the end of a run in a task of its own, unless it is over.
    pub(super) fn end_later(self: &Arc<Self>, kind: &'static str, fields: Map<String, Value>) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.forget();
        let core = Arc::clone(self);
        self.emitter.context().tasks.spawn(async move {
            let write = || core.write_end(kind, &fields);
            match until_written(&core.emitter.context().closing, write).await {
                Ok(_) => tracing::warn!(run = &*core.id, kind, "a run was ended that its agent did not end"),
                Err(PublishError::RunEnded) => {}
                Err(error) => {
                    tracing::warn!(run = &*core.id, %error, "the end of a dropped run was not written")
                }
            }
        });
    }

    /// Writes the end of a message that was dropped, in a task of its own. The precondition keeps it out
    /// of the log when the run has ended meanwhile.
    pub(super) fn end_part(self: &Arc<Self>, kind: &'static str, fields: Map<String, Value>) {
        let core = Arc::clone(self);
        self.emitter.context().tasks.spawn(async move {
            let write = || core.write(kind, fields.clone());
            if let Err(error) = until_written(&core.emitter.context().closing, write).await
                && error != PublishError::RunEnded
            {
                tracing::warn!(run = &*core.id, kind, %error, "the end of something that was dropped was not written");
            }
        });
    }

    pub(super) fn forget(&self) {
        self.clock.end();
        if let Ok(key) = self.emitter.key() {
            self.emitter.context().live.remove(key, &self.id);
        }
    }
}
