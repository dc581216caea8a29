//! Reads a frame of the server: all of it, or a [`DecodeError`] (GEN-4).

use std::fmt;

use super::{EPOCH_ENDED, Name, Reader, ReceiptError, ServerFrame, Subscribed, Welcome};

/// The largest integer on the wire, 2^53 - 1 (GEN-5).
const MAX_INTEGER: u64 = (1 << 53) - 1;
const MAX_CH: u64 = (1 << 31) - 1;
const MAX_COUNT: u64 = 10_000;
const MAX_DELAY_MS: u64 = 300_000;

/// Why a frame of the server is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field at fault.
    pub field: Name,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It contradicts another field.
    Contradiction,
    /// It is required and missing.
    Missing,
    /// The message is not text that holds one JSON object.
    NotAnObject,
    /// It is outside its range.
    OutOfRange,
    /// The message has more bytes than a frame may have (GEN-7).
    TooLarge,
    /// It has another JSON type.
    WrongType,
}

impl Problem {
    /// Returns the problem in words that follow the name of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contradiction => "contradicts another field",
            Self::Missing => "is missing",
            Self::NotAnObject => "cannot be read: the message is not one JSON object",
            Self::OutOfRange => "is outside its range",
            Self::TooLarge => "cannot be read: the message is larger than maxFrameBytes",
            Self::WrongType => "has the wrong type",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.as_str())?;
        f.write_str(" ")?;
        f.write_str(self.problem.as_str())
    }
}

impl std::error::Error for DecodeError {}

const fn error<T>(field: Name, problem: Problem) -> Result<T, DecodeError> {
    Err(DecodeError { field, problem })
}

/// Reads one frame of the server.
///
/// # Errors
///
/// When the value is not an object with a text `type`, or when a known frame is malformed (GEN-4). An unknown type is
/// [`ServerFrame::Unknown`].
pub fn decode<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    if !frame.is_object() {
        return error(Name::Type, Problem::NotAnObject);
    }
    let kind = require(frame, Name::Type)?;
    if kind.is(Name::Events) {
        return events(frame, &require(frame, Name::Events)?);
    }
    if kind.is(Name::Deltas) {
        return deltas(frame);
    }
    let Some(kind) = kind.text() else {
        return error(Name::Type, Problem::WrongType);
    };
    match kind.as_str() {
        "caughtUp" => caught_up(frame),
        "error" => error_frame(frame),
        "gap" => gap(frame),
        "goaway" => Ok(ServerFrame::GoAway {
            reason: text(frame, Name::Reason, 64)?,
            reconnect_after_ms: integer(frame, Name::ReconnectAfterMs, 0, MAX_DELAY_MS)?,
            spread_ms: integer(frame, Name::SpreadMs, 0, MAX_DELAY_MS)?,
        }),
        "heartbeat" => heartbeat(frame),
        "history" => Ok(ServerFrame::History { req: integer(frame, Name::Req, 0, MAX_INTEGER)? }),
        "notice" => {
            text(frame, Name::Kind, 64)?;
            Ok(ServerFrame::Notice)
        }
        "ping" => Ok(ServerFrame::Ping { n: integer(frame, Name::N, 0, MAX_INTEGER)? }),
        "pong" => Ok(ServerFrame::Pong { n: integer(frame, Name::N, 0, MAX_INTEGER)? }),
        "receipt" => receipt(frame),
        "refreshed" => Ok(ServerFrame::Refreshed { token_expires_in_ms: expiry(frame)? }),
        "replayEnd" => Ok(ServerFrame::ReplayEnd {
            req: integer(frame, Name::Req, 0, MAX_INTEGER)?,
            to: integer(frame, Name::To, 0, MAX_INTEGER)?,
            oldest: integer(frame, Name::Oldest, 1, MAX_INTEGER)?,
        }),
        "signal" => {
            text(frame, Name::Stream, 256)?;
            let signal = require(frame, Name::Signal)?;
            if !signal.is_object() {
                return error(Name::Signal, Problem::WrongType);
            }
            text(&signal, Name::Type, 64)?;
            Ok(ServerFrame::Signal)
        }
        "subscribed" => subscribed(frame),
        "unsubscribed" => unsubscribed(frame),
        "welcome" => welcome(frame),
        _ => Ok(ServerFrame::Unknown),
    }
}

fn welcome<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    if let Some(features) = frame.get(Name::Features)
        && texts(&features).is_none()
    {
        return error(Name::Features, Problem::WrongType);
    }
    Ok(ServerFrame::Welcome(Welcome {
        session: text(frame, Name::Session, 128)?,
        subject: text(frame, Name::Subject, 256)?,
        heartbeat_ms: integer(frame, Name::HeartbeatMs, 100, 300_000)?,
        max_frame_bytes: integer(frame, Name::MaxFrameBytes, 4_096, 16_777_216)?,
        max_streams: integer(frame, Name::MaxStreams, 1, 10_000)?,
        send_horizon_ms: integer(frame, Name::SendHorizonMs, 0, MAX_INTEGER)?,
        token_expires_in_ms: expiry(frame)?,
    }))
}

fn events<R: Reader>(frame: &R, events: &R) -> Result<ServerFrame, DecodeError> {
    let (ch, first, count) = range(frame)?;
    match events.length() {
        None => return error(Name::Events, Problem::WrongType),
        Some(length) if length as u64 != u64::from(count) => {
            return error(Name::Count, Problem::Contradiction);
        }
        Some(_) => {}
    }
    if !frame.well_formed() {
        return error(Name::Events, Problem::WrongType);
    }
    Ok(ServerFrame::Events { ch, first, count })
}

fn deltas<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let (ch, first, count) = range(frame)?;
    for name in [Name::Times, Name::Texts] {
        match require(frame, name)?.length() {
            None => return error(name, Problem::WrongType),
            Some(length) if length as u64 != u64::from(count) => {
                return error(Name::Count, Problem::Contradiction);
            }
            Some(_) => {}
        }
    }
    if !require(frame, Name::Head)?.is_object() || !frame.well_formed() {
        return error(Name::Head, Problem::WrongType);
    }
    Ok(ServerFrame::Events { ch, first, count })
}

fn range<R: Reader>(frame: &R) -> Result<(u32, u64, u32), DecodeError> {
    let ch = integer(frame, Name::Ch, 1, MAX_CH)?;
    let first = integer(frame, Name::First, 1, MAX_INTEGER)?;
    let count = integer(frame, Name::Count, 1, MAX_COUNT)?;
    if first + count - 1 > MAX_INTEGER {
        return error(Name::Count, Problem::OutOfRange);
    }
    Ok((narrow(ch), first, narrow(count)))
}

fn caught_up<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let open_runs = match frame.get(Name::OpenRuns) {
        None => None,
        Some(list) => match texts(&list) {
            None => return error(Name::OpenRuns, Problem::WrongType),
            runs => runs,
        },
    };
    Ok(ServerFrame::CaughtUp {
        ch: narrow(integer(frame, Name::Ch, 1, MAX_CH)?),
        offset: integer(frame, Name::Offset, 0, MAX_INTEGER)?,
        open_runs,
    })
}

fn error_frame<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let code = text(frame, Name::Code, 64)?;
    let message = text(frame, Name::Message, usize::MAX)?;
    boolean(frame, Name::Retryable)?;
    let retry_after_ms = optional_integer(frame, Name::RetryAfterMs, 0, 86_400_000)?;
    let req = optional_integer(frame, Name::Req, 0, MAX_INTEGER)?;
    // What concerns one request or one stream says nothing of the connection.
    let of_connection = req.is_none() && frame.get(Name::Stream).is_none();
    Ok(ServerFrame::Error { code, message, retry_after_ms: retry_after_ms.filter(|_| of_connection), req })
}

fn gap<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let from = integer(frame, Name::From, 1, MAX_INTEGER)?;
    let to = integer(frame, Name::To, 1, MAX_INTEGER)?;
    if to < from {
        return error(Name::To, Problem::Contradiction);
    }
    let ch = narrow(integer(frame, Name::Ch, 1, MAX_CH)?);
    Ok(ServerFrame::Gap { ch, from, to, reason: text(frame, Name::Reason, 64)? })
}

fn heartbeat<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let heads = require(frame, Name::Heads)?;
    if !heads.is_object() {
        return error(Name::Heads, Problem::WrongType);
    }
    let heads = heads
        .members()
        .into_iter()
        .map(|(ch, head)| {
            let ch = ch.parse::<u32>().ok().filter(|&ch| ch >= 1 && u64::from(ch) <= MAX_CH);
            let Some(ch) = ch else {
                return error(Name::Heads, Problem::OutOfRange);
            };
            Ok((ch, as_integer(&head, Name::Heads, 0, MAX_INTEGER)?))
        })
        .collect::<Result<_, _>>()?;
    Ok(ServerFrame::Heartbeat { heads })
}

fn receipt<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let id = text(frame, Name::Id, 128)?;
    let status = text(frame, Name::Status, 64)?;
    let error_object = frame.get(Name::Error);
    if (status == "rejected") != error_object.is_some() {
        return error(Name::Error, Problem::Contradiction);
    }
    let error = match error_object {
        None => None,
        Some(object) if !object.is_object() => return error(Name::Error, Problem::WrongType),
        Some(object) => Some(ReceiptError {
            code: text(&object, Name::Code, 64)?,
            retryable: boolean(&object, Name::Retryable)?,
            retry_after_ms: optional_integer(&object, Name::RetryAfterMs, 0, 86_400_000)?,
        }),
    };
    Ok(ServerFrame::Receipt { id, status, error })
}

fn subscribed<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let subscribed = Subscribed {
        ch: narrow(integer(frame, Name::Ch, 1, MAX_CH)?),
        name: text(frame, Name::Name, 256)?,
        epoch: text(frame, Name::Epoch, 64)?,
        oldest: integer(frame, Name::Oldest, 1, MAX_INTEGER)?,
        head: integer(frame, Name::Head, 0, MAX_INTEGER - 1)?,
        next: integer(frame, Name::Next, 1, MAX_INTEGER)?,
        base: optional_integer(frame, Name::Base, 0, MAX_INTEGER)?.unwrap_or(0),
        recovered: boolean(frame, Name::Recovered)?,
        reason: match frame.get(Name::Reason) {
            None => None,
            Some(_) => Some(text(frame, Name::Reason, 64)?),
        },
    };
    if subscribed.next < subscribed.oldest || subscribed.next > subscribed.head + 1 {
        return error(Name::Next, Problem::Contradiction);
    }
    if subscribed.base > subscribed.head {
        return error(Name::Base, Problem::Contradiction);
    }
    if !subscribed.recovered && subscribed.reason.is_none() {
        return error(Name::Reason, Problem::Missing);
    }
    Ok(ServerFrame::Subscribed(subscribed))
}

fn unsubscribed<R: Reader>(frame: &R) -> Result<ServerFrame, DecodeError> {
    let ch = optional_integer(frame, Name::Ch, 1, MAX_CH)?.map(narrow);
    let name = text(frame, Name::Name, 256)?;
    let reason = text(frame, Name::Reason, 64)?;
    if reason == EPOCH_ENDED && ch.is_none() {
        // Only a subscription has an epoch that can end.
        return error(Name::Ch, Problem::Missing);
    }
    Ok(ServerFrame::Unsubscribed { ch, name, reason })
}

fn expiry<R: Reader>(frame: &R) -> Result<Option<u64>, DecodeError> {
    optional_integer(frame, Name::TokenExpiresInMs, 0, MAX_INTEGER)
}

fn require<R: Reader>(value: &R, name: Name) -> Result<R, DecodeError> {
    value.get(name).map_or_else(|| error(name, Problem::Missing), Ok)
}

fn integer<R: Reader>(value: &R, name: Name, min: u64, max: u64) -> Result<u64, DecodeError> {
    as_integer(&require(value, name)?, name, min, max)
}

fn optional_integer<R: Reader>(
    value: &R,
    name: Name,
    min: u64,
    max: u64,
) -> Result<Option<u64>, DecodeError> {
    value.get(name).map(|member| as_integer(&member, name, min, max)).transpose()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be an integer in range"
)]
fn as_integer<R: Reader>(value: &R, name: Name, min: u64, max: u64) -> Result<u64, DecodeError> {
    let Some(number) = value.number() else {
        return error(name, Problem::WrongType);
    };
    // NaN and the infinities fail the comparison.
    if !(number >= min as f64 && number <= max as f64 && number.trunc() == number) {
        return error(name, Problem::OutOfRange);
    }
    Ok(number as u64)
}

fn text<R: Reader>(value: &R, name: Name, max_bytes: usize) -> Result<String, DecodeError> {
    let Some(text) = require(value, name)?.text() else {
        return error(name, Problem::WrongType);
    };
    // `message` of an error is for people and may be empty or long.
    if max_bytes != usize::MAX && (text.is_empty() || text.len() > max_bytes) {
        return error(name, Problem::OutOfRange);
    }
    Ok(text)
}

/// Reads a list of texts.
fn texts<R: Reader>(list: &R) -> Option<Vec<String>> {
    (0..list.length()?).map(|index| list.item(index)?.text()).collect()
}

fn boolean<R: Reader>(value: &R, name: Name) -> Result<bool, DecodeError> {
    require(value, name)?.boolean().map_or_else(|| error(name, Problem::WrongType), Ok)
}

/// Narrows a number whose range was checked.
#[allow(clippy::cast_possible_truncation, reason = "callers check the range")]
const fn narrow(number: u64) -> u32 {
    number as u32
}
