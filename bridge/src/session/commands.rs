//! What a page asks for.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{End, Session, millis};
use crate::auth::{Access, Refusal};
use crate::bridge::Inner;
use crate::clock::now_ms;
use crate::dispatch::Dispatcher;
use crate::event::{Event, EventError};
use crate::hub::Signal;
use crate::log::{Append, Guard, LogError, Once, Outcome, Status};
use crate::run::Decision;
use crate::stream::{Position, StreamKey};
use crate::wire::encode::{Rejection, ServerFrame};
use crate::wire::{ClientFrame, Malformed, Send, decode};

/// Replay requests that may be open on one socket (RPL-2).
const MAX_REPLAYS: usize = 8;

/// Largest signal, in bytes.
const MAX_SIGNAL_BYTES: usize = 4_096;

impl Session {
    pub(super) async fn on_text(&mut self, text: &str) -> Result<(), End> {
        let Some(frame) = decode(text)? else {
            self.ignored += 1;
            tracing::debug!(
                session = self.name,
                ignored = self.ignored,
                "a frame of an unknown type was ignored"
            );
            return Ok(());
        };
        match frame {
            ClientFrame::Ack { offsets } => self.ack(&offsets)?,
            ClientFrame::Approve { send, approval, decision } => {
                self.approve(send, approval, decision).await?
            }
            ClientFrame::Cancel { send, run } => self.cancel(send, run).await?,
            ClientFrame::Hello(_) => {
                return Err(Malformed::Contradiction("`hello` comes once, as the first frame").into());
            }
            ClientFrame::History { req } => self.error(
                "unsupported",
                "this server offers no history",
                false,
                "Subscribe from the start instead.",
                Some(req),
            ),
            ClientFrame::Ping { n } => self.control.push_back(ServerFrame::Pong { n }.encode()),
            ClientFrame::Pong => {}
            ClientFrame::Refresh { token } => self.refresh(&token.0).await,
            ClientFrame::Replay { req, ch, from, to } => self.replay(req, ch, from, to),
            ClientFrame::Send { send, message } => self.send(send, message).await?,
            ClientFrame::Signal { stream, signal } => self.signal(&stream, &signal).await,
            ClientFrame::Subscribe { streams } => self.subscribe(streams).await?,
            ClientFrame::Unsubscribe { ch } => self.unsubscribe(ch),
        }
        Ok(())
    }

    fn error(&mut self, code: &str, message: &str, retryable: bool, remediation: &str, req: Option<u64>) {
        let remediation = Some(remediation);
        self.control.push_back(ServerFrame::Error { code, message, retryable, remediation, req }.encode());
    }

    fn ack(&mut self, offsets: &[(u32, u64)]) -> Result<(), Malformed> {
        for (ch, offset) in offsets {
            if let Some(stream) = self.subscriptions.iter_mut().find(|stream| stream.ch == *ch) {
                stream.ack(*offset)?;
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, ch: u32) {
        if let Some(at) = self.subscriptions.iter().position(|stream| stream.is_or_was(ch)) {
            let stream = self.subscriptions.remove(at);
            let frame = ServerFrame::Unsubscribed { ch: Some(ch), name: &stream.name, reason: "requested" };
            self.control.push_back(frame.encode());
        }
    }

    fn replay(&mut self, req: u64, ch: u32, from: u64, to: u64) {
        let open: usize = self.subscriptions.iter().map(|stream| stream.open_replays()).sum();
        let remediation = "Wait for a replayEnd, and ask for at most `window.events` offsets.";
        if open >= MAX_REPLAYS {
            let message = format!("{open} replay requests are open");
            return self.error("too_many_requests", &message, true, remediation, Some(req));
        }
        if to - from >= self.window.events as u64 {
            let message =
                format!("{} offsets are more than the window of {}", to - from + 1, self.window.events);
            return self.error("too_many_requests", &message, true, remediation, Some(req));
        }
        match self.subscriptions.iter_mut().find(|stream| stream.ch == ch) {
            Some(stream) => stream.replay(req, from, to),
            // Unsubscribed meanwhile, or of an epoch that ended: there is nothing to bring, and nothing was trimmed.
            None => self.control.push_back(ServerFrame::ReplayEnd { req, to: from - 1, oldest: 1 }.encode()),
        }
    }

    async fn refresh(&mut self, token: &str) {
        let invalid = "the token is not valid";
        let answer = match self.inner.authenticator.authenticate(token).await {
            Ok(identity) if identity.subject != *self.subject => {
                Err("the token names another user".to_owned())
            }
            Ok(identity) if identity.expires_at_ms.is_some_and(|expires| expires <= now_ms()) => {
                Err(invalid.to_owned())
            }
            Ok(identity) => Ok(identity.expires_at_ms),
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(expires_at_ms) => {
                let token_expires_in_ms = self.expire_at(expires_at_ms);
                self.control.push_back(ServerFrame::Refreshed { token_expires_in_ms }.encode());
            }
            Err(message) => self.error(
                "token_invalid",
                &message,
                true,
                "Get a new token for the same user; this connection goes on with the old one.",
                None,
            ),
        }
    }

    async fn signal(&mut self, stream: &str, signal: &Map<String, Value>) {
        let Ok(key) = self.inner.authorizer.authorize(&self.subject, stream, Access::Write).await else {
            return self.error(
                "forbidden",
                "this user may not signal to the stream",
                false,
                "Ask for access.",
                None,
            );
        };
        let text = Value::from(signal.clone()).to_string();
        if text.len() > MAX_SIGNAL_BYTES {
            let message =
                format!("the signal has {} bytes; at most {MAX_SIGNAL_BYTES} are passed on", text.len());
            return self.error("message_too_large", &message, false, "Send it as a message.", None);
        }
        let signal = Signal { key, from: Arc::clone(&self.subject), signal: text.into() };
        self.inner.store.signal(self.id, &signal);
    }

    /// A signal of another socket.
    pub(super) fn on_signal(&mut self, signal: &Signal) {
        let Ok(raw) = serde_json::from_str::<&RawValue>(&signal.signal) else {
            return;
        };
        for stream in self.subscriptions.iter().filter(|stream| stream.key == signal.key) {
            let frame = ServerFrame::Signal {
                stream: &stream.name,
                from: &signal.from,
                signal: raw,
                expires_in_ms: millis(self.inner.limits.signal_expiry),
            };
            self.control.push_back(frame.encode());
        }
    }

    async fn send(&mut self, send: Send, message: Map<String, Value>) -> Result<(), End> {
        let Some(key) = self.writable(&send).await else {
            return Ok(());
        };
        let hash = fingerprint("send", &Value::from(message.clone()));
        let event = match user_event(message, &send, &self.subject, self.inner.limits.max_frame_bytes) {
            Ok(event) => event,
            Err(rejection) => {
                self.reject(&send.id, rejection.0, &rejection.1, rejection.2);
                return Ok(());
            }
        };
        let dispatch = event.1;
        let append = Append {
            once: Some(self.once(&send, hash, dispatch)),
            announce: self.inner.inbox_of(&key),
            ..Append::events(key.clone(), vec![event.0])
        };
        let wake = move |inner: &Arc<Inner>, _: Status| {
            if dispatch {
                Dispatcher::wake(inner, &key);
            }
        };
        self.submit(send.id, append, status_of_send, wake).await;
        Ok(())
    }

    async fn cancel(&mut self, send: Send, run: Arc<str>) -> Result<(), End> {
        let Some(key) = self.writable(&send).await else {
            return Ok(());
        };
        let hash = fingerprint("cancel", &Value::from(&*run));
        let append = Append {
            once: Some(self.once(&send, hash, false)),
            guard: Guard::RunOpen(Arc::clone(&run)),
            ..Append::events(key.clone(), Vec::new())
        };
        let stop = move |inner: &Arc<Inner>, status: Status| {
            if status == Status::Accepted && !inner.runs.cancel(&key, &run) {
                // Nobody in this process works on it, so nobody else will end it.
                let inner = Arc::clone(inner);
                let task = Arc::clone(&inner);
                inner.spawn(async move { cancel_orphan(&task, key, run).await });
            }
        };
        self.submit(send.id, append, status_of_cancel, stop).await;
        Ok(())
    }

    async fn approve(&mut self, send: Send, approval: Arc<str>, decision: Decision) -> Result<(), End> {
        let Some(key) = self.writable(&send).await else {
            return Ok(());
        };
        let hash = fingerprint("approve", &json!([&*approval, decision.as_str()]));
        let run = self.inner.store.log().approval_run(&key, &approval).await?;
        let event = json!({
            "type": "approval_resolved",
            "runId": run.as_deref().unwrap_or("unknown"),
            "approvalId": &*approval,
            "decision": decision.as_str(),
            "user": &*self.subject,
        });
        let event = Event::new(event, self.inner.limits.max_frame_bytes)
            .map_err(|error| LogError::Unavailable(error.to_string()))?;
        let append = Append {
            once: Some(self.once(&send, hash, false)),
            guard: Guard::ApprovalOpen(Arc::clone(&approval)),
            ..Append::events(key.clone(), vec![event])
        };
        let resolve = move |inner: &Arc<Inner>, status: Status| {
            if status == Status::Accepted {
                inner.runs.resolve(&key, &approval, decision);
            }
        };
        self.submit(send.id, append, status_of_approve, resolve).await;
        Ok(())
    }

    /// The stream to write to, or a rejection.
    async fn writable(&mut self, send: &Send) -> Option<StreamKey> {
        match self.inner.authorizer.authorize(&self.subject, &send.stream, Access::Write).await {
            Ok(key) => Some(key),
            Err(Refusal::Forbidden | Refusal::UnknownStream) => {
                let message = "this user may not write to the stream";
                self.reject(&send.id, "forbidden", message, "Ask for access, or use another stream.");
                None
            }
        }
    }

    fn once(&self, send: &Send, hash: [u8; 32], dispatch: bool) -> Once {
        Once { subject: Arc::clone(&self.subject), id: Arc::clone(&send.id), hash, at_ms: now_ms(), dispatch }
    }

    fn reject(&mut self, id: &str, code: &str, message: &str, remediation: &str) {
        let rejection = Rejection { code, message, retryable: false, remediation, retry_after_ms: None };
        self.control.push_back(rejected(id, rejection));
    }

    /// Appends at this place of the order of frames, and answers when it is durable.
    ///
    /// What follows a commit happens in a task of the bridge: also when the page is gone by then.
    async fn submit(
        &mut self,
        id: Arc<str>,
        append: Append,
        status: fn(Status) -> &'static str,
        then: impl FnOnce(&Arc<Inner>, Status) + std::marker::Send + 'static,
    ) {
        let ticket = match self.inner.store.append(append).await {
            Ok(ticket) => ticket,
            Err(error) => return self.control.push_back(unavailable(&id, &error)),
        };
        let inner = Arc::clone(&self.inner);
        self.answers.push(self.inner.spawn(async move {
            Some(match ticket.durable().await {
                Ok(Outcome::Durable(receipt)) => {
                    then(&inner, receipt.status);
                    accepted(&id, status(receipt.status), &receipt.position)
                }
                Ok(Outcome::Conflict) => rejected(&id, CONFLICT),
                Err(error) => unavailable(&id, &error),
            })
        }));
    }
}

const CONFLICT: Rejection<'static> = Rejection {
    code: "conflict",
    message: "this id was used for something else",
    retryable: false,
    remediation: "Use a new id.",
    retry_after_ms: None,
};

fn status_of_send(_: Status) -> &'static str {
    "accepted"
}

fn status_of_cancel(status: Status) -> &'static str {
    match status {
        Status::AlreadyFinished => "already_finished",
        Status::UnknownRun => "unknown_run",
        _ => "cancelled",
    }
}

fn status_of_approve(status: Status) -> &'static str {
    match status {
        Status::AlreadyResolved => "already_resolved",
        Status::UnknownApproval => "unknown_approval",
        _ => "accepted",
    }
}

fn accepted(id: &str, status: &str, position: &Position) -> String {
    // Only what was written has a place.
    let position = (status == "accepted").then_some(position);
    ServerFrame::Receipt { id, status, position, error: None }.encode()
}

fn rejected(id: &str, error: Rejection<'_>) -> String {
    ServerFrame::Receipt { id, status: "rejected", position: None, error: Some(error) }.encode()
}

fn unavailable(id: &str, error: &LogError) -> String {
    tracing::warn!(%error, "a send was rejected: the log does not answer");
    let rejection = Rejection {
        code: "unavailable",
        message: "the log cannot be written now",
        retryable: true,
        remediation: "Send it again with the same id.",
        retry_after_ms: Some(1_000),
    };
    rejected(id, rejection)
}

/// The event of a send, and whether an agent is to answer it; or why it is rejected (SND-3, SND-6).
fn user_event(
    mut message: Map<String, Value>,
    send: &Send,
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

/// Ends a run that no process works on.
async fn cancel_orphan(inner: &Arc<Inner>, key: StreamKey, run: Arc<str>) {
    let event = json!({ "type": "agent_cancelled", "runId": &*run, "reason": "requested" });
    let Ok(event) = Event::new(event, inner.limits.max_frame_bytes) else {
        return;
    };
    let append = Append {
        guard: Guard::RunOpen(run),
        announce: inner.inbox_of(&key),
        ..Append::events(key, vec![event])
    };
    let written = match inner.store.append(append).await {
        Ok(ticket) => ticket.durable().await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::warn!(%error, "a run that nobody works on could not be cancelled");
    }
}

/// Tells bodies apart as JSON values: by their fields in any order, and numbers by their value.
fn fingerprint(kind: &str, body: &Value) -> [u8; 32] {
    let mut text = String::from(kind);
    canonical(body, &mut text);
    Sha256::digest(text.as_bytes()).into()
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        // A page has doubles only: 1, 1.0 and 1e0 are one number to it.
        Value::Number(number) => text.push_str(&(number.as_f64().unwrap_or_default() + 0.0).to_string()),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, item) in fields {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                canonical(item, text);
                text.push(',');
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PROTOCOL: SND-2
    #[test]
    fn bodies_are_compared_as_json_values() {
        let print = |text: &str| fingerprint("send", &serde_json::from_str(text).unwrap());
        assert_eq!(print(r#"{"a":1,"b":[2,{"c":null}]}"#), print(r#"{ "b": [2.0, {"c": null}], "a": 1e0 }"#));
        assert_eq!(print("-0"), print("0"));
        assert_eq!(print(r#""\u0041""#), print(r#""A""#));
        for (one, other) in
            [("1", "2"), ("1", "\"1\""), ("[1,2]", "[2,1]"), ("[1]", "1"), (r#"{"a":1}"#, r#"{"a":2}"#)]
        {
            assert_ne!(print(one), print(other), "{one} {other}");
        }
        assert_ne!(fingerprint("send", &Value::Null), fingerprint("cancel", &Value::Null));
    }
}
