//! Names of epochs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::stream::StreamKey;

/// Names the epochs of one log, from the time it is opened until it is closed.
///
/// The first epoch of a stream follows from an id that the log keeps and from the name of the stream. So a stream that
/// was never written has the epoch that its first record will have, and reading it writes nothing. Later epochs have
/// random names, so that no restored copy of a log repeats one.
#[derive(Debug)]
pub struct Incarnation {
    log: Arc<str>,
    id: String,
    begun: AtomicU64,
}

impl Incarnation {
    /// `log`: the id that the log keeps. It is new in each new log and in each restored one.
    pub fn new(log: &str) -> Self {
        Self { log: log.into(), id: random_id(), begun: AtomicU64::new(0) }
    }

    /// The id of the log.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The first epoch of a stream: 33 bytes.
    pub fn first_epoch(&self, stream: &StreamKey) -> Arc<str> {
        let mut hash = Sha256::new();
        hash.update(self.log.as_bytes());
        hash.update([0]);
        hash.update(stream.as_str().as_bytes());
        let hex: String = hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("f{hex}").into()
    }

    /// The name of a later epoch: at most 53 bytes.
    pub fn next_epoch(&self) -> Arc<str> {
        format!("{}-{}", self.id, self.begun.fetch_add(1, Ordering::Relaxed)).into()
    }
}

impl Default for Incarnation {
    /// That of a new log.
    fn default() -> Self {
        Self::new(&random_id())
    }
}

/// An id that no other log has.
pub(super) fn random_id() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_two_streams_logs_or_lives_differ() {
        let stream = |name| StreamKey::new("ada", name).unwrap();
        let (one, again, other) = (Incarnation::new("l1"), Incarnation::new("l1"), Incarnation::default());
        assert_eq!(one.first_epoch(&stream("t")), again.first_epoch(&stream("t")));
        assert_ne!(one.first_epoch(&stream("t")), one.first_epoch(&stream("u")));
        assert_ne!(one.first_epoch(&stream("t")), other.first_epoch(&stream("t")));
        let next = one.next_epoch();
        assert!(next != one.next_epoch() && next != again.next_epoch());
        assert!(next.len() <= 64 && one.first_epoch(&stream("t")).len() <= 64);
    }
}
