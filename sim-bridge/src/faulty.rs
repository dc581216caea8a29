//! The log as a bridge has it: it is slow, fails, loses answers and hangs, as the plan says.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::StreamKey;
use agentwire_bridge::log::{Append, Head, Log, LogError, Observer, Page, Record, Snapshot};
use agentwire_sim::rng::Rng;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::store::Store;

/// How the log behaves now. Each chance is one in so many calls; 0 is never.
#[derive(Clone, Debug, Default)]
pub struct Mood {
    /// Most milliseconds before and after what is asked for.
    pub slow_ms: u64,
    /// Nothing happens, and the answer is an error.
    pub fails: u64,
    /// It happens, and the answer is an error.
    pub loses: u64,
    /// Nothing happens, and no answer comes.
    pub hangs: u64,
    /// It happens later than the bridge waits for it, and no answer comes.
    pub comes_late: u64,
}

/// How many calls went wrong, by how they did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wrong {
    /// Answered with an error.
    pub failed: u64,
    /// Done, and answered with an error.
    pub lost: u64,
    /// Never answered.
    pub hung: u64,
    /// Done later.
    pub late: u64,
}

/// What the handles of one run share.
#[derive(Debug)]
pub struct Moods {
    mood: Mutex<Mood>,
    rng: Mutex<Rng>,
    wrong: Mutex<Wrong>,
    /// Appends that were asked for and have not happened: how many of each stream.
    under_way: Mutex<BTreeMap<StreamKey, u32>>,
}

impl Moods {
    /// A good mood.
    pub fn new(seed: u64) -> Self {
        Self {
            mood: Mutex::default(),
            rng: Mutex::new(Rng::new(seed)),
            wrong: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    /// Changes it.
    pub fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    /// What went wrong so far.
    pub fn wrong(&self) -> Wrong {
        *self.wrong.lock()
    }

    /// Whether a record of a stream is under way, or may still be.
    pub fn is_written(&self, key: &StreamKey) -> bool {
        self.under_way.lock().get(key).is_some_and(|count| *count > 0)
    }

    fn fate(&self) -> Fate {
        let (mood, mut rng) = (self.mood.lock().clone(), self.rng.lock());
        let mut wrong = self.wrong.lock();
        let slow = |rng: &mut Rng| Duration::from_millis(rng.below(mood.slow_ms + 1));
        let (before, after) = (slow(&mut rng), slow(&mut rng));
        let mut hits = |chance: u64| chance > 0 && rng.one_in(chance);
        let end = if hits(mood.fails) {
            wrong.failed += 1;
            End::Fails
        } else if hits(mood.loses) {
            wrong.lost += 1;
            End::Loses
        } else if hits(mood.hangs) {
            wrong.hung += 1;
            End::Hangs
        } else if hits(mood.comes_late) {
            wrong.late += 1;
            End::ComesLate(rng.below(6_000))
        } else {
            End::Fine
        };
        Fate { before, after, end }
    }
}

struct Fate {
    before: Duration,
    after: Duration,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Fine,
    Fails,
    Loses,
    Hangs,
    ComesLate(u64),
}

/// The log of one process.
#[derive(Clone, Debug)]
pub struct FaultyLog {
    store: Arc<Store>,
    moods: Arc<Moods>,
    process: u64,
}

impl FaultyLog {
    /// Opens the log for a new process; a former one gets no answer any more.
    pub fn open(store: &Arc<Store>, moods: &Arc<Moods>) -> Self {
        Self { store: Arc::clone(store), moods: Arc::clone(moods), process: store.open() }
    }

    /// Does something in a task of its own, as a database does: also when nobody waits for the answer.
    fn call<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let (store, process) = (Arc::clone(&self.store), self.process);
        let fate = self.moods.fate();
        let failed = || LogError::Unavailable("as the plan says".into());
        let work = async move {
            sleep_some(fate.before).await;
            match fate.end {
                End::Hangs => return pending().await,
                End::Fails => return Err(failed()),
                End::ComesLate(ms) => sleep(Duration::from_millis(ms)).await,
                End::Fine | End::Loses => {}
            }
            if !store.is_open(process) {
                return pending().await;
            }
            let answer = what(&store);
            sleep_some(fate.after).await;
            match fate.end {
                _ if !store.is_open(process) => pending().await,
                End::ComesLate(_) => pending().await,
                End::Loses => Err(failed()),
                _ => Ok(answer),
            }
        };
        if fate.before.is_zero() && fate.after.is_zero() && matches!(fate.end, End::Fine) {
            return Box::pin(work);
        }
        let task = tokio::spawn(work);
        Box::pin(async move { task.await.unwrap_or(Err(LogError::Closed)) })
    }
}

async fn sleep_some(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

impl Log for FaultyLog {
    fn observe(&self, observer: Observer) {
        self.store.observe(self.process, observer);
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>> {
        let (key, moods) = (stream.clone(), Arc::clone(&self.moods));
        *moods.under_way.lock().entry(key.clone()).or_default() += 1;
        self.call(move |store| {
            let appended = store.append(&key, expected, record);
            if let Some(count) = moods.under_way.lock().get_mut(&key) {
                *count -= 1;
            }
            appended
        })
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        let key = stream.clone();
        self.call(move |store| store.head(&key))
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        let key = stream.clone();
        self.call(move |store| store.read(&key, from, max_events, max_bytes))
    }

    fn records<'a>(
        &'a self,
        stream: &'a StreamKey,
        after: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        let key = stream.clone();
        self.call(move |store| store.records(&key, after, max))
    }

    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>> {
        let key = stream.clone();
        self.call(move |store| store.snapshot(&key))
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamKey,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        let key = stream.clone();
        self.call(move |store| store.put_snapshot(&key, snapshot))
    }

    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        let key = stream.clone();
        self.call(move |store| store.trim(&key, through))
    }

    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        let key = stream.clone();
        self.call(move |store| store.redact(&key, offset))
    }

    fn new_epoch<'a>(
        &'a self,
        stream: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<Head, LogError>> {
        let (key, current) = (stream.clone(), current.to_owned());
        self.call(move |store| store.new_epoch(&key, &current))
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        let after = after.cloned();
        self.call(move |store| store.unfinished(after.as_ref(), max))
    }

    fn streams<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        let after = after.cloned();
        self.call(move |store| store.streams(after.as_ref(), max))
    }

    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        self.call(|_| ())
    }
}
