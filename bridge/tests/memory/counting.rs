//! Counts the bytes that are in use.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use cap::Cap;
use tokio::time::{Instant, sleep};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How long a case may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take until what is not needed is given back.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// Time between two looks at what is in use.
const PAUSE: Duration = Duration::from_millis(2);

/// What has come into use since a moment.
pub(crate) struct Since {
    before: usize,
    peak: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Since {
    /// Begins to count.
    pub(crate) fn now() -> Self {
        let (before, peak, is_over) = (ALLOCATOR.allocated(), Arc::default(), Arc::default());
        let (highest, ends) = (Arc::clone(&peak), Arc::<AtomicBool>::clone(&is_over));
        thread::spawn(move || {
            while !ends.load(Relaxed) {
                AtomicUsize::fetch_max(&highest, ALLOCATOR.allocated().saturating_sub(before), Relaxed);
                thread::sleep(PAUSE);
            }
        });
        Self { before, peak, is_over }
    }

    /// Waits until no more than this is in use, and returns how much it is.
    pub(crate) async fn until_at_most(&self, case: &str, most: usize) -> usize {
        let deadline = Instant::now() + GIVEN_BACK;
        loop {
            let now = self.held();
            if now <= most {
                return now;
            }
            assert!(Instant::now() < deadline, "{case}: {now} bytes are held, but the limits say {most}");
            sleep(PAUSE).await;
        }
    }

    /// What is in use.
    fn held(&self) -> usize {
        ALLOCATOR.allocated().saturating_sub(self.before)
    }

    /// The most that was in use.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Waits until so much is in use.
    pub(crate) async fn until(&self, case: &str, least: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.held();
            self.peak.fetch_max(now, Relaxed);
            if now >= least {
                return;
            }
            assert!(Instant::now() < deadline, "{case}: only {now} of {least} bytes are in use");
            // Nothing else says what is in use.
            sleep(PAUSE).await;
        }
    }
}

/// Bytes of this process that are in memory (`/proc/self/statm`, proc(5)).
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> usize {
    const PAGE_BYTES: usize = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * PAGE_BYTES
}

impl Drop for Since {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}
