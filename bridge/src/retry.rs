//! Trying again what the log could not do.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::emitter::PublishError;
use crate::log::LogError;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses between tries: each is twice the one before, up to 10 seconds.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Waits until it is time to try again.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.step()).await;
    }

    fn step(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

/// Tries to write something until the log has it or says for another reason why not.
///
/// A bridge that closes does not wait any more: it tries once, and leaves the rest to the recovery of the next process.
pub(crate) async fn until_written<T, F>(
    closing: &CancellationToken,
    mut write: impl FnMut() -> F,
) -> Result<T, PublishError>
where
    F: Future<Output = Result<T, PublishError>>,
{
    let mut backoff = Backoff::default();
    loop {
        let is_last = closing.is_cancelled();
        match write().await {
            Err(PublishError::Log(LogError::Unavailable(reason))) if !is_last => {
                tracing::warn!(reason, "the log did not take the end of something; trying again");
                closing.run_until_cancelled(backoff.pause()).await;
            }
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9).map(|_| backoff.step().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    }
}
