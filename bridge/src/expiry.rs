//! Approvals that expire, by the clock of this server.
//!
//! The ledger says which approvals are open and when they expire, and decides about the expiry when it is written. A stream
//! with such approvals has one worker, which sleeps until the first of them is due.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::now_ms;
use crate::context::Context;
use crate::ledger::draft::{Append, Outcome, Precondition, Receipt};
use crate::log::{Fact, LogError, Record, Status};
use crate::retry::Backoff;
use crate::stream::StreamKey;

/// The longest sleep: the clock can be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Lets approvals expire.
#[derive(Debug)]
pub(crate) struct Expiries {
    context: Arc<Context>,
    /// Streams with a worker, and what wakes it. Bounded by the streams that have an approval that expires.
    workers: Mutex<HashMap<StreamKey, Arc<Notify>>>,
}

impl Expiries {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self { context, workers: Mutex::default() })
    }

    /// A record is durable: it may hold approvals that expire, or that do so no more.
    pub(crate) fn follow(self: &Arc<Self>, key: &StreamKey, record: &Record) {
        let expires = |fact: &Fact| matches!(fact, Fact::ApprovalRequested { terms, .. } if terms.expires_at_ms.is_some());
        let is_over = |fact: &Fact| matches!(fact, Fact::ApprovalResolved { .. } | Fact::RunEnded { .. });
        if record.facts.iter().any(expires) {
            self.wake(key);
        } else if record.facts.iter().any(is_over)
            && let Some(worker) = self.workers.lock().get(key)
        {
            worker.notify_one();
        }
    }

    /// Says that a stream has an approval that expires.
    fn wake(self: &Arc<Self>, key: &StreamKey) {
        let mut workers = self.workers.lock();
        if let Some(worker) = workers.get(key) {
            worker.notify_one();
            return;
        }
        let woken = Arc::new(Notify::new());
        workers.insert(key.clone(), Arc::clone(&woken));
        let work = work(Arc::clone(self), key.clone(), woken);
        let closing = self.context.closing.clone();
        // What expires after a shutdown is written by the recovery of the next process.
        self.context.tasks.spawn(async move {
            closing.run_until_cancelled_owned(work).await;
        });
    }

    /// Ends a worker that has nothing to wait for, unless it was woken meanwhile.
    fn end(&self, key: &StreamKey, woken: &Notify) -> bool {
        let mut workers = self.workers.lock();
        if woken.notified().now_or_never().is_some() {
            return false;
        }
        workers.remove(key);
        true
    }
}

async fn work(expiries: Arc<Expiries>, key: StreamKey, woken: Arc<Notify>) {
    let context = &expiries.context;
    let mut backoff = Backoff::default();
    loop {
        match expire(context, &key).await {
            Ok(None) => {
                if expiries.end(&key, &woken) {
                    return;
                }
            }
            Ok(Some(at_ms)) => {
                backoff = Backoff::default();
                // Never zero: a clock that was set back must not make it spin.
                let rest = Duration::from_millis(at_ms.saturating_sub(now_ms()).max(1)).min(LONGEST_SLEEP);
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = woken.notified() => {}
                }
            }
            Err(error) => {
                tracing::warn!(stream = %key, %error, "an approval has expired, but that is not written yet; trying again");
                backoff.pause().await;
            }
        }
    }
}

/// Writes which approvals of a stream have expired. Returns when the next one does.
pub(crate) async fn expire(context: &Context, key: &StreamKey) -> Result<Option<u64>, LogError> {
    loop {
        let Some((at_ms, run, approval)) = context.journal.next_expiry(key).await? else { return Ok(None) };
        if at_ms > now_ms() {
            return Ok(Some(at_ms));
        }
        // Nothing of its own: what has expired, the ledger writes.
        let append = Append {
            precondition: Precondition::ApprovalOpen { run, approval },
            ..Append::events(key.clone(), Vec::new())
        };
        let outcome = context.journal.append(append).await?.durable().await?;
        if matches!(outcome, Outcome::Durable(Receipt { status: Status::Accepted, .. })) {
            // The clock was set back meanwhile: it has not expired.
            return Ok(Some(at_ms));
        }
    }
}
