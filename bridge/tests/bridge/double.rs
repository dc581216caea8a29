//! A log whose failures and delays a test decides; beyond that it is one in memory.

use std::fmt;
use std::sync::{Arc, Mutex};

use agentwire_bridge::{
    Append, Log, LogError, MemoryLog, Observer, Outcome, Page, Pending, StreamKey, StreamState, Ticket,
    Unfinished,
};
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::support::within;

/// One log; its clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Double(Arc<Inner>);

struct Inner {
    log: MemoryLog,
    failures: Mutex<Vec<Failure>>,
    appends: Mutex<Option<Vec<Held>>>,
    appends_held: watch::Sender<usize>,
    states_to_hold: Mutex<usize>,
    states_held: watch::Sender<usize>,
    states: Vec<Semaphore>,
    reads_to_hold: Mutex<usize>,
    reads_held: watch::Sender<usize>,
    reads: Semaphore,
    forgets: watch::Sender<Vec<u64>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            log: MemoryLog::new(),
            failures: Mutex::default(),
            appends: Mutex::default(),
            appends_held: watch::Sender::default(),
            states_to_hold: Mutex::default(),
            states_held: watch::Sender::default(),
            states: (0..8).map(|_| Semaphore::new(0)).collect(),
            reads_to_hold: Mutex::default(),
            reads_held: watch::Sender::default(),
            reads: Semaphore::new(0),
            forgets: watch::Sender::default(),
        }
    }
}

struct Failure {
    text: String,
    left: usize,
}

type Held = (Append, oneshot::Sender<Result<Outcome, LogError>>);

impl Double {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets the next commits fail whose events contain a text.
    pub(crate) fn fail(&self, text: &str, times: usize) {
        self.0.failures.lock().unwrap().push(Failure { text: text.to_owned(), left: times });
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
        for (append, reply) in held {
            self.commit(append, reply).await;
        }
    }

    /// Holds the answers of the next reads of states back; what they say is of the moment they were asked.
    pub(crate) fn hold_states(&self, count: usize) {
        *self.0.states_to_hold.lock().unwrap() = count;
    }

    pub(crate) async fn until_states_held(&self, count: usize) {
        within(self.0.states_held.subscribe().wait_for(|held| *held >= count)).await.unwrap();
    }

    /// Answers a read of a state; they count from 0.
    pub(crate) fn release_state(&self, index: usize) {
        self.0.states[index].add_permits(1);
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

    /// The first time up to which keys of sends were forgotten.
    pub(crate) async fn first_forgotten(&self) -> u64 {
        let mut forgets = self.0.forgets.subscribe();
        within(forgets.wait_for(|forgets| !forgets.is_empty())).await.unwrap()[0]
    }

    async fn commit(&self, append: Append, reply: oneshot::Sender<Result<Outcome, LogError>>) {
        let outcome = if self.fails(&append) {
            Err(LogError::Unavailable("the disk is full".to_owned()))
        } else {
            self.0.log.append(append).await.unwrap().durable().await
        };
        let _ = reply.send(outcome);
    }

    fn fails(&self, append: &Append) -> bool {
        let mut failures = self.0.failures.lock().unwrap();
        let is_named =
            |failure: &Failure| append.events.iter().any(|event| event.body().contains(&failure.text));
        let Some(index) = failures.iter().position(is_named) else {
            return false;
        };
        failures[index].left -= 1;
        if failures[index].left == 0 {
            failures.remove(index);
        }
        true
    }

    /// The number of a read of a state that is to be held back.
    fn held_state(&self) -> Option<usize> {
        let mut left = self.0.states_to_hold.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(*self.0.states_held.borrow())
    }
}

impl Log for Double {
    fn observe(&self, observer: Observer) {
        self.0.log.observe(observer);
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Ticket, LogError>> {
        Box::pin(async move {
            let (reply, ticket) = Ticket::new();
            let held = match &mut *self.0.appends.lock().unwrap() {
                None => Err((append, reply)),
                Some(held) => {
                    held.push((append, reply));
                    Ok(held.len())
                }
            };
            match held {
                Ok(count) => drop(self.0.appends_held.send_replace(count)),
                Err((append, reply)) => self.commit(append, reply).await,
            }
            Ok(ticket)
        })
    }

    fn state<'a>(&'a self, key: &'a StreamKey) -> BoxFuture<'a, Result<StreamState, LogError>> {
        Box::pin(async move {
            let state = self.0.log.state(key).await;
            if let Some(index) = self.held_state() {
                self.0.states_held.send_modify(|held| *held += 1);
                self.0.states[index].acquire().await.unwrap().forget();
            }
            state
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

    fn new_epoch<'a>(
        &'a self,
        key: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<StreamState, LogError>> {
        self.0.log.new_epoch(key, current)
    }

    fn trim<'a>(&'a self, key: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        self.0.log.trim(key, through)
    }

    fn redact<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        self.0.log.redact(key, offset)
    }

    fn pending<'a>(
        &'a self,
        key: &'a StreamKey,
        after: u64,
    ) -> BoxFuture<'a, Result<Option<Pending>, LogError>> {
        self.0.log.pending(key, after)
    }

    fn approval_run<'a>(
        &'a self,
        key: &'a StreamKey,
        approval: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<str>>, LogError>> {
        self.0.log.approval_run(key, approval)
    }

    fn claim<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<(), LogError>> {
        self.0.log.claim(key, offset)
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Unfinished>, LogError>> {
        self.0.log.unfinished(after, max)
    }

    fn forget_sends(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, LogError>> {
        self.0.forgets.send_modify(|forgets| forgets.push(before_ms));
        self.0.log.forget_sends(before_ms)
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
