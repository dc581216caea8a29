//! Where events are kept: the contract, and what passes through it.
//!
//! A log is the only judge of what is durable. It calls its [`Observer`] after a commit, in the order of the commits
//! of a stream, and before it answers the writers; pages are sent only what an observer was notified of, or what a read
//! returned.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::event::Event;
use crate::stream::{Position, StreamKey};

#[cfg(test)]
pub(crate) mod contract;
mod life;
mod memory;
mod sqlite;

pub use memory::MemoryLog;
pub use sqlite::{OpenError, SqliteLog};

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The storage failed; what was asked may be tried again.
    #[error("the log cannot be used now: {0}")]
    Unavailable(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// What is called after each commit, on the log's own thread: it must be quick and must not call the log.
pub type Observer = Arc<dyn Fn(&Commit) + Send + Sync>;

/// Something that has become durable.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The stream it happened to.
    pub key: StreamKey,
    /// How many epochs the stream has had.
    pub epoch_number: u64,
    /// What happened.
    pub change: Change,
}

/// What happened to a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Events were appended at the offsets from `first` on.
    Appended {
        /// Offset of the first of them.
        first: u64,
        /// Their JSON texts.
        bodies: Vec<Arc<str>>,
    },
    /// The stream has a new epoch; its events stay.
    NewEpoch {
        /// The new epoch.
        epoch: Arc<str>,
    },
    /// Offsets below `oldest` are gone.
    Trimmed {
        /// The smallest offset that is left.
        oldest: u64,
    },
    /// The event at `offset` is void now.
    Redacted {
        /// Its place.
        offset: u64,
    },
}

/// What to append to one stream, in one transaction: all of it or nothing.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream.
    pub key: StreamKey,
    /// Events that get the next offsets, in this order.
    pub events: Vec<Event>,
    /// Makes the append happen at most once, however often it is tried.
    pub once: Option<Once>,
    /// A send of the same subject and stream that must be in the log for this one to be applied (SND-4). Goes with
    /// `once`; a repeated append gets its receipt all the same.
    pub after: Option<Arc<str>>,
    /// What must hold for the events to be written.
    pub guard: Guard,
    /// A run whose cancel is noted if the guard holds, in the same transaction: whatever ends it from then on, recovery
    /// included, is written as `agent_cancelled` (SND-7), by [`Event::cancelled`].
    pub cancels: Option<Arc<str>>,
    /// The stream that is notified of the last notable event by a `thread_changed` event.
    pub announce: Option<StreamKey>,
}

impl Append {
    /// Appends events without any condition.
    pub fn events(key: StreamKey, events: Vec<Event>) -> Self {
        Self { key, events, once: None, after: None, guard: Guard::None, cancels: None, announce: None }
    }
}

/// Key, fingerprint and kind of a send, a cancel or an approval (SND-1, SND-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The user who sent it.
    pub subject: Arc<str>,
    /// The id the page chose.
    pub id: Arc<str>,
    /// Fingerprint of the body.
    pub hash: [u8; 32],
    /// When it arrived, in milliseconds since the Unix epoch. The log notes the time of its commit if that is later.
    pub at_ms: u64,
    /// Whether an agent has to take it up.
    pub dispatch: bool,
}

/// What must hold for an append to write its events; the answer is part of the [`Receipt`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// Nothing.
    #[default]
    None,
    /// The run is open. Otherwise the status is `AlreadyFinished` or `UnknownRun`.
    RunOpen(Arc<str>),
    /// The approval is open. Otherwise the status is `AlreadyResolved` or `UnknownApproval`.
    ApprovalOpen(Arc<str>),
}

/// The `thread_changed` event for the inbox: the last notable event of an append, if it has one.
pub(crate) fn announcement(append: &Append, commit: &Commit) -> Option<Event> {
    let Change::Appended { first, .. } = &commit.change else {
        return None;
    };
    let index = append.events.iter().rposition(Event::is_notable)?;
    let body = serde_json::json!({
        "type": "thread_changed",
        "time": crate::clock::now_ms(),
        "thread": append.key.name(),
        "head": first + index as u64,
    });
    Some(Event::raw(body.to_string()))
}

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The events are in the log.
    Accepted,
    /// The guard found the run over.
    AlreadyFinished,
    /// The guard found no such run.
    UnknownRun,
    /// The guard found the approval answered, or its run over.
    AlreadyResolved,
    /// The guard found no such approval.
    UnknownApproval,
}

impl Status {
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::AlreadyFinished => 1,
            Self::UnknownRun => 2,
            Self::AlreadyResolved => 3,
            Self::UnknownApproval => 4,
        }
    }

    pub(crate) fn from_code(code: i64) -> Self {
        match code {
            1 => Self::AlreadyFinished,
            2 => Self::UnknownRun,
            3 => Self::AlreadyResolved,
            4 => Self::UnknownApproval,
            _ => Self::Accepted,
        }
    }
}

/// What an append has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is durable, by this append or by an earlier one with the same key and body.
    Durable(Receipt),
    /// The key was used for another body; nothing was written.
    Conflict,
    /// The send that must come first is not in the log; nothing was written.
    TooEarly,
}

/// The place and the status of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// How it ended.
    pub status: Status,
    /// Position of the last event it wrote, or the head if it wrote none.
    pub position: Position,
    /// Whether an earlier append did it.
    pub repeated: bool,
}

/// The answer to an append, when it is durable.
#[derive(Debug)]
#[must_use = "an append is durable only when its ticket says so"]
pub struct Ticket(oneshot::Receiver<Result<Outcome, LogError>>);

impl Ticket {
    /// Makes a ticket and the end that redeems it.
    pub fn new() -> (oneshot::Sender<Result<Outcome, LogError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Waits for the commit.
    pub async fn durable(self) -> Result<Outcome, LogError> {
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

/// What a log knows of a stream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The current epoch.
    pub epoch: Arc<str>,
    /// How many epochs the stream has had, from 1.
    pub epoch_number: u64,
    /// The head at which the current epoch began: what is above it was written in this epoch. 0 for the first epoch.
    pub base: u64,
    /// The smallest offset that can be read.
    pub oldest: u64,
    /// The offset of the last event; 0 when there is none.
    pub head: u64,
    /// Runs that are open at `head`, in the order they started.
    pub open_runs: Vec<Arc<str>>,
    /// Whether the epoch began since this log was opened: then nothing of it can have been lost. A log that does not
    /// know says no.
    pub begun_here: bool,
}

/// A piece of a stream, read in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The epoch at the moment of reading.
    pub epoch_number: u64,
    /// The smallest offset that could be read then.
    pub oldest: u64,
    /// Offset of the first body: what was asked for, or `oldest` if that is above.
    pub first: u64,
    /// JSON texts of the events, without holes.
    pub bodies: Vec<Arc<str>>,
}

/// An accepted message that no run has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its place in the stream.
    pub offset: u64,
    /// The id its page chose.
    pub send_id: Arc<str>,
    /// Who sent it.
    pub subject: Arc<str>,
    /// The stored event.
    pub body: Arc<str>,
}

/// A stream that a former process left with something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The stream.
    pub key: StreamKey,
    /// Runs that nobody works on any more.
    pub open_runs: Vec<Arc<str>>,
    /// Whether messages wait to be claimed.
    pub has_pending: bool,
}

/// Keeps streams of events. What it calls durable survives the end of the process.
///
/// Appends to one stream keep the order in which `append` was first polled. All methods can be called at once from
/// many tasks.
pub trait Log: Send + Sync + fmt::Debug + 'static {
    /// Sets who is notified of commits; called once, before anything is appended.
    fn observe(&self, observer: Observer);

    /// Queues an append. Resolves when it has a place in the queue; the ticket says when it is durable.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Ticket, LogError>>;

    /// The state of a stream, which is created when it does not exist: its epoch is durable then.
    fn state<'a>(&'a self, key: &'a StreamKey) -> BoxFuture<'a, Result<StreamState, LogError>>;

    /// Reads events from `from` on: at most `max_events`, and at most `max_bytes` unless the first one alone is larger.
    fn read<'a>(
        &'a self,
        key: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>>;

    /// Begins a new epoch above the present head if `current` still is the epoch, and returns the state either way.
    fn new_epoch<'a>(
        &'a self,
        key: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<StreamState, LogError>>;

    /// Forgets the events up to `through`, or all if that is above the head. Returns the new `oldest`.
    fn trim<'a>(&'a self, key: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>>;

    /// Replaces the event at `offset` by `void`. Returns whether there was one.
    fn redact<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>>;

    /// The first message after `after` that is not claimed.
    fn pending<'a>(
        &'a self,
        key: &'a StreamKey,
        after: u64,
    ) -> BoxFuture<'a, Result<Option<Pending>, LogError>>;

    /// The run that asked for an approval; `None` when the approval is unknown.
    fn approval_run<'a>(
        &'a self,
        key: &'a StreamKey,
        approval: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<str>>, LogError>>;

    /// Notes that a message is claimed although no run names it.
    fn claim<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<(), LogError>>;

    /// Streams with open runs or messages that are not claimed: at most `max`, by key, after `after`.
    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Unfinished>, LogError>>;

    /// Forgets the keys of sends that became durable before `before_ms` and are claimed. Returns how many.
    fn forget_sends(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, LogError>>;

    /// Resolves when the log has done a round trip through its writer.
    fn check(&self) -> BoxFuture<'_, Result<(), LogError>>;
}
