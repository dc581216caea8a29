//! Where streams are kept: the contract of an event log, and the logs that come with the bridge.
//!
//! An event log stores [`Record`]s, in order and per stream. It knows nothing of runs, sends or approvals: these are
//! [`Fact`]s in the records, and the bridge folds them into a ledger. The only condition that a log checks is the
//! number of the last record, in [`Log::append`].
//!
//! A log is the only judge of what is durable. It calls its [`Observer`] after a commit, in the order of the commits
//! of a stream, and before it answers the writer. Pages are sent only what an observer was notified of, or what a read
//! returned.
//!
//! The suite `testing` (feature `testing`) checks an implementation.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::stream::StreamKey;

#[cfg(any(test, feature = "faults"))]
pub(crate) mod forward;
mod incarnation;
mod memory;
mod record;
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use incarnation::Incarnation;
pub use memory::MemoryLog;
pub use record::{
    Fact, IdempotencyKey, Origin, Record, Resolution, Status, Terms, facts_to_json, join, split,
};
pub use sqlite::{OpenError, SqliteLog};

/// What stands in the place of an event that was redacted (EVT-7).
pub const VOID: &str = r#"{"type":"void"}"#;

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The storage failed, or did not answer in time. The call may be retried; a failed append may be durable.
    #[error("the log cannot be used now: {0}")]
    Unavailable(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// What is called after each commit, on the log's own thread: it must be quick and must not call the log.
pub type Observer = Arc<dyn Fn(&Commit) + Send + Sync>;

/// Something that has become durable. As JSON it is a line for a log of lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// The stream it happened to.
    pub stream: StreamKey,
    /// What happened.
    pub change: Change,
}

/// What happened to a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Change {
    /// A record was appended.
    Appended(Arc<Record>),
    /// The stream has a new epoch; its events stay.
    NewEpoch {
        /// The new epoch.
        epoch: Arc<str>,
        /// How many epochs the stream has had, from 1.
        number: u64,
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

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// The record is durable.
    Appended,
    /// Nothing was written: another record came first.
    Stale {
        /// The number of the last record.
        seq: u64,
    },
}

/// Where a stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The current epoch: 1 to 64 bytes, of letters, digits, `-` and `_`.
    pub epoch: Arc<str>,
    /// How many epochs the stream has had, from 1.
    pub epoch_number: u64,
    /// The offset of the last event when the current epoch began: what is above it was written in this epoch. 0 for the
    /// first epoch.
    pub base: u64,
    /// The smallest offset that can be read.
    pub oldest: u64,
    /// The offset of the last event; 0 when there is none.
    pub offset: u64,
    /// The number of the last record; 0 when there is none.
    pub seq: u64,
}

/// A piece of a stream, read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The number of the epoch at that moment.
    pub epoch_number: u64,
    /// The smallest offset that could be read then.
    pub oldest: u64,
    /// Offset of the first body: what was asked for, or `oldest` if that is above.
    pub first: u64,
    /// JSON texts of the events, without holes.
    pub bodies: Vec<Arc<str>>,
}

/// What a ledger has come to at a record, so that the records up to it need not be folded again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of the record.
    pub seq: u64,
    /// The offset of the last event at that record.
    pub offset: u64,
    /// The ledger as JSON. A log does not look at it.
    pub ledger: Arc<str>,
}

/// Keeps streams of records. What it calls durable survives the end of the process.
///
/// All methods can be called at once from many tasks. Reading writes nothing: the stream of a name that
/// was only asked for is not kept. A record that an answer or the observer has called durable can be read from then on:
/// a log with replicas reads where it wrote.
///
/// A log that knows that it lost something, such as one that was put back from a backup, gets a new id
/// ([`Incarnation`]) and begins a new epoch of every stream before anything else is written.
pub trait Log: Send + Sync + fmt::Debug + 'static {
    /// Sets who is notified of commits; called once, before anything is appended.
    fn observe(&self, observer: Observer);

    /// Appends a record if the last one of the stream has the number `expected`, which is `record.seq - 1`.
    /// `record.first` is the offset of the head plus 1; a log that checks it answers [`LogError::Unavailable`].
    ///
    /// Resolves when the record is durable. After an error it may be durable, or become so later; once a read has said
    /// that the record is there, or an append has taken its number, that stays so. The bridge has one append of a stream
    /// under way; of several, the condition decides.
    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>>;

    /// Where a stream stands. One that was never written is at offset 0, in the epoch that its first record gets.
    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>>;

    /// Reads events from `from` on: at most `max_events`, and at most `max_bytes` unless the first one alone is larger.
    /// The body of an event that was redacted is [`VOID`].
    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>>;

    /// Reads at most `max` records with numbers above `after`, without holes. `after` is 0 or at least the number of the
    /// snapshot: older records may be gone.
    fn records<'a>(
        &'a self,
        stream: &'a StreamKey,
        after: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>>;

    /// The newest snapshot of a stream.
    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>>;

    /// Keeps a snapshot in place of the one before it, unless that one is newer.
    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamKey,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), LogError>>;

    /// Forgets the events up to `through`, or all if that is above the head. Returns the new `oldest`. No method returns
    /// their texts any more; the docs of a log say when they are gone from its disk.
    ///
    /// Records that the newest snapshot does not cover keep their numbers and facts.
    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>>;

    /// Replaces the event at `offset` by [`VOID`]. Returns whether there was one.
    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>>;

    /// Begins a new epoch above the present head if `current` still is the epoch, and returns the head either way.
    fn new_epoch<'a>(
        &'a self,
        stream: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<Head, LogError>>;

    /// Streams whose last record is open ([`Record::is_open`]): at most `max`, by key, after `after`.
    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>>;

    /// Streams that something was written to: at most `max`, by key, after `after`.
    fn streams<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>>;

    /// A random secret that is kept with the log: the key of its seals (SUB-6). The same after a restart, and for every
    /// process that uses the log.
    fn secret(&self) -> [u8; 32];

    /// Checks that the log can be written and read.
    fn check(&self) -> BoxFuture<'_, Result<(), LogError>>;
}

/// The first bodies that fit, and one at the least.
pub fn take(
    bodies: impl IntoIterator<Item = Arc<str>>,
    max_events: usize,
    max_bytes: usize,
) -> Vec<Arc<str>> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for body in bodies.into_iter().take(max_events) {
        bytes += body.len();
        if bytes > max_bytes && !taken.is_empty() {
            break;
        }
        taken.push(body);
    }
    taken
}
