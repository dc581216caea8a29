//! Notifies inboxes of what happens in threads.
//!
//! A line of an inbox is derived: the ledger of the thread says what is to be announced, and that of the inbox what was.
//! So no transaction spans two streams, and a crash between the two writes loses nothing and repeats nothing.

use std::sync::Arc;

use serde_json::json;

use crate::clock::now_ms;
use crate::context::Context;
use crate::emitter::{PublishError, settle};
use crate::event::Event;
use crate::ledger::draft::{Append, Precondition};
use crate::log::{Fact, LogError, Record};
use crate::retry::{Backoff, until_written};
use crate::stream::StreamKey;
use crate::workers::Workers;

/// Writes the lines of inboxes.
#[derive(Debug)]
pub(crate) struct Inboxes {
    context: Arc<Context>,
    workers: Workers,
}

impl Inboxes {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self { context, workers: Workers::default() })
    }

    /// A record is durable: it may hold something that inboxes are notified of.
    pub(crate) fn follow(self: &Arc<Self>, key: &StreamKey, record: &Record) {
        if record.facts.iter().any(|fact| matches!(fact, Fact::Notable { .. })) {
            self.wake(key);
        }
    }

    /// Says that inboxes may have to be notified of something in a stream.
    pub(crate) fn wake(self: &Arc<Self>, key: &StreamKey) {
        if self.workers.wake(key) {
            self.context.tasks.spawn(work(Arc::clone(self), key.clone()));
        }
    }
}

async fn work(inboxes: Arc<Inboxes>, key: StreamKey) {
    let mut backoff = Backoff::default();
    loop {
        let announced = announce(&inboxes.context, &key).await;
        match announced {
            Ok(true) => backoff = Backoff::default(),
            Ok(false) => {
                if !inboxes.workers.must_look_again(&key) {
                    return;
                }
            }
            Err(error) => {
                if inboxes.context.closing.is_cancelled() {
                    // The next process goes on with it.
                    return;
                }
                tracing::warn!(stream = %key, %error, "an inbox could not be notified; trying again");
                inboxes.context.closing.run_until_cancelled(backoff.pause()).await;
            }
        }
    }
}

/// Notifies the inboxes of the last notable event of a stream. Returns whether there was one.
async fn announce(context: &Context, key: &StreamKey) -> Result<bool, PublishError> {
    let Some(offset) = context.journal.unannounced(key).await? else { return Ok(false) };
    let unavailable = |refusal: crate::auth::Refusal| LogError::Unavailable(refusal.to_string());
    for notified in context.gate.notified(key).await.map_err(unavailable)? {
        if notified.inbox == *key {
            continue;
        }
        let event = json!({
            "type": "thread_changed",
            "time": now_ms(),
            "thread": notified.thread,
            "head": offset,
        });
        let line = Append {
            facts: vec![Fact::Announcement { stream: key.clone(), offset }],
            precondition: Precondition::NotAnnounced(key.clone(), offset),
            ..Append::events(notified.inbox, vec![Event::new(event, context.limits.max_frame_bytes)?])
        };
        match write(context, line).await {
            // The line is there already.
            Ok(()) | Err(PublishError::RunEnded) => {}
            Err(error) => return Err(error),
        }
    }
    write(context, Append::fact(key.clone(), Fact::Announced { offset })).await?;
    Ok(true)
}

async fn write(context: &Context, append: Append) -> Result<(), PublishError> {
    let write = async || settle(context.journal.append(append.clone()).await?.durable().await).map(drop);
    until_written(&context.closing, write).await
}
