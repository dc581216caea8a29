//! How long to wait before the next attempt.

use crate::proto::Duration;

/// A small deterministic generator (SplitMix64, <https://doi.org/10.1145/2714064.2660195>).
///
/// Jitter needs no secrecy, and a core whose randomness comes from one seed can be run again exactly.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a duration evenly from `0..=bound`, in whole milliseconds.
    pub(crate) fn up_to(&mut self, bound: Duration) -> Duration {
        Duration::from_millis(self.next() % bound.as_millis().saturating_add(1))
    }
}

/// Counts attempts and draws the delay before each (CLS-4).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    pub(crate) const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, attempt: 0 }
    }

    /// Returns how many attempts were made since the last reset.
    pub(crate) const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Draws the delay before the next attempt: evenly from 0 to `min(base * 2^attempt, max)`.
    pub(crate) fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        // 2^20 times the smallest base (1 ms) is above any maximum that makes sense.
        let bound = self.base.saturating_mul(1 << self.attempt.min(20)).min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        rng.up_to(bound)
    }

    /// Starts again from the shortest delay.
    pub(crate) const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_below_the_bound_and_use_all_of_it() {
        // PROTOCOL: CLS-4
        let base = Duration::from_millis(500);
        let max = Duration::from_secs(20);
        for attempt in 0..10u32 {
            let bound = (base * (1 << attempt)).min(max);
            let mut rng = Rng::new(u64::from(attempt));
            let mut largest = Duration::ZERO;
            let mut smallest = Duration::MAX;
            for _ in 0..2_000 {
                let mut backoff = Backoff { base, max, attempt };
                let delay = backoff.next_delay(&mut rng);
                assert!(delay <= bound, "{delay:?} above {bound:?}");
                largest = largest.max(delay);
                smallest = smallest.min(delay);
            }
            assert!(largest > bound * 95 / 100, "{largest:?} of {bound:?}");
            assert!(smallest < bound / 20, "{smallest:?} of {bound:?}");
        }
    }

    #[test]
    fn one_seed_draws_the_numbers_of_splitmix64_everywhere() {
        // What the published algorithm gives for this seed.
        let mut rng = Rng::new(1_234_567);
        let drawn = std::array::from_fn::<u64, 5, _>(|_| rng.next());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn the_longest_bound_can_be_drawn_from() {
        assert!(Rng::new(1).up_to(Duration::MAX) < Duration::MAX);
    }

    #[test]
    fn a_reset_starts_from_the_shortest_delay() {
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(20));
        for _ in 0..8 {
            backoff.next_delay(&mut rng);
        }
        backoff.reset();
        assert_eq!(backoff.attempt(), 0);
        assert!(backoff.next_delay(&mut rng) <= Duration::from_millis(500));
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let mut rng = Rng::new(1);
        let mut backoff =
            Backoff { base: Duration::from_secs(1), max: Duration::from_secs(20), attempt: u32::MAX };
        assert!(backoff.next_delay(&mut rng) <= Duration::from_secs(20));
    }
}
