//! Agents in other processes: batches of events that are written once, leases of runs, and what their agents are to know.

pub(crate) mod changes;
pub(crate) mod leases;
mod message;
mod run;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::message::{Given, Taken};
pub use self::run::{OpenRun, OutsideRun, RunSignal, RunState, Signals};
use crate::context::Context;
use crate::effects::end_run;
use crate::emitter::{PublishError, settle};
use crate::event::{Effect, Event, EventError};
use crate::fingerprint::fingerprint;
use crate::ledger::draft::{Append, Outcome};
use crate::log::{IdempotencyKey, LogError};
use crate::stream::{Position, StreamKey};

/// Stands before the name of a service in the place of a user: no user's name has a control character.
const SERVICE: char = '\u{1}';

/// Events that an agent of another process writes: all of them as one record, or none.
///
/// ```
/// use agentwire_bridge::{Batch, Producer};
/// use serde_json::json;
///
/// let events = vec![json!({ "type": "agent_started", "runId": "run-1", "agent": "triage" })];
/// let batch = Batch { producer: Some(Producer { id: "p-1".to_owned(), seq: 1 }), ..Batch::new(events) };
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The events, in their order: one at the least.
    pub events: Vec<Value>,
    /// Makes a batch that comes again happen once, also when it is cut differently.
    pub producer: Option<Producer>,
    /// Makes a batch happen once that has no producer.
    pub idempotency: Option<Idempotency>,
    /// For how long the runs that begin in the batch may be silent. Without it they end only by their events, or when the
    /// bridge starts again.
    pub lease: Option<Duration>,
    /// The message that a run of the batch claims.
    pub claim: Option<Claim>,
}

/// Who numbers the events of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Chosen by the producer, and by no other one of the stream.
    pub id: String,
    /// The number of the first event of the batch. The first event of a producer has 1, the next one 2.
    pub seq: u64,
}

/// A key that a service gave a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The service: keys of two services do not meet.
    pub service: String,
    /// The key.
    pub key: String,
}

/// Which message a run answers, and which text of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The id of the message. A run whose first event has this `sendId` claims it.
    pub send_id: String,
    /// The place of the message.
    pub offset: u64,
    /// The place of the text that is answered: that of the message, or of its last edit.
    pub text: u64,
}

/// What became of a batch. It is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The place of the last event.
    pub position: Position,
    /// The last number of the producer.
    pub seq: Option<u64>,
    /// Events that were written now.
    pub applied: usize,
    /// Events that were written before.
    pub repeated: usize,
    /// Runs of the batch that are open and cancelled.
    pub cancelled: Vec<String>,
}

/// Why a batch was not written. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// There is nothing to write.
    #[error("a batch has one event or more")]
    Empty,
    /// The number of an event is not from 1 to 2^53 - 1.
    #[error("the numbers of a producer's events are 1 to 9007199254740991")]
    Sequence,
    /// An event is not valid.
    #[error("event {index} is not valid: {error}")]
    Event {
        /// Its place in the batch, from 0.
        index: usize,
        /// What is wrong with it.
        error: EventError,
    },
    /// The producer's events before the batch are missing.
    #[error("events of this producer are missing before the batch: send those from number {expected} on")]
    Missing {
        /// The number of the first one that is missing.
        expected: u64,
    },
    /// The idempotency key was used for another batch.
    #[error("this idempotency key was used for another batch: use a new key for each batch")]
    Conflict,
    /// It was not written for another reason.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Batch {
    /// A batch with nothing but its events.
    pub fn new(events: Vec<Value>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// Writes a batch, and renews the leases of its runs.
pub(crate) async fn publish(
    context: &Arc<Context>,
    stream: &StreamKey,
    batch: Batch,
) -> Result<Published, BatchError> {
    let Batch { events, producer, idempotency, lease, claim } = batch;
    if events.is_empty() {
        return Err(BatchError::Empty);
    }
    let count = events.len();
    let is_number = |producer: &Producer| {
        producer.seq >= 1 && producer.seq.checked_add(count as u64).is_some_and(|next| next <= 1 << 53)
    };
    if producer.as_ref().is_some_and(|producer| !is_number(producer)) {
        return Err(BatchError::Sequence);
    }
    let key = idempotency.map(|Idempotency { service, key }| IdempotencyKey {
        subject: format!("{SERVICE}{service}").into(),
        id: key.into(),
        hash: fingerprint("batch", &Value::Array(events.clone())),
    });
    let events = read(events, claim.as_ref(), context.limits.max_frame_bytes)?;
    let runs = runs_of(&events);
    let last = producer.as_ref().map(|producer| producer.seq + count as u64 - 1);
    let append = Append {
        key,
        producer: producer.map(|producer| (producer.id.into(), producer.seq)),
        lease_ms: lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
        is_announced: context.has_inboxes,
        ..Append::events(stream.clone(), events)
    };
    let ticket = context.journal.append(append).await.map_err(PublishError::from)?;
    let receipt = match ticket.durable().await {
        Ok(Outcome::Missing(expected)) => return Err(BatchError::Missing { expected }),
        Ok(Outcome::Conflict) => return Err(BatchError::Conflict),
        outcome => settle(outcome)?,
    };
    let repeated = if receipt.is_repeated { count } else { receipt.passed };
    let mut cancelled = Vec::new();
    for run in runs {
        let state = renew(context, stream, &run).await.map_err(PublishError::from)?;
        if state.is_some_and(|state| state.is_open && state.is_cancelled) {
            cancelled.push(run.to_string());
        }
    }
    Ok(Published { position: receipt.position, seq: last, applied: count - repeated, repeated, cancelled })
}

/// Checks the events and encodes them.
fn read(events: Vec<Value>, claim: Option<&Claim>, max_bytes: usize) -> Result<Vec<Event>, BatchError> {
    let read = |(index, event)| {
        let event = Event::new(event, max_bytes).map_err(|error| BatchError::Event { index, error })?;
        Ok(match claim {
            Some(Claim { send_id, offset, text }) => {
                event.claiming_alone(send_id, *offset, (text != offset).then_some(*text))
            }
            None => event,
        })
    };
    events.into_iter().enumerate().map(read).collect()
}

/// The runs that the events are of, each once.
fn runs_of(events: &[Event]) -> Vec<Arc<str>> {
    let mut runs: Vec<Arc<str>> = Vec::new();
    for event in events {
        if let Effect::Run { run, .. }
        | Effect::SteeringTaken { run, .. }
        | Effect::ApprovalRequested { run, .. }
        | Effect::ApprovalResolved { run, .. } = event.effect()
            && !runs.contains(run)
        {
            runs.push(Arc::clone(run));
        }
    }
    runs
}

/// Renews the lease of a run and of those that it is a part of. `None` if there is no such run.
pub(crate) async fn renew(
    context: &Arc<Context>,
    stream: &StreamKey,
    run: &Arc<str>,
) -> Result<Option<RunState>, LogError> {
    let Some(signals) = context.journal.run_signals(stream, run).await? else { return Ok(None) };
    let state = RunState { is_open: !signals.is_over, is_cancelled: signals.is_cancelled };
    context.leases.renew(stream, run);
    let (mut parent, mut seen) = (signals.parent, vec![Arc::clone(run)]);
    while let Some(above) = parent.take().filter(|above| !seen.contains(above)) {
        context.leases.renew(stream, &above);
        parent = context.journal.run_signals(stream, &above).await?.and_then(|signals| signals.parent);
        seen.push(above);
    }
    Ok(Some(state))
}

/// Ends the subscriptions to a stream and its runs, and forgets its events. Returns whether there were any.
pub(crate) async fn delete(context: &Arc<Context>, stream: &StreamKey) -> Result<bool, LogError> {
    if context.journal.is_new(stream).await? {
        return Ok(false);
    }
    // First: nobody is sent what follows.
    context.hub.delete(stream);
    for (run, _) in context.journal.open_runs(stream).await? {
        let end = json!({ "type": "agent_died", "runId": &*run, "cause": "deleted" });
        end_run(Arc::clone(context), stream.clone(), run, end).await;
    }
    context.journal.trim(stream, u64::MAX).await?;
    Ok(true)
}
