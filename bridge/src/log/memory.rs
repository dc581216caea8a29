//! A log in memory, for tests and for streams that may be lost with the process.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use uuid::Uuid;

use super::incarnation::Incarnation;
use super::{Append, Change, Commit, Head, Log, LogError, Observer, Page, Record, Snapshot, VOID, take};
use crate::stream::StreamKey;

/// Keeps streams in memory: durable as long as the process lives. Bounded only by trimming.
pub struct MemoryLog {
    streams: Mutex<BTreeMap<StreamKey, Stream>>,
    incarnation: Incarnation,
    observer: OnceLock<Observer>,
    secret: [u8; 32],
}

/// Records that are left have numbers up to `head.seq`, without holes.
struct Stream {
    head: Head,
    records: VecDeque<Arc<Record>>,
    /// Whether the last record is open, which may be gone.
    is_open: bool,
    snapshot: Option<Snapshot>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log with an id and a secret that are kept elsewhere: the beginning of one that is read from a file.
    pub fn with_identity(id: &str, secret: [u8; 32]) -> Self {
        Self { incarnation: Incarnation::new(id), secret, ..Self::default() }
    }

    /// The id of the log, which [`MemoryLog::with_identity`] takes.
    pub fn id(&self) -> &str {
        self.incarnation.log()
    }

    /// Takes a change that is kept elsewhere, and tells the observer, if there is one yet. It is not checked.
    pub fn apply(&self, commit: &Commit) {
        let mut streams = self.streams.lock();
        let stream = streams.entry(commit.stream.clone()).or_insert_with(|| self.empty(&commit.stream));
        match &commit.change {
            Change::Appended(record) => drop(stream.append(stream.head.seq, Arc::clone(record))),
            Change::NewEpoch { epoch, number } => {
                stream.head.epoch = Arc::clone(epoch);
                stream.head.epoch_number = *number;
                stream.head.base = stream.head.offset;
            }
            Change::Trimmed { oldest } => drop(stream.trim(oldest.saturating_sub(1))),
            Change::Redacted { offset } => drop(stream.redact(*offset)),
        }
        if let Some(observer) = self.observer.get() {
            observer(commit);
        }
    }

    fn empty(&self, key: &StreamKey) -> Stream {
        Stream { head: self.empty_head(key), records: VecDeque::new(), is_open: false, snapshot: None }
    }

    fn empty_head(&self, stream: &StreamKey) -> Head {
        let epoch = self.incarnation.first_epoch(stream);
        Head { epoch, epoch_number: 1, base: 0, oldest: 1, offset: 0, seq: 0 }
    }

    /// Changes a stream, which is made if need be. Observers are notified in the order of the changes.
    fn change<T>(
        &self,
        key: &StreamKey,
        change: impl FnOnce(&mut Stream) -> (T, Option<Change>),
    ) -> BoxFuture<'static, Result<T, LogError>>
    where
        T: Send + 'static,
    {
        let mut streams = self.streams.lock();
        let stream = streams.entry(key.clone()).or_insert_with(|| self.empty(key));
        let (answer, change) = change(stream);
        if let (Some(change), Some(observer)) = (change, self.observer.get()) {
            observer(&Commit { stream: key.clone(), change });
        }
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn look<T: Send + 'static>(
        &self,
        key: &StreamKey,
        look: impl FnOnce(Option<&Stream>) -> T,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let seen = look(self.streams.lock().get(key));
        Box::pin(std::future::ready(Ok(seen)))
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            streams: Mutex::default(),
            incarnation: Incarnation::default(),
            observer: OnceLock::new(),
            secret: secret(),
        }
    }
}

/// 32 random bytes.
pub(super) fn secret() -> [u8; 32] {
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    std::array::from_fn(|index| if index < 16 { one.as_bytes()[index] } else { other.as_bytes()[index - 16] })
}

impl Stream {
    fn append(&mut self, expected: u64, record: Arc<Record>) -> (Append, Option<Change>) {
        if expected != self.head.seq {
            return (Append::Stale { seq: self.head.seq }, None);
        }
        self.head.seq = record.seq;
        self.head.offset = record.head();
        self.is_open = record.is_open;
        self.records.push_back(Arc::clone(&record));
        (Append::Appended, Some(Change::Appended(record)))
    }

    fn read(&self, from: u64, max_events: usize, max_bytes: usize) -> Page {
        let first = from.max(self.head.oldest);
        let start = self.records.partition_point(|record| record.head() < first);
        let bodies = self.records.range(start..).flat_map(|record| {
            let skip = usize::try_from(first.saturating_sub(record.first)).unwrap_or(usize::MAX);
            record.events.iter().skip(skip).cloned()
        });
        let bodies = take(bodies, max_events, max_bytes);
        Page { epoch_number: self.head.epoch_number, oldest: self.head.oldest, first, bodies }
    }

    fn trim(&mut self, through: u64) -> (u64, Option<Change>) {
        let oldest = through.min(self.head.offset) + 1;
        if oldest <= self.head.oldest {
            return (self.head.oldest, None);
        }
        self.head.oldest = oldest;
        let kept = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        while self.records.front().is_some_and(|record| record.seq <= kept && record.head() < oldest) {
            self.records.pop_front();
        }
        for record in self.records.iter_mut().take_while(|record| record.first < oldest) {
            let gone = usize::try_from(oldest - record.first).unwrap_or(usize::MAX);
            Arc::make_mut(record).events.iter_mut().take(gone).for_each(|body| *body = VOID.into());
        }
        (oldest, Some(Change::Trimmed { oldest }))
    }

    fn redact(&mut self, offset: u64) -> (bool, Option<Change>) {
        if !(self.head.oldest..=self.head.offset).contains(&offset) {
            return (false, None);
        }
        let at = self.records.partition_point(|record| record.head() < offset);
        let record = self.records.get_mut(at).map(Arc::make_mut);
        let body = record.and_then(|record| record.events.get_mut((offset - record.first) as usize));
        let Some(body) = body else { return (false, None) };
        *body = VOID.into();
        (true, Some(Change::Redacted { offset }))
    }
}

impl MemoryLog {
    /// Streams that were written, and are as `is_it` says.
    fn list(&self, after: Option<&StreamKey>, max: usize, is_it: fn(&Stream) -> bool) -> Vec<StreamKey> {
        let streams = self.streams.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = streams.range((from, Bound::Unbounded)).filter(|(_, stream)| is_it(stream));
        found.take(max).map(|(key, _)| key.clone()).collect()
    }
}

impl Log for MemoryLog {
    fn observe(&self, observer: Observer) {
        // A second bridge on one log has no observer: the first one keeps it.
        let _ = self.observer.set(observer);
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>> {
        self.change(stream, |stream| stream.append(expected, record))
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        let empty = self.empty_head(stream);
        self.look(stream, |stream| stream.map_or(empty, |stream| stream.head.clone()))
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        let empty = Page { epoch_number: 1, oldest: 1, first: from.max(1), bodies: Vec::new() };
        self.look(stream, |stream| stream.map_or(empty, |stream| stream.read(from, max_events, max_bytes)))
    }

    fn records<'a>(
        &'a self,
        stream: &'a StreamKey,
        after: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        self.look(stream, |stream| {
            let records = stream.into_iter().flat_map(|stream| &stream.records);
            records.filter(|record| record.seq > after).take(max).map(|record| (**record).clone()).collect()
        })
    }

    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>> {
        self.look(stream, |stream| stream.and_then(|stream| stream.snapshot.clone()))
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamKey,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        self.change(stream, |stream| {
            if stream.snapshot.as_ref().is_none_or(|one| one.seq < snapshot.seq) {
                stream.snapshot = Some(snapshot);
            }
            ((), None)
        })
    }

    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        self.change(stream, |stream| stream.trim(through))
    }

    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        self.change(stream, |stream| stream.redact(offset))
    }

    fn new_epoch<'a>(
        &'a self,
        stream: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<Head, LogError>> {
        self.change(stream, |stream| {
            let head = &mut stream.head;
            if *head.epoch != *current {
                return (head.clone(), None);
            }
            head.epoch = self.incarnation.next_epoch();
            head.epoch_number += 1;
            head.base = head.offset;
            let change = Change::NewEpoch { epoch: Arc::clone(&head.epoch), number: head.epoch_number };
            (head.clone(), Some(change))
        })
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        Box::pin(std::future::ready(Ok(self.list(after, max, |stream| stream.is_open))))
    }

    fn streams<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        Box::pin(std::future::ready(Ok(self.list(after, max, |stream| stream.head.seq > 0))))
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("streams", &self.streams.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    crate::log_tests!((super::MemoryLog::new(), ()));
}
