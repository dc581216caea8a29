//! Keeps threads short while they are written to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentwire_bridge::{Bridge, INBOX, StreamKey, UserMessage};
use tokio::time::{MissedTickBehavior, interval};

/// How often the threads are trimmed.
const EVERY: Duration = Duration::from_secs(1);

/// Threads that there is something to trim of. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trimmer(Arc<Mutex<BTreeSet<StreamKey>>>);

impl Trimmer {
    /// Notes the thread of a message, and the inbox of its user.
    pub(crate) fn note(&self, message: &UserMessage) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.insert(message.stream.clone());
        streams.extend(StreamKey::new(&message.user, INBOX).ok());
    }

    /// Trims all threads again and again: each keeps its last events.
    pub(crate) async fn run(self, bridge: Bridge, keep: u64) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for stream in streams {
                if let Err(error) = trim(&bridge, &stream, keep).await {
                    tracing::warn!(%stream, %error, "a thread could not be trimmed");
                }
            }
        }
    }
}

async fn trim(bridge: &Bridge, stream: &StreamKey, keep: u64) -> Result<(), agentwire_bridge::LogError> {
    let head = bridge.log().head(stream).await?;
    let through = head.offset.saturating_sub(keep);
    if through >= head.oldest {
        bridge.trim(stream, through).await?;
    }
    Ok(())
}
