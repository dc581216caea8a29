//! Writes to one stream of one user.

use std::sync::{Arc, Weak};

use serde_json::Value;

use crate::bridge::Inner;
use crate::dispatch::{Pause, Place};
use crate::event::{Event, EventError};
use crate::log::{Append, Guard, LogError, Outcome, Receipt, Status, Ticket};
use crate::run::Run;
use crate::stream::{NameError, Position, StreamKey};

/// Why something was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event is not one that pages can take.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The user or the thread cannot be named so.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The run is over: nothing of it can follow.
    #[error("the run is over, so nothing of it can be published any more")]
    RunEnded,
    /// The run was cancelled while it waited for a person.
    #[error("the run was cancelled; end it with `cancel`")]
    Cancelled,
}

/// Publishes events to one thread of one user. Cheap to clone; emitters share nothing between users.
#[derive(Clone, Debug)]
pub struct Emitter {
    inner: Arc<Inner>,
    key: Result<StreamKey, NameError>,
    /// The turn it belongs to.
    turn: Weak<Place>,
}

impl Emitter {
    pub(crate) fn new(inner: Arc<Inner>, key: Result<StreamKey, NameError>) -> Self {
        Self { inner, key, turn: Weak::new() }
    }

    /// Belongs to a turn, which gives its place up while one of the emitter's runs asks a person.
    pub(crate) fn of_turn(self, place: &Arc<Place>) -> Self {
        Self { turn: Arc::downgrade(place), ..self }
    }

    /// Gives the place of the turn up, if there is one, until the end of the pause.
    pub(crate) fn pause(&self) -> Option<Pause> {
        self.turn.upgrade().map(Place::pause)
    }

    /// Publishes one event: a JSON object with a text `type`. It is durable when this returns its position.
    ///
    /// `time` is set when it is missing. Publishing does not wait for pages.
    pub async fn publish(&self, event: Value) -> Result<Position, PublishError> {
        self.publish_all(vec![event]).await
    }

    /// Publishes several events in one transaction, in this order; all of them or none. Returns the last position.
    pub async fn publish_all(&self, events: Vec<Value>) -> Result<Position, PublishError> {
        let max = self.inner.limits.max_frame_bytes;
        let events = events.into_iter().map(|event| Event::new(event, max)).collect::<Result<_, _>>()?;
        Ok(self.append(events, Guard::None).await?.position)
    }

    /// Starts a run of `agent`: writes its `agent_started`.
    pub async fn run(&self, agent: &str) -> Result<Run, PublishError> {
        Run::start(self.clone(), agent, None, None).await
    }

    pub(crate) fn key(&self) -> Result<&StreamKey, PublishError> {
        self.key.as_ref().map_err(|error| error.clone().into())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Writes events and waits until they are durable.
    pub(crate) async fn append(&self, events: Vec<Event>, guard: Guard) -> Result<Receipt, PublishError> {
        settle(self.queue(events, guard).await?.durable().await)
    }

    /// Gives events their place in the order of the stream; waits for room, not for the commit.
    pub(crate) async fn queue(&self, events: Vec<Event>, guard: Guard) -> Result<Ticket, PublishError> {
        let key = self.key()?.clone();
        let announce = self.inner.inbox_of(&key);
        let append = Append { guard, announce, ..Append::events(key, events) };
        Ok(self.inner.store.append(append).await?)
    }
}

/// What the end of an append means for the one who published.
pub(crate) fn settle(outcome: Result<Outcome, LogError>) -> Result<Receipt, PublishError> {
    match outcome? {
        Outcome::Durable(receipt) if receipt.status == Status::Accepted => Ok(receipt),
        // Without a key there is no conflict and nothing to come first: the guard found the run over.
        Outcome::Durable(_) | Outcome::Conflict | Outcome::TooEarly => Err(PublishError::RunEnded),
    }
}
