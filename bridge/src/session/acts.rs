//! What a page does to runs and to messages that wait: cancel, withdraw, edit.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Session;
use crate::auth::{Access, Grant};
use crate::clock::now_ms;
use crate::event::{Event, EventError};
use crate::fingerprint::fingerprint;
use crate::ledger::draft::Append;
use crate::ledger::draft::acts::{Act, Actor};
use crate::log::Status;
use crate::wire::encode::Rejection;
use crate::wire::{Cancelled, Send};

impl Session {
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
            is_expired: self.is_expired(&send),
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
            is_expired: self.is_expired(&send),
            key: Some(self.idempotency_key(&send, hash)),
            act: Some((act, self.actor(&grant))),
            ..Append::events(grant.stream, Vec::new())
        };
        self.submit(place, append, status).await;
    }

    fn actor(&self, grant: &Grant) -> Actor {
        Actor { subject: Arc::clone(&self.subject), manages: grant.manage }
    }
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
