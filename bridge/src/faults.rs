//! Ways to break the promise on purpose, so that a check of it can prove that it notices. Never in production builds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::hub::{Store, Watch};
use crate::log::{
    Append, Change, Commit, Log, LogError, Observer, Outcome, Page, Pending, StreamState, Ticket, Unfinished,
};
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
}

/// Which offsets are hit.
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

/// Reads like `Store::read_true`, with bodies in the wrong places. A body that is not there yet stays in its place.
pub(crate) async fn read(
    store: &Store,
    sabotage: Sabotage,
    watch: &Watch,
    from: u64,
    max_events: usize,
    max_bytes: usize,
) -> Result<Page, LogError> {
    let mut page = store.read_true(watch, from, max_events, max_bytes).await?;
    let true_bodies = page.bodies.clone();
    for index in 0..page.bodies.len() {
        let offset = page.first + index as u64;
        let source = sabotage.source(offset);
        if source == offset {
            continue;
        }
        let near = source.checked_sub(page.first).and_then(|near| true_bodies.get(near as usize)).cloned();
        let body = match near {
            Some(body) => Some(body),
            None => {
                let other = store.read_true(watch, source, 1, usize::MAX).await?;
                other.bodies.into_iter().next().filter(|_| other.first == source)
            }
        };
        if let Some(body) = body {
            page.bodies[index] = body;
        }
    }
    Ok(page)
}

/// A log that notifies its observer of events before it has them.
#[derive(Debug)]
pub(crate) struct EarlyLog {
    log: Arc<dyn Log>,
    observer: OnceLockObserver,
    heads: tokio::sync::Mutex<HashMap<StreamKey, (u64, u64)>>,
    queue: Mutex<Option<mpsc::Sender<Late>>>,
}

#[derive(Default)]
struct OnceLockObserver(OnceLock<Observer>);

impl std::fmt::Debug for OnceLockObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

type Late = (Instant, Append, oneshot::Sender<Result<Outcome, LogError>>);

impl EarlyLog {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            observer: OnceLockObserver::default(),
            heads: tokio::sync::Mutex::default(),
            queue: Mutex::default(),
        }
    }

    /// The task that appends in order, each append 150 milliseconds after it became visible.
    fn queue(&self) -> mpsc::Sender<Late> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue
            .get_or_insert_with(|| {
                let (sender, mut late) = mpsc::channel::<Late>(1_024);
                let log = Arc::clone(&self.log);
                tokio::spawn(async move {
                    while let Some((due, append, reply)) = late.recv().await {
                        tokio::time::sleep_until(due).await;
                        match log.append(append).await {
                            Ok(ticket) => {
                                tokio::spawn(async move {
                                    let _ = reply.send(ticket.durable().await);
                                });
                            }
                            Err(error) => drop(reply.send(Err(error))),
                        }
                    }
                });
                sender
            })
            .clone()
    }
}

impl Log for EarlyLog {
    fn observe(&self, observer: Observer) {
        let _ = self.observer.0.set(Arc::clone(&observer));
        self.log.observe(observer);
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Ticket, LogError>> {
        Box::pin(async move {
            let mut heads = self.heads.lock().await;
            if append.once.is_none() && !append.events.is_empty() {
                let state = self.log.state(&append.key).await?;
                let (epoch_number, head) =
                    heads.entry(append.key.clone()).or_insert((state.epoch_number, state.head));
                *head = state.head.max(*head);
                let bodies: Vec<_> = append.events.iter().map(|event| Arc::clone(event.body())).collect();
                let first = *head + 1;
                *head += bodies.len() as u64;
                if let Some(observer) = self.observer.0.get() {
                    let change = Change::Appended { first, bodies };
                    observer(&Commit { key: append.key.clone(), epoch_number: *epoch_number, change });
                }
            }
            let (reply, ticket) = Ticket::new();
            let queue = self.queue();
            queue.send((Instant::now() + EARLY, append, reply)).await.map_err(|_| LogError::Closed)?;
            drop(heads);
            Ok(ticket)
        })
    }

    fn state<'a>(&'a self, key: &'a StreamKey) -> BoxFuture<'a, Result<StreamState, LogError>> {
        Box::pin(async move {
            let state = self.log.state(key).await?;
            // Pages are truly ahead of a log that shows what it does not have yet.
            Ok(StreamState { begun_here: false, ..state })
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        self.log.read(key, from, max_events, max_bytes)
    }

    fn new_epoch<'a>(
        &'a self,
        key: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<StreamState, LogError>> {
        self.log.new_epoch(key, current)
    }

    fn trim<'a>(&'a self, key: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        self.log.trim(key, through)
    }

    fn redact<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        self.log.redact(key, offset)
    }

    fn pending<'a>(
        &'a self,
        key: &'a StreamKey,
        after: u64,
    ) -> BoxFuture<'a, Result<Option<Pending>, LogError>> {
        self.log.pending(key, after)
    }

    fn approval_run<'a>(
        &'a self,
        key: &'a StreamKey,
        approval: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<str>>, LogError>> {
        self.log.approval_run(key, approval)
    }

    fn claim<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<(), LogError>> {
        self.log.claim(key, offset)
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Unfinished>, LogError>> {
        self.log.unfinished(after, max)
    }

    fn forget_sends(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, LogError>> {
        self.log.forget_sends(before_ms)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.check()
    }
}
