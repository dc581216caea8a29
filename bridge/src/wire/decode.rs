//! Frames of a page, read strictly: a malformed frame is refused whole, an unknown one is ignored (GEN-3, GEN-4).

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::text::{is_too_deep, without_lone_surrogates};
use crate::event::{MAX_ID_BYTES, MAX_INTEGER};
use crate::ledger::draft::modes::Mode;
use crate::question::Given;
use crate::stream::is_name;

/// Why a frame is malformed. Says where and what, and never quotes a value: it could be a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the frame is not a JSON object")]
    NotAnObject,
    #[error("the frame is nested deeper than 100")]
    TooDeep,
    #[error("the frame has no text `type`")]
    NoType,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{field}` must be {expected}")]
    Field { field: &'static str, expected: &'static str },
    #[error("{0}")]
    Contradiction(&'static str),
}

/// A frame of a page.
#[derive(Debug, PartialEq)]
pub(crate) enum ClientFrame {
    Ack { offsets: Vec<(u32, u64)> },
    Approve { send: Send, run: Arc<str>, approval: Arc<str>, given: Given },
    Cancel { send: Send, what: Cancelled },
    Edit { send: Send, message_id: Arc<str>, message: Map<String, Value> },
    Hello(Hello),
    History { req: u64 },
    Ping { n: u64 },
    Pong,
    Refresh { token: Token },
    Replay { req: u64, ch: u32, from: u64, to: u64 },
    Send { send: Send, mode: Mode, message: Map<String, Value> },
    Signal { stream: String, signal: Map<String, Value> },
    Subscribe { streams: Vec<StreamRequest> },
    Unsubscribe { ch: u32 },
    Withdraw { send: Send, message_id: Arc<str> },
}

/// What a page cancels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cancelled {
    Run(Arc<str>),
    /// What a message began, by its id.
    Send(Arc<str>),
}

/// The first frame of a page.
#[derive(Debug, PartialEq)]
pub(crate) struct Hello {
    pub(crate) token: Token,
    pub(crate) client: String,
    /// The life of the page, and the device it runs on, as the page names them.
    pub(crate) instance: Option<String>,
    pub(crate) device: Option<String>,
    /// Whether it reads `deltas` (DLT-2).
    pub(crate) reads_deltas: bool,
    pub(crate) window: Window,
    pub(crate) streams: Vec<StreamRequest>,
}

/// A token that no `Debug` shows.
#[derive(PartialEq)]
pub(crate) struct Token(pub(crate) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// How much may be in flight per stream (FLO-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// Bytes over all streams of the socket; no limit for a page that names none.
    pub(crate) total_bytes: usize,
}

/// What a page wants of a stream (SUB-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRequest {
    pub(crate) name: String,
    pub(crate) position: Option<(String, u64)>,
    /// The last offset that any part of the page has, where some are further than the position.
    pub(crate) seen: Option<u64>,
    /// The newest proof of a head that the page was given in the epoch of its position.
    pub(crate) seal: Option<String>,
    pub(crate) open: Open,
}

/// Where a stream begins for a page without a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Open {
    #[default]
    Start,
    Live,
    Last(u64),
}

/// The key of a send, a cancel or an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Send {
    pub(crate) id: Arc<str>,
    pub(crate) stream: String,
    /// The time of this server when it went out for the first time, if that was before (SND-5).
    pub(crate) first_sent_at: Option<u64>,
    /// The trace that it belongs to (W3C Trace Context).
    pub(crate) traceparent: Option<String>,
}

/// Reads a frame. `None` is one of an unknown type.
pub(crate) fn decode(text: &str) -> Result<Option<ClientFrame>, Malformed> {
    if is_too_deep(text) {
        return Err(Malformed::TooDeep);
    }
    let text = without_lone_surrogates(text);
    // The last of equal keys counts, as with `JSON.parse`.
    let fields: HashMap<String, &RawValue> =
        serde_json::from_str(&text).map_err(|_| Malformed::NotAnObject)?;
    let fields = Fields(fields);
    let kind: String = fields.parse("type", "text").map_err(|_| Malformed::NoType)?;
    Ok(Some(match kind.as_str() {
        "ack" => ClientFrame::Ack { offsets: fields.offsets()? },
        "approve" => ClientFrame::Approve {
            send: fields.send()?,
            run: fields.id("runId")?,
            approval: fields.id("approvalId")?,
            given: fields.given()?,
        },
        "cancel" => ClientFrame::Cancel { send: fields.send()?, what: fields.cancelled()? },
        "edit" => ClientFrame::Edit {
            send: fields.send()?,
            message_id: fields.id("sendId")?,
            message: fields.typed("message")?,
        },
        "hello" => ClientFrame::Hello(fields.hello()?),
        "history" => {
            fields.name("stream")?;
            fields.optional("before", |fields, field| fields.integer(field, 1, MAX_INTEGER, "an offset"))?;
            fields.integer("limit", 1, 200, "an integer from 1 to 200")?;
            ClientFrame::History { req: fields.any_integer("req")? }
        }
        "ping" => ClientFrame::Ping { n: fields.any_integer("n")? },
        "pong" => {
            fields.any_integer("n")?;
            ClientFrame::Pong
        }
        "refresh" => ClientFrame::Refresh { token: fields.token()? },
        "replay" => {
            let from = fields.integer("from", 1, MAX_INTEGER, "an offset")?;
            let to = fields.integer("to", 1, MAX_INTEGER, "an offset")?;
            if from > to {
                return Err(Malformed::Contradiction("`from` is above `to`"));
            }
            ClientFrame::Replay { req: fields.any_integer("req")?, ch: fields.ch()?, from, to }
        }
        "send" => {
            let (send, mode) = (fields.send()?, fields.mode()?);
            ClientFrame::Send { send, mode, message: fields.typed("message")? }
        }
        "signal" => ClientFrame::Signal { stream: fields.name("stream")?, signal: fields.signal()? },
        "subscribe" => ClientFrame::Subscribe { streams: fields.streams()? },
        "unsubscribe" => ClientFrame::Unsubscribe { ch: fields.ch()? },
        "withdraw" => ClientFrame::Withdraw { send: fields.send()?, message_id: fields.id("sendId")? },
        _ => return Ok(None),
    }))
}

/// The fields of an object, not parsed before they are asked for: what is not known can hold anything.
struct Fields<'a>(HashMap<String, &'a RawValue>);

type Result<T, E = Malformed> = std::result::Result<T, E>;

impl Fields<'_> {
    fn parse<'a, T: Deserialize<'a>>(&'a self, field: &'static str, expected: &'static str) -> Result<T> {
        let raw = self.0.get(field).ok_or(Malformed::Missing(field))?;
        serde_json::from_str(raw.get()).map_err(|_| Malformed::Field { field, expected })
    }

    fn optional<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.0.contains_key(field) { read(self, field).map(Some) } else { Ok(None) }
    }

    fn integer(&self, field: &'static str, min: u64, max: u64, expected: &'static str) -> Result<u64> {
        let number: f64 = self.parse(field, expected)?;
        // Every integer of the protocol is exact as a double, as it is in a page.
        if number.fract() != 0.0 || number < min as f64 || number > max as f64 {
            return Err(Malformed::Field { field, expected });
        }
        Ok(number as u64)
    }

    fn any_integer(&self, field: &'static str) -> Result<u64> {
        self.integer(field, 0, MAX_INTEGER, "an integer from 0 to 2^53 - 1")
    }

    fn ch(&self) -> Result<u32> {
        let max = u64::from(u32::MAX >> 1);
        self.integer("ch", 1, max, "an integer from 1 to 2^31 - 1").map(|ch| ch as u32)
    }

    fn text(&self, field: &'static str, min: usize, max: usize) -> Result<String> {
        let text: String = self.parse(field, "text")?;
        if (min..=max).contains(&text.len()) {
            Ok(text)
        } else {
            Err(Malformed::Field { field, expected: "text within the lengths of GEN-6" })
        }
    }

    fn id(&self, field: &'static str) -> Result<Arc<str>> {
        self.text(field, 1, MAX_ID_BYTES).map(Arc::from)
    }

    fn name(&self, field: &'static str) -> Result<String> {
        let name: String = self.parse(field, "text")?;
        if is_name(&name) {
            return Ok(name);
        }
        Err(Malformed::Field { field, expected: "a name of 1 to 256 bytes without control characters" })
    }

    fn token(&self) -> Result<Token> {
        self.text("token", 1, 16_384).map(Token)
    }

    fn send(&self) -> Result<Send> {
        let first_sent_at = self.optional("firstSentAt", |fields, field| fields.any_integer(field))?;
        let traceparent = self.optional("traceparent", |fields, field| fields.traceparent(field))?;
        Ok(Send { id: self.id("id")?, stream: self.name("stream")?, first_sent_at, traceparent })
    }

    /// Version, trace, parent and flags, in hexadecimal digits.
    fn traceparent(&self, field: &'static str) -> Result<String> {
        const EXPECTED: &str = "a traceparent of W3C Trace Context";
        let text: String = self.parse(field, EXPECTED)?;
        let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let parts: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        if lengths == [2, 32, 16, 2] && parts.iter().all(|part| is_hex(part)) {
            Ok(text)
        } else {
            Err(Malformed::Field { field, expected: EXPECTED })
        }
    }

    fn mode(&self) -> Result<Mode> {
        let run = self.optional("runId", |fields, field| fields.id(field))?;
        let mode = self.optional("mode", |fields, field| fields.parse::<String>(field, "text"))?;
        match (mode.as_deref(), run) {
            (Some("steer"), run) => Ok(Mode::Steer(run)),
            (None | Some("queue" | "interrupt"), Some(_)) => {
                Err(Malformed::Contradiction("`runId` of a `send` goes with the mode `steer`"))
            }
            (None | Some("queue"), None) => Ok(Mode::Queue),
            (Some("interrupt"), None) => Ok(Mode::Interrupt),
            (Some(_), _) => {
                Err(Malformed::Field { field: "mode", expected: "`queue`, `interrupt` or `steer`" })
            }
        }
    }

    fn cancelled(&self) -> Result<Cancelled> {
        match (self.0.contains_key("runId"), self.0.contains_key("sendId")) {
            (true, true) => Err(Malformed::Contradiction("`runId` and `sendId` exclude each other")),
            (false, true) => self.id("sendId").map(Cancelled::Send),
            (_, false) => self.id("runId").map(Cancelled::Run),
        }
    }

    fn given(&self) -> Result<Given> {
        let is_approved = match self.parse::<String>("decision", "text")?.as_str() {
            "approved" => true,
            "denied" => false,
            _ => return Err(Malformed::Field { field: "decision", expected: "`approved` or `denied`" }),
        };
        Ok(Given {
            is_approved,
            payload: self.optional("payload", |fields, field| fields.parse(field, "JSON"))?,
            edited_args: self.optional("editedArgs", |fields, field| fields.parse(field, "JSON"))?,
            reason: self.optional("reason", |fields, field| fields.parse(field, "text"))?,
            args_hash: self.optional("argsHash", |fields, field| fields.text(field, 1, 128))?,
        })
    }

    fn typed(&self, field: &'static str) -> Result<Map<String, Value>> {
        let expected = "an object with a text `type`";
        let object: Map<String, Value> = self.parse(field, expected)?;
        if object.get("type").is_some_and(Value::is_string) {
            return Ok(object);
        }
        Err(Malformed::Field { field, expected })
    }

    /// What every page of the stream must be able to read (GEN-6).
    fn signal(&self) -> Result<Map<String, Value>> {
        let signal = self.typed("signal")?;
        let kind = signal.get("type").and_then(Value::as_str).unwrap_or_default();
        if (1..=64).contains(&kind.len()) {
            return Ok(signal);
        }
        Err(Malformed::Field { field: "signal", expected: "an object with a `type` of 1 to 64 bytes" })
    }

    fn fields(&self, field: &'static str) -> Result<Fields<'_>> {
        self.parse(field, "an object").map(Fields)
    }

    fn offsets(&self) -> Result<Vec<(u32, u64)>> {
        let malformed = || Malformed::Field { field: "offsets", expected: "an object of offsets by `ch`" };
        let offsets = self.fields("offsets")?;
        let mut list = Vec::with_capacity(offsets.0.len());
        for (ch, raw) in &offsets.0 {
            let is_plain = ch.bytes().all(|byte| byte.is_ascii_digit()) && !ch.starts_with('0');
            let ch = ch.parse().ok().filter(|ch| is_plain && (1..=u32::MAX >> 1).contains(ch));
            let offset = serde_json::from_str::<f64>(raw.get()).ok();
            let offset =
                offset.filter(|offset| offset.fract() == 0.0 && (0.0..=MAX_INTEGER as f64).contains(offset));
            list.push((ch.ok_or_else(malformed)?, offset.ok_or_else(malformed)? as u64));
        }
        Ok(list)
    }

    fn hello(&self) -> Result<Hello> {
        let client = self.fields("client")?;
        client.text("version", 0, usize::MAX)?;
        let features =
            self.optional("features", |fields, field| fields.parse::<Vec<String>>(field, "a list of text"))?;
        let window = self.fields("window")?;
        Ok(Hello {
            token: self.token()?,
            client: client.text("name", 0, usize::MAX)?,
            instance: client.optional("instance", |client, field| client.text(field, 1, MAX_ID_BYTES))?,
            device: client.optional("device", |client, field| client.text(field, 1, MAX_ID_BYTES))?,
            reads_deltas: features.is_some_and(|features| features.iter().any(|name| name == "deltas")),
            window: Window {
                events: window.integer("events", 1, 65_536, "an integer from 1 to 65536")? as usize,
                bytes: window.integer("bytes", 1_024, 67_108_864, "an integer from 1024 to 67108864")?
                    as usize,
                total_bytes: window
                    .optional("totalBytes", |window, field| {
                        window.integer(field, 1_024, 268_435_456, "an integer from 1024 to 268435456")
                    })?
                    .map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            },
            streams: self.streams()?,
        })
    }

    fn streams(&self) -> Result<Vec<StreamRequest>> {
        let list: Vec<HashMap<String, &RawValue>> = self.parse("streams", "a list of stream requests")?;
        let mut streams: Vec<StreamRequest> = Vec::with_capacity(list.len());
        let mut names = std::collections::HashSet::new();
        for fields in list {
            let request = Fields(fields).stream()?;
            if !names.insert(request.name.clone()) {
                return Err(Malformed::Contradiction("a stream name stands twice in one frame"));
            }
            streams.push(request);
        }
        Ok(streams)
    }

    fn stream(&self) -> Result<StreamRequest> {
        let position = self.optional("position", |fields, field| {
            let position = fields.fields(field)?;
            let offset = position.any_integer("offset")?;
            Ok((position.text("epoch", 1, 64)?, offset))
        })?;
        let seen = self.optional("seen", |fields, field| fields.any_integer(field))?;
        if seen.is_some_and(|seen| position.as_ref().is_none_or(|(_, offset)| seen <= *offset)) {
            return Err(Malformed::Contradiction("`seen` goes with a `position` and is above its offset"));
        }
        let open = self.optional("open", |fields, field| fields.fields(field)?.open())?;
        let seal = self.optional("seal", |fields, field| fields.text(field, 1, 128))?;
        if seal.is_some() && position.is_none() {
            return Err(Malformed::Contradiction("a `seal` goes with a `position`"));
        }
        Ok(StreamRequest { name: self.name("name")?, position, seen, seal, open: open.unwrap_or_default() })
    }

    fn open(&self) -> Result<Open> {
        let expected = "`{\"from\":\"start\"}`, `{\"from\":\"live\"}` or `{\"last\":n}`";
        match (self.0.contains_key("from"), self.0.contains_key("last")) {
            (true, false) => match self.parse::<String>("from", "text")?.as_str() {
                "start" => Ok(Open::Start),
                "live" => Ok(Open::Live),
                _ => Err(Malformed::Field { field: "open", expected }),
            },
            (false, true) => self.integer("last", 1, 100_000, "an integer from 1 to 100000").map(Open::Last),
            _ => Err(Malformed::Field { field: "open", expected }),
        }
    }
}

#[cfg(test)]
mod tests;
