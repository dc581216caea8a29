//! One stream in memory: what is queued for it, and what its records have come to.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::queued::Queued;
use crate::ledger::Ledger;
use crate::ledger::draft::SendId;
use crate::log::{Change, Head, Record, Snapshot};
use crate::stream::StreamKey;

/// Appends of one stream that may be queued; one more waits for room.
const MAX_QUEUED: usize = 1_024;

/// Most appends of one record.
const MAX_BATCH: usize = 256;

/// Bytes of events at which a record takes no further append.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Records that may become durable after an error; the oldest one is forgotten.
const MAX_GIVEN: usize = 1_024;

/// Sends of a stream that are known to have been refused for good; the oldest one is forgotten.
const MAX_REFUSED: usize = 1_024;

/// Fewest records between two snapshots.
const SNAPSHOT_EVERY: usize = 512;

pub(super) struct Stream {
    pub(super) key: StreamKey,
    /// Room for what is queued, in appends.
    pub(super) room: Arc<Semaphore>,
    /// Held while the log is given a record or a new epoch, so that an answer names the epoch that its record is in.
    pub(super) changes: tokio::sync::Mutex<()>,
    queue: Mutex<Queue>,
    /// Sends that were refused for good, and have no answer in the ledger. What follows one of them waits for nothing.
    refused: Mutex<VecDeque<SendId>>,
    slot: Mutex<Slot>,
    /// When it was used last, by a count of all uses.
    used: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Queued>,
    /// Whether a writer is at work.
    is_written: bool,
}

#[derive(Default)]
struct Slot {
    /// `None` while it is not known what the log has.
    state: Option<State>,
    /// Counts the commits that came while nothing was known, and how often a state was forgotten.
    missed: u64,
    /// Records that the log was given and has not called durable. After an error they may become so.
    given: VecDeque<Given>,
}

/// A record by its number and a hash: while the log fails, many are given to it.
struct Given {
    seq: u64,
    hash: u64,
}

impl Given {
    fn new(record: &Record) -> Self {
        let mut hasher = DefaultHasher::new();
        record.hash(&mut hasher);
        Self { seq: record.seq, hash: hasher.finish() }
    }
}

/// A stream as it is after its last durable record.
pub(super) struct State {
    pub(super) head: Head,
    pub(super) ledger: Ledger,
    /// The record of the newest snapshot.
    pub(super) snapshot_seq: u64,
}

/// Where a stream stands, and its open runs at that place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamState {
    /// The head.
    pub(crate) head: Head,
    /// Runs that are open at the head, in the order they started.
    pub(crate) open_runs: Vec<Arc<str>>,
}

static USES: AtomicU64 = AtomicU64::new(0);

impl Stream {
    pub(super) fn new(key: StreamKey) -> Self {
        Self {
            key,
            room: Arc::new(Semaphore::new(MAX_QUEUED)),
            changes: tokio::sync::Mutex::default(),
            queue: Mutex::default(),
            refused: Mutex::default(),
            slot: Mutex::default(),
            used: AtomicU64::new(USES.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// When it was used last; those of which a record may still become durable come after all others.
    pub(super) fn used(&self) -> (bool, u64) {
        (!self.slot.lock().given.is_empty(), self.used.load(Ordering::Relaxed))
    }

    /// Queues an append. Returns whether a writer has to be started for it.
    pub(super) fn push(&self, queued: Queued) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(queued);
        !std::mem::replace(&mut queue.is_written, true)
    }

    /// What shares the next record. When there is nothing, the writer ends with this call.
    pub(super) fn next_batch(&self) -> Vec<Queued> {
        let mut queue = self.queue.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < MAX_BATCH
            && let Some(next) = queue.waiting.front()
        {
            bytes += next.append.bytes();
            if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(queue.waiting.pop_front());
        }
        queue.is_written = !batch.is_empty();
        batch
    }

    /// Sends that were refused for good.
    pub(super) fn refused(&self) -> Vec<SendId> {
        self.refused.lock().iter().cloned().collect()
    }

    /// Notes what was refused for good, before its answer goes out.
    pub(super) fn note_refused(&self, more: Vec<SendId>) {
        let mut refused = self.refused.lock();
        refused.extend(more);
        let excess = refused.len().saturating_sub(MAX_REFUSED);
        refused.drain(..excess);
    }

    /// Looks at the state, if it is known.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Option<T> {
        self.used.store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.slot.lock().state.as_ref().map(look)
    }

    /// How often what is read now may have become old.
    pub(super) fn missed(&self) -> u64 {
        self.slot.lock().missed
    }

    /// Takes a state that was read when `missed` commits had been missed. Returns whether it is current.
    pub(super) fn install(&self, state: State, missed: u64) -> bool {
        let mut slot = self.slot.lock();
        let is_current = slot.missed == missed;
        if is_current && slot.state.is_none() {
            slot.state = Some(state);
        }
        is_current
    }

    /// The log has something else than was thought: it is read again. A read that began before is not taken.
    pub(super) fn forget(&self) {
        let mut slot = self.slot.lock();
        slot.state = None;
        slot.missed += 1;
    }

    /// Notes that the log is given a record.
    pub(super) fn give(&self, record: &Record) {
        let given = &mut self.slot.lock().given;
        if given.len() >= MAX_GIVEN {
            given.pop_front();
        }
        given.push_back(Given::new(record));
    }

    /// A record is durable: whether it is one of this process, and this was not said before. No other record of its
    /// number or below can become durable any more.
    pub(super) fn take_given(&self, record: &Record) -> bool {
        let given = &mut self.slot.lock().given;
        if given.is_empty() {
            return false;
        }
        let hash = Given::new(record).hash;
        let is_given = given.iter().any(|one| one.seq == record.seq && one.hash == hash);
        given.retain(|one| one.seq > record.seq);
        is_given
    }

    pub(super) fn on_commit(&self, change: &Change, horizon: Duration) {
        let mut slot = self.slot.lock();
        let Some(state) = &mut slot.state else {
            slot.missed += 1;
            return;
        };
        match change {
            Change::Appended(record) if record.seq > state.head.seq + 1 => {
                slot.state = None;
                slot.missed += 1;
            }
            Change::Appended(record) => state.apply(record, horizon),
            Change::NewEpoch { epoch, number } => {
                if *number > state.head.epoch_number {
                    state.head.epoch = Arc::clone(epoch);
                    state.head.epoch_number = *number;
                    state.head.base = state.head.offset;
                }
            }
            Change::Trimmed { oldest } => state.head.oldest = state.head.oldest.max(*oldest),
            Change::Redacted { .. } => {}
        }
    }

    /// Notes that a snapshot was kept.
    pub(super) fn snapshot_kept(&self, seq: u64) {
        if let Some(state) = &mut self.slot.lock().state {
            state.snapshot_seq = state.snapshot_seq.max(seq);
        }
    }
}

impl State {
    /// Folds a record, unless it was folded before.
    fn apply(&mut self, record: &Record, horizon: Duration) {
        if record.seq == self.head.seq + 1 {
            self.ledger.apply(record, horizon);
            self.head.seq = record.seq;
            self.head.offset = record.head();
        }
    }

    pub(super) fn public(&self) -> StreamState {
        StreamState { head: self.head.clone(), open_runs: self.ledger.open_runs().cloned().collect() }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let ledger = serde_json::to_string(&self.ledger).expect("a ledger has text keys only");
        Snapshot { seq: self.head.seq, offset: self.head.offset, ledger: ledger.into() }
    }

    /// A snapshot, when it is time for one: the larger the ledger, the rarer.
    pub(super) fn due_snapshot(&self) -> Option<Snapshot> {
        let records = self.head.seq - self.snapshot_seq;
        (records >= SNAPSHOT_EVERY.max(self.ledger.len()) as u64).then(|| self.snapshot())
    }
}
