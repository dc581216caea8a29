//! The agent of the bridge: it gives each message to the backend, until a run there has claimed it.

use std::sync::Arc;

use agentwire_bridge::{Agent, AgentError, Claim, Given, Severity, Taken, Turn, UserMessage};
use tokio::time::{Instant, sleep};

use super::delivery::Delivery;
use super::workers::{Answer, Held, Slot};
use super::{Accepted, Deliverer, Failed};

/// Gives messages to the backend.
pub(crate) struct DeliveringAgent {
    deliverer: Arc<Deliverer>,
}

impl DeliveringAgent {
    pub(crate) fn new(deliverer: Arc<Deliverer>) -> Self {
        Self { deliverer }
    }

    /// Tells the backend that a message it has is not to be answered as it is.
    fn take_back(&self, kind: &'static str, message: &UserMessage, claim: &Claim) {
        let (deliverer, mut delivery) =
            (Arc::clone(&self.deliverer), Delivery::taken_back(kind, message, claim));
        // What failed is logged; a run that claims the message is refused all the same.
        tokio::spawn(async move { deliverer.bring(&mut delivery).await.map(drop) });
    }
}

impl Agent for DeliveringAgent {
    async fn handle(&self, turn: Turn) -> Result<(), AgentError> {
        let given = turn.give();
        if given.free().await?.is_err() {
            // Nobody was given it.
            return Ok(());
        }
        let (claim, begun) = (given.claim(), Instant::now());
        let mut delivery = Delivery::message(&turn.message, &claim, self.deliverer.lease);
        loop {
            let mut accepted = tokio::select! {
                biased;
                brought = self.deliverer.bring(&mut delivery) => brought.map_err(failed)?,
                taken = given.taken() => {
                    // It may have been given to a backend whose answer is not here yet.
                    let taken = taken?;
                    if taken == Taken::Claimed {
                        keep_slot(&given, delivery.slot.lock().take());
                    }
                    self.tell(taken, &turn.message, &claim);
                    return Ok(());
                }
            };
            if accepted.done {
                return Ok(());
            }
            tokio::select! {
                biased;
                taken = given.taken() => {
                    let taken = taken?;
                    if taken == Taken::Claimed {
                        keep_slot(&given, accepted.held.map(Held::into_slot));
                    }
                    self.tell(taken, &turn.message, &claim);
                    return Ok(());
                }
                answer = more(&mut accepted) => match answer {
                    Answer::Accepted { .. } => return Ok(()),
                    Answer::Refused { message } => return Err(failed(Failed::Refused(message))),
                },
                () = sleep(self.deliverer.lease) => {}
            }
            let stream = &turn.message.stream;
            if begun.elapsed() >= self.deliverer.give_up_after {
                tracing::error!(%stream, delivery = delivery.id(), "a message was given up: the backend accepted it, and no run claimed it");
                return Err(error("backend_silent", "the backend took the message and did not answer it"));
            }
            tracing::warn!(%stream, delivery = delivery.id(), "no run claimed a message in time; it is delivered again");
            delivery.again();
        }
    }
}

impl DeliveringAgent {
    /// Tells the backend what became of a message that it was given.
    fn tell(&self, taken: Taken, message: &UserMessage, claim: &Claim) {
        match taken {
            Taken::Claimed => {}
            Taken::Edited => self.take_back("message_edited", message, claim),
            Taken::Withdrawn => self.take_back("message_withdrawn", message, claim),
        }
    }
}

/// A worker has room for another message when the run is over that claimed this one.
fn keep_slot(given: &Given<'_>, slot: Option<Slot>) {
    if let Some(slot) = slot {
        let free = given.until_free();
        tokio::spawn(async move {
            // What comes instead of the end is the end of the server.
            let _ = free.await;
            drop(slot);
        });
    }
}

/// What the worker that accepted a message says later: that it leaves it, or refuses it.
async fn more(accepted: &mut Accepted) -> Answer {
    let Some(held) = &mut accepted.held else { return std::future::pending().await };
    loop {
        match held.more().await {
            // It has said so before.
            Answer::Accepted { done: false } => {}
            answer => return answer,
        }
    }
}

/// What the page is shown of a message that the backend did not get. What the backend said is for the log alone.
fn failed(failed: Failed) -> AgentError {
    match failed {
        Failed::Refused(_) => error("backend_refused", "the backend refused the message"),
        Failed::GaveUp(_) => error("backend_unreachable", "the backend could not be reached"),
    }
}

fn error(code: &str, message: &str) -> AgentError {
    AgentError { severity: Severity::High, ..AgentError::new(code, message) }
}
