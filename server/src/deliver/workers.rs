//! Workers: backends that hold a connection and get deliveries on it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::delivery::Delivery;
use super::{Accepted, Attempt};
use crate::auth::keys::ServiceKey;

/// Answers to one delivery that wait to be looked at.
const MAX_ANSWERS: usize = 4;

/// How long a worker has to accept a delivery.
const ACCEPT_WITHIN: Duration = Duration::from_secs(30);

/// All workers, and what waits for one.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Deliveries that no worker has, in the order in which they came. Bounded by the streams that have one, and the runs.
    waiting: Mutex<VecDeque<Job>>,
    /// Notified when there is something new for a worker.
    more: Notify,
    /// Those that a worker has and has not answered, by id.
    given: Mutex<HashMap<String, Given>>,
}

/// What a worker says of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted { done: bool },
    Refused { message: String },
}

/// The place of a delivery among those that a worker works on.
#[derive(Debug)]
pub(super) struct Slot(
    #[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit,
);

/// What a worker holds of a delivery that it has accepted: a place, and the right to say more.
#[derive(Debug)]
pub(super) struct Held {
    slot: Slot,
    answers: mpsc::Receiver<Answer>,
    _known: Known,
}

impl Held {
    /// What the worker says later; waits for it.
    pub(super) async fn more(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            // The worker left. Another one gets the delivery when its lease is over.
            None => std::future::pending().await,
        }
    }

    /// The worker has said what it had to say; it still works on the delivery.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}

#[derive(Debug)]
struct Job {
    id: String,
    attempt: u64,
    thread: String,
    line: Bytes,
    /// Whether somebody still waits for it, and how a worker takes it.
    taken: oneshot::Sender<Slot>,
}

#[derive(Debug)]
struct Given {
    attempt: u64,
    worker: u64,
    answers: mpsc::Sender<Answer>,
}

/// The connection of one worker. A drop gives what it has not answered to others.
pub(crate) struct Worker {
    workers: Arc<Workers>,
    id: u64,
    key: Arc<ServiceKey>,
    room: Arc<Semaphore>,
}

impl Workers {
    /// A worker came, which works on `max` deliveries at once.
    pub(crate) fn join(self: &Arc<Self>, max: usize, key: Arc<ServiceKey>) -> Worker {
        tracing::info!(key = key.name(), max, "a worker came");
        Worker { workers: Arc::clone(self), id: fastrand::u64(..), key, room: Arc::new(Semaphore::new(max)) }
    }

    /// Takes the answer of a worker. Returns whether somebody waits for it.
    pub(crate) fn answer(&self, id: &str, attempt: u64, answer: Answer) -> bool {
        let given = self.given.lock();
        given.get(id).is_some_and(|given| given.attempt == attempt && given.answers.try_send(answer).is_ok())
    }

    /// Makes one attempt: waits for a worker that has room, and for its answer.
    pub(super) async fn give(self: &Arc<Self>, delivery: &Delivery, within: Duration) -> Attempt {
        let (taken, mut taking) = oneshot::channel();
        let (sender, mut answers) = mpsc::channel(MAX_ANSWERS);
        let id = delivery.id().to_owned();
        // Before the job is there: its answer can come at once. The worker is set when one takes it.
        self.given.lock().insert(id.clone(), Given { attempt: delivery.attempt, worker: 0, answers: sender });
        let known = Known { workers: Arc::clone(self), id: id.clone(), attempt: delivery.attempt };
        let mut line = delivery.to_json();
        line.push('\n');
        let (attempt, thread) = (delivery.attempt, delivery.thread().to_owned());
        self.waiting.lock().push_back(Job { id: id.clone(), attempt, thread, line: line.into(), taken });
        self.more.notify_waiters();
        let Ok(Ok(slot)) = timeout(within, &mut taking).await else {
            return Attempt::Again { why: "no worker is there that has room".to_owned(), after: None };
        };
        // A run can claim the message before the worker has answered: then the place is kept for the run.
        *delivery.slot.lock() = Some(slot);
        let answered = timeout(ACCEPT_WITHIN, answers.recv()).await;
        let Some(slot) = delivery.slot.lock().take() else {
            return Attempt::Again { why: "its place was taken away".to_owned(), after: None };
        };
        match answered {
            Ok(Some(Answer::Accepted { done })) => {
                Attempt::Accepted(Accepted { done, held: Some(Held { slot, answers, _known: known }) })
            }
            Ok(Some(Answer::Refused { message })) => Attempt::Refused(message),
            Ok(None) => {
                let after = Some(Duration::ZERO);
                Attempt::Again { why: "the worker left before it accepted".to_owned(), after }
            }
            Err(_) => {
                let after = Some(Duration::ZERO);
                Attempt::Again { why: "the worker did not accept in time".to_owned(), after }
            }
        }
    }
}

/// An attempt that workers can answer. It is forgotten when nobody waits for an answer any more.
#[derive(Debug)]
struct Known {
    workers: Arc<Workers>,
    id: String,
    attempt: u64,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.workers.waiting.lock().retain(|job| job.id != self.id || job.attempt != self.attempt);
        let mut given = self.workers.given.lock();
        if given.get(&self.id).is_some_and(|given| given.attempt == self.attempt) {
            given.remove(&self.id);
        }
    }
}

impl Worker {
    /// The next delivery for this worker, as a line; waits until there is one and the worker has room.
    pub(crate) async fn next(&self) -> Bytes {
        let permit = Arc::clone(&self.room).acquire_owned().await.expect("the room is never closed");
        let mut slot = Slot(permit);
        loop {
            let more = self.workers.more.notified();
            tokio::pin!(more);
            // Before the look, so that nothing falls between the two.
            more.as_mut().enable();
            while let Some(job) = self.take() {
                if let Some(given) = self.workers.given.lock().get_mut(&job.id) {
                    given.worker = self.id;
                }
                match job.taken.send(slot) {
                    Ok(()) => return job.line,
                    // Nobody waits for it any more.
                    Err(back) => slot = back,
                }
            }
            more.await;
        }
    }

    fn take(&self) -> Option<Job> {
        let mut waiting = self.workers.waiting.lock();
        let at = waiting.iter().position(|job| self.key.covers(&job.thread))?;
        waiting.remove(at)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        tracing::info!(key = self.key.name(), "a worker left");
        // The drop of the answer says so to those who wait for it.
        self.workers.given.lock().retain(|_, given| given.worker != self.id);
    }
}
