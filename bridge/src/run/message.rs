//! A message of an agent, streamed in deltas.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use serde_json::Map;
use uuid::Uuid;

use super::RunCore;
use crate::emitter::{PublishError, settle};
use crate::log::Ticket;
use crate::stream::Position;

/// Deltas of one message that may wait for their commit; one more waits for the oldest.
const MAX_UNSETTLED: usize = 256;

/// A message that an agent is writing.
///
/// Deltas are queued in order and wait only for room in the log's queue. An error of one is returned by a later call,
/// at the latest by [`Message::complete`].
pub struct Message {
    core: Arc<RunCore>,
    id: Arc<str>,
    content: String,
    unsettled: VecDeque<Ticket>,
}

impl Message {
    pub(super) fn new(core: Arc<RunCore>) -> Self {
        let id = format!("message-{}", Uuid::new_v4().simple()).into();
        Self { core, id, content: String::new(), unsettled: VecDeque::new() }
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
        while let Some(oldest) = self.unsettled.front_mut() {
            let Some(answer) = oldest.try_durable() else { break };
            self.unsettled.pop_front();
            settle(answer)?;
        }
        if self.unsettled.len() >= MAX_UNSETTLED
            && let Some(oldest) = self.unsettled.pop_front()
        {
            settle(oldest.durable().await)?;
        }
        let mut fields = Map::new();
        fields.insert("messageId".to_owned(), (*self.id).into());
        fields.insert("text".to_owned(), text.into());
        self.unsettled.push_back(self.core.queue("message_delta", fields).await?);
        self.content.push_str(text);
        Ok(())
    }

    /// Ends the message: writes `message_completed` with the whole content.
    pub async fn complete(mut self) -> Result<Position, PublishError> {
        let mut fields = Map::new();
        fields.insert("messageId".to_owned(), (*self.id).into());
        fields.insert("content".to_owned(), std::mem::take(&mut self.content).into());
        let last = self.core.queue("message_completed", fields).await?;
        for ticket in self.unsettled.drain(..) {
            settle(ticket.durable().await)?;
        }
        Ok(settle(last.durable().await)?.position)
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
