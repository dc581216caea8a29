//! What is durable now: the head and the recent events of each watched stream, and who is to be woken.
//!
//! The hub learns of events by the log's observer alone, after their commit. Sessions read up to its head, so nothing
//! can be sent that is not durable (I13).

mod encoded;
mod recent;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::encoded::{Encoded, Shape};
pub(crate) use self::recent::CacheBounds;
use self::recent::Recent;
use crate::counters::{Counted, Counter, Handles};
use crate::journal::Journal;
use crate::log::{Change, Commit, Head, LogError, Page};
use crate::stream::StreamKey;

/// What is durable of the streams that sessions watch.
pub(crate) struct Hub {
    journal: Arc<Journal>,
    streams: Mutex<HashMap<StreamKey, Arc<Watched>>>,
    revocations: AtomicU64,
    cache: Arc<CacheBounds>,
    watches: Counter,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("streams", &self.streams.lock().len()).finish_non_exhaustive()
    }
}

/// A stream that at least one session watches.
pub(crate) struct Watched {
    key: StreamKey,
    now: Mutex<Now>,
    watchers: Mutex<Vec<Watcher>>,
}

/// What is durable of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) epoch: Arc<str>,
    pub(crate) epoch_number: u64,
    pub(crate) oldest: u64,
    pub(crate) head: u64,
}

struct Now {
    /// `None` until the first read of the log is in.
    durable: Option<Durable>,
    /// What commits noted before that.
    noted: Noted,
    /// The last events up to the head.
    recent: Recent,
}

/// A piece of a stream as a frame.
pub(crate) struct LiveFrame {
    /// The number of its epoch.
    pub(crate) epoch_number: u64,
    pub(crate) encoded: Encoded,
}

/// What commits have noted of a stream. Each part only grows, so it and a read of any moment can be put together.
#[derive(Default)]
struct Noted {
    epoch: Option<(u64, Arc<str>)>,
    oldest: u64,
    head: u64,
}

struct Watcher {
    id: u64,
    user: Arc<str>,
    right: Arc<Right>,
    wake: Arc<Notify>,
    signals: mpsc::Sender<Box<Signal>>,
}

/// The right to watch a stream, until it ends.
#[derive(Default)]
struct Right(AtomicU8);

impl Right {
    const HELD: u8 = 0;
    const WITHDRAWN: u8 = 1;
    const DELETED: u8 = 2;

    /// Ends it; what ended it first stays. Returns whether it was held.
    fn end(&self, why: u8) -> bool {
        self.0.compare_exchange(Self::HELD, why, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Something that is worth showing now or never (SIG-1).
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) key: StreamKey,
    pub(crate) from: Arc<str>,
    pub(crate) signal: Arc<RawValue>,
}

/// Watches a stream for one session; stops when dropped.
pub(crate) struct Watch {
    hub: Arc<Hub>,
    stream: Arc<Watched>,
    right: Arc<Right>,
    _counted: Counted,
}

/// The session that watches a stream.
pub(crate) struct Watching<'a> {
    pub(crate) session: u64,
    pub(crate) user: &'a Arc<str>,
    /// Notified after each commit, and when the right to the stream is withdrawn.
    pub(crate) wake: &'a Arc<Notify>,
    /// Gets what other sockets signal.
    pub(crate) signals: &'a mpsc::Sender<Box<Signal>>,
}

impl Hub {
    /// Begins to observe the log, for the journal, too.
    pub(crate) fn start(journal: Arc<Journal>, cache: CacheBounds) -> Arc<Self> {
        let hub = Arc::new(Self {
            journal: Arc::clone(&journal),
            streams: Mutex::default(),
            revocations: AtomicU64::new(0),
            cache: Arc::new(cache),
            watches: Counter::default(),
        });
        // The log owns its observer, so the observer must not keep the log alive.
        let (observed, watched) = (Arc::downgrade(&journal), Arc::downgrade(&hub));
        journal.log().observe(Arc::new(move |commit| {
            if let Some(journal) = observed.upgrade() {
                journal.on_commit(commit);
            }
            if let Some(hub) = watched.upgrade() {
                hub.on_commit(commit);
            }
        }));
        hub
    }

    /// Watches a stream for a session.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        key: &StreamKey,
        watching: Watching<'_>,
    ) -> Result<Watch, LogError> {
        let right = Arc::<Right>::default();
        let session = watching.session;
        let stream = {
            let mut streams = self.streams.lock();
            let stream = streams.entry(key.clone()).or_insert_with(|| {
                Arc::new(Watched {
                    key: key.clone(),
                    now: Mutex::new(Now::new(Arc::clone(&self.cache))),
                    watchers: Mutex::default(),
                })
            });
            stream.watchers.lock().push(Watcher {
                id: session,
                user: Arc::clone(watching.user),
                right: Arc::clone(&right),
                wake: Arc::clone(watching.wake),
                signals: watching.signals.clone(),
            });
            Arc::clone(stream)
        };
        let watch = Watch { hub: Arc::clone(self), stream, right, _counted: self.watches.count() };
        let is_known = watch.stream.now.lock().durable.is_some();
        if !is_known {
            let state = self.journal.state(key).await?;
            watch.stream.now.lock().install(state.head);
        }
        Ok(watch)
    }

    /// Counts the streams that sessions watch.
    pub(crate) fn watches(&self) -> Handles {
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        self.watches.handles(streams.iter().map(|stream| stream.watchers.lock().len()).sum())
    }

    /// Withdraws the right of a user to a stream from every watch there is; returns how many lost it now.
    pub(crate) fn revoke(&self, user: &str, key: &StreamKey) -> usize {
        // Before the watches are looked at: one that is added meanwhile finds that its right was checked too early.
        self.revocations.fetch_add(1, Ordering::SeqCst);
        let Some(stream) = self.streams.lock().get(key).cloned() else { return 0 };
        let mut revoked = 0;
        for watcher in stream.watchers.lock().iter().filter(|watcher| *watcher.user == *user) {
            if watcher.right.end(Right::WITHDRAWN) {
                revoked += 1;
                watcher.wake.notify_one();
            }
        }
        revoked
    }

    /// Ends every watch of a stream that is deleted.
    pub(crate) fn delete(&self, key: &StreamKey) {
        let Some(stream) = self.streams.lock().get(key).cloned() else { return };
        for watcher in stream.watchers.lock().iter() {
            if watcher.right.end(Right::DELETED) {
                watcher.wake.notify_one();
            }
        }
    }

    /// How often rights were withdrawn: a right that was checked at another count may be one of them.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Reads durable events of a watched stream from `from` on, from memory if they are recent.
    pub(crate) async fn read(
        &self,
        watch: &Watch,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        if let Some(page) = watch.recent(from, max_events, max_bytes) {
            return Ok(page);
        }
        // In a box: most of what is sent is recent, and each session would have room for this in its task.
        Box::pin(self.journal.read(&watch.stream.key, from, max_events, max_bytes)).await
    }

    /// Hands a signal to the other sessions that watch the stream. A session that is behind misses it.
    pub(crate) fn signal(&self, session: u64, signal: &Signal) {
        let stream = self.streams.lock().get(&signal.key).cloned();
        if let Some(stream) = stream {
            for watcher in stream.watchers.lock().iter().filter(|watcher| watcher.id != session) {
                let _ = watcher.signals.try_send(Box::new(signal.clone()));
            }
        }
    }

    fn on_commit(&self, commit: &Commit) {
        let stream = self.streams.lock().get(&commit.stream).cloned();
        let Some(stream) = stream else { return };
        stream.now.lock().apply(&commit.change);
        for watcher in stream.watchers.lock().iter() {
            watcher.wake.notify_one();
        }
    }
}

impl Now {
    fn new(cache: Arc<CacheBounds>) -> Self {
        Self { durable: None, noted: Noted::default(), recent: Recent::new(cache) }
    }

    /// Takes a first read of the log. Several can be under way; commits may have overtaken each of them.
    fn install(&mut self, head: Head) {
        if self.durable.is_some() {
            return;
        }
        let noted = std::mem::take(&mut self.noted);
        let read = (head.epoch_number, head.epoch);
        let (epoch_number, epoch) = noted.epoch.filter(|(number, _)| *number > read.0).unwrap_or(read);
        self.durable = Some(Durable {
            epoch,
            epoch_number,
            oldest: head.oldest.max(noted.oldest),
            head: head.offset.max(noted.head),
        });
    }

    fn apply(&mut self, change: &Change) {
        let Some(durable) = &mut self.durable else {
            self.noted.note(change);
            return;
        };
        match change {
            Change::Appended(record) => {
                let last = record.head();
                if last <= durable.head {
                    return;
                }
                if record.first > durable.head + 1 {
                    // A log notified of its commits out of order: it has what lies between.
                    self.recent.clear();
                }
                let known = (durable.head + 1).saturating_sub(record.first);
                self.recent.extend(record.events.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)));
                durable.head = last;
            }
            Change::NewEpoch { epoch, number } => {
                if *number > durable.epoch_number {
                    durable.epoch = Arc::clone(epoch);
                    durable.epoch_number = *number;
                }
            }
            Change::Trimmed { oldest } => durable.oldest = durable.oldest.max(*oldest),
            Change::Redacted { .. } => self.recent.clear(),
        }
    }
}

impl Noted {
    fn note(&mut self, change: &Change) {
        match change {
            Change::Appended(record) => self.head = self.head.max(record.head()),
            Change::NewEpoch { epoch, number } => {
                if self.epoch.as_ref().is_none_or(|(noted, _)| number > noted) {
                    self.epoch = Some((*number, Arc::clone(epoch)));
                }
            }
            Change::Trimmed { oldest } => self.oldest = self.oldest.max(*oldest),
            // Nothing is kept in memory yet.
            Change::Redacted { .. } => {}
        }
    }
}

impl Watch {
    /// Why the watch is over, if it is: the reason for the page (SUB-11).
    pub(crate) fn ended(&self) -> Option<&'static str> {
        match self.right.0.load(Ordering::SeqCst) {
            Right::HELD => None,
            Right::DELETED => Some("deleted"),
            _ => Some("forbidden"),
        }
    }

    /// What is durable now.
    pub(crate) fn durable(&self) -> Durable {
        let now = self.stream.now.lock();
        now.durable.clone().expect("`Store::watch` returns a watch when this is known, and it stays so")
    }

    /// The next frame of the events from `from` on, if other sessions may send the same, memory has all of them, and they
    /// are as many as asked for at the most.
    pub(crate) fn live_frame(
        &self,
        shape: Shape,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<LiveFrame> {
        // The hub has one, and each session that watches.
        let is_shared = Arc::strong_count(&self.stream) > 2;
        let mut now = self.stream.now.lock();
        let Now { durable, recent, .. } = &mut *now;
        let durable = durable.as_ref().filter(|_| is_shared)?;
        let first = durable.head + 1 - recent.len() as u64;
        let skip = usize::try_from(from.checked_sub(first).filter(|_| from >= durable.oldest)?).ok()?;
        let encoded = recent.frame(skip, (shape, from), max_events, max_bytes)?;
        Some(LiveFrame { epoch_number: durable.epoch_number, encoded })
    }

    /// The events from `from` on if memory has them.
    fn recent(&self, from: u64, max_events: usize, max_bytes: usize) -> Option<Page> {
        let now = self.stream.now.lock();
        let durable = now.durable.as_ref()?;
        let first = durable.head + 1 - now.recent.len() as u64;
        if from < first.max(durable.oldest) || from > durable.head {
            return None;
        }
        let skip = usize::try_from(from - first).ok()?;
        let bodies = now.recent.page(skip, max_events, max_bytes);
        Some(Page { epoch_number: durable.epoch_number, oldest: durable.oldest, first: from, bodies })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut streams = self.hub.streams.lock();
        let mut watchers = self.stream.watchers.lock();
        if let Some(at) = watchers.iter().position(|one| Arc::ptr_eq(&one.right, &self.right)) {
            watchers.swap_remove(at);
        }
        if watchers.is_empty()
            && streams.get(&self.stream.key).is_some_and(|stream| Arc::ptr_eq(stream, &self.stream))
        {
            streams.remove(&self.stream.key);
        }
    }
}
