//! Asks the backend what a user may do with a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentwire_bridge::{Grant, Refusal, StreamKey};
use moka::future::Cache;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Access;
use crate::clock::now_ms;
use crate::config::Endpoint;
use crate::outbound::{Outbound, SigningKeys};

/// Answers that are kept.
const MAX_ANSWERS: u64 = 10_000;

/// Questions that are under way at once.
const MAX_QUESTIONS: usize = 64;

/// A user and the name of a thread.
type Question = (String, String);

/// Asks the backend, and keeps its answers for a while.
#[derive(Debug)]
pub struct Asker {
    url: Endpoint,
    keys: SigningKeys,
    client: Outbound,
    timeout: Duration,
    /// Only what the backend has decided: that it could not be asked is forgotten at once.
    answers: Option<Cache<Question, Result<Grant, Refusal>>>,
    under_way: Semaphore,
    asked: AtomicU64,
}

/// What the backend answers with status 200.
#[derive(Deserialize)]
struct Answer {
    /// The key of the thread; by default its name.
    key: Option<String>,
    #[serde(flatten)]
    access: Access,
}

impl Asker {
    /// Asks at `url`. An answer holds for `cache`; zero is for none.
    pub fn new(
        url: Endpoint,
        keys: SigningKeys,
        client: &Outbound,
        timeout: Duration,
        cache: Duration,
    ) -> Arc<Self> {
        let answers = (!cache.is_zero()).then(|| {
            let builder = Cache::builder().max_capacity(MAX_ANSWERS).time_to_live(cache);
            builder.support_invalidation_closures().build()
        });
        let client = client.clone().within(timeout);
        let under_way = Semaphore::new(MAX_QUESTIONS);
        Arc::new(Self { url, keys, client, timeout, answers, under_way, asked: AtomicU64::new(0) })
    }

    /// What `user` may do with the thread that pages call `thread`.
    pub(super) async fn open(&self, user: &str, thread: &str) -> Result<Grant, Refusal> {
        let asked = async {
            match self.ask(user, thread).await {
                Err(Refusal::Unavailable) => Err(Refusal::Unavailable),
                decided => Ok(decided),
            }
        };
        let Some(answers) = &self.answers else { return asked.await? };
        // Those that ask the same wait for one answer.
        let answer = answers.try_get_with((user.to_owned(), thread.to_owned()), asked).await;
        answer.unwrap_or_else(|refusal| Err(*refusal))
    }

    /// Forgets the answers about a user.
    pub(super) fn forget_user(&self, user: &str) {
        let user = user.to_owned();
        if let Some(answers) = &self.answers {
            // The error is that closures are not supported.
            let _ = answers.invalidate_entries_if(move |(of, _), _| *of == user);
        }
    }

    async fn ask(&self, user: &str, thread: &str) -> Result<Grant, Refusal> {
        let body = json!({ "user": user, "thread": thread }).to_string().into_bytes();
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let now = now_ms();
        let headers = self.keys.headers(&format!("ask-{now}-{number}"), now / 1000, &body);
        let called = async {
            let _permit = self.under_way.acquire().await;
            self.client.post(self.url.url(), headers, body).await
        };
        let answer = match timeout(self.timeout, called).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unavailable(&error.to_string())),
            Err(_) => return Err(self.unavailable("no answer in time")),
        };
        match answer.status {
            200 => {}
            403 => return Err(Refusal::Forbidden),
            404 => return Err(Refusal::UnknownStream),
            status => return Err(self.unavailable(&format!("status {status}"))),
        }
        let read = serde_json::from_slice::<Answer>(&answer.body);
        let Answer { key, access } =
            read.map_err(|_| self.unavailable("the answer is not {\"key\", \"read\", \"write\", …}"))?;
        let stream = StreamKey::from_text(key.as_deref().unwrap_or(thread));
        let stream = stream.map_err(|error| self.unavailable(&error.to_string()))?;
        Ok(access.to(stream))
    }

    fn unavailable(&self, error: &str) -> Refusal {
        tracing::warn!(url = %self.url, error, "the backend did not say who may use a thread");
        Refusal::Unavailable
    }
}
