//! Sends, and what all frames share that settle by a receipt: their order, their rights, their records.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::order::Place;
use super::receipts::{
    AMBIGUOUS_RUN, CONFLICT, OF_ANOTHER, OUTCOME_UNKNOWN, TOO_EARLY, TOO_MANY_STREAMS, UNAVAILABLE,
    UNKNOWN_RUN, accepted, rejected, unavailable,
};
use super::{Answer, Session, millis};
use crate::auth::{Access, Grant, Refusal};
use crate::clock::now_ms;
use crate::context::Context;
use crate::event::{Event, EventError};
use crate::fingerprint::fingerprint;
use crate::ledger::draft::modes::Mode;
use crate::ledger::draft::{Append, Outcome};
use crate::log::{IdempotencyKey, Status};
use crate::stream::StreamKey;
use crate::wire::Send;
use crate::wire::encode::Rejection;

impl Session {
    pub(super) async fn send(&mut self, send: Send, mode: Mode, message: Map<String, Value>) {
        let Some((place, grant)) = self.writable(&send, Access::Write).await else {
            return;
        };
        let hash = match &mode {
            Mode::Queue => fingerprint("send", &Value::from(message.clone())),
            Mode::Interrupt => fingerprint("interrupt", &Value::from(message.clone())),
            Mode::Steer(run) => fingerprint("steer", &json!([message, run.as_deref()])),
        };
        let max = self.context.limits.max_frame_bytes;
        let (event, is_message) = match user_event(message, &send, &mode, &self.subject, max) {
            Ok(event) => event,
            Err((code, message, remediation)) => {
                return self.reject(&place, Rejection::final_one(code, &message, remediation));
            }
        };
        let append = Append {
            is_expired: self.is_expired(&send),
            key: Some(self.idempotency_key(&send, hash)),
            is_message,
            mode,
            manages: grant.manage,
            has_queue: self.context.has_agents,
            is_announced: self.context.has_inboxes,
            ..Append::events(grant.stream, vec![event])
        };
        self.submit(place, append, status_of_send).await;
    }

    /// The place of a send in the order of its stream and the stream to write to, or a rejection.
    pub(super) async fn writable(&mut self, send: &Send, access: Access) -> Option<(Place, Grant)> {
        let horizon = self.context.limits.send_horizon;
        let Ok(place) = self.order.enter(&send.stream, &send.id, horizon) else {
            self.control.push_back(rejected(&send.id, &send.stream, TOO_EARLY));
            return None;
        };
        match self.context.gate.grant(&self.subject, &send.stream, access).await {
            Ok(grant) => match check_new(&self.context, &self.subject, &grant.stream).await {
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
                Ok(Outcome::TooEarly) => TOO_EARLY,
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
async fn check_new(context: &Context, subject: &str, key: &StreamKey) -> Result<(), Rejection<'static>> {
    let state = context.journal.state(key).await.map_err(|error| unavailable(&error))?;
    if state.head.seq > 0 {
        return Ok(());
    }
    context.new_streams.take(subject, key).map_err(|wait| {
        tracing::warn!(user = subject, "a user begins too many streams");
        Rejection { retry_after_ms: Some(millis(wait).clamp(1_000, 86_400_000)), ..TOO_MANY_STREAMS }
    })
}

fn status_of_send(_: Status) -> &'static str {
    "accepted"
}

/// The event of a send, and whether an agent is to answer it; or why it is rejected (SND-3, SND-6).
fn user_event(
    mut message: Map<String, Value>,
    send: &Send,
    mode: &Mode,
    subject: &str,
    max_frame_bytes: usize,
) -> Result<(Event, bool), (&'static str, String, &'static str)> {
    let invalid =
        |message: &str| ("invalid_message", message.to_owned(), "Send another message with a new id.");
    let is_user_message = message.get("type").and_then(Value::as_str) == Some("user_message");
    let has_content =
        message.get("content").and_then(Value::as_str).is_some_and(|content| !content.is_empty());
    if is_user_message && !has_content {
        return Err(invalid("a `user_message` needs a text `content` of 1 byte or more"));
    }
    if !is_user_message && *mode != Mode::Queue {
        return Err(invalid("only a `user_message` can interrupt or steer"));
    }
    match mode {
        Mode::Queue if is_user_message => drop(message.remove("mode")),
        Mode::Queue => {}
        Mode::Interrupt => drop(message.insert("mode".to_owned(), "interrupt".into())),
        Mode::Steer(_) => drop(message.insert("mode".to_owned(), "steer".into())),
    }
    match &send.traceparent {
        Some(traceparent) => drop(message.insert("traceparent".to_owned(), traceparent.as_str().into())),
        None => drop(message.remove("traceparent")),
    }
    message.insert("sendId".to_owned(), (*send.id).into());
    message.insert("user".to_owned(), subject.into());
    // The time of a message is when it was accepted, whatever the clock of the page says.
    message.insert("time".to_owned(), now_ms().into());
    match Event::from_send(message, max_frame_bytes) {
        Ok(event) => Ok((event, is_user_message)),
        Err(error @ EventError::TooLarge { .. }) => {
            Err(("message_too_large", error.to_string(), "Send less, or store the bulk elsewhere."))
        }
        Err(error) => Err(invalid(&error.to_string())),
    }
}
