//! What happens in this process when something is durable: also when the page that asked for it is gone by then.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::context::Context;
use crate::emitter::{PublishError, settle};
use crate::event::Event;
use crate::ledger::draft::{Append, Precondition};
use crate::live::Answer;
use crate::log::{Fact, Origin, Record};
use crate::outside::{OutsideRun, leases};
use crate::retry::until_written;
use crate::stream::StreamKey;

/// A record is durable: tells the runs of this process.
pub(crate) fn follow(context: &Arc<Context>, key: &StreamKey, record: &Record) {
    for fact in &record.facts {
        match fact {
            Fact::RunStarted { run, origin: Origin { lease_ms: Some(lease_ms), .. }, .. } => {
                begin_outside(context, key, run, *lease_ms);
            }
            Fact::CancelAccepted { run }
                if !context.leases.has(key, run) && !context.live.cancel(key, run) =>
            {
                // Nobody in this process works on it, so nobody else will end it.
                let end = json!({ "type": "agent_cancelled", "runId": &**run, "reason": "requested" });
                context.tasks.spawn(end_run(Arc::clone(context), key.clone(), Arc::clone(run), end));
            }
            Fact::RunStarted { run, .. } if context.live.take_abandoned(key, run) => {
                let end = json!({ "type": "agent_died", "runId": &**run, "cause": "dropped" });
                context.tasks.spawn(end_run(Arc::clone(context), key.clone(), Arc::clone(run), end));
            }
            Fact::Steers { run, .. } => context.live.steer(key, run),
            Fact::RunEnded { run, .. } => {
                context.live.run_ended(key, run);
                context.leases.end(key, run);
            }
            Fact::ApprovalResolved { run, approval, offset, .. } => {
                let place = offset.checked_sub(record.first).and_then(|place| usize::try_from(place).ok());
                let event = place.and_then(|place| record.events.get(place));
                if let Some(answer) = event.and_then(|event| Answer::of(event)) {
                    context.live.resolve(key, run, approval, answer);
                }
            }
            _ => {}
        }
    }
    context.changes.follow(key, record);
}

/// A run is open whose agent is in another process.
pub(crate) fn begin_outside(context: &Arc<Context>, key: &StreamKey, run: &Arc<str>, lease_ms: u64) {
    if context.leases.begin(key, run, Duration::from_millis(lease_ms)) {
        context.tasks.spawn(leases::keep(Arc::clone(context)));
    }
    if let Some(call) = &context.on_outside_run {
        call(OutsideRun::new(Arc::clone(context), key.clone(), Arc::clone(run)));
    }
}

/// Ends a run that no process works on.
pub(crate) async fn end_run(context: Arc<Context>, key: StreamKey, run: Arc<str>, event: Value) {
    let Ok(event) = Event::new(event, context.limits.max_frame_bytes) else {
        return;
    };
    let append = Append {
        precondition: Precondition::RunOpen(run),
        is_announced: context.has_inboxes,
        ..Append::events(key, vec![event])
    };
    let write = async || settle(context.journal.append(append.clone()).await?.durable().await);
    match until_written(&context.closing, write).await {
        // Over meanwhile is over as well.
        Ok(_) | Err(PublishError::RunEnded) => {}
        Err(error) => tracing::warn!(%error, "a run that nobody works on could not be ended"),
    }
}
