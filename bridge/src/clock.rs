//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "a server has a clock; this is its only reader")]
pub(crate) fn now_ms() -> u64 {
    #[cfg(feature = "__simulation")]
    if let Some(now) = simulated::now_ms() {
        return now;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The wall clock of a simulation.
#[cfg(feature = "__simulation")]
pub(crate) mod simulated {
    use std::cell::Cell;

    use tokio::time::Instant;

    /// The wall clock of a simulation when it begins, in milliseconds since the Unix epoch.
    const BEGIN_MS: u64 = 1_900_000_000_000;

    thread_local! {
        static BEGIN: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// Lets the wall clock of this thread follow the clock of its runtime, from now on.
    pub fn follow_the_runtime() {
        BEGIN.set(Some(Instant::now()));
    }

    /// The wall clock of this thread, if it follows a runtime.
    pub fn now_ms() -> Option<u64> {
        let since = BEGIN.get()?.elapsed();
        Some(BEGIN_MS + u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
