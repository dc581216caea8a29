//! How many streams a user may begin.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use parking_lot::Mutex;

use crate::bounds::pace::Pace;
use crate::stream::StreamKey;

/// Streams that are known to be taken: those that several sends begin, or one that comes again.
const MAX_TAKEN: usize = 64;

/// The streams of one user: all at first, and refilled evenly within an hour.
#[derive(Debug)]
pub(crate) struct NewStreams {
    pace: Pace,
    /// Hashes of the streams that were taken last.
    taken: Mutex<VecDeque<u64>>,
}

impl NewStreams {
    pub(crate) fn new(per_hour: usize) -> Self {
        Self { pace: Pace::new(per_hour as f64 / 3_600.0, per_hour as f64), taken: Mutex::default() }
    }

    /// Takes one for a stream, unless it was taken for it just now. Returns how long to wait for the next one if there
    /// is none.
    pub(crate) fn take(&self, key: &StreamKey) -> Result<(), Duration> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let stream = hasher.finish();
        let mut taken = self.taken.lock();
        if taken.contains(&stream) {
            return Ok(());
        }
        self.pace.try_take(1)?;
        if taken.len() >= MAX_TAKEN {
            taken.pop_front();
        }
        taken.push_back(stream);
        Ok(())
    }

    /// Whether all may be begun again.
    pub(crate) fn is_full(&self) -> bool {
        self.pace.is_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> StreamKey {
        StreamKey::new("ada", &number.to_string()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_comes_back_evenly() {
        let streams = NewStreams::new(60);
        for number in 0..60 {
            assert_eq!(streams.take(&key(number)), Ok(()));
        }
        let wait = streams.take(&key(60)).unwrap_err();
        assert!((59..=60).contains(&wait.as_secs()), "{wait:?}");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(streams.take(&key(60)), Ok(()));
        assert!(streams.take(&key(61)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn sends_that_begin_one_stream_together_or_again_take_one() {
        let streams = NewStreams::new(2);
        for _ in 0..100 {
            assert_eq!(streams.take(&key(1)), Ok(()));
        }
        assert_eq!(streams.take(&key(2)), Ok(()));
        assert!(streams.take(&key(3)).is_err());
        assert_eq!(streams.take(&key(1)), Ok(()));
    }
}
