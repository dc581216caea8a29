//! A log whose failures and delays a test decides; beyond that it is one in memory.

use std::fmt;
use std::sync::{Arc, Mutex};

use agentwire_bridge::StreamKey;
use agentwire_bridge::log::{Append, Head, Log, LogError, MemoryLog, Observer, Page, Record, Snapshot};
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::support::{note, within};

/// One log; its clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Double(Arc<Inner>);

struct Inner {
    log: MemoryLog,
    failures: Mutex<Vec<Failure>>,
    appends: Mutex<Option<Vec<Held>>>,
    appends_held: watch::Sender<usize>,
    heads_to_fail: Mutex<usize>,
    heads_to_hold: Mutex<usize>,
    heads_held: watch::Sender<usize>,
    heads: Vec<Semaphore>,
    reads_to_hold: Mutex<usize>,
    reads_held: watch::Sender<usize>,
    reads: Semaphore,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            log: MemoryLog::new(),
            failures: Mutex::default(),
            appends: Mutex::default(),
            appends_held: watch::Sender::default(),
            heads_to_fail: Mutex::default(),
            heads_to_hold: Mutex::default(),
            heads_held: watch::Sender::default(),
            heads: (0..8).map(|_| Semaphore::new(0)).collect(),
            reads_to_hold: Mutex::default(),
            reads_held: watch::Sender::default(),
            reads: Semaphore::new(0),
        }
    }
}

struct Failure {
    text: String,
    left: usize,
    /// The record is there all the same.
    is_written: bool,
}

type Held = (StreamKey, u64, Arc<Record>, oneshot::Sender<Result<Append, LogError>>);

impl Double {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends notes as another process does: past the bridge, which hears of it by its observer.
    pub(crate) async fn write(&self, stream: &StreamKey, count: u64) {
        let head = self.0.log.head(stream).await.unwrap();
        let first = head.offset + 1;
        let events = (first..first + count).map(|n| note(n).to_string().into()).collect();
        let record = Record { seq: head.seq + 1, first, events, facts: Vec::new(), at_ms: 1, is_open: false };
        self.0.log.append(stream, head.seq, record.into()).await.unwrap();
    }

    /// The log, past what a test decides.
    pub(crate) fn inner(&self) -> &MemoryLog {
        &self.0.log
    }

    /// Lets the next commits fail whose record contains a text.
    pub(crate) fn fail(&self, text: &str, times: usize) {
        self.0.failures.lock().unwrap().push(Failure {
            text: text.to_owned(),
            left: times,
            is_written: false,
        });
    }

    /// Loses the answer to the next commit whose record contains a text.
    pub(crate) fn lose_answer(&self, text: &str) {
        let failure = Failure { text: text.to_owned(), left: 1, is_written: true };
        self.0.failures.lock().unwrap().push(failure);
    }

    /// Whether every failure that was asked for has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.failures.lock().unwrap().is_empty()
    }

    /// Holds appends back in their order from now on.
    pub(crate) fn hold(&self) {
        *self.0.appends.lock().unwrap() = Some(Vec::new());
    }

    /// Waits until a number of appends is held back.
    pub(crate) async fn until_held(&self, count: usize) {
        within(self.0.appends_held.subscribe().wait_for(|held| *held >= count)).await.unwrap();
    }

    /// Commits what was held back, and everything from now on.
    pub(crate) async fn release(&self) {
        let held = self.0.appends.lock().unwrap().take().unwrap();
        for (stream, expected, record, reply) in held {
            let _ = reply.send(self.commit(&stream, expected, record).await);
        }
    }

    /// Lets the next reads of heads fail.
    pub(crate) fn fail_heads(&self, count: usize) {
        *self.0.heads_to_fail.lock().unwrap() = count;
    }

    /// Holds the answers of the next reads of heads back; what they say is of the moment they were asked.
    pub(crate) fn hold_heads(&self, count: usize) {
        *self.0.heads_to_hold.lock().unwrap() = count;
    }

    pub(crate) async fn until_heads_held(&self, count: usize) {
        within(self.0.heads_held.subscribe().wait_for(|held| *held >= count)).await.unwrap();
    }

    /// Answers a read of a head; they count from 0.
    pub(crate) fn release_head(&self, index: usize) {
        self.0.heads[index].add_permits(1);
    }

    /// Holds the next read of events back; what it says is of the moment it is released.
    pub(crate) fn hold_read(&self) {
        *self.0.reads_to_hold.lock().unwrap() += 1;
    }

    pub(crate) async fn until_reads_held(&self, count: usize) {
        within(self.0.reads_held.subscribe().wait_for(|held| *held >= count)).await.unwrap();
    }

    pub(crate) fn release_read(&self) {
        self.0.reads.add_permits(1);
    }

    async fn commit(
        &self,
        stream: &StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> Result<Append, LogError> {
        let failure = self.failure(&record);
        if failure != Some(false) {
            let appended = self.0.log.append(stream, expected, record).await?;
            if failure.is_none() {
                return Ok(appended);
            }
        }
        Err(LogError::Unavailable("the disk is full".to_owned()))
    }

    /// Whether a record is written all the same; `None` when nothing fails.
    fn failure(&self, record: &Record) -> Option<bool> {
        let mut failures = self.0.failures.lock().unwrap();
        let text = record.to_json();
        let index = failures.iter().position(|failure| text.contains(&failure.text))?;
        let is_written = failures[index].is_written;
        failures[index].left -= 1;
        if failures[index].left == 0 {
            failures.remove(index);
        }
        Some(is_written)
    }

    /// The number of a read of a head that is to be held back.
    fn held_head(&self) -> Option<usize> {
        let mut left = self.0.heads_to_hold.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(*self.0.heads_held.borrow())
    }
}

impl Log for Double {
    fn observe(&self, observer: Observer) {
        self.0.log.observe(observer);
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>> {
        Box::pin(async move {
            let held = match &mut *self.0.appends.lock().unwrap() {
                None => None,
                Some(held) => {
                    let (reply, answer) = oneshot::channel();
                    held.push((stream.clone(), expected, Arc::clone(&record), reply));
                    self.0.appends_held.send_replace(held.len());
                    Some(answer)
                }
            };
            match held {
                Some(answer) => answer.await.unwrap(),
                None => self.commit(stream, expected, record).await,
            }
        })
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        Box::pin(async move {
            let fails = {
                let mut left = self.0.heads_to_fail.lock().unwrap();
                let fails = *left > 0;
                *left = left.saturating_sub(1);
                fails
            };
            if fails {
                return Err(LogError::Unavailable("the disk does not answer".to_owned()));
            }
            let head = self.0.log.head(stream).await;
            if let Some(index) = self.held_head() {
                self.0.heads_held.send_modify(|held| *held += 1);
                self.0.heads[index].acquire().await.unwrap().forget();
            }
            head
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        Box::pin(async move {
            let is_held = {
                let mut left = self.0.reads_to_hold.lock().unwrap();
                let is_held = *left > 0;
                *left = left.saturating_sub(1);
                is_held
            };
            if is_held {
                self.0.reads_held.send_modify(|held| *held += 1);
                self.0.reads.acquire().await.unwrap().forget();
            }
            self.0.log.read(key, from, max_events, max_bytes).await
        })
    }

    fn records<'a>(
        &'a self,
        stream: &'a StreamKey,
        after: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        self.0.log.records(stream, after, max)
    }

    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>> {
        self.0.log.snapshot(stream)
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamKey,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        self.0.log.put_snapshot(stream, snapshot)
    }

    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        self.0.log.trim(stream, through)
    }

    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        self.0.log.redact(stream, offset)
    }

    fn new_epoch<'a>(
        &'a self,
        stream: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<Head, LogError>> {
        self.0.log.new_epoch(stream, current)
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        self.0.log.unfinished(after, max)
    }

    fn streams<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        self.0.log.streams(after, max)
    }

    fn secret(&self) -> [u8; 32] {
        self.0.log.secret()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        self.0.log.check()
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}
