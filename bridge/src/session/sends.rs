//! Sends, and what all frames share that settle by a receipt: their order, their rights, their records.

use std::sync::Arc;
use std::time::Duration;

use super::order::Place;
use super::receipts::{
    AMBIGUOUS_RUN, CONFLICT, OF_ANOTHER, OUTCOME_UNKNOWN, QUEUE_FULL, TOO_EARLY, TOO_MANY_SENDS,
    TOO_MANY_STREAMS, UNAVAILABLE, UNKNOWN_RUN, accepted, rejected, unavailable,
};
use super::requests::Checked;
use super::{Answer, Session, millis};
use crate::auth::{Access, Grant, Refusal};
use crate::bounds::users::User;
use crate::clock::now_ms;
use crate::context::Context;
use crate::ledger::draft::modes::Mode;
use crate::ledger::draft::{Append, Outcome};
use crate::log::{IdempotencyKey, Status};
use crate::stream::StreamKey;
use crate::wire::Send;
use crate::wire::encode::Rejection;

impl Session {
    pub(super) async fn send(&mut self, send: Send, mode: Mode, checked: Checked) {
        let Some((place, grant)) = self.writable(&send, Access::Write).await else {
            return;
        };
        let event = match checked.event {
            Ok(event) => event,
            Err(unfit) => return self.reject(&place, unfit.rejection()),
        };
        let append = Append {
            is_expired: self.is_expired(&send),
            key: Some(self.idempotency_key(&send, checked.hash)),
            is_message: checked.is_message,
            max_waiting: self.max_waiting(),
            mode,
            manages: grant.manage,
            has_queue: self.context.has_agents,
            is_announced: self.context.has_inboxes,
            ..Append::events(grant.stream, vec![event])
        };
        self.submit(place, append, status_of_send).await;
    }

    /// Without an agent of this bridge, messages are there for others and wait in no queue of it.
    fn max_waiting(&self) -> usize {
        if self.context.has_agents { self.context.limits.max_waiting_messages } else { usize::MAX }
    }

    /// The place of a send in the order of its stream and the stream to write to, or a rejection.
    pub(super) async fn writable(&mut self, send: &Send, access: Access) -> Option<(Place, Grant)> {
        let horizon = self.context.limits.send_horizon;
        let Ok(place) = self.order.enter(&send.stream, &send.id, horizon) else {
            self.control.push_back(rejected(&send.id, &send.stream, TOO_EARLY));
            return None;
        };
        if let Err(wait) = self.user.sends.try_take(1) {
            self.reject(&place, later(TOO_MANY_SENDS, wait));
            return None;
        }
        match self.context.gate.grant(&self.subject, &send.stream, access).await {
            Ok(grant) => match check_new(&self.context, &self.user, &grant.stream).await {
                Ok(()) => return Some((place, grant)),
                Err(rejection) => self.reject(&place, rejection),
            },
            Err(Refusal::Forbidden | Refusal::UnknownStream) => {
                let message = "this user may not write to the stream";
                let remediation = "Ask for access, or use another stream.";
                self.reject(&place, Rejection::final_one("forbidden", message, remediation));
            }
            Err(refusal @ Refusal::Unavailable) => {
                self.reject(&place, Rejection { message: &refusal.to_string(), ..UNAVAILABLE });
            }
        }
        None
    }

    pub(super) fn idempotency_key(&self, send: &Send, hash: Arc<str>) -> IdempotencyKey {
        IdempotencyKey { subject: Arc::clone(&self.subject), id: Arc::clone(&send.id), hash }
    }

    /// Tells whether the key of a frame may have been known and forgotten (SND-5).
    pub(super) fn is_expired(&self, send: &Send) -> bool {
        let horizon = millis(self.context.limits.send_horizon);
        send.first_sent_at.is_some_and(|at| now_ms().saturating_sub(at) > horizon)
    }

    pub(super) fn reject(&mut self, place: &Place, rejection: Rejection<'_>) {
        self.order.leave(place, rejection.retryable);
        self.control.push_back(rejected(&place.id, &place.stream, rejection));
    }

    /// Appends at this place of the order of frames, and answers when it is durable.
    pub(super) async fn submit(&mut self, place: Place, append: Append, status: fn(Status) -> &'static str) {
        let append = Append { after: place.after.clone(), ..append };
        let ticket = match self.context.journal.append(append).await {
            Ok(ticket) => ticket,
            Err(error) => return self.reject(&place, unavailable(&error)),
        };
        let answer = async move {
            let rejection = match ticket.durable().await {
                Ok(Outcome::Durable(receipt)) => {
                    let frame = accepted(&place, status(receipt.status), &receipt);
                    return Answer { place, frame, is_owed: false };
                }
                Ok(Outcome::Conflict) => CONFLICT,
                Ok(Outcome::Expired) => OUTCOME_UNKNOWN,
                Ok(Outcome::TooEarly | Outcome::Missing(_)) => TOO_EARLY,
                Ok(Outcome::QueueFull) => QUEUE_FULL,
                Ok(Outcome::Refused(Status::AmbiguousRun)) => AMBIGUOUS_RUN,
                Ok(Outcome::Refused(Status::UnknownRun)) => UNKNOWN_RUN,
                Ok(Outcome::Refused(_)) => OF_ANOTHER,
                Err(error) => unavailable(&error),
            };
            let frame = rejected(&place.id, &place.stream, rejection);
            Answer { frame, is_owed: rejection.retryable, place }
        };
        self.answers.push_back(Box::pin(answer));
    }
}

/// Whether the user may begin the stream, if it is new.
async fn check_new(context: &Context, user: &User, key: &StreamKey) -> Result<(), Rejection<'static>> {
    let is_new = context.journal.is_new(key).await.map_err(|error| unavailable(&error))?;
    if !is_new {
        return Ok(());
    }
    user.new_streams.take(key).map_err(|wait| later(TOO_MANY_STREAMS, wait))
}

/// A rejection of something that may come again after a while.
fn later(rejection: Rejection<'static>, wait: Duration) -> Rejection<'static> {
    Rejection { retry_after_ms: Some(millis(wait).clamp(1_000, 86_400_000)), ..rejection }
}

fn status_of_send(_: Status) -> &'static str {
    "accepted"
}
