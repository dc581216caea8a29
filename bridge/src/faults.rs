//! Ways to break the promise on purpose, so that a check of it can prove that it notices. Never in production builds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::log::{Append, Change, Commit, Head, Log, LogError, Observer, Page, Record, Snapshot};
use crate::stream::StreamKey;

/// A way to break the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// At offsets divisible by 97 the body of the following event is sent.
    Skip,
    /// At offsets divisible by 97 the body of the previous event is sent.
    Repeat,
    /// Offsets 97k and 97k + 1 exchange their bodies.
    Swap,
    /// Events are visible 150 milliseconds before their commit.
    Early,
    /// Of the reads that follow a read of another stream, each 97th is answered with the events of that one.
    Leak,
}

/// Which offsets are hit, and which reads.
const EVERY: u64 = 97;

/// How long before its commit an event is visible.
const EARLY: Duration = Duration::from_millis(150);

impl Sabotage {
    /// The offset whose body is sent at `offset`.
    fn source(self, offset: u64) -> u64 {
        match (self, offset % EVERY) {
            (Self::Skip | Self::Swap, 0) => offset + 1,
            (Self::Repeat, 0) => offset - 1,
            (Self::Swap, 1) if offset > 1 => offset - 1,
            _ => offset,
        }
    }
}

/// A log with a fault.
pub(crate) struct SabotagedLog {
    log: Arc<dyn Log>,
    sabotage: Sabotage,
    observer: Mutex<Option<Observer>>,
    /// The stream that was read last.
    former: Mutex<Option<StreamKey>>,
    reads: AtomicU64,
}

impl fmt::Debug for SabotagedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SabotagedLog").field("log", &self.log).finish_non_exhaustive()
    }
}

impl SabotagedLog {
    pub(crate) fn new(log: Arc<dyn Log>, sabotage: Sabotage) -> Self {
        Self { log, sabotage, observer: Mutex::default(), former: Mutex::default(), reads: AtomicU64::new(0) }
    }

    /// Puts the first events of the stream that was read before this one into the page, now and then.
    async fn leak(&self, stream: &StreamKey, page: &mut Page) -> Result<(), LogError> {
        if page.bodies.is_empty() {
            return Ok(());
        }
        let former = self.former.lock().replace(stream.clone());
        let Some(former) = former.filter(|former| former != stream) else { return Ok(()) };
        if !(self.reads.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(EVERY) {
            return Ok(());
        }
        let other = self.log.read(&former, 1, page.bodies.len(), usize::MAX).await?;
        for (body, leaked) in page.bodies.iter_mut().zip(other.bodies) {
            *body = leaked;
        }
        Ok(())
    }

    /// Reads with bodies in the wrong places. A body that is not there yet stays in its place.
    async fn read(
        &self,
        stream: &StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        let mut page = self.log.read(stream, from, max_events, max_bytes).await?;
        if self.sabotage == Sabotage::Leak {
            self.leak(stream, &mut page).await?;
            return Ok(page);
        }
        let true_bodies = page.bodies.clone();
        for index in 0..page.bodies.len() {
            let offset = page.first + index as u64;
            let source = self.sabotage.source(offset);
            if source == offset {
                continue;
            }
            let near =
                source.checked_sub(page.first).and_then(|near| true_bodies.get(near as usize)).cloned();
            let body = match near {
                Some(body) => Some(body),
                None => {
                    let other = self.log.read(stream, source, 1, usize::MAX).await?;
                    other.bodies.into_iter().next().filter(|_| other.first == source)
                }
            };
            if let Some(body) = body {
                page.bodies[index] = body;
            }
        }
        Ok(page)
    }
}

impl Log for SabotagedLog {
    fn observe(&self, observer: Observer) {
        *self.observer.lock() = Some(Arc::clone(&observer));
        self.log.observe(observer);
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>> {
        Box::pin(async move {
            if self.sabotage == Sabotage::Early {
                let observer = self.observer.lock().clone();
                if let Some(observer) = observer {
                    let change = Change::Appended(Arc::clone(&record));
                    observer(&Commit { stream: stream.clone(), change });
                }
                tokio::time::sleep(EARLY).await;
            }
            self.log.append(stream, expected, record).await
        })
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        self.log.head(stream)
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        Box::pin(self.read(stream, from, max_events, max_bytes))
    }

    crate::log::forward::forward_log!();
}
