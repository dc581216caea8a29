//! Wakes those who wait for something to change in the ledger of a stream.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::log::{Fact, Record};
use crate::stream::StreamKey;

/// How many streams may have an entry that nobody waits at, before all of these are removed.
const MAX_IDLE: usize = 1_024;

/// Streams that somebody waits at. Bounded by those who wait.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<HashMap<StreamKey, watch::Sender<()>>>);

impl Changes {
    /// Changes of a stream from now on.
    pub(crate) fn of(&self, key: &StreamKey) -> watch::Receiver<()> {
        let mut streams = self.0.lock();
        if streams.len() >= MAX_IDLE {
            streams.retain(|_, sender| sender.receiver_count() > 0);
        }
        streams.entry(key.clone()).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// A record is durable.
    pub(crate) fn follow(&self, key: &StreamKey, record: &Record) {
        let is_of_interest = |fact: &Fact| {
            !matches!(
                fact,
                Fact::Produced { .. }
                    | Fact::Notable { .. }
                    | Fact::Announced { .. }
                    | Fact::Announcement { .. }
            )
        };
        if !record.facts.iter().any(is_of_interest) {
            return;
        }
        let mut streams = self.0.lock();
        if let Some(sender) = streams.get(key)
            && sender.send(()).is_err()
        {
            streams.remove(key);
        }
    }
}
