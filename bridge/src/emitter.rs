//! Writes to one stream.

use std::sync::{Arc, Weak};

use serde_json::Value;

use crate::bounds::turns::{Pause, TurnPermit};
use crate::context::Context;
use crate::event::{Event, EventError};
use crate::journal::Ticket;
use crate::ledger::draft::{Append, Outcome, Precondition, Receipt};
use crate::log::{LogError, Status};
use crate::stream::{NameError, Position, StreamKey};

/// Why something was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event is not valid.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The name of the user or the thread is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The run is over: nothing of it can follow.
    #[error("the run is over, so nothing of it can be published any more")]
    RunEnded,
    /// The tool call is over: its time was, or its run.
    #[error("the tool call is over: it took longer than its `timeout`; go on without it")]
    ToolEnded,
    /// The event resolves an approval that its run does not wait for, or asks for one under an id that the run has used.
    #[error("the run does not wait for this approval; ask once under each id, and resolve it once")]
    Approval,
    /// The message was edited or withdrawn before a run claimed it. If it was edited, the agent gets it again.
    #[error("the message was edited or withdrawn before a run claimed it; leave it")]
    Outdated,
    /// The run was cancelled while it waited for a person.
    #[error("the run was cancelled; end it with `cancel`")]
    Cancelled,
}

/// Publishes events to one stream. Cheap to clone; emitters share nothing between streams.
#[derive(Clone, Debug)]
pub struct Emitter {
    context: Arc<Context>,
    key: Result<StreamKey, NameError>,
    /// The turn it belongs to.
    turn: Weak<TurnPermit>,
}

impl Emitter {
    pub(crate) fn new(context: Arc<Context>, key: Result<StreamKey, NameError>) -> Self {
        Self { context, key, turn: Weak::new() }
    }

    /// Belongs to a turn, which gives its permit up while one of the emitter's runs asks a person.
    pub(crate) fn of_turn(self, permit: &Arc<TurnPermit>) -> Self {
        Self { turn: Arc::downgrade(permit), ..self }
    }

    /// Gives the permit of the turn up, if there is one, until the end of the pause.
    pub(crate) fn pause(&self) -> Option<Pause> {
        self.turn.upgrade().map(TurnPermit::pause)
    }

    /// Publishes one event: a JSON object with a text `type`. It is durable when this returns its position.
    ///
    /// `time` is set when it is missing. Publishing does not wait for pages. An event of a run that is over is
    /// [`PublishError::RunEnded`].
    ///
    /// ```
    /// # async fn example(bridge: agentwire_bridge::Bridge) -> Result<(), agentwire_bridge::PublishError> {
    /// use serde_json::json;
    ///
    /// let thread = bridge.emitter("ada", "thread-42");
    /// let position = thread.publish(json!({ "type": "build_finished", "ok": true })).await?;
    /// assert!(position.offset > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish(&self, event: Value) -> Result<Position, PublishError> {
        self.publish_all(vec![event]).await
    }

    /// Publishes several events as one record, in this order; all of them or none. Returns the last position.
    pub async fn publish_all(&self, events: Vec<Value>) -> Result<Position, PublishError> {
        let max = self.context.limits.max_frame_bytes;
        let events = events.into_iter().map(|event| Event::new(event, max)).collect::<Result<_, _>>()?;
        Ok(self.append(events, Precondition::None).await?.position)
    }

    pub(crate) fn key(&self) -> Result<&StreamKey, PublishError> {
        self.key.as_ref().map_err(|error| error.clone().into())
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Writes events and waits until they are durable.
    pub(crate) async fn append(
        &self,
        events: Vec<Event>,
        precondition: Precondition,
    ) -> Result<Receipt, PublishError> {
        settle(self.queue(events, precondition).await?.durable().await)
    }

    /// Gives events their place in the order of the stream; waits for room, not for the commit.
    pub(crate) async fn queue(
        &self,
        events: Vec<Event>,
        precondition: Precondition,
    ) -> Result<Ticket, PublishError> {
        let append = Append {
            precondition,
            is_announced: self.context.has_inboxes,
            ..Append::events(self.key()?.clone(), events)
        };
        Ok(self.context.journal.append(append).await?)
    }
}

/// What the end of an append means for the one who published.
pub(crate) fn settle(outcome: Result<Outcome, LogError>) -> Result<Receipt, PublishError> {
    match outcome? {
        Outcome::Durable(receipt) if receipt.status == Status::Accepted => Ok(receipt),
        Outcome::Durable(Receipt { status: Status::AlreadyResolved | Status::UnknownApproval, .. }) => {
            Err(PublishError::Approval)
        }
        Outcome::Refused(_) => Err(PublishError::Outdated),
        // Without a key there is no conflict, nothing forgotten, nothing to come first, no message, and no producer: the run is over.
        Outcome::Durable(_)
        | Outcome::Conflict
        | Outcome::Expired
        | Outcome::TooEarly
        | Outcome::Missing(_)
        | Outcome::QueueFull => Err(PublishError::RunEnded),
    }
}
