//! What a page asks for.

use std::sync::Arc;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::order::Place;
use super::subscription::Subscription;
use super::{Answer, End, Session, millis};
use crate::auth::{Access, AuthError, Refusal};
use crate::bridge::Inner;
use crate::clock::now_ms;
use crate::dispatch::Dispatcher;
use crate::emitter::{PublishError, settle};
use crate::event::{Event, EventError};
use crate::hub::Signal;
use crate::log::{Append, Guard, LogError, Once, Outcome, Status};
use crate::retry::until_written;
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
        if let Some(at) = self.subscriptions.iter().position(|stream| stream.ch == ch) {
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
            // The subscription ended meanwhile: there is nothing to bring, and nothing was trimmed.
            None => self.control.push_back(ServerFrame::ReplayEnd { req, to: from - 1, oldest: 1 }.encode()),
        }
    }

    async fn refresh(&mut self, token: &str) {
        let message = match self.inner.identify(token).await {
            Ok(identity) if identity.subject == *self.subject => {
                // The rights may have changed with the token, or since the last one.
                let (ended, is_complete) = self.check_rights().await;
                if is_complete {
                    let token_expires_in_ms = self.expire_at(identity.expires_at_ms);
                    self.control.push_back(ServerFrame::Refreshed { token_expires_in_ms }.encode());
                } else {
                    let remediation = "Refresh again later; this connection goes on with the old token.";
                    let message = Refusal::Unavailable.to_string();
                    self.error("unavailable", &message, true, remediation, None);
                }
                for (ch, reason) in ended {
                    self.end_subscription(ch, reason);
                }
                return;
            }
            Ok(_) => "the token names another user".to_owned(),
            Err(error @ AuthError::Unavailable(_)) => {
                // Nothing is wrong with the token.
                let remediation = "Refresh again later; this connection goes on with the old token.";
                return self.error("unavailable", &error.to_string(), true, remediation, None);
            }
            Err(error) => error.to_string(),
        };
        let remediation = "Get a new token for the same user; this connection goes on with the old one.";
        self.error("token_invalid", &message, true, remediation, None);
    }

    async fn signal(&mut self, stream: &str, signal: &Map<String, Value>) {
        let key = match self.inner.authorize(&self.subject, stream, Access::Write).await {
            Ok(key) => key,
            // It may be lost (SIG-1), and is not worth waiting for.
            Err(Refusal::Unavailable) => return,
            Err(Refusal::Forbidden | Refusal::UnknownStream) => {
                let message = "this user may not signal to the stream";
                return self.error("forbidden", message, false, "Ask for access.", None);
            }
        };
        // An object that was read can be written.
        let Ok(raw) = to_raw_value(signal) else { return };
        let bytes = raw.get().len();
        let signal = Signal { key, from: Arc::clone(&self.subject), signal: raw.into() };
        let frame_bytes = self.signal_frame(stream, &signal).len();
        let max_frame_bytes = self.inner.limits.max_frame_bytes;
        if bytes > MAX_SIGNAL_BYTES || frame_bytes > max_frame_bytes {
            let message = format!(
                "the signal has {bytes} bytes and its frame {frame_bytes}; \
                 at most {MAX_SIGNAL_BYTES} are passed on, in a frame of at most {max_frame_bytes}"
            );
            return self.error("message_too_large", &message, false, "Send it as a message.", None);
        }
        self.inner.store.signal(self.id, &signal);
    }

    /// A signal of another socket.
    pub(super) fn on_signal(&mut self, signal: &Signal) {
        let hears = |stream: &&Subscription| stream.key == signal.key && !stream.is_revoked();
        for stream in self.subscriptions.iter().filter(hears) {
            let frame = self.signal_frame(&stream.name, signal);
            // The stream can have a longer name here than where the signal came from. A signal may be lost (SIG-1).
            if frame.len() <= self.inner.limits.max_frame_bytes {
                self.control.push_back(frame);
            }
        }
    }

    /// The frame by which a signal is passed on.
    fn signal_frame(&self, stream: &str, signal: &Signal) -> String {
        let expires_in_ms = millis(self.inner.limits.signal_expiry);
        ServerFrame::Signal { stream, from: &signal.from, signal: &signal.signal, expires_in_ms }.encode()
    }

    async fn send(&mut self, send: Send, message: Map<String, Value>) -> Result<(), End> {
        let Some((place, key)) = self.writable(&send).await else {
            return Ok(());
        };
        let hash = fingerprint("send", &Value::from(message.clone()));
        let event = match user_event(message, &send, &self.subject, self.inner.limits.max_frame_bytes) {
            Ok(event) => event,
            Err((code, message, remediation)) => {
                self.reject(&place, Rejection::final_one(code, &message, remediation));
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
        self.submit(place, append, status_of_send, wake).await;
        Ok(())
    }

    async fn cancel(&mut self, send: Send, run: Arc<str>) -> Result<(), End> {
        let Some((place, key)) = self.writable(&send).await else {
            return Ok(());
        };
        let hash = fingerprint("cancel", &Value::from(&*run));
        let append = Append {
            once: Some(self.once(&send, hash, false)),
            guard: Guard::RunOpen(Arc::clone(&run)),
            cancels: Some(Arc::clone(&run)),
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
        self.submit(place, append, status_of_cancel, stop).await;
        Ok(())
    }

    async fn approve(&mut self, send: Send, approval: Arc<str>, decision: Decision) -> Result<(), End> {
        let Some((place, key)) = self.writable(&send).await else {
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
        self.submit(place, append, status_of_approve, resolve).await;
        Ok(())
    }

    /// The place of a send in the order of its stream and the stream to write to, or a rejection.
    async fn writable(&mut self, send: &Send) -> Option<(Place, StreamKey)> {
        let horizon = self.inner.limits.send_horizon;
        let Ok(place) = self.order.enter(&send.stream, &send.id, horizon) else {
            self.control.push_back(rejected(&send.id, TOO_EARLY));
            return None;
        };
        match self.inner.authorize(&self.subject, &send.stream, Access::Write).await {
            Ok(key) => return Some((place, key)),
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

    fn once(&self, send: &Send, hash: [u8; 32], dispatch: bool) -> Once {
        Once { subject: Arc::clone(&self.subject), id: Arc::clone(&send.id), hash, at_ms: now_ms(), dispatch }
    }

    fn reject(&mut self, place: &Place, rejection: Rejection<'_>) {
        self.order.leave(place, rejection.retryable);
        self.control.push_back(rejected(&place.id, rejection));
    }

    /// Appends at this place of the order of frames, and answers when it is durable.
    ///
    /// What follows a commit happens in a task of the bridge: also when the page is gone by then.
    async fn submit(
        &mut self,
        place: Place,
        append: Append,
        status: fn(Status) -> &'static str,
        then: impl FnOnce(&Arc<Inner>, Status) + std::marker::Send + 'static,
    ) {
        let append = Append { after: place.after.clone(), ..append };
        let ticket = match self.inner.store.append(append).await {
            Ok(ticket) => ticket,
            Err(error) => return self.reject(&place, unavailable(&error)),
        };
        let (inner, id) = (Arc::clone(&self.inner), Arc::clone(&place.id));
        let task = self.inner.spawn(async move {
            let rejection = match ticket.durable().await {
                Ok(Outcome::Durable(receipt)) => {
                    then(&inner, receipt.status);
                    return (accepted(&id, status(receipt.status), &receipt.position), false);
                }
                Ok(Outcome::Conflict) => CONFLICT,
                Ok(Outcome::TooEarly) => TOO_EARLY,
                Err(error) => unavailable(&error),
            };
            (rejected(&id, rejection), rejection.retryable)
        });
        self.answers.push_back(Box::pin(async move {
            match task.await {
                Ok((frame, is_owed)) => Answer { place, frame: Some(frame), is_owed },
                Err(_) => Answer { place, frame: None, is_owed: false },
            }
        }));
    }
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

const TOO_EARLY: Rejection<'static> = Rejection {
    message: "an earlier send of this stream was rejected and has not come again",
    remediation: "Send that one again first, then this one, each with the same id.",
    ..UNAVAILABLE
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

fn unavailable(error: &LogError) -> Rejection<'static> {
    tracing::warn!(%error, "a send was rejected: the log does not answer");
    UNAVAILABLE
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
    let write = async || settle(inner.store.append(append.clone()).await?.durable().await);
    match until_written(&inner.closing, write).await {
        // Over meanwhile is over as well.
        Ok(_) | Err(PublishError::RunEnded) => {}
        Err(error) => tracing::warn!(%error, "a run that nobody works on could not be cancelled"),
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
        // A page has doubles only: 1, 1.0 and 1e0 are one number to it. With an exponent none is long.
        Value::Number(number) => {
            text.push_str(&format!("{:e}", number.as_f64().unwrap_or_default() + 0.0));
        }
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
        assert_ne!(print("1e308"), print("1e307"));
        assert_ne!(print("1"), print("1.0000000000000002"));
    }

    #[test]
    fn the_text_of_a_fingerprint_is_not_much_longer_than_its_body() {
        for number in ["1e308", "-1.7976931348623157e308", "5e-324", "9007199254740991"] {
            let body = format!("[{}]", vec![number; 1_000].join(","));
            let mut text = String::new();
            canonical(&serde_json::from_str(&body).unwrap(), &mut text);
            assert!(text.len() < body.len() * 2, "{number}: {} bytes of {}", text.len(), body.len());
        }
    }
}
