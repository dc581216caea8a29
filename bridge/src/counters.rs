//! What a bridge has made and given back: the handles that a long run must not lose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Handles of one kind. What was made and what was given back are counted one by one; what is there is looked up where
/// the bridge keeps it. So a handle that is lost, or forgotten where it is kept, shows as a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handles {
    /// Those that were made.
    pub created: u64,
    /// Those that are there.
    pub active: u64,
    /// Those that were given back.
    pub closed: u64,
}

impl Handles {
    /// Whether each handle that was made is there or was given back. It can be false for a moment while handles come and go.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.created == self.active + self.closed
    }
}

/// The handles of a bridge by kind, since it was built. The kinds are read one after the other: the numbers fit together
/// when nothing comes or goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Sockets, welcomed or not.
    pub sockets: Handles,
    /// Sockets that were welcomed.
    pub sessions: Handles,
    /// Streams that sockets follow.
    pub subscriptions: Handles,
    /// Runs of agents in this process.
    pub runs: Handles,
    /// Tasks: sockets, writers of streams, turns, and what follows from records.
    pub tasks: Handles,
}

/// Counts handles of one kind. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    created: AtomicU64,
    closed: AtomicU64,
}

/// A handle that is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Counter);

impl Counter {
    /// Counts a handle.
    pub(crate) fn count(&self) -> Counted {
        self.0.created.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// What was counted, beside what is there.
    pub(crate) fn handles(&self, active: usize) -> Handles {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Handles { created: read(&self.0.created), active: active as u64, closed: read(&self.0.closed) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_handle_and_a_forgotten_one_show() {
        let counter = Counter::default();
        let handles = [counter.count(), counter.count()];
        assert_eq!(counter.handles(2), Handles { created: 2, active: 2, closed: 0 });
        drop(handles);
        assert!(counter.handles(0).balance());
        assert!(!counter.handles(1).balance(), "still in the place where it is kept");
        std::mem::forget(counter.count());
        assert!(!counter.handles(0).balance(), "never given back");
    }
}
