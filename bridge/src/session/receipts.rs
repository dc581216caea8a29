//! Receipts: what a page learns of what it sent (SND-11).

use super::order::Place;
use crate::ledger::draft::Receipt;
use crate::log::LogError;
use crate::measures;
use crate::wire::encode::{Rejection, ServerFrame};

pub(super) const CONFLICT: Rejection<'static> =
    Rejection::final_one("conflict", "this id was used for something else", "Use a new id.");

pub(super) const OUTCOME_UNKNOWN: Rejection<'static> = Rejection::final_one(
    "outcome_unknown",
    "it was sent first so long ago that its id may have been forgotten",
    "Look for it in the thread. If it is not there, send it again with a new id.",
);

pub(super) const UNAVAILABLE: Rejection<'static> = Rejection {
    code: "unavailable",
    message: "the log cannot be written now",
    retryable: true,
    remediation: "Send it again with the same id.",
    retry_after_ms: Some(1_000),
};

pub(super) const TOO_MANY_STREAMS: Rejection<'static> = Rejection {
    code: "overloaded",
    message: "this user has begun too many streams",
    remediation: "Send it again later with the same id, or use a stream that exists.",
    ..UNAVAILABLE
};

pub(super) const TOO_MANY_SENDS: Rejection<'static> = Rejection {
    code: "overloaded",
    message: "this user sends too much",
    remediation: "Send it again later with the same id.",
    ..UNAVAILABLE
};

pub(super) const QUEUE_FULL: Rejection<'static> = Rejection::final_one(
    "queue_full",
    "too many messages of this stream wait for an agent",
    "Withdraw some of them or wait, then send it again with a new id.",
);

pub(super) const AMBIGUOUS_RUN: Rejection<'static> = Rejection::final_one(
    "ambiguous_run",
    "several runs are open, and the message names none of them",
    "Send it again with `runId`.",
);

pub(super) const UNKNOWN_RUN: Rejection<'static> = Rejection::final_one(
    "unknown_run",
    "there is no such run",
    "Send it again without `runId`, or with another one.",
);

pub(super) const OF_ANOTHER: Rejection<'static> = Rejection::final_one(
    "forbidden",
    "it belongs to another user",
    "Ask that user, or ask for the right to manage.",
);

pub(super) const TOO_EARLY: Rejection<'static> = Rejection {
    message: "an earlier send of this stream was rejected and has not come again",
    remediation: "Send that one again first, then this one, each with the same id.",
    ..UNAVAILABLE
};

pub(super) fn accepted(place: &Place, status: &str, receipt: &Receipt) -> String {
    let Place { id, stream, .. } = place;
    measures::answered(false);
    // Only what was written has a place.
    let position = (status == "accepted").then_some(&receipt.position);
    let decision = receipt.resolution.as_ref().map(|resolution| &*resolution.decision);
    let by = receipt.resolution.as_ref().and_then(|resolution| resolution.by.as_deref());
    ServerFrame::Receipt { id, stream, status, position, decision, by, error: None }.encode()
}

pub(super) fn rejected(id: &str, stream: &str, error: Rejection<'_>) -> String {
    measures::answered(true);
    let (status, error) = ("rejected", Some(error));
    ServerFrame::Receipt { id, stream, status, position: None, decision: None, by: None, error }.encode()
}

pub(super) fn unavailable(error: &LogError) -> Rejection<'static> {
    tracing::warn!(%error, "a send was rejected: the log does not answer");
    UNAVAILABLE
}
