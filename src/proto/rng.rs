//! Random numbers from one seed.

use super::instant::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
