//! Accepted messages on their way to the agent: one at a time per stream, several streams side by side.
//!
//! The log holds the queue. A stream that may have work has one worker, which asks the ledger for the next message that
//! nobody claimed, lets the agent handle it, and ends when there is none.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::agent::{Agents, Turn, TurnState, UserMessage};
use crate::bounds::turns::{Permit, Rank, TurnPermit, Turns};
use crate::context::Context;
use crate::emitter::{Emitter, PublishError};
use crate::event::Event;
use crate::journal::Pending;
use crate::ledger::draft::Precondition;
use crate::log::{Fact, LogError, Record};
use crate::retry::Backoff;
use crate::run::AgentError;
use crate::stream::StreamKey;
use crate::workers::Workers;

/// Hands messages to agents.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    context: Arc<Context>,
    agents: Agents,
    workers: Workers,
    turns: Arc<Turns>,
}

impl Dispatcher {
    pub(crate) fn new(context: Arc<Context>, agents: Agents) -> Arc<Self> {
        let limits = &context.limits;
        let turns = Turns::new(limits.max_concurrent_turns, limits.max_concurrent_turns_per_user);
        Arc::new(Self { context, agents, workers: Workers::default(), turns: Arc::new(turns) })
    }

    /// A record is durable: it may hold messages.
    pub(crate) fn follow(self: &Arc<Self>, key: &StreamKey, record: &Record) {
        if record.facts.iter().any(|fact| matches!(fact, Fact::Waiting { .. } | Fact::Requeued { .. })) {
            self.wake(key);
        }
    }

    /// Says that a stream may have a message to claim.
    pub(crate) fn wake(self: &Arc<Self>, key: &StreamKey) {
        let closing = &self.context.closing;
        if self.agents.is_empty() || closing.is_cancelled() || !self.workers.wake(key) {
            return;
        }
        let work = work(Arc::clone(self), key.clone());
        let closing = closing.clone();
        self.context.tasks.spawn(async move {
            // A shutdown drops the running turn: its run is written as ended.
            closing.run_until_cancelled_owned(work).await;
        });
    }
}

/// Handles messages of one stream until none is left.
async fn work(dispatcher: Arc<Dispatcher>, key: StreamKey) {
    // Messages that were handled and still wait, because that could not be noted.
    let mut passed = BTreeSet::new();
    let mut backoff = Backoff::default();
    loop {
        match next(&dispatcher, &key, &passed).await {
            Ok(Some((message, permit))) => {
                match turn(&dispatcher, &key, &message, permit).await {
                    Turned::Over => backoff = Backoff::default(),
                    Turned::Passed => {
                        passed.insert(message.offset);
                        backoff = Backoff::default();
                    }
                    Turned::Edited => {}
                    Turned::Again => {
                        // The later ones of the stream wait with it.
                        let offset = message.offset;
                        tracing::warn!(stream = %key, offset, "a message waits: the log took no run for it; it is handled again");
                        backoff.pause().await;
                    }
                }
            }
            Ok(None) => {
                if !dispatcher.workers.must_look_again(&key) {
                    return;
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
async fn next(
    dispatcher: &Dispatcher,
    key: &StreamKey,
    passed: &BTreeSet<u64>,
) -> Result<Option<(Pending, Permit)>, LogError> {
    let journal = &dispatcher.context.journal;
    loop {
        let Some(message) = journal.next_pending(key, passed).await? else { return Ok(None) };
        // Without its text: many may wait.
        let user = Arc::clone(&message.subject);
        drop(message);
        let permit = dispatcher.turns.permit(&user, Rank::New).await;
        // It can have been redacted or trimmed while it waited: an agent does not get what is gone.
        let now = journal.next_pending(key, passed).await?;
        if let Some(now) = now.filter(|now| now.subject == user) {
            return Ok(Some((now, permit)));
        }
    }
}

/// How a turn ended.
#[derive(PartialEq, Eq)]
enum Turned {
    /// The message is claimed, or waits no more.
    Over,
    /// The message was handled, but waits as before.
    Passed,
    /// The log could not be written: the message waits as before.
    Again,
    /// The message has another text than the agent was given.
    Edited,
}

async fn turn(dispatcher: &Arc<Dispatcher>, key: &StreamKey, pending: &Pending, permit: Permit) -> Turned {
    let turn_permit = TurnPermit::new(Arc::clone(&dispatcher.turns), Arc::clone(&pending.subject), permit);
    let emitter = Emitter::new(Arc::clone(&dispatcher.context), Ok(key.clone()));
    let message = UserMessage::new(key, pending);
    let offset = pending.offset;
    let state = Arc::new(TurnState::default());
    let ended = match catch_unwind(AssertUnwindSafe(|| dispatcher.agents.choose(&message))) {
        Err(_) => Ended::Panicked,
        Ok(Err(name)) => Ended::Failed(unknown_agent(&name)),
        Ok(Ok(agent)) => {
            let turn = Turn::new(message, emitter.clone().of_turn(&turn_permit), pending, Arc::clone(&state));
            tracing::debug!(stream = %key, offset, "message goes to the agent");
            // A task of its own, so that a panic stays in it; aborted with this future, and waited for by a shutdown.
            let task = dispatcher.context.tasks.spawn(agent.handle(turn));
            let handled = tokio::select! {
                biased;
                handled = AbortOnDropHandle::new(task) => Some(handled),
                () = state.runs.abandoned() => None,
            };
            match handled {
                Some(Ok(Err(error))) => Ended::Failed(error),
                Some(Err(error)) if error.is_panic() => Ended::Panicked,
                None | Some(Ok(Ok(())) | Err(_)) => Ended::Well,
            }
        }
    };
    turn_permit.end();
    match &ended {
        Ended::Well => state.runs.end(None, "dropped"),
        Ended::Failed(error) => state.runs.end(Some(error.clone()), "dropped"),
        Ended::Panicked => {
            tracing::warn!(stream = %key, offset, "the agent panicked");
            state.runs.end(None, "panicked");
        }
    }
    let mut backoff = Backoff::default();
    loop {
        match settle_turn(dispatcher, &emitter, key, pending, &state, &ended).await {
            Ok(turned) => return turned,
            Err(PublishError::Log(error)) => {
                tracing::warn!(stream = %key, offset, %error,
                    "a message was handled, but is not noted as claimed yet; trying again");
                backoff.pause().await;
            }
            Err(error) => {
                tracing::warn!(stream = %key, offset, %error,
                    "a message was handled, but not noted as claimed");
                return Turned::Passed;
            }
        }
    }
}

/// How an agent left a message.
enum Ended {
    Well,
    Failed(AgentError),
    Panicked,
}

fn unknown_agent(name: &str) -> AgentError {
    AgentError::new("unknown_agent", format!("this server has no agent called `{name}`"))
}

/// Notes the message as claimed when no run did. After a failure without a run, a short run notifies the page.
async fn settle_turn(
    dispatcher: &Dispatcher,
    emitter: &Emitter,
    key: &StreamKey,
    pending: &Pending,
    state: &TurnState,
    ended: &Ended,
) -> Result<Turned, PublishError> {
    let journal = &dispatcher.context.journal;
    if !journal.is_waiting(key, pending.offset).await? {
        return Ok(Turned::Over);
    }
    if state.is_outdated() {
        return Ok(Turned::Edited);
    }
    if state.has_log_failed() {
        return Ok(Turned::Again);
    }
    let run = format!("run-{}", Uuid::new_v4().simple());
    let end = match ended {
        Ended::Well => {
            let is_claimed = journal.claim_handled(key, pending.offset, pending.edited).await?;
            return Ok(if is_claimed { Turned::Over } else { Turned::Edited });
        }
        Ended::Failed(error) => {
            error.clone().fitting(dispatcher.context.limits.max_frame_bytes).into_event(&run)
        }
        Ended::Panicked => json!({ "type": "agent_died", "runId": run, "cause": "panicked" }),
    };
    let max = dispatcher.context.limits.max_frame_bytes;
    let events = vec![
        Event::new(
            json!({ "type": "agent_started", "runId": run, "agent": "agent", "sendId": &*pending.send_id }),
            max,
        )?
        .claiming(pending.offset, pending.edited),
        Event::new(end, max)?,
    ];
    match emitter.append(events, Precondition::None).await {
        Ok(_) => Ok(Turned::Over),
        Err(PublishError::Outdated) => Ok(Turned::Edited),
        Err(error) => Err(error),
    }
}
