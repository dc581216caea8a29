//! The log as writers use it: each call has a time limit, and the follower is called once per record.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::stream::Stream;
use crate::log::{Log, LogError, Record};
use crate::stream::StreamKey;

/// What is called after each record of this process, before its writers get their answers, or after they got an error
/// although the record became durable. It must be quick.
pub(crate) type Follower = Box<dyn Fn(&StreamKey, &Record) + Send + Sync>;

/// The log, and what its records lead to.
pub(super) struct Store {
    pub(super) log: Arc<dyn Log>,
    pub(super) follower: OnceLock<Follower>,
    /// How long answers to sends are remembered.
    pub(super) horizon: Duration,
    /// How long the log may take for one call.
    pub(super) timeout: Duration,
}

impl Store {
    /// Calls the follower with a durable record of this process: once, also if its writer got no answer.
    pub(super) fn follow_given(&self, stream: &Stream, record: &Record) {
        if stream.take_given(record)
            && let Some(follower) = self.follower.get()
        {
            follower(&stream.key, record);
        }
    }

    /// Calls the log, which has a limited time for an answer.
    pub(super) async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        let answer = tokio::time::timeout(self.timeout, call).await;
        answer.unwrap_or_else(|_| {
            Err(LogError::Unavailable(format!("it did not answer in {:?}", self.timeout)))
        })
    }
}
