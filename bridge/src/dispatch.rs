//! Accepted messages on their way to the agent: one at a time per stream, several streams side by side.
//!
//! The log holds the queue. A stream that may have work has one worker, which asks the log for the next message that
//! nobody claimed, lets the agent handle it, and ends when there is none.

mod turns;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::turns::{Pause, Place};
use self::turns::{Permit, Rank, Turns};
use crate::bridge::Inner;
use crate::emitter::{Emitter, PublishError};
use crate::event::Event;
use crate::limits::Limits;
use crate::log::{Guard, LogError, Pending};
use crate::retry::Backoff;
use crate::run::{Answers, Run};
use crate::stream::StreamKey;

/// Answers messages of users.
pub trait Agent: Send + Sync + 'static {
    /// Handles one message. The next one of the same stream comes when the future is over.
    ///
    /// The message counts as claimed when a run that [`Turn::run`] started is durable, or when the future is over; one
    /// that is not claimed when the process ends is handled again by the next process. So is one whose [`Turn::run`]
    /// failed because the log could not be written: it comes again after a pause, before the later ones of its stream.
    /// A panic ends the run that the future holds with `agent_died {cause: "panicked"}`.
    fn handle(&self, turn: Turn) -> BoxFuture<'static, ()>;
}

/// What a user sent.
#[derive(Clone, Debug, PartialEq)]
pub struct UserMessage {
    /// Who sent it.
    pub user: String,
    /// The thread it was sent to.
    pub thread: String,
    /// The id its page chose.
    pub send_id: String,
    /// Its text.
    pub content: String,
    /// The whole event as it is stored.
    pub body: Value,
}

/// One message and the means to answer it.
#[derive(Debug)]
pub struct Turn {
    /// What to answer.
    pub message: UserMessage,
    emitter: Emitter,
    /// The place of the message: its id may be one of another user, too.
    offset: u64,
    log_failed: Arc<AtomicBool>,
}

impl Turn {
    /// Starts a run whose `agent_started` carries the `sendId`: with it, the message is claimed.
    ///
    /// After an error of the log the message comes again when [`Agent::handle`] has returned.
    pub async fn run(&self, agent: &str) -> Result<Run, PublishError> {
        let answers = Answers { send_id: &self.message.send_id, offset: self.offset };
        let run = Run::start(self.emitter.clone(), agent, Some(answers), None).await;
        if matches!(run, Err(PublishError::Log(_))) {
            self.log_failed.store(true, Ordering::Release);
        }
        run
    }

    /// Publishes to the thread of the message.
    pub fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }
}

/// Streams with a worker. Bounded by the streams that have a message waiting, or a turn that waits for a person.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    workers: Mutex<HashMap<StreamKey, Again>>,
    turns: Arc<Turns>,
}

/// Whether the worker of a stream has to look once more before it ends.
type Again = bool;

impl Dispatcher {
    pub(crate) fn new(limits: &Limits) -> Self {
        let turns = Turns::new(limits.max_concurrent_turns, limits.max_concurrent_turns_per_user);
        Self { workers: Mutex::default(), turns: Arc::new(turns) }
    }

    /// Says that a stream may have a message to claim.
    pub(crate) fn wake(inner: &Arc<Inner>, key: &StreamKey) {
        if inner.agent.is_none() || inner.closing.is_cancelled() {
            return;
        }
        let mut workers = inner.dispatcher.lock();
        if let Some(again) = workers.get_mut(key) {
            *again = true;
            return;
        }
        workers.insert(key.clone(), false);
        drop(workers);
        let work = work(Arc::clone(inner), key.clone());
        let closing = inner.closing.clone();
        inner.spawn(async move {
            // A shutdown drops the running turn: its run is written as ended.
            closing.run_until_cancelled_owned(work).await;
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, Again>> {
        // The map is whole between any two statements, so a panic elsewhere leaves it usable.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handles messages of one stream until none is left.
async fn work(inner: Arc<Inner>, key: StreamKey) {
    let mut through = 0;
    let mut backoff = Backoff::default();
    loop {
        match next(&inner, &key, through).await {
            Ok(Some((message, permit))) => {
                if turn(&inner, &key, &message, permit).await == Turned::Over {
                    through = message.offset;
                    backoff = Backoff::default();
                } else {
                    // The later ones of the stream wait with it.
                    let offset = message.offset;
                    tracing::warn!(stream = %key, offset, "a message waits: the log took no run for it; it is handled again");
                    backoff.pause().await;
                }
            }
            Ok(None) => {
                let mut workers = inner.dispatcher.lock();
                match workers.get_mut(&key) {
                    Some(again) if *again => *again = false,
                    _ => {
                        workers.remove(&key);
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(stream = %key, %error, "messages wait: the log does not answer; trying again");
                backoff.pause().await;
            }
        }
    }
}

/// The next message of a stream, once its user may have another turn.
async fn next(inner: &Inner, key: &StreamKey, through: u64) -> Result<Option<(Pending, Permit)>, LogError> {
    let log = inner.store.log();
    loop {
        let Some(message) = log.pending(key, through).await? else { return Ok(None) };
        // Without its text: many may wait.
        let user = Arc::clone(&message.subject);
        drop(message);
        let permit = inner.dispatcher.turns.permit(&user, Rank::New).await;
        // It can have been redacted or trimmed while it waited: an agent does not get what is gone.
        let now = log.pending(key, through).await?;
        if let Some(now) = now.filter(|now| now.subject == user) {
            return Ok(Some((now, permit)));
        }
    }
}

/// How a turn ended.
#[derive(PartialEq, Eq)]
enum Turned {
    /// The message is claimed, or passed by.
    Over,
    /// The log could not be written: the message waits as before.
    Again,
}

async fn turn(inner: &Arc<Inner>, key: &StreamKey, pending: &Pending, permit: Permit) -> Turned {
    let Some(agent) = inner.agent.clone() else { return Turned::Over };
    let body: Value = serde_json::from_str(&pending.body).unwrap_or_default();
    let place = Place::new(Arc::clone(&inner.dispatcher.turns), Arc::clone(&pending.subject), permit);
    let emitter = Emitter::new(Arc::clone(inner), Ok(key.clone()));
    let message = UserMessage {
        user: pending.subject.to_string(),
        thread: key.name().to_owned(),
        send_id: pending.send_id.to_string(),
        content: body.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
        body,
    };
    let log_failed = Arc::new(AtomicBool::new(false));
    let turn = Turn {
        message,
        emitter: emitter.clone().of_turn(&place),
        offset: pending.offset,
        log_failed: Arc::clone(&log_failed),
    };
    tracing::debug!(stream = %key, offset = pending.offset, "message goes to the agent");
    // A task of its own, so that a panic stays in it; aborted with this future, and waited for by a shutdown.
    let task = AbortOnDrop(inner.spawn(async move { agent.handle(turn).await }));
    let panicked = task.join().await;
    place.end();
    if panicked {
        tracing::warn!(stream = %key, offset = pending.offset, "the agent panicked");
    }
    let log_failed = log_failed.load(Ordering::Acquire);
    let mut backoff = Backoff::default();
    loop {
        match settle_turn(inner, &emitter, key, pending, log_failed, panicked).await {
            Ok(turned) => return turned,
            Err(PublishError::Log(error)) => {
                tracing::warn!(stream = %key, offset = pending.offset, %error,
                    "a message was handled, but is not noted as claimed yet; trying again");
                backoff.pause().await;
            }
            Err(error) => {
                tracing::warn!(stream = %key, offset = pending.offset, %error,
                    "a message was handled, but not noted as claimed");
                return Turned::Over;
            }
        }
    }
}

/// Notes the message as claimed when no run did. After a panic without a run, a short run notifies the page.
async fn settle_turn(
    inner: &Arc<Inner>,
    emitter: &Emitter,
    key: &StreamKey,
    pending: &Pending,
    log_failed: bool,
    panicked: bool,
) -> Result<Turned, PublishError> {
    let log = inner.store.log();
    let next = log.pending(key, pending.offset - 1).await?;
    if next.is_none_or(|next| next.offset != pending.offset) {
        return Ok(Turned::Over);
    }
    if log_failed {
        return Ok(Turned::Again);
    }
    if !panicked {
        log.claim(key, pending.offset).await?;
        return Ok(Turned::Over);
    }
    let run = format!("run-{}", Uuid::new_v4().simple());
    let max = inner.limits.max_frame_bytes;
    let events = vec![
        Event::new(
            json!({ "type": "agent_started", "runId": run, "agent": "agent", "sendId": &*pending.send_id }),
            max,
        )?
        .claiming(pending.offset),
        Event::new(json!({ "type": "agent_died", "runId": run, "cause": "panicked" }), max)?,
    ];
    emitter.append(events, Guard::None).await?;
    Ok(Turned::Over)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    /// Waits for the task; says whether it panicked.
    async fn join(mut self) -> bool {
        (&mut self.0).await.is_err_and(|error| error.is_panic())
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for dyn Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agent")
    }
}
