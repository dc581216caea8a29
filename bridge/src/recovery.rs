//! What a bridge does before it serves: ends runs that nobody works on, and passes on messages that nobody claimed.

use std::sync::Arc;

use serde_json::json;

use crate::context::Context;
use crate::dispatch::Dispatcher;
use crate::effects::begin_outside;
use crate::event::Event;
use crate::expiry::expire;
use crate::inbox::Inboxes;
use crate::ledger::draft::{Append, Precondition};
use crate::log::LogError;

/// Streams that recovery reads at once.
const PAGE: usize = 256;

/// Closes open runs with `agent_died {cause: "restarted"}` (LIF-5), except those with a lease, which begins again. Then it wakes
/// the agent for what waits and the inboxes for what they were not notified of.
///
/// Streams come in the order of their keys and each is visited once. What recovery itself writes opens no run and waits
/// for no agent, so it can't give itself more to do.
pub(crate) async fn recover(
    context: &Arc<Context>,
    dispatcher: &Arc<Dispatcher>,
    inboxes: &Arc<Inboxes>,
) -> Result<(), LogError> {
    let journal = &context.journal;
    let mut after = None;
    let (mut streams, mut runs) = (Vec::new(), 0_usize);
    loop {
        let page = journal.unfinished(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        let mut tickets = Vec::new();
        for key in page {
            // First: what expired while no process ran has expired, and was not ended by the end of its run.
            expire(context, &key).await?;
            for (run, lease_ms) in journal.open_runs(&key).await? {
                if let Some(lease_ms) = lease_ms {
                    // Its agent is in another process, and may not know that this one was away.
                    begin_outside(context, &key, &run, lease_ms);
                    continue;
                }
                let event = json!({ "type": "agent_died", "runId": &*run, "cause": "restarted" });
                let event = Event::new(event, context.limits.max_frame_bytes)
                    .map_err(|error| LogError::Unavailable(error.to_string()))?;
                let append = Append {
                    precondition: Precondition::RunOpen(run),
                    is_announced: context.has_inboxes,
                    ..Append::events(key.clone(), vec![event])
                };
                tickets.push(journal.append(append).await?);
                runs += 1;
            }
            streams.push(key);
        }
        for ticket in tickets {
            ticket.durable().await?;
        }
    }
    if !streams.is_empty() {
        tracing::info!(runs, streams = streams.len(), "recovered: runs ended, streams with open work");
    }
    for key in &streams {
        dispatcher.wake(key);
        inboxes.wake(key);
    }
    Ok(())
}
