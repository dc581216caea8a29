//! A message of an agent, streamed in deltas.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::RunCore;
use super::unsettled::Unsettled;
use crate::emitter::{PublishError, settle};
use crate::journal::Ticket;
use crate::stream::Position;

/// A message that an agent is writing.
///
/// Deltas are queued in order and wait only for room in the log's queue. An error of one is returned by a later call,
/// at the latest by [`Message::complete`].
///
/// One that is dropped without its end is completed with what was written so far and `interrupted: true`, unless the run
/// is over by then.
///
/// ```
/// # async fn example(run: agentwire_bridge::Run) -> Result<(), agentwire_bridge::PublishError> {
/// let mut answer = run.message();
/// for word in ["High ", "tide ", "at ", "noon."] {
///     answer.delta(word).await?;
/// }
/// answer.complete().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a message that is dropped is written as interrupted"]
pub struct Message {
    core: Arc<RunCore>,
    id: Arc<str>,
    content: String,
    has_ended: bool,
    unsettled: Unsettled,
}

impl Message {
    pub(super) fn new(core: Arc<RunCore>) -> Self {
        let id = format!("message-{}", Uuid::new_v4().simple()).into();
        Self { core, id, content: String::new(), has_ended: false, unsettled: Unsettled::default() }
    }

    /// The id that the bridge gave the message.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What was written so far.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Appends text. An empty text writes nothing.
    pub async fn delta(&mut self, text: &str) -> Result<(), PublishError> {
        if text.is_empty() {
            return Ok(());
        }
        let mut fields = Map::new();
        fields.insert("messageId".to_owned(), (*self.id).into());
        fields.insert("text".to_owned(), text.into());
        self.unsettled.queue(&self.core, "message_delta", fields).await?;
        self.content.push_str(text);
        Ok(())
    }

    /// Ends the message: writes `message_completed` with the whole content.
    pub async fn complete(mut self) -> Result<Position, PublishError> {
        let last = self.core.queue("message_completed", self.end()).await?;
        // The end has its place in the queue: a drop while it waits for the commit must not write another one.
        self.has_ended = true;
        let settled = self.settle_all(last).await;
        self.has_ended = !matches!(settled, Err(PublishError::Log(_)));
        settled
    }

    async fn settle_all(&mut self, last: Ticket) -> Result<Position, PublishError> {
        self.unsettled.settle().await?;
        Ok(settle(last.durable().await)?.position)
    }

    /// The fields of its end.
    fn end(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("messageId".to_owned(), (*self.id).into());
        fields.insert("content".to_owned(), self.content.as_str().into());
        fields
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // Without a delta no page knows of it.
        if self.has_ended || self.content.is_empty() {
            return;
        }
        let mut fields = self.end();
        fields.insert("interrupted".to_owned(), true.into());
        self.core.end_part("message_completed", fields);
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}
