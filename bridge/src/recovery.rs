//! What a bridge does before it serves: ends runs that nobody works on, and passes on messages that nobody claimed.

use std::sync::Arc;

use serde_json::json;

use crate::bridge::Inner;
use crate::dispatch::Dispatcher;
use crate::event::Event;
use crate::log::{Append, Guard, LogError};

/// Streams that recovery reads at once.
const PAGE: usize = 256;

/// Closes open runs with `agent_died {cause: "restarted"}` (LIF-5), then wakes the agent for what waits.
///
/// Streams come in the order of their keys and each is visited once. What recovery itself writes (an end of a run, a
/// line in an inbox) opens no run and waits for no agent, so it can't give itself more to do.
pub(crate) async fn recover(inner: &Arc<Inner>) -> Result<(), LogError> {
    let log = inner.store.log();
    let mut after = None;
    let mut waiting = Vec::new();
    let mut runs = 0_usize;
    loop {
        let page = log.unfinished(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        let mut tickets = Vec::new();
        for stream in page {
            for run in &stream.open_runs {
                let event = json!({ "type": "agent_died", "runId": &**run, "cause": "restarted" });
                let event = Event::new(event, inner.limits.max_frame_bytes)
                    .map_err(|error| LogError::Unavailable(error.to_string()))?;
                let append = Append {
                    guard: Guard::RunOpen(Arc::clone(run)),
                    announce: inner.inbox_of(&stream.key),
                    ..Append::events(stream.key.clone(), vec![event])
                };
                tickets.push(inner.store.append(append).await?);
                runs += 1;
            }
            if stream.has_pending {
                waiting.push(stream.key);
            }
        }
        for ticket in tickets {
            ticket.durable().await?;
        }
    }
    if runs > 0 || !waiting.is_empty() {
        tracing::info!(
            runs,
            streams = waiting.len(),
            "recovered: runs ended, streams with messages to claim"
        );
    }
    for key in &waiting {
        Dispatcher::wake(inner, key);
    }
    Ok(())
}
