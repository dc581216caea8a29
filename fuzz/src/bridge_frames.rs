//! The bridge's reader of page frames: any bytes, beside a second reading of sections 2 to 9 of the protocol.

use agentwire_bridge::fuzz;
use serde_json::{Map, Value};

use crate::MAX_INTEGER;

/// Reads the bytes as a frame of a page and compares the answer with that of [`is_well_formed`].
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let answer = fuzz::decode(text);
    if let Err(error) = &answer {
        // GEN-9: a token could stand anywhere in the text, so an error quotes nothing of it.
        assert!(error.len() < 120, "an error of {} bytes may quote the frame", error.len());
    }
    // What serde_json refuses as a whole, such as a lone surrogate, 1e400 or 128 levels, has tests and vectors of its own.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let expected = depth(&value) <= 100 && is_well_formed(&value);
    assert_eq!(answer.is_ok(), expected, "{answer:?}");
    let again = fuzz::decode(&value.to_string());
    // Written again, a number such as 1E2 looks different; what it means must not.
    assert_eq!(again.is_ok(), answer.is_ok(), "read again: {again:?}");
    if let (Ok(answer), Ok(again)) = (answer, again) {
        assert_eq!(again, answer, "read again, the frame is another");
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Tells whether a frame of a page is well-formed: GEN-2 to GEN-6 and the fields of each type.
fn is_well_formed(frame: &Value) -> bool {
    let Value::Object(frame) = frame else { return false };
    let Some(Value::String(kind)) = frame.get("type") else { return false };
    match kind.as_str() {
        "ack" => object(frame, "offsets").is_some_and(|offsets| {
            offsets.iter().all(|(ch, offset)| {
                let plain = !ch.starts_with('0') && ch.bytes().all(|byte| byte.is_ascii_digit());
                plain && ch.parse::<u64>().is_ok_and(is_ch) && as_integer(offset).is_some()
            })
        }),
        "approve" => {
            let decided =
                matches!(frame.get("decision").and_then(Value::as_str), Some("approved" | "denied"));
            let ids = is_text(frame, "runId", 128) && is_text(frame, "approvalId", 128);
            let has_hash = !frame.contains_key("argsHash") || is_text(frame, "argsHash", 128);
            let has_reason = frame.get("reason").is_none_or(Value::is_string);
            is_send(frame) && ids && decided && has_hash && has_reason
        }
        "cancel" => {
            let (run, send) = (frame.contains_key("runId"), frame.contains_key("sendId"));
            is_send(frame) && run != send && is_text(frame, if run { "runId" } else { "sendId" }, 128)
        }
        "edit" => is_send(frame) && is_text(frame, "sendId", 128) && is_typed(frame, "message"),
        "withdraw" => is_send(frame) && is_text(frame, "sendId", 128),
        "hello" => is_hello(frame),
        "history" => {
            is_name(frame, "stream")
                && (!frame.contains_key("before") || in_range(frame, "before", 1, MAX_INTEGER))
                && in_range(frame, "limit", 1, 200)
                && integer(frame, "req").is_some()
        }
        "ping" | "pong" => integer(frame, "n").is_some(),
        "refresh" => is_text(frame, "token", 16_384),
        "replay" => {
            let range = integer(frame, "from").zip(integer(frame, "to"));
            integer(frame, "req").is_some()
                && integer(frame, "ch").is_some_and(is_ch)
                && range.is_some_and(|(from, to)| from >= 1 && from <= to)
        }
        "send" => {
            let mode = frame.get("mode").map_or(Some("queue"), Value::as_str);
            let has_run = frame.contains_key("runId");
            let is_mode = matches!(mode, Some("queue" | "interrupt")) && !has_run
                || mode == Some("steer") && (!has_run || is_text(frame, "runId", 128));
            is_send(frame) && is_mode && is_typed(frame, "message")
        }
        "signal" => {
            is_name(frame, "stream")
                && object(frame, "signal").is_some_and(|signal| is_text(signal, "type", 64))
        }
        "subscribe" => are_streams(frame),
        "unsubscribe" => integer(frame, "ch").is_some_and(is_ch),
        _ => true,
    }
}

fn is_hello(frame: &Map<String, Value>) -> bool {
    let client = object(frame, "client").is_some_and(|client| {
        client.get("name").is_some_and(Value::is_string)
            && client.get("version").is_some_and(Value::is_string)
            && ["instance", "device"].iter().all(|name| !client.contains_key(*name) || is_text(client, name, 128))
    });
    let features = match frame.get("features") {
        None => true,
        Some(Value::Array(features)) => features.iter().all(Value::is_string),
        Some(_) => false,
    };
    let window = object(frame, "window").is_some_and(|window| {
        let total = window.get("totalBytes").is_none() || in_range(window, "totalBytes", 1_024, 268_435_456);
        in_range(window, "events", 1, 65_536) && in_range(window, "bytes", 1_024, 67_108_864) && total
    });
    is_text(frame, "token", 16_384) && client && features && window && are_streams(frame)
}

fn are_streams(frame: &Map<String, Value>) -> bool {
    let Some(Value::Array(streams)) = frame.get("streams") else { return false };
    let mut names = std::collections::BTreeSet::new();
    streams.iter().all(|request| {
        let Value::Object(request) = request else { return false };
        is_stream(request) && names.insert(request.get("name").and_then(Value::as_str))
    })
}

fn is_stream(request: &Map<String, Value>) -> bool {
    let offset = match request.get("position") {
        None => None,
        Some(Value::Object(position)) => {
            let Some(offset) = integer(position, "offset").filter(|_| is_text(position, "epoch", 64)) else {
                return false;
            };
            Some(offset)
        }
        Some(_) => return false,
    };
    let seen = match (request.get("seen"), offset) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(seen), Some(offset)) => as_integer(seen).is_some_and(|seen| seen > offset),
    };
    let seal = !request.contains_key("seal") || (offset.is_some() && is_text(request, "seal", 128));
    let open = match request.get("open") {
        None => true,
        Some(Value::Object(open)) => match (open.get("from"), open.contains_key("last")) {
            (Some(Value::String(from)), false) => from == "start" || from == "live",
            (None, true) => in_range(open, "last", 1, 100_000),
            _ => false,
        },
        Some(_) => false,
    };
    is_name(request, "name") && seen && seal && open
}

fn is_send(frame: &Map<String, Value>) -> bool {
    let is_sent_before = frame.get("firstSentAt").is_none_or(|at| as_integer(at).is_some());
    let is_traced = frame.get("traceparent").is_none_or(|trace| trace.as_str().is_some_and(is_traceparent));
    is_text(frame, "id", 128) && is_name(frame, "stream") && is_sent_before && is_traced
}

/// `00-` and the like, 32 digits, 16 digits and 2 digits, hexadecimal and in lower case.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

fn is_typed(frame: &Map<String, Value>, field: &str) -> bool {
    object(frame, field).is_some_and(|object| object.get("type").is_some_and(Value::is_string))
}

fn object<'a>(frame: &'a Map<String, Value>, field: &str) -> Option<&'a Map<String, Value>> {
    frame.get(field)?.as_object()
}

fn is_text(frame: &Map<String, Value>, field: &str, max: usize) -> bool {
    frame.get(field).and_then(Value::as_str).is_some_and(|text| (1..=max).contains(&text.len()))
}

fn is_name(frame: &Map<String, Value>, field: &str) -> bool {
    let control = |char: char| char <= '\u{1f}' || char == '\u{7f}';
    is_text(frame, field, 256)
        && frame.get(field).and_then(Value::as_str).is_some_and(|name| !name.contains(control))
}

fn in_range(frame: &Map<String, Value>, field: &str, min: u64, max: u64) -> bool {
    integer(frame, field).is_some_and(|number| (min..=max).contains(&number))
}

fn integer(frame: &Map<String, Value>, field: &str) -> Option<u64> {
    as_integer(frame.get(field)?)
}

/// An integer of the protocol (GEN-5); 1e2 and 7.0 are integers as well.
fn as_integer(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=MAX_INTEGER as f64).contains(&number)).then_some(number as u64)
}

fn is_ch(number: u64) -> bool {
    (1..=u64::from(u32::MAX >> 1)).contains(&number)
}
