//! Writes to streams: decides on the ledger what may be written, and puts it into records.
//!
//! Each stream has one writer at a time and one record under way. What is queued meanwhile shares the next record, so
//! that many writes share one commit. A record that another process preempted is decided again on the ledger as it is
//! then.

mod queued;
mod store;
mod stream;
mod writer;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

#[cfg(test)]
mod tests;

use self::queued::Queued;
pub(crate) use self::queued::Ticket;
use self::store::{Follower, Store};
pub(crate) use self::stream::StreamState;
use self::stream::{State, Stream};
use crate::ledger::draft::{Append, Outcome, Precondition};
use crate::ledger::{Fate, Ledger, RunSignals, Waiting};
use crate::log::{Change, Commit, Fact, Head, Log, LogError, Page, Terms};
use crate::stream::{Position, StreamKey};
use crate::tasks::Tasks;

/// Bytes of events that may be queued or under way, over all streams.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 << 20;

/// Streams whose ledgers are kept in memory while nothing is written to them.
const MAX_STREAMS: usize = 4_096;

/// Writes to all streams of one log.
pub(crate) struct Journal {
    store: Arc<Store>,
    tasks: Tasks,
    streams: Mutex<HashMap<StreamKey, Arc<Stream>>>,
    /// Room for what is queued, in bytes.
    room: Arc<Semaphore>,
}

/// A message that no run has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Its place in the stream.
    pub(crate) offset: u64,
    /// The id its page chose.
    pub(crate) send_id: Arc<str>,
    /// Who sent it.
    pub(crate) subject: Arc<str>,
    /// The place of its text, if that was edited.
    pub(crate) edited: Option<u64>,
    /// The stored event, or the one that edited it last.
    pub(crate) body: Arc<str>,
}

impl Journal {
    pub(crate) fn new(log: Arc<dyn Log>, tasks: Tasks, horizon: Duration, timeout: Duration) -> Self {
        Self {
            store: Arc::new(Store { log, follower: OnceLock::new(), horizon, timeout }),
            tasks,
            streams: Mutex::default(),
            room: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
        }
    }

    /// Sets what follows records. Called once, before anything is written.
    pub(crate) fn follow(&self, follower: Follower) {
        assert!(self.store.follower.set(follower).is_ok(), "`follow` is called once");
    }

    /// The log, past the ledgers.
    pub(crate) fn log(&self) -> &dyn Log {
        &*self.store.log
    }

    /// Queues an append. Resolves when it has a place in the queue; the ticket says when it is durable.
    pub(crate) async fn append(self: &Arc<Self>, append: Append) -> Result<Ticket, LogError> {
        let stream = self.stream(&append.stream);
        let bytes = u32::try_from(append.bytes().clamp(1, MAX_QUEUED_BYTES)).unwrap_or(u32::MAX);
        let closed = |_| LogError::Closed;
        let room = [
            Arc::clone(&stream.room).acquire_owned().await.map_err(closed)?,
            Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(closed)?,
        ];
        let (queued, ticket) = Queued::new(append, room);
        if stream.push(queued) {
            self.tasks.spawn(writer::run(Arc::clone(&self.store), stream));
        }
        Ok(ticket)
    }

    /// Reads durable events.
    pub(crate) async fn read(
        &self,
        key: &StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        self.store.within(self.store.log.read(key, from, max_events, max_bytes)).await
    }

    /// Where a stream stands, with its open runs. Writes nothing.
    pub(crate) async fn state(&self, key: &StreamKey) -> Result<StreamState, LogError> {
        self.with(key, |state| state.public()).await
    }

    /// As [`Journal::state`], past what is known already.
    pub(crate) async fn read_state_again(&self, key: &StreamKey) -> Result<StreamState, LogError> {
        self.stream(key).forget();
        self.state(key).await
    }

    /// The next message that waits for a run of its own, and is not one of `passed`.
    pub(crate) async fn next_pending(
        &self,
        key: &StreamKey,
        passed: &BTreeSet<u64>,
    ) -> Result<Option<Pending>, LogError> {
        let mut passed = passed.clone();
        loop {
            let next = |state: &State| {
                state.ledger.next_waiting(&passed).map(|(offset, waiting)| (offset, waiting.clone()))
            };
            let Some((offset, waiting)) = self.with(key, next).await? else { return Ok(None) };
            if let Some(pending) = self.pending(key, offset, waiting).await? {
                return Ok(Some(pending));
            }
            // Its text is gone; those after it can be answered.
            passed.insert(offset);
        }
    }

    /// The next message that is for a run, if there is one; `None` if the run is not open.
    pub(crate) async fn next_steering(
        &self,
        key: &StreamKey,
        run: &str,
    ) -> Result<Option<Option<Pending>>, LogError> {
        let own = |(offset, waiting): (u64, &Waiting)| (offset, waiting.clone());
        let next = |state: &State| state.ledger.next_steering(run).map(|next| next.map(own));
        let Some(next) = self.with(key, next).await? else { return Ok(None) };
        let Some((offset, waiting)) = next else { return Ok(Some(None)) };
        self.pending(key, offset, waiting).await.map(Some)
    }

    /// Whether nothing was written to a stream yet.
    pub(crate) async fn is_new(&self, key: &StreamKey) -> Result<bool, LogError> {
        self.with(key, |state| state.head.seq == 0).await
    }

    /// Whether a message waits.
    pub(crate) async fn is_waiting(&self, key: &StreamKey, offset: u64) -> Result<bool, LogError> {
        self.with(key, |state| state.ledger.is_waiting(offset)).await
    }

    /// What the agent of a run is to know; `None` if there is no such run.
    pub(crate) async fn run_signals(
        &self,
        key: &StreamKey,
        run: &str,
    ) -> Result<Option<RunSignals>, LogError> {
        self.with(key, |state| state.ledger.signals(run)).await
    }

    /// Where a stream stands, and the first place that an open run or a message that waits still needs.
    pub(crate) async fn needed(&self, key: &StreamKey) -> Result<(Head, Option<u64>), LogError> {
        self.with(key, |state| (state.head.clone(), state.ledger.first_needed())).await
    }

    /// Whether the agent of another process works on a message of a stream.
    pub(crate) async fn is_answered_outside(&self, key: &StreamKey) -> Result<bool, LogError> {
        self.with(key, |state| state.ledger.is_answered_outside()).await
    }

    /// What became of the message at a place that an agent was given.
    pub(crate) async fn fate(&self, key: &StreamKey, offset: u64) -> Result<Fate, LogError> {
        self.with(key, |state| state.ledger.fate(offset)).await
    }

    /// The last number of a producer, and its place.
    pub(crate) async fn produced(
        &self,
        key: &StreamKey,
        producer: &str,
    ) -> Result<Option<(u64, Position)>, LogError> {
        self.with(key, |state| state.ledger.produced(producer)).await
    }

    /// Runs that are open, in the order they started, and their leases.
    pub(crate) async fn open_runs(&self, key: &StreamKey) -> Result<Vec<(Arc<str>, Option<u64>)>, LogError> {
        let leased = |ledger: &Ledger| -> Vec<_> {
            ledger.open_runs().map(|run| (Arc::clone(run), ledger.lease_ms(run))).collect()
        };
        self.with(key, |state| leased(&state.ledger)).await
    }

    /// A message with its text; `None` when that was trimmed.
    pub(crate) async fn pending(
        &self,
        key: &StreamKey,
        offset: u64,
        waiting: Waiting,
    ) -> Result<Option<Pending>, LogError> {
        let Waiting { send_id, subject, edited, .. } = waiting;
        let at = edited.unwrap_or(offset);
        let mut page = self.read(key, at, 1, usize::MAX).await?;
        if page.first > at {
            return Ok(None);
        }
        let Some(body) = page.bodies.pop() else {
            // An error, so that the caller looks again: no commit will tell it to.
            return Err(LogError::Unavailable(format!("event {at} of {key} cannot be read yet")));
        };
        Ok(Some(Pending { offset, send_id, subject, edited, body }))
    }

    /// What an answer to an approval is bound to, if the approval is open.
    pub(crate) async fn terms(
        &self,
        key: &StreamKey,
        run: &Arc<str>,
        approval: &Arc<str>,
    ) -> Result<Option<Terms>, LogError> {
        self.with(key, |state| state.ledger.terms(run, approval).cloned()).await
    }

    /// The open approval of a stream that expires first: when, its run and its id.
    pub(crate) async fn next_expiry(
        &self,
        key: &StreamKey,
    ) -> Result<Option<(u64, Arc<str>, Arc<str>)>, LogError> {
        let own = |(at_ms, run, approval): (u64, &Arc<str>, &Arc<str>)| {
            (at_ms, Arc::clone(run), Arc::clone(approval))
        };
        self.with(key, |state| state.ledger.next_expiry().map(own)).await
    }

    /// The last place of a stream that inboxes do not know yet.
    pub(crate) async fn unannounced(&self, key: &StreamKey) -> Result<Option<u64>, LogError> {
        self.with(key, |state| state.ledger.unannounced()).await
    }

    /// Writes that a message waits no more.
    pub(crate) async fn claim(self: &Arc<Self>, key: &StreamKey, offset: u64) -> Result<(), LogError> {
        self.append(Append::fact(key.clone(), Fact::Claimed { offset })).await?.durable().await.map(drop)
    }

    /// The same for one that was handled, unless it has another text by now. Returns whether it is claimed.
    pub(crate) async fn claim_handled(
        self: &Arc<Self>,
        key: &StreamKey,
        offset: u64,
        edited: Option<u64>,
    ) -> Result<bool, LogError> {
        let precondition = Precondition::SameText { offset, edited };
        let append = Append { precondition, ..Append::fact(key.clone(), Fact::Claimed { offset }) };
        let outcome = self.append(append).await?.durable().await?;
        Ok(!matches!(outcome, Outcome::Refused(_)))
    }

    /// Forgets the events up to `through`. Returns the new `oldest`.
    pub(crate) async fn trim(self: &Arc<Self>, key: &StreamKey, through: u64) -> Result<u64, LogError> {
        let (oldest, head) = self.with(key, |state| (state.head.oldest, state.head.offset)).await?;
        let through = through.min(head);
        if through < oldest {
            return Ok(oldest);
        }
        self.append(Append::fact(key.clone(), Fact::Trimmed { through })).await?.durable().await?;
        // What the events below did stays known.
        let snapshot = self.with(key, |state| state.snapshot()).await?;
        self.store.within(self.store.log.put_snapshot(key, snapshot)).await?;
        self.store.within(self.store.log.trim(key, through)).await
    }

    /// Replaces an event by `void`. Returns whether there was one.
    pub(crate) async fn redact(self: &Arc<Self>, key: &StreamKey, offset: u64) -> Result<bool, LogError> {
        let head = self.with(key, |state| state.head.clone()).await?;
        if !(head.oldest..=head.offset).contains(&offset) {
            return Ok(false);
        }
        // First, so that no agent gets what is about to go. The text of a message can be that of its edit.
        let message = self.with(key, |state| state.ledger.message_with_text(offset)).await?;
        self.claim(key, message.unwrap_or(offset)).await?;
        self.store.within(self.store.log.redact(key, offset)).await
    }

    /// Begins a new epoch if `current` still is the epoch.
    pub(crate) async fn new_epoch(&self, key: &StreamKey, current: &str) -> Result<Head, LogError> {
        let stream = self.stream(key);
        let _change = stream.changes.lock().await;
        let begun = self.store.within(self.store.log.new_epoch(key, current)).await;
        // It can have begun although the answer is lost.
        stream.forget();
        begun
    }

    /// Streams with open work: at most `max`, by key, after `after`.
    pub(crate) async fn unfinished(
        &self,
        after: Option<&StreamKey>,
        max: usize,
    ) -> Result<Vec<StreamKey>, LogError> {
        self.store.within(self.store.log.unfinished(after, max)).await
    }

    /// Something has become durable, whoever wrote it.
    pub(crate) fn on_commit(&self, commit: &Commit) {
        let stream = self.streams.lock().get(&commit.stream).cloned();
        let Some(stream) = stream else { return };
        stream.on_commit(&commit.change, self.store.horizon);
        if let Change::Appended(record) = &commit.change {
            self.store.follow_given(&stream, record);
        }
    }

    /// Looks at the state of a stream, which is loaded if need be.
    async fn with<T>(&self, key: &StreamKey, look: impl Fn(&State) -> T) -> Result<T, LogError> {
        let stream = self.stream(key);
        loop {
            if let Some(seen) = stream.look(&look) {
                return Ok(seen);
            }
            writer::load(&self.store, &stream).await?;
        }
    }

    fn stream(&self, key: &StreamKey) -> Arc<Stream> {
        let mut streams = self.streams.lock();
        if let Some(stream) = streams.get(key) {
            return Arc::clone(stream);
        }
        if streams.len() >= MAX_STREAMS {
            // Those that are in use stay: two of one key would not know of each other.
            let mut idle: Vec<_> = streams.values().filter(|stream| Arc::strong_count(stream) == 1).collect();
            idle.sort_by_cached_key(|stream| stream.used());
            let old: Vec<_> = idle.iter().take(MAX_STREAMS / 4).map(|stream| stream.key.clone()).collect();
            for key in old {
                streams.remove(&key);
            }
        }
        let stream = Arc::new(Stream::new(key.clone()));
        streams.insert(key.clone(), Arc::clone(&stream));
        stream
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("log", &self.store.log).finish_non_exhaustive()
    }
}
