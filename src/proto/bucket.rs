//! A token bucket: what the client may do at once, and how often later (I14).

use super::instant::{Duration, Instant};

/// Parts of one permit: fine enough that the shortest refill loses nothing.
const PARTS: u64 = 1_000_000;

/// Holds up to `burst` permits and gets one back per interval.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    burst: u32,
    /// Parts of permits, as of `at`.
    level: u64,
    at: Instant,
}

impl Bucket {
    pub(crate) const fn new(burst: u32) -> Self {
        Self { burst, level: burst as u64 * PARTS, at: Instant::ZERO }
    }

    /// Takes a permit. Returns when the next one is there if none is now.
    pub(crate) fn take(&mut self, now: Instant, interval: Duration) -> Result<(), Instant> {
        let interval = interval.as_millis().max(1);
        let gained = now.since(self.at).as_millis().saturating_mul(PARTS) / interval;
        self.level = self.level.saturating_add(gained).min(u64::from(self.burst) * PARTS);
        self.at = now;
        if let Some(rest) = self.level.checked_sub(PARTS) {
            self.level = rest;
            return Ok(());
        }
        let wait = (PARTS - self.level).saturating_mul(interval).div_ceil(PARTS);
        Err(now + Duration::from_millis(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10_000);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn six_at_once_then_one_per_interval() {
        // I14
        let mut bucket = Bucket::new(6);
        for _ in 0..6 {
            assert_eq!(bucket.take(at(5), INTERVAL), Ok(()));
        }
        assert_eq!(bucket.take(at(5), INTERVAL), Err(at(10_005)));
        assert_eq!(bucket.take(at(10_004), INTERVAL), Err(at(10_005)));
        assert_eq!(bucket.take(at(10_005), INTERVAL), Ok(()));
        assert_eq!(bucket.take(at(10_005), INTERVAL), Err(at(20_005)));
    }

    #[test]
    fn a_long_rest_fills_it_to_the_burst_and_no_further() {
        let mut bucket = Bucket::new(2);
        assert_eq!(bucket.take(at(1), INTERVAL), Ok(()));
        for _ in 0..2 {
            assert_eq!(bucket.take(at(u64::MAX / 2), INTERVAL), Ok(()));
        }
        assert!(bucket.take(at(u64::MAX / 2), INTERVAL).is_err());
    }

    #[test]
    fn a_shorter_interval_counts_from_the_last_take() {
        let mut bucket = Bucket::new(1);
        assert_eq!(bucket.take(at(0), INTERVAL), Ok(()));
        assert_eq!(bucket.take(at(0), INTERVAL), Err(at(10_000)));
        assert_eq!(bucket.take(at(500), Duration::from_millis(500)), Ok(()));
    }
}
