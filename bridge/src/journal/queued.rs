//! An append that waits, and the ticket that says when it is durable.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::ledger::draft::{Append, Outcome};
use crate::log::LogError;

/// The answer to an append, when it is durable.
#[derive(Debug)]
#[must_use = "an append is durable only when its ticket says so"]
pub(crate) struct Ticket(oneshot::Receiver<Result<Outcome, LogError>>);

impl Ticket {
    /// Waits for the commit.
    pub(crate) async fn durable(self) -> Result<Outcome, LogError> {
        self.0.await.unwrap_or(Err(LogError::Closed))
    }

    /// The answer if it is there; `None` while the append is under way.
    pub(crate) fn try_durable(&mut self) -> Option<Result<Outcome, LogError>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(LogError::Closed)),
        }
    }
}

/// An append that waits for the writer of its stream.
pub(super) struct Queued {
    pub(super) append: Append,
    reply: oneshot::Sender<Result<Outcome, LogError>>,
    _room: [OwnedSemaphorePermit; 2],
}

impl Queued {
    /// `room`: what it takes of the queues until it is answered.
    pub(super) fn new(append: Append, room: [OwnedSemaphorePermit; 2]) -> (Self, Ticket) {
        let (reply, ticket) = oneshot::channel();
        (Self { append, reply, _room: room }, Ticket(ticket))
    }

    pub(super) fn answer(self, outcome: Result<Outcome, LogError>) {
        // Whoever asked may have stopped waiting.
        let _ = self.reply.send(outcome);
    }
}
