//! How fast something may come: so much at once, and then so much a second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A token bucket that may go into debt: what has come is taken, and the next has to wait until the debt is paid.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: f64,
    most: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: f64,
    at: Instant,
}

impl Pace {
    /// `most` at once, refilled with `per_second`.
    pub(crate) fn new(per_second: f64, most: f64) -> Self {
        let state = State { left: most, at: Instant::now() };
        Self { per_second, most, state: Mutex::new(state) }
    }

    /// Takes what has come.
    pub(crate) fn take(&self, count: usize) {
        let mut state = self.state.lock();
        self.refill(&mut state);
        state.left -= count as f64;
    }

    /// Takes what wants to come, if there is as much. Otherwise returns how long it has to wait.
    pub(crate) fn try_take(&self, count: usize) -> Result<(), Duration> {
        let mut state = self.state.lock();
        self.refill(&mut state);
        let missing = count as f64 - state.left;
        if missing > 0.0 {
            return Err(self.time_for(missing));
        }
        state.left -= count as f64;
        Ok(())
    }

    /// How long the next has to wait; `None` when it may come now.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        self.refill(&mut state);
        (state.left < 0.0).then(|| self.time_for(-state.left))
    }

    /// Whether nothing is known that a new one would not know.
    pub(crate) fn is_full(&self) -> bool {
        let mut state = self.state.lock();
        self.refill(&mut state);
        state.left >= self.most
    }

    fn refill(&self, state: &mut State) {
        let now = Instant::now();
        let more = now.saturating_duration_since(state.at).as_secs_f64() * self.per_second;
        (state.left, state.at) = ((state.left + more).min(self.most), now);
    }

    /// Rounded up, so that it is enough.
    fn time_for(&self, missing: f64) -> Duration {
        Duration::from_secs_f64((missing / self.per_second).min(86_400.0)) + Duration::from_millis(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_at_once_and_the_rest_at_its_pace() {
        let pace = Pace::new(10.0, 100.0);
        assert!(pace.is_full());
        pace.take(100);
        assert_eq!(pace.wait(), None);
        pace.take(20);
        assert_eq!(pace.wait(), Some(Duration::from_millis(2_001)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pace.wait(), None);
        assert!(!pace.is_full());
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(pace.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn what_asks_first_is_told_how_long_to_wait() {
        let pace = Pace::new(10.0, 5.0);
        assert_eq!(pace.try_take(5), Ok(()));
        assert_eq!(pace.try_take(1), Err(Duration::from_millis(101)));
        tokio::time::advance(Duration::from_millis(101)).await;
        assert_eq!(pace.try_take(1), Ok(()));
    }
}
