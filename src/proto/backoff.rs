//! How long to wait before the next attempt.

use super::{
    config::{Config, DEFAULT_BACKOFF_MAX, MIN_LASTING},
    instant::Duration,
    rng::Rng,
};

/// Counts attempts and draws the delay before each (CLS-4).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    /// The application's cap; it takes precedence over the server's.
    own_max: Option<Duration>,
    /// The server's cap: it knows how many clients there are.
    server_max: Duration,
    /// Hundredths by which a step is longer than the one before.
    growth: u32,
    /// Hundredths of a step that are drawn.
    jitter: u32,
    /// The step of the last delay.
    step: Duration,
    attempt: u32,
}

impl Backoff {
    pub(crate) const fn new(config: &Config) -> Self {
        Self {
            base: config.backoff_base,
            own_max: config.backoff_max,
            server_max: DEFAULT_BACKOFF_MAX,
            growth: config.backoff_growth,
            jitter: config.backoff_jitter,
            step: Duration::ZERO,
            attempt: 0,
        }
    }

    /// Returns the attempts since the last restart.
    pub(crate) const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Takes the cap that the server names, if it names one.
    pub(crate) fn set_server_max(&mut self, max: Option<Duration>) {
        self.server_max = max.unwrap_or(DEFAULT_BACKOFF_MAX);
    }

    /// Returns the longest delay.
    pub(crate) fn max(&self) -> Duration {
        self.own_max.unwrap_or(self.server_max)
    }

    /// Draws the delay before the next attempt: from all of the first step, from the upper part of a later one.
    pub(crate) fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        let is_first = self.attempt == 0;
        let grown = if is_first { self.base } else { self.step.saturating_mul(self.growth) / 100 };
        self.step = grown.min(self.max());
        self.attempt = self.attempt.saturating_add(1);
        if is_first { rng.up_to(self.step) } else { self.step - rng.up_to(self.step * self.jitter / 100) }
    }

    /// Goes to the longest step.
    pub(crate) fn exhaust(&mut self) {
        self.attempt = self.attempt.max(1);
        self.step = self.max();
    }

    /// Starts again from the first step.
    pub(crate) const fn restart(&mut self) {
        self.attempt = 0;
    }

    /// Returns how long a connection must last to count as a success (I14).
    pub(crate) fn lasting(&self) -> Duration {
        (self.step / 4).max(MIN_LASTING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(&Config::new(0))
    }

    /// The smallest and the largest of many draws of the delay number `attempt`, from 0.
    fn drawn(attempt: u32, config: &Config) -> (Duration, Duration) {
        let delays = (0..2_000).map(|seed| {
            let (mut rng, mut backoff) = (Rng::new(seed), Backoff::new(config));
            for _ in 0..attempt {
                backoff.next_delay(&mut rng);
            }
            backoff.next_delay(&mut rng)
        });
        let delays = delays.collect::<Vec<_>>();
        (*delays.iter().min().unwrap(), *delays.iter().max().unwrap())
    }

    #[test]
    fn the_first_delay_is_drawn_from_the_whole_step_and_later_ones_from_its_upper_half() {
        // PROTOCOL: CLS-4
        let config = Config::new(0);
        let (least, most) = drawn(0, &config);
        assert!(least < Duration::from_millis(10) && most > Duration::from_millis(490), "{least:?} {most:?}");
        assert!(most <= Duration::from_millis(500));
        for (attempt, step) in [1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000].into_iter().enumerate() {
            let (least, most) = drawn(attempt as u32 + 1, &config);
            let (half, all) = (Duration::from_millis(step / 2), Duration::from_millis(step));
            assert!(least >= half && least < half + half / 20, "{attempt}: {least:?} of {all:?}");
            assert!(most <= all && most > all - half / 20, "{attempt}: {most:?} of {all:?}");
        }
    }

    #[test]
    fn growth_and_jitter_are_the_applications() {
        let config = Config { backoff_growth: 300, backoff_jitter: 0, ..Config::new(0) };
        assert_eq!(drawn(2, &config), (Duration::from_millis(4_500), Duration::from_millis(4_500)));
        assert_eq!(drawn(9, &config), (Duration::from_secs(20), Duration::from_secs(20)));
    }

    #[test]
    fn the_cap_of_the_application_takes_precedence_over_the_servers() {
        let mut backoff = backoff();
        backoff.set_server_max(Some(Duration::from_secs(2)));
        assert_eq!(backoff.max(), Duration::from_secs(2));
        backoff.set_server_max(None);
        assert_eq!(backoff.max(), DEFAULT_BACKOFF_MAX);
        backoff.own_max = Some(Duration::from_secs(7));
        backoff.set_server_max(Some(Duration::from_secs(2)));
        assert_eq!(backoff.max(), Duration::from_secs(7));
    }

    #[test]
    fn a_restart_draws_from_the_first_step() {
        let (mut rng, mut backoff) = (Rng::new(1), backoff());
        for _ in 0..8 {
            backoff.next_delay(&mut rng);
        }
        backoff.restart();
        assert_eq!(backoff.attempt(), 0);
        assert!(backoff.next_delay(&mut rng) <= Duration::from_millis(500));
    }

    #[test]
    fn a_connection_lasts_after_ten_seconds_or_a_quarter_of_the_step() {
        let (mut rng, mut backoff) = (Rng::new(1), backoff());
        backoff.next_delay(&mut rng);
        assert_eq!(backoff.lasting(), Duration::from_secs(10));
        backoff.own_max = Some(Duration::from_secs(100));
        backoff.exhaust();
        assert_eq!(backoff.lasting(), Duration::from_secs(25));
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let (mut rng, mut backoff) = (Rng::new(1), backoff());
        backoff.own_max = Some(Duration::MAX);
        backoff.attempt = u32::MAX;
        for _ in 0..200 {
            backoff.next_delay(&mut rng);
        }
        assert_eq!(backoff.attempt(), u32::MAX);
    }
}
