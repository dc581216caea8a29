//! Forgets what is old: how much of a stream is kept.

use std::time::Duration;

use serde::Deserialize;

use crate::clock::now_ms;
use crate::context::Context;
use crate::log::LogError;
use crate::stream::StreamKey;

/// How much of a stream is kept. What both allow to forget is forgotten.
///
/// Nothing is forgotten from the first event of an open run or the first waiting message on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The newest events, at least as many as this; all, if it is `None`.
    pub events: Option<u64>,
    /// Events younger than this, by their `time`; all, if it is `None`. A stream whose times do not grow is cut somewhere
    /// between the first and the last event that is old enough.
    pub age: Option<Duration>,
}

/// The time that the publisher or the bridge gave an event.
#[derive(Deserialize)]
struct Timed {
    time: Option<f64>,
}

/// Forgets what a stream need not keep. Returns its `oldest`.
pub(crate) async fn retain(context: &Context, key: &StreamKey, keep: Retention) -> Result<u64, LogError> {
    let (head, needed) = context.journal.needed(key).await?;
    // The first event that is kept.
    let mut first = head.oldest;
    if let Some(events) = keep.events {
        first = first.max((head.offset + 1).saturating_sub(events));
    }
    if let Some(age) = keep.age {
        let before = now_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        first = first.max(first_since(context, key, (first, head.offset + 1), before).await?);
    }
    first = first.min(needed.unwrap_or(u64::MAX)).min(head.offset + 1);
    if first <= head.oldest {
        return Ok(head.oldest);
    }
    context.journal.trim(key, first - 1).await
}

/// The first event of a range that is not older than `before`, found by halves: a long stream is not read.
async fn first_since(
    context: &Context,
    key: &StreamKey,
    (mut low, mut high): (u64, u64),
    before: u64,
) -> Result<u64, LogError> {
    while low < high {
        let middle = low + (high - low) / 2;
        let page = context.journal.read(key, middle, 1, usize::MAX).await?;
        let event = page.bodies.first().and_then(|body| serde_json::from_str::<Timed>(body).ok());
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
        let is_old = event.is_none_or(|event| event.time.is_none_or(|time| time < before as f64));
        // An event without a time, such as one that was redacted, is as old as those before it.
        if is_old {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
