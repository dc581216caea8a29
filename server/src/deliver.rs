//! Brings to backends what users do: by webhook or by workers.

mod agent;
mod delivery;
pub(crate) mod signal;
mod webhook;
pub(crate) mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(crate) use self::agent::DeliveringAgent;
use self::delivery::Delivery;
pub(crate) use self::signal::forward;
pub(crate) use self::webhook::Webhook;
use self::workers::{Held, Workers};

/// The pause before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts that no backend asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that a backend can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// How deliveries are brought, and for how long it is tried.
#[derive(Debug)]
pub(crate) struct Deliverer {
    carrier: Carrier,
    give_up_after: Duration,
    /// How long a run may take to claim a message.
    lease: Duration,
    /// Deliveries that are under way at once.
    in_flight: Semaphore,
}

/// Who brings them.
#[derive(Debug)]
pub(crate) enum Carrier {
    Webhook(Webhook),
    Workers(Arc<Workers>),
}

/// A delivery was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Whether a message needs no run.
    done: bool,
    /// What a worker still holds of it.
    held: Option<Held>,
}

/// Why a delivery was not brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The backend refused it for good.
    Refused(String),
    /// It was tried for long enough.
    GaveUp(String),
}

/// What came of one attempt.
#[derive(Debug)]
enum Attempt {
    Accepted(Accepted),
    Refused(String),
    Again { why: String, after: Option<Duration> },
}

impl Deliverer {
    pub(crate) fn new(
        carrier: Carrier,
        give_up_after: Duration,
        lease: Duration,
        max_in_flight: usize,
    ) -> Self {
        Self { carrier, give_up_after, lease, in_flight: Semaphore::new(max_in_flight) }
    }

    /// Brings a delivery, and tries again until it is accepted, refused or too old. Each attempt has the next number.
    async fn bring(&self, delivery: &mut Delivery) -> Result<Accepted, Failed> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            delivery.attempt += 1;
            let attempt = match &self.carrier {
                Carrier::Webhook(webhook) => {
                    let _permit = self.in_flight.acquire().await;
                    webhook.post(delivery).await
                }
                Carrier::Workers(workers) => {
                    let left = self.give_up_after.saturating_sub(begun.elapsed());
                    workers.give(delivery, left).await
                }
            };
            let (why, after) = match attempt {
                Attempt::Accepted(accepted) => {
                    metrics::counter!("agentwire_deliveries_total", "outcome" => "accepted").increment(1);
                    return Ok(accepted);
                }
                Attempt::Refused(why) => {
                    metrics::counter!("agentwire_deliveries_total", "outcome" => "refused").increment(1);
                    tracing::error!(
                        delivery = delivery.id(),
                        kind = delivery.kind(),
                        why,
                        "the backend refused a delivery"
                    );
                    return Err(Failed::Refused(why));
                }
                Attempt::Again { why, after } => (why, after),
            };
            let wait = after.map_or_else(|| jittered(pause), |after| after.min(LONGEST_RETRY_AFTER));
            if begun.elapsed() + wait >= self.give_up_after {
                metrics::counter!("agentwire_deliveries_total", "outcome" => "gave_up").increment(1);
                tracing::error!(
                    delivery = delivery.id(),
                    kind = delivery.kind(),
                    why,
                    "a delivery was given up: the backend did not accept it in time"
                );
                return Err(Failed::GaveUp(why));
            }
            metrics::counter!("agentwire_delivery_retries_total").increment(1);
            tracing::warn!(
                delivery = delivery.id(),
                kind = delivery.kind(),
                attempt = delivery.attempt,
                why,
                ?wait,
                "a delivery is tried again"
            );
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Half of a pause to all of it, so that deliveries that failed together do not come together again.
fn jittered(pause: Duration) -> Duration {
    pause / 2 + (pause / 2).mul_f64(f64::from(fastrand::u32(..)) / f64::from(u32::MAX))
}
