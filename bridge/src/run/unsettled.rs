//! Pieces of a text that were queued and may not be durable yet.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::RunCore;
use crate::emitter::{PublishError, settle};
use crate::journal::Ticket;

/// Pieces of one text that may wait for their commit; one more waits for the oldest.
const MAX: usize = 256;

/// The tickets of pieces, oldest first.
#[derive(Default)]
pub(super) struct Unsettled(VecDeque<Ticket>);

impl Unsettled {
    /// Queues a piece. Returns the error of an earlier one, if there was one.
    pub(super) async fn queue(
        &mut self,
        core: &RunCore,
        kind: &str,
        fields: Map<String, Value>,
    ) -> Result<(), PublishError> {
        while let Some(oldest) = self.0.front_mut() {
            let Some(answer) = oldest.try_durable() else { break };
            self.0.pop_front();
            settle(answer)?;
        }
        if self.0.len() >= MAX
            && let Some(oldest) = self.0.pop_front()
        {
            settle(oldest.durable().await)?;
        }
        self.push(core.queue(kind, fields).await?);
        Ok(())
    }

    /// Adds one that is queued.
    pub(super) fn push(&mut self, ticket: Ticket) {
        self.0.push_back(ticket);
    }

    /// Waits until all of them are durable.
    pub(super) async fn settle(&mut self) -> Result<(), PublishError> {
        for ticket in self.0.drain(..) {
            settle(ticket.durable().await)?;
        }
        Ok(())
    }
}
