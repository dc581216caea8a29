//! The time for which a log is open, and the epochs that begin in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// Names epochs so that no restored copy can repeat one, and tells those that began in this life from older ones.
///
/// What began in this life was never lost: a log goes back only while it is closed.
pub(super) struct Life {
    id: String,
    begun: AtomicU64,
}

impl Default for Life {
    fn default() -> Self {
        Self { id: Uuid::new_v4().simple().to_string(), begun: AtomicU64::new(0) }
    }
}

impl Life {
    /// The name of a new epoch: at most 53 bytes (GEN-6).
    pub(super) fn epoch(&self) -> Arc<str> {
        format!("{}-{}", self.id, self.begun.fetch_add(1, Ordering::Relaxed)).into()
    }

    /// Whether an epoch began in this life.
    pub(super) fn began(&self, epoch: &str) -> bool {
        epoch.strip_prefix(&self.id).is_some_and(|rest| rest.starts_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_knows_its_epochs() {
        let (one, other) = (Life::default(), Life::default());
        let epoch = one.epoch();
        assert_ne!(epoch, one.epoch());
        assert!(epoch.len() <= 64);
        assert!(one.began(&epoch) && !other.began(&epoch));
        // As logs of former versions named them.
        assert!(!one.began(&Uuid::new_v4().simple().to_string()));
    }
}
