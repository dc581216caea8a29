//! Leases of runs whose agents are in other processes: a run that is silent for longer is ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::effects::end_run;
use crate::stream::StreamKey;

type Leased = (StreamKey, Arc<str>);

/// The leases of this process. Bounded by the runs that are open.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    book: Mutex<Book>,
    /// Notified when a lease ends before all others.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Book {
    rows: HashMap<Leased, Row>,
    /// When each is looked at next: at its end, or before it if it was renewed since.
    due: BTreeMap<(Instant, u64), Leased>,
    next: u64,
    /// Whether somebody looks when it is time.
    is_kept: bool,
}

#[derive(Debug)]
struct Row {
    lease: Duration,
    until: Instant,
    due: (Instant, u64),
}

impl Leases {
    /// A run with a lease is open. Returns whether [`keep`] has to be started.
    #[must_use]
    pub(crate) fn begin(&self, key: &StreamKey, run: &Arc<str>, lease: Duration) -> bool {
        let until = Instant::now() + lease;
        let mut book = self.book.lock();
        if book.insert((key.clone(), Arc::clone(run)), lease, until) {
            self.earlier.notify_one();
        }
        !std::mem::replace(&mut book.is_kept, true)
    }

    /// A run with a lease gave a sign of life.
    pub(crate) fn renew(&self, key: &StreamKey, run: &Arc<str>) {
        if let Some(row) = self.book.lock().rows.get_mut(&(key.clone(), Arc::clone(run))) {
            row.until = Instant::now() + row.lease;
        }
    }

    /// Whether a run has a lease.
    pub(crate) fn has(&self, key: &StreamKey, run: &Arc<str>) -> bool {
        self.book.lock().rows.contains_key(&(key.clone(), Arc::clone(run)))
    }

    /// A run is over.
    pub(crate) fn end(&self, key: &StreamKey, run: &Arc<str>) {
        let mut book = self.book.lock();
        if let Some(row) = book.rows.remove(&(key.clone(), Arc::clone(run))) {
            book.due.remove(&row.due);
        }
    }
}

impl Book {
    /// Returns whether it is the first to end.
    fn insert(&mut self, leased: Leased, lease: Duration, until: Instant) -> bool {
        let due = (until, self.next);
        self.next += 1;
        if let Some(old) = self.rows.insert(leased.clone(), Row { lease, until, due }) {
            self.due.remove(&old.due);
        }
        self.due.insert(due, leased);
        self.due.first_key_value().is_some_and(|(first, _)| *first == due)
    }

    /// Removes what has ended. Returns it, and when to look again.
    fn take_ended(&mut self, now: Instant) -> (Vec<Leased>, Option<Instant>) {
        let mut ended = Vec::new();
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let leased = entry.remove();
            let Some(row) = self.rows.remove(&leased) else { continue };
            if row.until > now {
                self.insert(leased, row.lease, row.until);
            } else {
                ended.push(leased);
            }
        }
        let next = self.due.first_key_value().map(|((at, _), _)| *at);
        self.is_kept = next.is_some();
        (ended, next)
    }
}

/// Ends runs whose leases are over, until there are no leases or the bridge closes.
pub(crate) async fn keep(context: Arc<Context>) {
    let closing = context.closing.clone();
    let work = async {
        loop {
            let earlier = context.leases.earlier.notified();
            let (ended, next) = context.leases.book.lock().take_ended(Instant::now());
            for (key, run) in ended {
                tracing::info!(stream = %key, run = &*run, "the lease of a run is over; it is ended");
                let end = json!({ "type": "agent_died", "runId": &*run, "cause": "no_heartbeat" });
                context.tasks.spawn(end_run(Arc::clone(&context), key, run, end));
            }
            let Some(at) = next else { return };
            tokio::select! {
                () = earlier => {}
                () = sleep_until(at) => {}
            }
        }
    };
    closing.run_until_cancelled(work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leased(name: &str) -> (StreamKey, Arc<str>) {
        (StreamKey::from_text("t").unwrap(), name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_when_it_was_not_renewed() {
        let leases = Leases::default();
        let (key, idle) = leased("idle");
        let (_, busy) = leased("busy");
        let second = Duration::from_secs(1);
        assert!(leases.begin(&key, &idle, 2 * second));
        assert!(!leases.begin(&key, &busy, 2 * second));
        tokio::time::advance(second).await;
        leases.renew(&key, &busy);
        tokio::time::advance(second).await;
        let (ended, next) = leases.book.lock().take_ended(Instant::now());
        assert_eq!(ended, [(key.clone(), Arc::clone(&idle))]);
        assert_eq!(next, Some(Instant::now() + second));
        assert!(leases.has(&key, &busy) && !leases.has(&key, &idle));
        leases.end(&key, &busy);
        tokio::time::advance(second).await;
        assert_eq!(leases.book.lock().take_ended(Instant::now()), (Vec::new(), None));
        assert!(leases.begin(&key, &busy, second));
    }
}
