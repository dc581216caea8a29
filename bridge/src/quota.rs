//! How often a user may do something, by a token bucket for each.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Users whose buckets are kept at the most, unless more of them are not full.
const MAX_IDLE: usize = 4_096;

/// A bucket for each user: full at first, and refilled evenly within an hour.
pub(crate) struct Quota {
    per_hour: u32,
    users: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Quota {
    pub(crate) fn new(per_hour: usize) -> Self {
        Self { per_hour: u32::try_from(per_hour).unwrap_or(u32::MAX), users: Mutex::default() }
    }

    /// Takes one. Returns how long to wait for the next one if there is none.
    pub(crate) fn take(&self, user: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut users = self.users.lock();
        if users.len() >= MAX_IDLE && !users.contains_key(user) {
            users.retain(|_, bucket| self.refilled(*bucket, now).left < f64::from(self.per_hour));
        }
        let full = Bucket { left: f64::from(self.per_hour), at: now };
        let bucket = users.entry(user.to_owned()).or_insert(full);
        *bucket = self.refilled(*bucket, now);
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) * 3_600.0 / f64::from(self.per_hour)));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let full = f64::from(self.per_hour);
        let more = now.saturating_duration_since(bucket.at).as_secs_f64() * full / 3_600.0;
        Bucket { left: (bucket.left + more).min(full), at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_emptied_and_refilled_for_each_user_apart() {
        let quota = Quota::new(60);
        for _ in 0..60 {
            assert_eq!(quota.take("ada"), Ok(()));
        }
        let wait = quota.take("ada").unwrap_err();
        assert!((59..=60).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(quota.take("bob"), Ok(()));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(quota.take("ada"), Ok(()));
        assert!(quota.take("ada").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_that_are_full_again_are_forgotten() {
        let quota = Quota::new(60);
        for user in 0..MAX_IDLE {
            quota.take(&user.to_string()).unwrap();
        }
        tokio::time::advance(Duration::from_secs(3_600)).await;
        quota.take("ada").unwrap();
        assert_eq!(quota.users.lock().len(), 1);
    }
}
