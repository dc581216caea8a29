//! A log in which one command or read that fails takes the commands of all others with it for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agentwire_bridge::log::Log;
use agentwire_bridge::log::{Append, Head, Observer, Page, Record, Snapshot};
use agentwire_bridge::{LogError, StreamKey};
use futures_util::TryFutureExt as _;
use futures_util::future::BoxFuture;

/// How long the commands of others fail.
const SPOILED: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct OneForAll<L> {
    log: L,
    spoiled_until: std::sync::Mutex<Option<Instant>>,
}

impl<L: Sync> OneForAll<L> {
    pub(super) fn new(log: L) -> Self {
        Self { log, spoiled_until: std::sync::Mutex::default() }
    }

    fn is_spoiled(&self) -> bool {
        let until = self.spoiled_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Lets the commands of everybody fail for a while.
    fn spoil(&self) {
        let mut until = self.spoiled_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *until = Some(Instant::now() + SPOILED);
    }

    /// A read that spoils the commands of everybody when it fails.
    fn judged<'a, T: 'a>(
        &'a self,
        read: BoxFuture<'a, Result<T, LogError>>,
    ) -> BoxFuture<'a, Result<T, LogError>> {
        Box::pin(read.inspect_err(|_| self.spoil()))
    }
}

impl<L: Log> Log for OneForAll<L> {
    fn observe(&self, observer: Observer) {
        self.log.observe(observer);
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>> {
        Box::pin(async move {
            if self.is_spoiled() {
                return Err(LogError::Unavailable("another command of the group has failed".to_owned()));
            }
            let appended = self.log.append(stream, expected, record).await;
            if !matches!(appended, Ok(Append::Appended)) {
                self.spoil();
            }
            appended
        })
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        self.judged(self.log.head(stream))
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        self.judged(self.log.read(stream, from, max_events, max_bytes))
    }

    fn records<'a>(
        &'a self,
        stream: &'a StreamKey,
        after: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        self.judged(self.log.records(stream, after, max))
    }

    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>> {
        self.judged(self.log.snapshot(stream))
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamKey,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        self.log.put_snapshot(stream, snapshot)
    }

    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        self.log.trim(stream, through)
    }

    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        self.log.redact(stream, offset)
    }

    fn new_epoch<'a>(
        &'a self,
        stream: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<Head, LogError>> {
        self.log.new_epoch(stream, current)
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        self.log.unfinished(after, max)
    }

    fn streams<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        self.log.streams(after, max)
    }

    fn secret(&self) -> [u8; 32] {
        self.log.secret()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.check()
    }
}
