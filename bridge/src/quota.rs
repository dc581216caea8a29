//! How many streams a user may begin, by a token bucket for each.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::stream::StreamKey;

/// Users whose buckets are kept at the most, unless more of them are not full.
const MAX_IDLE: usize = 4_096;

/// Streams of a user that are known to be taken: those that several sends begin, or one that comes again.
const MAX_TAKEN: usize = 64;

/// A bucket for each user: full at first, and refilled evenly within an hour.
pub(crate) struct Quota {
    per_hour: u32,
    users: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
    /// Hashes of the streams that were taken last.
    taken: VecDeque<u64>,
}

impl Quota {
    pub(crate) fn new(per_hour: usize) -> Self {
        Self { per_hour: u32::try_from(per_hour).unwrap_or(u32::MAX), users: Mutex::default() }
    }

    /// Takes one for a stream, unless it was taken for it just now. Returns how long to wait for the next one if there
    /// is none.
    pub(crate) fn take(&self, user: &str, key: &StreamKey) -> Result<(), Duration> {
        let now = Instant::now();
        let full = f64::from(self.per_hour);
        let mut users = self.users.lock();
        if users.len() >= MAX_IDLE && !users.contains_key(user) {
            users.retain(|_, bucket| self.refilled(bucket, now) < full);
        }
        let new = || Bucket { left: full, at: now, taken: VecDeque::new() };
        let bucket = users.entry(user.to_owned()).or_insert_with(new);
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let stream = hasher.finish();
        if bucket.taken.contains(&stream) {
            return Ok(());
        }
        (bucket.left, bucket.at) = (self.refilled(bucket, now), now);
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) * 3_600.0 / full));
        }
        bucket.left -= 1.0;
        if bucket.taken.len() >= MAX_TAKEN {
            bucket.taken.pop_front();
        }
        bucket.taken.push_back(stream);
        Ok(())
    }

    fn refilled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let full = f64::from(self.per_hour);
        let more = now.saturating_duration_since(bucket.at).as_secs_f64() * full / 3_600.0;
        (bucket.left + more).min(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> StreamKey {
        StreamKey::new("ada", &number.to_string()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_emptied_and_refilled_for_each_user_apart() {
        let quota = Quota::new(60);
        for number in 0..60 {
            assert_eq!(quota.take("ada", &key(number)), Ok(()));
        }
        let wait = quota.take("ada", &key(60)).unwrap_err();
        assert!((59..=60).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(quota.take("bob", &key(60)), Ok(()));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(quota.take("ada", &key(60)), Ok(()));
        assert!(quota.take("ada", &key(61)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn sends_that_begin_one_stream_together_or_again_take_one() {
        let quota = Quota::new(2);
        for _ in 0..100 {
            assert_eq!(quota.take("ada", &key(1)), Ok(()));
        }
        assert_eq!(quota.take("ada", &key(2)), Ok(()));
        assert!(quota.take("ada", &key(3)).is_err());
        assert_eq!(quota.take("ada", &key(1)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_that_are_full_again_are_forgotten() {
        let quota = Quota::new(60);
        for user in 0..MAX_IDLE {
            quota.take(&user.to_string(), &key(1)).unwrap();
        }
        tokio::time::advance(Duration::from_secs(3_600)).await;
        quota.take("ada", &key(1)).unwrap();
        assert_eq!(quota.users.lock().len(), 1);
    }
}
