//! Sends, cancels and approvals: what a page writes, and the receipts for it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::order::Place;
use super::{Answer, Session, millis};
use crate::auth::{Access, Grant, Refusal};
use crate::clock::now_ms;
use crate::context::Context;
use crate::event::{Event, EventError};
use crate::fingerprint::fingerprint;
use crate::ledger::draft::acts::{Act, Actor};
use crate::ledger::draft::modes::Mode;
use crate::ledger::draft::{Append, Outcome, Precondition, Receipt};
use crate::live::Decision;
use crate::log::{IdempotencyKey, LogError, Status};
use crate::question::{self, Given, needs_schema};
use crate::stream::StreamKey;
use crate::wire::encode::{Rejection, ServerFrame};
use crate::wire::{Cancelled, Send};

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

    pub(super) async fn cancel(&mut self, send: Send, what: Cancelled) {
        let (act, hash) = match what {
            Cancelled::Run(run) => {
                (Act::Cancel(Arc::clone(&run)), fingerprint("cancel", &Value::from(&*run)))
            }
            Cancelled::Send(id) => {
                (Act::CancelSend(Arc::clone(&id)), fingerprint("cancelSend", &Value::from(&*id)))
            }
        };
        self.act(send, act, hash, status_of_cancel).await;
    }

    pub(super) async fn withdraw(&mut self, send: Send, message_id: Arc<str>) {
        let hash = fingerprint("withdraw", &Value::from(&*message_id));
        self.act(send, Act::Withdraw(message_id), hash, status_of_withdraw).await;
    }

    pub(super) async fn edit(&mut self, send: Send, message_id: Arc<str>, message: Map<String, Value>) {
        let Some((place, grant)) = self.writable(&send, Access::Write).await else {
            return;
        };
        let hash = fingerprint("edit", &json!([&*message_id, message]));
        let max = self.context.limits.max_frame_bytes;
        let event = match edit_event(message, &message_id, &self.subject, max) {
            Ok(event) => event,
            Err((code, message, remediation)) => {
                return self.reject(&place, Rejection::final_one(code, &message, remediation));
            }
        };
        let append = Append {
            key: Some(self.idempotency_key(&send, hash)),
            act: Some((Act::Edit(message_id), self.actor(&grant))),
            ..Append::events(grant.stream, vec![event])
        };
        self.submit(place, append, status_of_edit).await;
    }

    async fn act(&mut self, send: Send, act: Act, hash: Arc<str>, status: fn(Status) -> &'static str) {
        let Some((place, grant)) = self.writable(&send, Access::Write).await else {
            return;
        };
        let append = Append {
            key: Some(self.idempotency_key(&send, hash)),
            act: Some((act, self.actor(&grant))),
            ..Append::events(grant.stream, Vec::new())
        };
        self.submit(place, append, status).await;
    }

    fn actor(&self, grant: &Grant) -> Actor {
        Actor { subject: Arc::clone(&self.subject), manages: grant.manage }
    }

    pub(super) async fn approve(&mut self, send: Send, run: Arc<str>, approval: Arc<str>, given: Given) {
        let Some((place, grant)) = self.writable(&send, Access::Approve).await else {
            return;
        };
        let key = grant.stream;
        match unfit(&self.context, &key, (&run, &approval), &given).await {
            Ok(None) => {}
            Ok(Some(why)) => return self.reject(&place, invalid_answer(&why)),
            Err(error) => return self.reject(&place, unavailable(&error)),
        }
        let (event, hash) = resolved(&run, &approval, given, &self.subject);
        let event = match Event::new(event, self.context.limits.max_frame_bytes) {
            Ok(event) => event,
            Err(error) => return self.reject(&place, invalid_answer(&error.to_string())),
        };
        let append = Append {
            key: Some(self.idempotency_key(&send, hash)),
            precondition: Precondition::ApprovalOpen { run, approval },
            ..Append::events(key, vec![event])
        };
        self.submit(place, append, status_of_approve).await;
    }

    /// The place of a send in the order of its stream and the stream to write to, or a rejection.
    async fn writable(&mut self, send: &Send, access: Access) -> Option<(Place, Grant)> {
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

    fn idempotency_key(&self, send: &Send, hash: Arc<str>) -> IdempotencyKey {
        IdempotencyKey { subject: Arc::clone(&self.subject), id: Arc::clone(&send.id), hash }
    }

    fn reject(&mut self, place: &Place, rejection: Rejection<'_>) {
        self.order.leave(place, rejection.retryable);
        self.control.push_back(rejected(&place.id, &place.stream, rejection));
    }

    /// Appends at this place of the order of frames, and answers when it is durable.
    async fn submit(&mut self, place: Place, append: Append, status: fn(Status) -> &'static str) {
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

const fn invalid_answer(why: &str) -> Rejection<'_> {
    Rejection::final_one("invalid_answer", why, "Answer again with a new id; the question is still open.")
}

const CONFLICT: Rejection<'static> =
    Rejection::final_one("conflict", "this id was used for something else", "Use a new id.");

const UNAVAILABLE: Rejection<'static> = Rejection {
    code: "unavailable",
    message: "the log cannot be written now",
    retryable: true,
    remediation: "Send it again with the same id.",
    retry_after_ms: Some(1_000),
};

const TOO_MANY_STREAMS: Rejection<'static> = Rejection {
    code: "overloaded",
    message: "this user has begun too many streams",
    remediation: "Send it again later with the same id, or use a stream that exists.",
    ..UNAVAILABLE
};

const AMBIGUOUS_RUN: Rejection<'static> = Rejection::final_one(
    "ambiguous_run",
    "several runs are open, and the message names none of them",
    "Send it again with `runId`.",
);

const UNKNOWN_RUN: Rejection<'static> = Rejection::final_one(
    "unknown_run",
    "there is no such run",
    "Send it again without `runId`, or with another one.",
);

const OF_ANOTHER: Rejection<'static> = Rejection::final_one(
    "forbidden",
    "it belongs to another user",
    "Ask that user, or ask for the right to manage.",
);

const TOO_EARLY: Rejection<'static> = Rejection {
    message: "an earlier send of this stream was rejected and has not come again",
    remediation: "Send that one again first, then this one, each with the same id.",
    ..UNAVAILABLE
};

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

/// Why an answer does not fit its question. One that is not open is not looked at: its receipt says so.
async fn unfit(
    context: &Context,
    key: &StreamKey,
    (run, approval): (&Arc<str>, &Arc<str>),
    given: &Given,
) -> Result<Option<String>, LogError> {
    let max = context.limits.max_answer_bytes;
    let bytes = given.bytes();
    if bytes > max {
        return Ok(Some(format!("the answer has {bytes} bytes of JSON, but at most {max} are taken")));
    }
    let Some(terms) = context.journal.terms(key, run, approval).await? else { return Ok(None) };
    let mut schema = None;
    if needs_schema(given, &terms) {
        let page = context.journal.read(key, terms.offset, 1, usize::MAX).await?;
        let body = page.bodies.first().filter(|_| page.first == terms.offset);
        schema =
            body.and_then(|body| serde_json::from_str::<Map<String, Value>>(body).ok()?.remove("schema"));
        if schema.is_none() {
            return Ok(Some("the question was removed, so it can only be denied".to_owned()));
        }
    }
    Ok(question::check(given, &terms, schema.as_ref()).err())
}

/// The event of an answer, and the fingerprint of the answer.
fn resolved(run: &str, approval: &str, given: Given, subject: &str) -> (Value, Arc<str>) {
    let decision = if given.is_approved { Decision::Approved } else { Decision::Denied };
    let mut event = json!({ "runId": run, "approvalId": approval, "decision": decision.as_str() });
    let fields = [
        ("payload", given.payload),
        ("editedArgs", given.edited_args),
        ("reason", given.reason.map(Value::from)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            event[name] = value;
        }
    }
    let hash = fingerprint("approve", &json!([event, given.args_hash]));
    event["type"] = "approval_resolved".into();
    event["user"] = subject.into();
    (event, hash)
}

fn status_of_send(_: Status) -> &'static str {
    "accepted"
}

fn status_of_cancel(status: Status) -> &'static str {
    match status {
        Status::AlreadyFinished => "already_finished",
        Status::UnknownRun => "unknown_run",
        Status::UnknownSend => "unknown_send",
        _ => "cancelled",
    }
}

fn status_of_withdraw(status: Status) -> &'static str {
    match status {
        Status::AlreadyClaimed => "already_claimed",
        Status::UnknownSend => "unknown_send",
        _ => "withdrawn",
    }
}

fn status_of_edit(status: Status) -> &'static str {
    match status {
        Status::AlreadyClaimed => "already_claimed",
        Status::UnknownSend => "unknown_send",
        Status::Withdrawn => "withdrawn",
        _ => "accepted",
    }
}

fn status_of_approve(status: Status) -> &'static str {
    match status {
        Status::AlreadyResolved => "already_resolved",
        Status::RunOver => "run_over",
        Status::UnknownApproval => "unknown_approval",
        _ => "accepted",
    }
}

fn accepted(place: &Place, status: &str, receipt: &Receipt) -> String {
    let Place { id, stream, .. } = place;
    // Only what was written has a place.
    let position = (status == "accepted").then_some(&receipt.position);
    let decision = receipt.resolution.as_ref().map(|resolution| &*resolution.decision);
    let by = receipt.resolution.as_ref().and_then(|resolution| resolution.by.as_deref());
    ServerFrame::Receipt { id, stream, status, position, decision, by, error: None }.encode()
}

fn rejected(id: &str, stream: &str, error: Rejection<'_>) -> String {
    let (status, error) = ("rejected", Some(error));
    ServerFrame::Receipt { id, stream, status, position: None, decision: None, by: None, error }.encode()
}

fn unavailable(error: &LogError) -> Rejection<'static> {
    tracing::warn!(%error, "a send was rejected: the log does not answer");
    UNAVAILABLE
}

/// The event of an edit (SND-15).
fn edit_event(
    mut message: Map<String, Value>,
    message_id: &str,
    subject: &str,
    max_frame_bytes: usize,
) -> Result<Event, (&'static str, String, &'static str)> {
    let remediation = "Edit it again with a new id.";
    let has_content =
        message.get("content").and_then(Value::as_str).is_some_and(|content| !content.is_empty());
    if message.get("type").and_then(Value::as_str) != Some("user_message") || !has_content {
        let why =
            "only a `user_message` with a text `content` of 1 byte or more can take the place of a message";
        return Err(("invalid_message", why.to_owned(), remediation));
    }
    for (name, value) in [("type", "message_edited"), ("sendId", message_id), ("user", subject)] {
        message.insert(name.to_owned(), value.into());
    }
    message.insert("time".to_owned(), now_ms().into());
    Event::new(message.into(), max_frame_bytes).map_err(|error| match error {
        EventError::TooLarge { .. } => ("message_too_large", error.to_string(), "Send less."),
        error => ("invalid_message", error.to_string(), remediation),
    })
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
