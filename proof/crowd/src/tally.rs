//! What all pages got.

use std::cell::RefCell;
use std::time::Duration;

use agentwire_crowd::stamp;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long the events of `until` may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Faults that are kept in words.
const SHOWN: usize = 5;

/// Counts of all pages.
pub(crate) struct Tally {
    inner: RefCell<Inner>,
    complete: Notify,
}

#[derive(Default)]
struct Inner {
    /// Events per page.
    counts: Vec<u64>,
    /// Since the last mark.
    since: Window,
    /// Events that `until` asks of each page.
    target: Option<u64>,
    faults: Vec<String>,
    fault_count: u64,
}

#[derive(Default)]
struct Window {
    events: u64,
    frames: u64,
    bytes: u64,
    acks: u64,
    latencies_us: Vec<u32>,
}

/// What came between two marks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    events: u64,
    frames: u64,
    bytes: u64,
    acks: u64,
    p50_us: u32,
    p95_us: u32,
    p99_us: u32,
    max_us: u32,
}

/// Whether each page has what it should have.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    events: u64,
    missing: u64,
    extra: u64,
    faults: u64,
    shown: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Mark(Mark),
    Account(Account),
}

impl Tally {
    pub(crate) fn new(pages: u32) -> Self {
        let inner = Inner { counts: vec![0; pages as usize], ..Inner::default() };
        Self { inner: RefCell::new(inner), complete: Notify::new() }
    }

    /// A page got a frame with the events of `texts`. Their numbers must follow on what the page has.
    pub(crate) fn frame<'a>(&self, page: u32, bytes: usize, texts: impl Iterator<Item = &'a str>) {
        let now = stamp::now_ns();
        let mut inner = self.inner.borrow_mut();
        let before = inner.counts[page as usize];
        let mut count = before;
        for text in texts {
            match stamp::read(text) {
                Some((n, at)) => {
                    if n != count + 1 {
                        inner.fault(format!("page {page}: event {n} came after event {count}"));
                    }
                    let latency_us = now.saturating_sub(at) / 1_000;
                    inner.since.latencies_us.push(u32::try_from(latency_us).unwrap_or(u32::MAX));
                }
                None => inner.fault(format!("page {page}: an event without number and time: {text:?}")),
            }
            count += 1;
        }
        inner.counts[page as usize] = count;
        inner.since.events += count - before;
        inner.since.frames += 1;
        inner.since.bytes += bytes as u64;
        if inner.target.is_some_and(|target| before < target && target <= count) {
            self.complete.notify_one();
        }
    }

    /// A page sent an `ack`.
    pub(crate) fn ack(&self) {
        self.inner.borrow_mut().since.acks += 1;
    }

    pub(crate) fn fault(&self, fault: String) {
        self.inner.borrow_mut().fault(fault);
        // Nothing will complete any more.
        self.complete.notify_one();
    }

    /// What came since the last mark.
    pub(crate) fn mark(&self) -> Answer {
        let mut window = std::mem::take(&mut self.inner.borrow_mut().since);
        window.latencies_us.sort_unstable();
        let at = |share: f64| percentile(&window.latencies_us, share);
        Answer::Mark(Mark {
            events: window.events,
            frames: window.frames,
            bytes: window.bytes,
            acks: window.acks,
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            max_us: at(1.0),
        })
    }

    /// Waits until each page has `events`, or a fault makes that impossible.
    pub(crate) async fn until(&self, events: u64) -> Answer {
        self.inner.borrow_mut().target = Some(events);
        let complete = async {
            loop {
                let is_over = {
                    let inner = self.inner.borrow();
                    inner.fault_count > 0 || inner.counts.iter().all(|count| *count >= events)
                };
                if is_over {
                    break;
                }
                self.complete.notified().await;
            }
        };
        // Too late is too few, which the answer says.
        let _in_time = timeout(PATIENCE, complete).await;
        let inner = self.inner.borrow();
        let sum = |part: fn(u64, u64) -> u64| inner.counts.iter().map(|count| part(*count, events)).sum();
        Answer::Account(Account {
            events: inner.counts.iter().sum(),
            missing: sum(|count, events| events.saturating_sub(count)),
            extra: sum(u64::saturating_sub),
            faults: inner.fault_count,
            shown: inner.faults.clone(),
        })
    }
}

impl Inner {
    fn fault(&mut self, fault: String) {
        self.fault_count += 1;
        if self.faults.len() < SHOWN {
            self.faults.push(fault);
        }
    }
}

/// The value below which `share` of the sorted values are; 0 of none.
fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(answer: Answer) -> Account {
        match answer {
            Answer::Account(account) => account,
            Answer::Mark(_) => panic!("a mark"),
        }
    }

    #[tokio::test]
    async fn a_hole_a_copy_and_a_swap_are_faults() {
        for texts in [["1 0", "3 0"], ["1 0", "1 0"], ["2 0", "1 0"]] {
            let tally = Tally::new(1);
            tally.frame(0, 10, texts.into_iter());
            assert!(account(tally.until(2).await).faults > 0, "{texts:?}");
        }
    }

    #[tokio::test]
    async fn what_each_page_should_have_is_counted_per_page() {
        let tally = Tally::new(2);
        tally.frame(0, 10, ["1 0", "2 0"].into_iter());
        tally.frame(1, 10, ["1 0"].into_iter());
        let found = account(tally.until(1).await);
        assert_eq!((found.events, found.missing, found.extra, found.faults), (3, 0, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_missing() {
        let tally = Tally::new(2);
        tally.frame(0, 10, ["1 0", "2 0"].into_iter());
        assert_eq!(account(tally.until(3).await).missing, 4);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<u32> = (1..=100).collect();
        assert_eq!([0.5, 0.95, 0.99, 1.0].map(|share| percentile(&sorted, share)), [50, 95, 99, 100]);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
