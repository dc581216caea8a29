//! JSON natively: frames of the server read by [`FRAMES`], frames of the page written. The package does the same in the page
//! (`pkg/src/core/frames.ts` and `written.ts`); both are held to the same description and the same vectors.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{ClientFrame, Contradiction, FRAMES, NONE, PageKind, ServerFrame, from_numbers, to_numbers};
use crate::proto::{ids::Slot, text::Text};

/// The largest integer on the wire, 2^53 - 1 (GEN-5).
const MAX_INTEGER: f64 = 9_007_199_254_740_991.0;
const MAX_CH: f64 = 2_147_483_647.0;

/// Why a field cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is required and missing.
    Missing,
    /// The message is not text that holds one JSON object.
    NotAnObject,
    /// It is outside its range.
    OutOfRange,
    /// It has another JSON type.
    WrongType,
}

/// Why a frame is malformed (GEN-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A field is not what it must be.
    Field(DecodeError),
    /// The fields contradict each other.
    Contradiction(Contradiction),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction(contradiction) => f.write_str(contradiction.as_str()),
            Self::Field(DecodeError { field, problem }) => write!(
                f,
                "{field} {}",
                match problem {
                    Problem::Missing => "is missing",
                    Problem::NotAnObject => "cannot be read: the message is not one JSON object",
                    Problem::OutOfRange => "is outside its range",
                    Problem::WrongType => "has the wrong type",
                }
            ),
        }
    }
}

impl std::error::Error for Malformed {}

/// Reads one frame of the server. An unknown type is [`ServerFrame::Unknown`].
///
/// # Errors
///
/// When the value is not an object with a text `type`, or when a known frame is malformed (GEN-4).
pub fn decode(frame: &Value) -> Result<ServerFrame, Malformed> {
    let (kind, numbers) = read(frame).map_err(Malformed::Field)?;
    let mut numbers = numbers.into_iter();
    from_numbers(kind, || numbers.next().unwrap_or(NONE)).map_err(Malformed::Contradiction)
}

/// Reads the numbers of a frame, and its kind.
fn read(frame: &Value) -> Result<(u32, Vec<f64>), DecodeError> {
    let Some(frame) = frame.as_object() else { return refuse("type", Problem::NotAnObject) };
    let kind = match frame.get("type") {
        None => return refuse("type", Problem::Missing),
        Some(Value::String(kind)) => kind,
        Some(_) => return refuse("type", Problem::WrongType),
    };
    let lines = FRAMES.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let Some((number, (_, fields))) = lines.enumerate().find(|(_, (name, _))| name == kind) else {
        return Ok((u32::MAX, Vec::new()));
    };
    let mut numbers = Vec::new();
    fields_of(frame, &mut fields.split(' '), &mut numbers)?;
    if kind == "events" || kind == "deltas" {
        check_events(frame)?;
    }
    Ok((number as u32, numbers))
}

const fn refuse<T>(field: &'static str, problem: Problem) -> Result<T, DecodeError> {
    Err(DecodeError { field, problem })
}

/// Reads the fields of an object, up to the end of the description or of the object in it.
fn fields_of(
    object: &Map<String, Value>,
    fields: &mut std::str::Split<'static, char>,
    numbers: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    while let Some(field) = fields.next().filter(|&field| field != "}") {
        let (name, kind) = field.split_once(['=', '{']).unwrap_or((field, ""));
        let (name, is_optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        let value = object.get(name);
        if value.is_none() && !is_optional {
            return refuse(name, Problem::Missing);
        }
        if field.ends_with('{') {
            let Some(value) = value else {
                numbers.push(NONE);
                fields.find(|&field| field == "}");
                continue;
            };
            let Value::Object(inner) = value else { return refuse(name, Problem::WrongType) };
            if is_optional {
                numbers.push(1.0);
            }
            fields_of(inner, fields, numbers)?;
        } else if let Some(value) = value {
            push(value, name, kind, numbers)?;
        } else if kind.starts_with(|kind: char| kind.is_ascii_lowercase()) {
            numbers.push(NONE);
        }
    }
    Ok(())
}

/// Checks the value of a field and gives its numbers.
fn push(
    value: &Value,
    name: &'static str,
    kind: &'static str,
    numbers: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    let (letter, limits) = kind.split_at(1);
    let wrong = refuse(name, Problem::WrongType);
    match letter {
        "t" | "T" => {
            let Value::String(text) = value else { return wrong };
            // A text for people may be empty or long.
            if !limits.is_empty() && (text.is_empty() || text.len() > number_in(limits) as usize) {
                return refuse(name, Problem::OutOfRange);
            }
            if letter == "t" {
                numbers.push(f64::from(Text::from(text).0));
            }
        }
        "i" | "n" | "o" | "c" => {
            let (min, max) = match limits.split_once(',') {
                Some((min, max)) => (number_in(min), number_in(max)),
                None => {
                    (if letter == "n" { 0.0 } else { 1.0 }, if letter == "c" { MAX_CH } else { MAX_INTEGER })
                }
            };
            numbers.push(integer(value, name, min, max)?);
        }
        "b" | "B" => {
            let Value::Bool(value) = value else { return wrong };
            if letter == "b" {
                numbers.push(f64::from(u8::from(*value)));
            }
        }
        "l" | "X" => {
            let Value::Array(items) = value else { return wrong };
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            let Some(texts) = texts else { return wrong };
            if letter == "l" {
                numbers.push(texts.len() as f64);
                numbers.extend(texts.into_iter().map(|text| f64::from(Text::from(text).0)));
            }
        }
        "h" => {
            let Value::Object(heads) = value else { return wrong };
            numbers.push(heads.len() as f64);
            for (ch, head) in heads {
                numbers.extend([channel(ch, name)?, integer(head, name, 0.0, MAX_INTEGER)?]);
            }
        }
        "s" => {
            let Value::Object(seals) = value else { return wrong };
            numbers.push(seals.len() as f64);
            for (ch, seal) in seals {
                numbers.push(channel(ch, name)?);
                push(seal, name, "t128", numbers)?;
            }
        }
        "p" => numbers.push(1.0),
        "L" if value.is_array() => {}
        "O" if value.is_object() => {}
        _ => return wrong,
    }
    Ok(())
}

/// Reads the key of a map of subscriptions.
fn channel(key: &str, name: &'static str) -> Result<f64, DecodeError> {
    let is_plain = !key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit());
    let number = key.parse::<f64>().ok().filter(|&ch| is_plain && (1.0..=MAX_CH).contains(&ch));
    number.ok_or(DecodeError { field: name, problem: Problem::OutOfRange })
}

fn number_in(limit: &str) -> f64 {
    limit.parse().unwrap_or(0.0)
}

fn integer(value: &Value, name: &'static str, min: f64, max: f64) -> Result<f64, DecodeError> {
    let Some(number) = value.as_f64() else { return refuse(name, Problem::WrongType) };
    // NaN and the infinities fail the comparison.
    if !(number >= min && number <= max && number.trunc() == number) {
        return refuse(name, Problem::OutOfRange);
    }
    Ok(number)
}

/// Checks what the description does not say of a frame of events (EVT-1, DLT-1).
fn check_events(frame: &Map<String, Value>) -> Result<(), DecodeError> {
    let lists: &[&'static str] = if frame["type"] == "events" { &["events"] } else { &["times", "texts"] };
    let counts =
        |name: &&str| frame[*name].as_array().is_some_and(|list| frame["count"] == json!(list.len()));
    let counts_as_float =
        |name: &&str| frame["count"].as_f64() == frame[*name].as_array().map(|list| list.len() as f64);
    if !lists.iter().all(|name| counts(name) || counts_as_float(name)) {
        return refuse("count", Problem::OutOfRange);
    }
    if !is_well_formed(frame) {
        return refuse(if lists.len() == 1 { "events" } else { "head" }, Problem::WrongType);
    }
    Ok(())
}

/// Tells whether each event of an `events` frame is an object with a text `type`, or the parts of a `deltas` frame are what DLT-1
/// says.
pub fn is_well_formed(frame: &Map<String, Value>) -> bool {
    let all = |name: &str, check: fn(&Value) -> bool| {
        frame.get(name).and_then(Value::as_array).is_some_and(|items| items.iter().all(check))
    };
    if frame["type"] == "events" {
        return all("events", |event| event.is_object() && event["type"].is_string());
    }
    let head = &frame["head"];
    head["type"].is_string()
        && head.get("time").is_none()
        && head.get("text").is_none()
        && all("times", is_time)
        && all("texts", Value::is_string)
}

/// Tells whether this is a number of whole milliseconds (GEN-5).
fn is_time(value: &Value) -> bool {
    value.as_f64().is_some_and(|time| time.fract() == 0.0 && (0.0..=MAX_INTEGER).contains(&time))
}

/// Writes one frame of the page; `slot` gives the token or body that a slot holds.
///
/// Returns `None` when a slot is empty, which only a driver that released it too early can cause.
pub fn encode(frame: &ClientFrame, slot: impl Fn(Slot) -> Option<Value>) -> Option<Value> {
    let mut numbers = Vec::new();
    let kind = to_numbers(frame, |number| numbers.push(number));
    let text = |place: usize| Text(numbers[place] as u32).to_string();
    let value = |place: usize| slot(Slot(numbers[place] as u32));
    let integer = |place: usize| json!(numbers[place] as u64);
    Some(match kind {
        PageKind::Ack => {
            let offsets = numbers.chunks(2).map(|pair| ((pair[0] as u64).to_string(), json!(pair[1] as u64)));
            json!({"type": "ack", "offsets": offsets.collect::<Map<_, _>>()})
        }
        PageKind::Approve | PageKind::Cancel | PageKind::Edit | PageKind::Send | PageKind::Withdraw => {
            let name = match kind {
                PageKind::Approve => "approve",
                PageKind::Cancel => "cancel",
                PageKind::Edit => "edit",
                PageKind::Withdraw => "withdraw",
                _ => "send",
            };
            let mut frame = json!({"type": name, "id": text(0), "stream": text(1)});
            if let Some(&at) = numbers.get(3).filter(|&&at| at >= 0.0) {
                frame["firstSentAt"] = json!(at as u64);
            }
            // The body brings the rest and cannot replace the key.
            if let (Some(frame), Value::Object(body)) = (frame.as_object_mut(), value(2)?) {
                for (name, value) in body {
                    frame.entry(name).or_insert(value);
                }
            }
            frame
        }
        PageKind::Hello => json!({
            "type": "hello",
            "token": value(0)?,
            "client": {"name": "agentwire-native", "version": env!("CARGO_PKG_VERSION")},
            "features": ["deltas"],
            "window": {"events": integer(1), "bytes": integer(2), "totalBytes": integer(3)},
            "streams": requests(&numbers[4..]),
        }),
        PageKind::Ping => json!({"type": "ping", "n": integer(0)}),
        PageKind::Pong => json!({"type": "pong", "n": integer(0)}),
        PageKind::Refresh => json!({"type": "refresh", "token": value(0)?}),
        PageKind::Replay => {
            json!({"type": "replay", "req": integer(0), "ch": integer(1), "from": integer(2), "to": integer(3)})
        }
        PageKind::Signal => json!({"type": "signal", "stream": text(0), "signal": value(1)?}),
        PageKind::Subscribe => json!({"type": "subscribe", "streams": requests(&numbers)}),
        PageKind::Unsubscribe => json!({"type": "unsubscribe", "ch": integer(0)}),
    })
}

fn requests(numbers: &[f64]) -> Vec<Value> {
    let request = |numbers: &[f64]| {
        let mut request = json!({"name": Text(numbers[0] as u32).to_string()});
        if numbers[1] >= 0.0 {
            request["position"] =
                json!({"epoch": Text(numbers[1] as u32).to_string(), "offset": numbers[2] as u64});
        }
        if numbers[3] >= 0.0 {
            request["seen"] = json!(numbers[3] as u64);
        }
        if numbers[4] >= 0.0 {
            request["seal"] = json!(Text(numbers[4] as u32).to_string());
        }
        request["open"] = match numbers[5] {
            0.0 => json!({"from": "start"}),
            count if count > 0.0 => json!({"last": count as u64}),
            _ => json!({"from": "live"}),
        };
        request
    };
    numbers.chunks(6).map(request).collect()
}
