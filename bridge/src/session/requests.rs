//! What a frame of the page asks for: read, checked as far as its text says, and with its fingerprint.
//!
//! All of this takes time by the size of the frame. It needs no session, so that large frames are read elsewhere.

use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::clock::now_ms;
use crate::event::{Event, EventError};
use crate::fingerprint::{Item, fingerprint_of_fields, fingerprint_of_list};
use crate::ledger::draft::modes::Mode;
use crate::question::Given;
use crate::wire::encode::Rejection;
use crate::wire::{ClientFrame, Malformed, Send, decode};

/// A frame with what follows from its text alone.
pub(super) enum Request {
    Send(Send, Mode, Checked),
    Edit(Send, Arc<str>, Checked),
    Approve(Send, Arc<str>, Arc<str>, Result<Answer, TooLong>),
    Signal(String, Option<Box<RawValue>>),
    /// One that is small, or whose work does not grow with it.
    Other(ClientFrame),
}

/// A message, and what makes copies of it known.
pub(super) struct Checked {
    pub(super) hash: Arc<str>,
    pub(super) event: Result<Event, Unfit>,
    /// Whether an agent is to answer it.
    pub(super) is_message: bool,
}

/// An answer to an approval.
pub(super) struct Answer {
    pub(super) given: Given,
    /// Bytes of what a person can write.
    pub(super) bytes: usize,
}

/// An answer has so many bytes, which are too many: it is not kept.
pub(super) struct TooLong(pub(super) usize);

/// Why a message can never be accepted.
#[derive(Debug)]
pub(super) struct Unfit {
    code: &'static str,
    message: String,
    remediation: &'static str,
}

impl Unfit {
    pub(super) fn rejection(&self) -> Rejection<'_> {
        Rejection::final_one(self.code, &self.message, self.remediation)
    }
}

/// Reads a frame of a user. `None` for a frame of an unknown type.
pub(super) fn read(
    text: &str,
    subject: &str,
    max_frame_bytes: usize,
    max_answer_bytes: usize,
) -> Result<Option<Request>, Malformed> {
    let Some(frame) = decode(text)? else { return Ok(None) };
    Ok(Some(match frame {
        ClientFrame::Send { send, mode, message } => {
            let hash = match &mode {
                Mode::Queue => fingerprint_of_fields("send", &message),
                Mode::Interrupt => fingerprint_of_fields("interrupt", &message),
                Mode::Steer(run) => {
                    let run = Value::from(run.as_deref());
                    fingerprint_of_list("steer", &[Item::Fields(&message), Item::Value(&run)])
                }
            };
            let is_message = is_user_message(&message);
            let event = message_event(message, &send, &mode, subject, max_frame_bytes);
            Request::Send(send, mode, Checked { hash, event, is_message })
        }
        ClientFrame::Edit { send, message_id, message } => {
            let id = Value::from(&*message_id);
            let hash = fingerprint_of_list("edit", &[Item::Value(&id), Item::Fields(&message)]);
            let event = edit_event(message, &message_id, subject, max_frame_bytes);
            Request::Edit(send, message_id, Checked { hash, event, is_message: false })
        }
        ClientFrame::Approve { send, run, approval, given } => {
            let bytes = given.bytes();
            let fits = bytes <= max_answer_bytes;
            let answer = if fits { Ok(Answer { given, bytes }) } else { Err(TooLong(bytes)) };
            Request::Approve(send, run, approval, answer)
        }
        ClientFrame::Signal { stream, signal } => Request::Signal(stream, to_raw_value(&signal).ok()),
        frame => Request::Other(frame),
    }))
}

fn is_user_message(message: &Map<String, Value>) -> bool {
    message.get("type").and_then(Value::as_str) == Some("user_message")
}

fn has_content(message: &Map<String, Value>) -> bool {
    message.get("content").and_then(Value::as_str).is_some_and(|content| !content.is_empty())
}

/// The event of a send, or why it is rejected (SND-3, SND-6).
fn message_event(
    mut message: Map<String, Value>,
    send: &Send,
    mode: &Mode,
    subject: &str,
    max_frame_bytes: usize,
) -> Result<Event, Unfit> {
    let invalid = |message: &str| Unfit {
        code: "invalid_message",
        message: message.to_owned(),
        remediation: "Send another message with a new id.",
    };
    let is_message = is_user_message(&message);
    if is_message && !has_content(&message) {
        return Err(invalid("a `user_message` needs a text `content` of 1 byte or more"));
    }
    if !is_message && *mode != Mode::Queue {
        return Err(invalid("only a `user_message` can interrupt or steer"));
    }
    match mode {
        Mode::Queue if is_message => drop(message.remove("mode")),
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
    Event::from_send(message, max_frame_bytes).map_err(|error| match error {
        EventError::TooLarge { .. } => Unfit {
            code: "message_too_large",
            message: error.to_string(),
            remediation: "Send less, or store the bulk elsewhere.",
        },
        error => invalid(&error.to_string()),
    })
}

/// The event of an edit (SND-15).
fn edit_event(
    mut message: Map<String, Value>,
    message_id: &str,
    subject: &str,
    max_frame_bytes: usize,
) -> Result<Event, Unfit> {
    let remediation = "Edit it again with a new id.";
    if !is_user_message(&message) || !has_content(&message) {
        let message =
            "only a `user_message` with a text `content` of 1 byte or more can take the place of a message";
        return Err(Unfit { code: "invalid_message", message: message.to_owned(), remediation });
    }
    for (name, value) in [("type", "message_edited"), ("sendId", message_id), ("user", subject)] {
        message.insert(name.to_owned(), value.into());
    }
    message.insert("time".to_owned(), now_ms().into());
    Event::new(message.into(), max_frame_bytes).map_err(|error| match error {
        EventError::TooLarge { .. } => {
            Unfit { code: "message_too_large", message: error.to_string(), remediation: "Send less." }
        }
        error => Unfit { code: "invalid_message", message: error.to_string(), remediation },
    })
}
