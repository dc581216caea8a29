//! What is counted and measured for operators, with the crate `metrics`: an application that installs a recorder gets it.
//!
//! The names are listed in `docs/SERVER.md`. None of them has a label that a user can choose.

use std::time::Duration;

use metrics::{counter, histogram};

/// A record was committed.
pub(crate) fn committed(events: usize, took: Duration) {
    counter!("agentwire_events_total").increment(events as u64);
    histogram!("agentwire_commit_seconds").record(took.as_secs_f64());
}

/// A record could not be committed.
pub(crate) fn commit_failed() {
    counter!("agentwire_commit_errors_total").increment(1);
}

/// A page was welcomed.
pub(crate) fn welcomed() {
    counter!("agentwire_welcomes_total").increment(1);
}

/// A socket was not welcomed, for this reason.
pub(crate) fn refused(reason: &'static str) {
    counter!("agentwire_refused_sockets_total", "reason" => reason).increment(1);
}

/// A page has a subscription, and is so many events behind.
#[expect(clippy::cast_precision_loss, reason = "a rough figure")]
pub(crate) fn subscribed(behind: u64, is_recovered: bool) {
    let recovered = if is_recovered { "yes" } else { "no" };
    counter!("agentwire_subscriptions_total", "recovered" => recovered).increment(1);
    histogram!("agentwire_catch_up_events").record(behind as f64);
}

/// A page asked for events again.
pub(crate) fn replayed(events: u64) {
    counter!("agentwire_replayed_events_total").increment(events);
}

/// A page was sent a gap of so many events.
pub(crate) fn gap(events: u64) {
    counter!("agentwire_gap_events_total").increment(events);
}

/// A page got the answer to a send, a cancel or an approval.
pub(crate) fn answered(is_rejected: bool) {
    let outcome = if is_rejected { "rejected" } else { "accepted" };
    counter!("agentwire_receipts_total", "outcome" => outcome).increment(1);
}
