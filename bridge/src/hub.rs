//! What is durable now: the head and the recent events of each watched stream, and who is to be woken.
//!
//! The hub learns of events by the log's observer alone, after their commit. Sessions read up to its head, so nothing
//! can be sent that is not durable (I13).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc};

#[cfg(feature = "faults")]
use crate::faults::Sabotage;
use crate::log::{Append, Change, Commit, Log, LogError, Page, StreamState, Ticket};
use crate::stream::StreamKey;

/// The log and the hub that watches it.
pub(crate) struct Store {
    log: Arc<dyn Log>,
    hub: Arc<Hub>,
    #[cfg(feature = "faults")]
    pub(crate) sabotage: Option<Sabotage>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("log", &self.log).finish_non_exhaustive()
    }
}

struct Hub {
    streams: Mutex<HashMap<StreamKey, Arc<Watched>>>,
    revocations: AtomicU64,
    cache_events: usize,
    cache_bytes: usize,
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
    recent: VecDeque<Arc<str>>,
    recent_bytes: usize,
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
    is_revoked: Arc<AtomicBool>,
    wake: Arc<Notify>,
    signals: mpsc::Sender<Signal>,
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
    is_revoked: Arc<AtomicBool>,
}

/// The session that watches a stream.
pub(crate) struct Watching<'a> {
    pub(crate) session: u64,
    pub(crate) user: &'a Arc<str>,
    /// Notified after each commit, and when the right to the stream is withdrawn.
    pub(crate) wake: &'a Arc<Notify>,
    /// Gets what other sockets signal.
    pub(crate) signals: &'a mpsc::Sender<Signal>,
}

impl Store {
    pub(crate) fn new(log: Arc<dyn Log>, cache_events: usize, cache_bytes: usize) -> Self {
        let hub = Arc::new(Hub {
            streams: Mutex::default(),
            revocations: AtomicU64::new(0),
            cache_events,
            cache_bytes,
        });
        let observer = Arc::clone(&hub);
        log.observe(Arc::new(move |commit| observer.on_commit(commit)));
        Self {
            log,
            hub,
            #[cfg(feature = "faults")]
            sabotage: None,
        }
    }

    #[cfg(feature = "faults")]
    pub(crate) fn sabotaged(mut self, sabotage: Option<Sabotage>) -> Self {
        self.sabotage = sabotage;
        self
    }

    pub(crate) fn log(&self) -> &dyn Log {
        &*self.log
    }

    pub(crate) async fn append(&self, append: Append) -> Result<Ticket, LogError> {
        self.log.append(append).await
    }

    /// Watches a stream for a session.
    pub(crate) async fn watch(&self, key: &StreamKey, watching: Watching<'_>) -> Result<Watch, LogError> {
        let is_revoked = Arc::new(AtomicBool::new(false));
        let session = watching.session;
        let stream = {
            let mut streams = lock(&self.hub.streams);
            let stream = streams.entry(key.clone()).or_insert_with(|| {
                Arc::new(Watched {
                    key: key.clone(),
                    now: Mutex::new(Now::new()),
                    watchers: Mutex::default(),
                })
            });
            lock(&stream.watchers).push(Watcher {
                id: session,
                user: Arc::clone(watching.user),
                is_revoked: Arc::clone(&is_revoked),
                wake: Arc::clone(watching.wake),
                signals: watching.signals.clone(),
            });
            Arc::clone(stream)
        };
        let watch = Watch { hub: Arc::clone(&self.hub), stream, is_revoked };
        if lock(&watch.stream.now).durable.is_none() {
            let state = self.log.state(key).await?;
            lock(&watch.stream.now).install(state);
        }
        Ok(watch)
    }

    /// Withdraws the right of a user to a stream from every watch there is; returns how many lost it now.
    pub(crate) fn revoke(&self, user: &str, key: &StreamKey) -> usize {
        // Before the watches are looked at: one that is added meanwhile finds that its right was checked too early.
        self.hub.revocations.fetch_add(1, Ordering::SeqCst);
        let Some(stream) = lock(&self.hub.streams).get(key).cloned() else { return 0 };
        let mut revoked = 0;
        for watcher in lock(&stream.watchers).iter().filter(|watcher| *watcher.user == *user) {
            if !watcher.is_revoked.swap(true, Ordering::SeqCst) {
                revoked += 1;
                watcher.wake.notify_one();
            }
        }
        revoked
    }

    /// How often rights were withdrawn: a right that was checked at another count may be one of them.
    pub(crate) fn revocations(&self) -> u64 {
        self.hub.revocations.load(Ordering::SeqCst)
    }

    /// The state of a stream in the log, with its open runs.
    pub(crate) async fn state(&self, key: &StreamKey) -> Result<StreamState, LogError> {
        self.log.state(key).await
    }

    /// Reads durable events of a watched stream from `from` on, from memory if they are recent.
    pub(crate) async fn read(
        &self,
        watch: &Watch,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        #[cfg(feature = "faults")]
        if let Some(sabotage) = self.sabotage {
            return crate::faults::read(self, sabotage, watch, from, max_events, max_bytes).await;
        }
        self.read_true(watch, from, max_events, max_bytes).await
    }

    pub(crate) async fn read_true(
        &self,
        watch: &Watch,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        if let Some(page) = watch.recent(from, max_events, max_bytes) {
            return Ok(page);
        }
        self.log.read(&watch.stream.key, from, max_events, max_bytes).await
    }

    /// Hands a signal to the other sessions that watch the stream. A session that is behind misses it.
    pub(crate) fn signal(&self, session: u64, signal: &Signal) {
        let stream = lock(&self.hub.streams).get(&signal.key).cloned();
        if let Some(stream) = stream {
            for watcher in lock(&stream.watchers).iter().filter(|watcher| watcher.id != session) {
                let _ = watcher.signals.try_send(signal.clone());
            }
        }
    }
}

impl Hub {
    fn on_commit(&self, commit: &Commit) {
        let stream = lock(&self.streams).get(&commit.key).cloned();
        let Some(stream) = stream else { return };
        lock(&stream.now).apply(commit, self.cache_events, self.cache_bytes);
        for watcher in lock(&stream.watchers).iter() {
            watcher.wake.notify_one();
        }
    }
}

impl Now {
    fn new() -> Self {
        Self { durable: None, noted: Noted::default(), recent: VecDeque::new(), recent_bytes: 0 }
    }

    /// Takes a first read of the log. Several can be under way; commits may have overtaken each of them.
    fn install(&mut self, state: StreamState) {
        if self.durable.is_some() {
            return;
        }
        let noted = std::mem::take(&mut self.noted);
        let read = (state.epoch_number, state.epoch);
        let (epoch_number, epoch) = noted.epoch.filter(|(number, _)| *number > read.0).unwrap_or(read);
        self.durable = Some(Durable {
            epoch,
            epoch_number,
            oldest: state.oldest.max(noted.oldest),
            head: state.head.max(noted.head),
        });
    }

    fn apply(&mut self, commit: &Commit, cache_events: usize, cache_bytes: usize) {
        let Some(durable) = &mut self.durable else {
            self.noted.note(commit);
            return;
        };
        match &commit.change {
            Change::Appended { first, bodies } => {
                let last = first + bodies.len() as u64 - 1;
                if last <= durable.head {
                    return;
                }
                if *first > durable.head + 1 {
                    // A log notified of its commits out of order: it has what lies between.
                    self.recent.clear();
                    self.recent_bytes = 0;
                }
                let known = (durable.head + 1).saturating_sub(*first);
                for body in bodies.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
                    self.recent_bytes += body.len();
                    self.recent.push_back(Arc::clone(body));
                }
                durable.head = last;
                while self.recent.len() > cache_events || self.recent_bytes > cache_bytes {
                    let Some(body) = self.recent.pop_front() else {
                        break;
                    };
                    self.recent_bytes -= body.len();
                }
            }
            Change::NewEpoch { epoch } => {
                if commit.epoch_number > durable.epoch_number {
                    durable.epoch = Arc::clone(epoch);
                    durable.epoch_number = commit.epoch_number;
                }
            }
            Change::Trimmed { oldest } => durable.oldest = durable.oldest.max(*oldest),
            Change::Redacted { .. } => {
                self.recent.clear();
                self.recent_bytes = 0;
            }
        }
    }
}

impl Noted {
    fn note(&mut self, commit: &Commit) {
        match &commit.change {
            Change::Appended { first, bodies } => {
                self.head = self.head.max(first + bodies.len() as u64 - 1);
            }
            Change::NewEpoch { epoch } => {
                if self.epoch.as_ref().is_none_or(|(number, _)| commit.epoch_number > *number) {
                    self.epoch = Some((commit.epoch_number, Arc::clone(epoch)));
                }
            }
            Change::Trimmed { oldest } => self.oldest = self.oldest.max(*oldest),
            // Nothing is kept in memory yet.
            Change::Redacted { .. } => {}
        }
    }
}

impl Watch {
    /// Whether the right to the stream was withdrawn.
    pub(crate) fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::SeqCst)
    }

    /// What is durable now.
    pub(crate) fn durable(&self) -> Durable {
        let now = lock(&self.stream.now);
        now.durable.clone().expect("`Store::watch` returns a watch when this is known, and it stays so")
    }

    /// The events from `from` on if memory has them.
    fn recent(&self, from: u64, max_events: usize, max_bytes: usize) -> Option<Page> {
        let now = lock(&self.stream.now);
        let durable = now.durable.as_ref()?;
        let first = durable.head + 1 - now.recent.len() as u64;
        if from < first.max(durable.oldest) || from > durable.head {
            return None;
        }
        let skip = usize::try_from(from - first).ok()?;
        let bodies = take(now.recent.iter().skip(skip).cloned(), max_events, max_bytes);
        Some(Page { epoch_number: durable.epoch_number, oldest: durable.oldest, first: from, bodies })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut streams = lock(&self.hub.streams);
        let mut watchers = lock(&self.stream.watchers);
        if let Some(at) = watchers.iter().position(|one| Arc::ptr_eq(&one.is_revoked, &self.is_revoked)) {
            watchers.swap_remove(at);
        }
        if watchers.is_empty()
            && streams.get(&self.stream.key).is_some_and(|stream| Arc::ptr_eq(stream, &self.stream))
        {
            streams.remove(&self.stream.key);
        }
    }
}

/// The first bodies that fit, and one at the least.
pub(crate) fn take(
    bodies: impl Iterator<Item = Arc<str>>,
    max_events: usize,
    max_bytes: usize,
) -> Vec<Arc<str>> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for body in bodies.take(max_events) {
        bytes += body.len();
        if bytes > max_bytes && !taken.is_empty() {
            break;
        }
        taken.push(body);
    }
    taken
}

/// What the locks guard is whole between any two statements, so a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
