//! Frames as numbers, the form in which they cross the border to JavaScript.
//!
//! `frames.txt` describes the frames of the server: the fields of each, in the order of their numbers here. Whoever reads JSON,
//! the package in the page and `json.rs` natively, reads by that text; it has checked types and ranges. What is left is
//! whether the fields contradict each other.

use super::{
    ClientFrame, Contradiction, Open, Receipt, ReceiptError, ServerFrame, StreamRequest, Subscribed, Welcome,
};
use crate::proto::{input::SendKind, text::Text};

/// What stands for an optional field that is missing.
pub const NONE: f64 = -1.0;

/// The kinds of server frames, as the lines of `frames.txt` number them. Any other is unknown.
mod kind {
    pub(super) const CAUGHT_UP: u32 = 0;
    pub(super) const DELTAS: u32 = 1;
    pub(super) const ERROR: u32 = 2;
    pub(super) const EVENTS: u32 = 3;
    pub(super) const GAP: u32 = 4;
    pub(super) const GOAWAY: u32 = 5;
    pub(super) const HEARTBEAT: u32 = 6;
    pub(super) const HISTORY: u32 = 7;
    pub(super) const NOTICE: u32 = 8;
    pub(super) const PING: u32 = 9;
    pub(super) const PONG: u32 = 10;
    pub(super) const RECEIPT: u32 = 11;
    pub(super) const REFRESHED: u32 = 12;
    pub(super) const REPLAY_END: u32 = 13;
    pub(super) const SIGNAL: u32 = 14;
    pub(super) const SUBSCRIBED: u32 = 15;
    pub(super) const UNSUBSCRIBED: u32 = 16;
    pub(super) const WELCOME: u32 = 17;
}

/// Takes the fields of one frame, one after the other.
#[derive(Debug)]
pub struct Fields<F>(pub F);

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the reader checked the ranges")]
impl<F: FnMut() -> f64> Fields<F> {
    /// A number of at most 2^53 - 1.
    pub fn integer(&mut self) -> u64 {
        self.0() as u64
    }

    /// A number of at most 2^32 - 1.
    pub fn narrow(&mut self) -> u32 {
        self.0() as u32
    }

    /// An optional number.
    pub fn optional(&mut self) -> Option<u64> {
        let number = self.0();
        (number >= 0.0).then_some(number as u64)
    }

    /// A text.
    pub fn text(&mut self) -> Text {
        Text(self.narrow())
    }

    /// An optional text.
    pub fn optional_text(&mut self) -> Option<Text> {
        self.optional().map(|number| Text(number as u32))
    }

    /// A boolean, or whether an optional field is there.
    pub fn flag(&mut self) -> bool {
        self.0() > 0.0
    }
}

/// Makes a frame of the server from its numbers.
///
/// # Errors
///
/// When the fields contradict each other (GEN-4).
pub fn from_numbers(kind: u32, next: impl FnMut() -> f64) -> Result<ServerFrame, Contradiction> {
    let mut fields = Fields(next);
    Ok(match kind {
        kind::CAUGHT_UP => ServerFrame::CaughtUp {
            ch: fields.narrow(),
            offset: fields.integer(),
            open_runs: fields.optional().map(|count| (0..count).map(|_| fields.text()).collect()),
            seal: fields.optional_text(),
        },
        kind::EVENTS | kind::DELTAS => {
            let (ch, first, count) = (fields.narrow(), fields.integer(), fields.narrow());
            if first + u64::from(count) > 1 << 53 {
                return Err(Contradiction::CountTooLarge);
            }
            ServerFrame::Events { ch, first, count }
        }
        kind::ERROR => {
            let (code, retry_after_ms, req) = (fields.text(), fields.optional(), fields.optional());
            // What concerns one request or one stream says nothing of the connection.
            let of_connection = req.is_none() && !fields.flag();
            ServerFrame::Error { code, retry_after_ms: retry_after_ms.filter(|_| of_connection), req }
        }
        kind::GAP => {
            let (ch, from, to) = (fields.narrow(), fields.integer(), fields.integer());
            if to < from {
                return Err(Contradiction::GapBackwards);
            }
            ServerFrame::Gap { ch, from, to, reason: fields.text() }
        }
        kind::GOAWAY => {
            ServerFrame::GoAway { reconnect_after_ms: fields.integer(), spread_ms: fields.integer() }
        }
        kind::HEARTBEAT => {
            let count = fields.integer();
            ServerFrame::Heartbeat {
                heads: (0..count).map(|_| (fields.narrow(), fields.integer())).collect(),
                seals: (0..fields.optional().unwrap_or(0))
                    .map(|_| (fields.narrow(), fields.text()))
                    .collect(),
            }
        }
        kind::HISTORY => ServerFrame::History { req: fields.integer() },
        kind::NOTICE => ServerFrame::Notice,
        kind::PING => ServerFrame::Ping { n: fields.integer() },
        kind::PONG => ServerFrame::Pong { n: fields.integer() },
        kind::RECEIPT => {
            let (id, stream, status) = (fields.text(), fields.text(), fields.text());
            // The application gets the position with the frame.
            let offset = fields.flag().then(|| fields.integer());
            let (decision, has_error) = (fields.optional_text(), fields.flag());
            if (status == Text::REJECTED) != has_error {
                return Err(Contradiction::ErrorAndStatus);
            }
            if status == Text::ACCEPTED && offset.is_none() {
                return Err(Contradiction::PositionMissing);
            }
            let error = has_error
                .then(|| ReceiptError { retryable: fields.flag(), retry_after_ms: fields.optional() });
            ServerFrame::Receipt(Receipt { id, stream, status, decision, error })
        }
        kind::REFRESHED => ServerFrame::Refreshed { token_expires_in_ms: fields.optional() },
        kind::REPLAY_END => {
            ServerFrame::ReplayEnd { req: fields.integer(), to: fields.integer(), oldest: fields.integer() }
        }
        kind::SIGNAL => ServerFrame::Signal,
        kind::SUBSCRIBED => ServerFrame::Subscribed(subscribed(&mut fields)?),
        kind::UNSUBSCRIBED => {
            let ch = fields.optional().map(|ch| ch as u32);
            let (name, reason) = (fields.text(), fields.text());
            if reason == Text::EPOCH && ch.is_none() {
                // Only a subscription has an epoch that can end.
                return Err(Contradiction::EpochWithoutCh);
            }
            ServerFrame::Unsubscribed { ch, name, reason }
        }
        kind::WELCOME => ServerFrame::Welcome(Welcome {
            session: fields.text(),
            subject: fields.text(),
            heartbeat_ms: fields.integer(),
            max_frame_bytes: fields.integer(),
            max_streams: fields.integer(),
            send_horizon_ms: fields.integer(),
            token_expires_in_ms: fields.optional(),
            backoff_max_ms: fields.optional(),
            time: fields.optional(),
        }),
        _ => ServerFrame::Unknown,
    })
}

fn subscribed<F: FnMut() -> f64>(fields: &mut Fields<F>) -> Result<Subscribed, Contradiction> {
    let subscribed = Subscribed {
        ch: fields.narrow(),
        name: fields.text(),
        epoch: fields.text(),
        oldest: fields.integer(),
        head: fields.integer(),
        next: fields.integer(),
        base: fields.optional().unwrap_or(0),
        recovered: fields.flag(),
        reason: fields.optional_text(),
    };
    if subscribed.next < subscribed.oldest || subscribed.next > subscribed.head + 1 {
        return Err(Contradiction::NextOutside);
    }
    if subscribed.base > subscribed.head {
        return Err(Contradiction::BaseAboveHead);
    }
    if !subscribed.recovered && subscribed.reason.is_none() {
        return Err(Contradiction::ReasonMissing);
    }
    Ok(subscribed)
}

/// The kinds of page frames; the package has the same list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the frame of its name")]
#[repr(u32)]
pub enum PageKind {
    Ack,
    Approve,
    Cancel,
    Edit,
    Send,
    Withdraw,
    Hello,
    Ping,
    Pong,
    Refresh,
    Replay,
    Signal,
    Subscribe,
    Unsubscribe,
}

/// Gives the numbers of a frame of the page, and returns its kind. A token or body is given as its slot.
#[allow(clippy::cast_precision_loss, reason = "offsets stay below 2^53 (GEN-5)")]
pub fn to_numbers(frame: &ClientFrame, mut put: impl FnMut(f64)) -> PageKind {
    match frame {
        ClientFrame::Keyed { kind, id, stream, body, first_sent_at } => {
            for number in [id.0, stream.0, body.0] {
                put(f64::from(number));
            }
            put(first_sent_at.map_or(NONE, |at| at as f64));
            match kind {
                SendKind::Approve => PageKind::Approve,
                SendKind::Cancel => PageKind::Cancel,
                SendKind::Edit => PageKind::Edit,
                SendKind::Message | SendKind::RunMessage => PageKind::Send,
                SendKind::Withdraw => PageKind::Withdraw,
            }
        }
        ClientFrame::Ack { offsets } => {
            for &(ch, offset) in offsets {
                put(f64::from(ch));
                put(offset as f64);
            }
            PageKind::Ack
        }
        ClientFrame::Hello { token, window_events, window_bytes, window_total_bytes, streams } => {
            for number in [token.0, *window_events, *window_bytes, *window_total_bytes] {
                put(f64::from(number));
            }
            requests(streams, put);
            PageKind::Hello
        }
        ClientFrame::Ping { n } => {
            put(*n as f64);
            PageKind::Ping
        }
        ClientFrame::Pong { n } => {
            put(*n as f64);
            PageKind::Pong
        }
        ClientFrame::Refresh { token } => {
            put(f64::from(token.0));
            PageKind::Refresh
        }
        ClientFrame::Replay { req, ch, from, to } => {
            for number in [*req, u64::from(*ch), *from, *to] {
                put(number as f64);
            }
            PageKind::Replay
        }
        ClientFrame::Signal { stream, signal } => {
            put(f64::from(stream.0));
            put(f64::from(signal.0));
            PageKind::Signal
        }
        ClientFrame::Subscribe { streams } => {
            requests(streams, put);
            PageKind::Subscribe
        }
        ClientFrame::Unsubscribe { ch } => {
            put(f64::from(*ch));
            PageKind::Unsubscribe
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "offsets stay below 2^53 (GEN-5)")]
fn requests(streams: &[StreamRequest], mut put: impl FnMut(f64)) {
    for &StreamRequest { name, position, seen, seal, open } in streams {
        put(f64::from(name.0));
        put(position.map_or(NONE, |(epoch, _)| f64::from(epoch.0)));
        put(position.map_or(NONE, |(_, offset)| offset as f64));
        put(seen.map_or(NONE, |seen| seen as f64));
        put(seal.map_or(NONE, |seal| f64::from(seal.0)));
        put(match open {
            Open::Start => 0.0,
            Open::Live => -1.0,
            Open::Last(count) => f64::from(count),
        });
    }
}
