//! Forgets old events of all threads, now and then.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{LogError, Retention};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::RetentionSection;
use crate::state::Shared;

/// Threads that are looked up at once.
const PAGE: usize = 256;

/// Looks through all threads at the beginning and each time that the configuration says, until the server stops.
pub(crate) async fn keep(shared: Arc<Shared>, section: RetentionSection) {
    let keep = Retention { events: section.max_events, age: section.max_age_ms.map(Duration::from_millis) };
    if keep == Retention::default() {
        return;
    }
    let mut turns = interval(Duration::from_millis(section.every_ms));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let work = async {
        loop {
            turns.tick().await;
            match forget(&shared, keep).await {
                Ok(0) => {}
                Ok(threads) => tracing::info!(threads, "old events were forgotten"),
                Err(error) => {
                    tracing::warn!(%error, "old events were not forgotten in all threads; they are next time")
                }
            }
        }
    };
    shared.closing.run_until_cancelled(work).await;
}

/// Returns how many threads had something to forget.
async fn forget(shared: &Shared, keep: Retention) -> Result<u64, LogError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let page = shared.bridge.streams(after.as_ref(), PAGE).await?;
        let Some(last) = page.last().cloned() else { return Ok(count) };
        for thread in page {
            let before = shared.bridge.log().head(&thread).await?.oldest;
            count += u64::from(shared.bridge.retain(&thread, keep).await? > before);
        }
        after = Some(last);
    }
}
