//! Whether the log can be used. Asking often costs no more than asking now and then.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::log::Log;

/// How long the log may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a log is healthy after a check. A check commits, and anybody may ask for one.
const LASTS: Duration = Duration::from_secs(1);

/// The last check of the log.
#[derive(Debug, Default)]
pub(crate) struct Health {
    last: Mutex<Option<(Instant, Option<&'static str>)>>,
}

impl Health {
    /// Writes to the log and reads from it, unless that was done just now. Returns what is wrong. Those who ask
    /// meanwhile wait for the same answer.
    pub(crate) async fn check(&self, log: &dyn Log) -> Option<&'static str> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = *last
            && (at >= asked || answer.is_none() && at.elapsed() < LASTS)
        {
            return answer;
        }
        let answer = match timeout(TIMEOUT, log.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "unhealthy: the log failed");
                Some("the log failed")
            }
            Err(_) => {
                tracing::warn!("unhealthy: the log does not answer");
                Some("the log does not answer")
            }
        };
        *last = Some((Instant::now(), answer));
        answer
    }
}
