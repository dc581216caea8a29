//! Posts deliveries to a URL, signed as Standard Webhooks says.

use serde::Deserialize;
use url::Url;

use super::delivery::Delivery;
use super::{Accepted, Attempt};
use crate::clock::now_ms;
use crate::outbound::{Outbound, SigningKeys};

/// Statuses that say that trying again changes nothing.
const REFUSED: [u16; 7] = [400, 401, 403, 404, 410, 413, 422];

/// A webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: Url,
    keys: SigningKeys,
    outbound: Outbound,
}

/// What a backend can say in its answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AnswerBody {
    done: bool,
}

impl Webhook {
    pub(crate) fn new(url: Url, keys: SigningKeys, outbound: Outbound) -> Self {
        Self { url, keys, outbound }
    }

    /// Makes one attempt.
    pub(super) async fn post(&self, delivery: &Delivery) -> Attempt {
        let body = delivery.to_json();
        let timestamp = now_ms() / 1_000;
        let headers = self.keys.headers(delivery.id(), timestamp, body.as_bytes());
        let answer = match self.outbound.post(&self.url, headers, body.into_bytes()).await {
            Ok(answer) => answer,
            Err(error) => return Attempt::Again { why: error.to_string(), after: None },
        };
        match answer.status {
            200..300 => {
                let AnswerBody { done } = serde_json::from_slice(&answer.body).unwrap_or_default();
                Attempt::Accepted(Accepted { done, held: None })
            }
            status if REFUSED.contains(&status) => Attempt::Refused(format!("it answered {status}")),
            status => Attempt::Again { why: format!("it answered {status}"), after: answer.retry_after },
        }
    }
}
