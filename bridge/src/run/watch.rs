//! Ends runs and tool calls that take too long or are silent for too long, and warns before.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::clock::{Clock, Mark};
use super::values::Recoverable;
use super::{AgentError, RunCore, Severity};

/// The time that a run has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunTimes {
    pub(super) timeout: Option<Duration>,
    pub(super) silence: Option<Duration>,
}

/// When the warning comes: a fifth of the time is left.
fn warning(limit: Duration) -> Duration {
    limit / 5 * 4
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Watches a run until it is over.
pub(super) fn watch_run(core: &Arc<RunCore>, times: RunTimes) {
    if times.timeout.is_none() && times.silence.is_none() {
        return;
    }
    let (weak, clock, start) = (Arc::downgrade(core), core.clock.clone(), core.clock.now());
    let closing = core.emitter.context().closing.clone();
    core.emitter.context().tasks.spawn(async move {
        tokio::select! {
            () = clock.over().cancelled() => {}
            // The end of a run that is left then is `shutdown`, and not due to its time.
            () = closing.cancelled() => {}
            () = timeout(&weak, &clock, start, times.timeout) => {}
            () = silence(&weak, &clock, times.silence) => {}
        }
    });
}

async fn timeout(core: &Weak<RunCore>, clock: &Clock, start: Mark, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    clock.reach(start, warning(limit)).await;
    warn(core, "timeout_soon", "the run takes long, and is ended soon", None, limit).await;
    clock.reach(start, limit).await;
    end(core, "timeout");
}

async fn silence(core: &Weak<RunCore>, clock: &Clock, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let sign = clock.last_sign();
        clock.reach(sign, warning(limit)).await;
        if clock.last_sign() != sign {
            continue;
        }
        warn(core, "heartbeat_late", "the agent is silent, and its run is ended soon", None, limit).await;
        clock.reach(sign, limit).await;
        if clock.last_sign() == sign {
            return end(core, "no_heartbeat");
        }
    }
}

/// Watches a tool call until it is over. When its time is, it ends it as failed and cancels `expired`.
pub(super) fn watch_tool(
    core: &Arc<RunCore>,
    id: &Arc<str>,
    limit: Duration,
    expired: CancellationToken,
    over: CancellationToken,
) {
    let (weak, clock, start) = (Arc::downgrade(core), core.clock.clone(), core.clock.now());
    let (id, closing) = (Arc::clone(id), core.emitter.context().closing.clone());
    core.emitter.context().tasks.spawn(async move {
        let watched = async {
            clock.reach(start, warning(limit)).await;
            warn(&weak, "timeout_soon", "a tool call takes long, and is ended soon", Some(&id), limit).await;
            clock.reach(start, limit).await;
            if let Some(core) = weak.upgrade() {
                core.fail_tool(&id, "the tool call took too long").await;
            }
            expired.cancel();
        };
        tokio::select! {
            () = clock.over().cancelled() => {}
            () = closing.cancelled() => {}
            () = over.cancelled() => {}
            () = watched => {}
        }
    });
}

/// Writes an error that the run survives. It is no sign of life. One that cannot be written is left out: it is a courtesy.
async fn warn(core: &Weak<RunCore>, code: &str, message: &str, tool: Option<&str>, limit: Duration) {
    let Some(core) = core.upgrade() else { return };
    let mut details = json!({ "limitMs": ms(limit), "leftMs": ms(limit - warning(limit)) });
    if let Some(tool) = tool {
        details["toolCallId"] = tool.into();
    }
    let error =
        AgentError { severity: Severity::Low, details: Some(details), ..AgentError::new(code, message) };
    let written = match core.event("agent_error", error.into_fields(&core.id, Recoverable::Yes)) {
        // Not until it is durable: a slow log must not move the end.
        Ok(event) => core.emitter.queue(vec![event], core.precondition()).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::debug!(run = &*core.id, code, %error, "a warning was not written");
    }
}

/// Ends a run whose time is over.
fn end(core: &Weak<RunCore>, cause: &'static str) {
    let Some(core) = core.upgrade() else { return };
    core.died(cause);
    core.cancelled.cancel();
    if let Some(turn) = core.turn.upgrade() {
        turn.abandon();
    }
}
