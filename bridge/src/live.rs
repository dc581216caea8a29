//! The runs that live in this process, and the approvals they wait for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::counters::{Counted, Counter, Handles};
use crate::stream::StreamKey;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// A person said yes.
    Approved,
    /// A person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
}

/// The answer to a question, as [`Run::ask_with`](crate::Run::ask_with) gets it: the payload and the edits fit the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What became of the question.
    pub decision: Decision,
    /// What the person filled in.
    pub payload: Option<Value>,
    /// The arguments, as the person changed them.
    pub edited_args: Option<Value>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// The user who decided; `None` when it was no user.
    pub by: Option<String>,
}

impl Answer {
    /// Reads an `approval_resolved`.
    pub(crate) fn of(body: &str) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(body).ok()?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let decision = Decision::parse(&text("decision")?)?;
        let (reason, by) = (text("reason"), text("user"));
        Some(Self {
            decision,
            payload: fields.remove("payload"),
            edited_args: fields.remove("editedArgs"),
            reason,
            by,
        })
    }
}

impl Decision {
    /// The text on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }

    /// The inverse of [`Decision::as_str`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Approved, Self::Denied, Self::Expired].into_iter().find(|one| one.as_str() == text)
    }
}

/// Finds a live run by its stream and id. Bounded by what the agents of this process keep open.
#[derive(Debug, Default)]
pub(crate) struct LiveRuns {
    runs: ByPlace<Reached>,
    waiting: Arc<Mutex<HashMap<Asked, oneshot::Sender<Answer>>>>,
    /// Runs whose start the log did not confirm: whoever started them was told that it failed.
    abandoned: Mutex<VecDeque<(StreamKey, Arc<str>)>>,
    counter: Counter,
}

/// How a run of this process is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// Cancelled when the run is.
    pub(crate) cancelled: CancellationToken,
    /// Notified when there may be a message for the run, or when it is over.
    pub(crate) steered: Arc<Notify>,
}

/// An approval that a run waits for: by stream, run and id.
type Asked = (StreamKey, Arc<str>, Arc<str>);

/// Runs whose start may still become durable after an error; the oldest one is forgotten.
const MAX_ABANDONED: usize = 1_024;

/// What is known by a stream and the id of a run.
type ByPlace<T> = Mutex<HashMap<(StreamKey, Arc<str>), T>>;

impl LiveRuns {
    pub(crate) fn insert(&self, key: StreamKey, run: &Arc<str>, reached: Reached) {
        self.runs.lock().insert((key, Arc::clone(run)), reached);
    }

    /// Counts a run, for as long as it has an owner.
    pub(crate) fn count(&self) -> Counted {
        self.counter.count()
    }

    /// Counts the runs of this process.
    pub(crate) fn runs(&self) -> Handles {
        self.counter.handles(self.runs.lock().len())
    }

    pub(crate) fn remove(&self, key: &StreamKey, run: &Arc<str>) {
        self.runs.lock().remove(&(key.clone(), Arc::clone(run)));
    }

    /// Nobody works on a run, and its start may become durable.
    pub(crate) fn abandon(&self, key: StreamKey, run: &Arc<str>) {
        let mut abandoned = self.abandoned.lock();
        if abandoned.len() >= MAX_ABANDONED {
            abandoned.pop_front();
        }
        abandoned.push_back((key, Arc::clone(run)));
    }

    /// The start of a run is durable: whether nobody works on it.
    pub(crate) fn take_abandoned(&self, key: &StreamKey, run: &str) -> bool {
        let mut abandoned = self.abandoned.lock();
        let at = abandoned.iter().position(|(of, one)| of == key && **one == *run);
        at.and_then(|at| abandoned.remove(at)).is_some()
    }

    /// Signals a run to stop. Returns whether it lives in this process.
    pub(crate) fn cancel(&self, key: &StreamKey, run: &str) -> bool {
        let run = self.reach(key, run);
        // Outside the lock: waking runs code of others.
        run.as_ref().map(|run| run.cancelled.cancel()).is_some()
    }

    /// Tells a run that there is a message for it.
    pub(crate) fn steer(&self, key: &StreamKey, run: &str) {
        if let Some(run) = self.reach(key, run) {
            run.steered.notify_one();
        }
    }

    fn reach(&self, key: &StreamKey, run: &str) -> Option<Reached> {
        self.runs.lock().get(&(key.clone(), run.into())).cloned()
    }

    /// Waits for the answer to an approval of a run; `None` when the run ends before it. Forgets it when the future is
    /// dropped.
    pub(crate) fn wait_for(
        &self,
        key: StreamKey,
        run: Arc<str>,
        approval: Arc<str>,
    ) -> impl Future<Output = Option<Answer>> + Send + use<> {
        let (answer, receiver) = oneshot::channel();
        let question = (key, run, approval);
        self.waiting.lock().insert(question.clone(), answer);
        let entry = Waiting { waiting: Arc::clone(&self.waiting), question };
        async move {
            let _entry = entry;
            receiver.await.ok()
        }
    }

    /// Hands the answer to the run that waits for it, if one does.
    pub(crate) fn resolve(&self, key: &StreamKey, run: &str, approval: &str, answer: Answer) {
        let waiting = self.waiting.lock().remove(&(key.clone(), run.into(), approval.into()));
        if let Some(waiting) = waiting {
            // The run may have stopped waiting; the answer is in the log either way.
            let _ = waiting.send(answer);
        }
    }

    /// A run is over, whoever ended it: it waits for no answer any more.
    pub(crate) fn run_ended(&self, key: &StreamKey, run: &str) {
        let over: Vec<_> =
            self.waiting.lock().extract_if(|(of, one, _), _| of == key && **one == *run).collect();
        // Outside the lock: waking runs code of others.
        drop(over);
        if let Some(run) = self.reach(key, run) {
            // One that looks later sees that it is over.
            run.steered.notify_waiters();
        }
    }
}

struct Waiting {
    waiting: Arc<Mutex<HashMap<Asked, oneshot::Sender<Answer>>>>,
    question: Asked,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.question);
    }
}
