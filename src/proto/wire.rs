//! Frames on the wire (PROTOCOL sections 2 to 10).
//!
//! A frame is read through [`Reader`] and written through [`Writer`]. Both have two implementations: a JavaScript value
//! in the browser, `serde_json::Value` (feature `json`) in native tests, so what is tested natively is what ships.

mod decode;
mod encode;
#[cfg(feature = "json")]
mod json;

pub use decode::{DecodeError, Problem, decode};
pub use encode::encode;

use super::ids::Slot;

/// The reason of `unsubscribed` that is not final: the page asks again (SUB-11).
pub const EPOCH_ENDED: &str = "epoch";

/// Reads one JSON value.
pub trait Reader: Sized {
    /// Returns the member `name` of an object; `None` when it is missing or this is not an object.
    fn get(&self, name: Name) -> Option<Self>;
    /// Returns the number, if this is one.
    fn number(&self) -> Option<f64>;
    /// Returns the text, if this is one.
    fn text(&self) -> Option<String>;
    /// Returns the boolean, if this is one.
    fn boolean(&self) -> Option<bool>;
    /// Tells whether this is the text of `name`; the hot path asks this so that no text is copied.
    fn is(&self, name: Name) -> bool;
    /// Tells whether this is an object: not a list, not `null`.
    fn is_object(&self) -> bool;
    /// Returns the number of items, if this is a list.
    fn length(&self) -> Option<usize>;
    /// Returns an item of a list.
    fn item(&self, index: usize) -> Option<Self>;
    /// Returns the members of an object; empty for anything else.
    fn members(&self) -> Vec<(String, Self)>;
    /// Tells whether the events of an `events` or `deltas` frame are what EVT-1 or DLT-1 says.
    fn well_formed(&self) -> bool;
}

/// Writes one JSON value.
pub trait Writer: Sized {
    /// Makes an empty object.
    fn object() -> Self;
    /// Makes an empty list.
    fn list() -> Self;
    /// Makes a text.
    fn from_text(text: &str) -> Self;
    /// Makes a number.
    fn from_number(number: f64) -> Self;
    /// Sets a member of an object.
    fn set(&mut self, name: &str, value: Self);
    /// Appends to a list.
    fn push(&mut self, value: Self);
    /// Copies the members of another object into this one, except those that are set already.
    fn merge(&mut self, other: &Self);
}

macro_rules! names {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// The member names and type tags that the core reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is the text it stands for")]
        pub enum Name { $($variant),+ }

        impl Name {
            /// All names, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name as it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

names! {
    Type = "type",
    Ch = "ch",
    First = "first",
    Count = "count",
    Events = "events",
    Deltas = "deltas",
    Head = "head",
    Times = "times",
    Texts = "texts",
    Name = "name",
    Epoch = "epoch",
    Base = "base",
    Features = "features",
    Oldest = "oldest",
    Next = "next",
    Recovered = "recovered",
    Reason = "reason",
    Offset = "offset",
    OpenRuns = "openRuns",
    From = "from",
    To = "to",
    Req = "req",
    Heads = "heads",
    N = "n",
    Id = "id",
    Status = "status",
    Position = "position",
    Error = "error",
    Code = "code",
    Message = "message",
    Retryable = "retryable",
    RetryAfterMs = "retryAfterMs",
    Session = "session",
    Subject = "subject",
    HeartbeatMs = "heartbeatMs",
    MaxFrameBytes = "maxFrameBytes",
    MaxStreams = "maxStreams",
    SendHorizonMs = "sendHorizonMs",
    TokenExpiresInMs = "tokenExpiresInMs",
    ReconnectAfterMs = "reconnectAfterMs",
    SpreadMs = "spreadMs",
    Stream = "stream",
    Signal = "signal",
    Kind = "kind",
    Items = "items",
    More = "more",
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are those of PROTOCOL.md, which explains them")]
pub enum ServerFrame {
    /// `caughtUp` (SUB-10). `open_runs` is absent when there are more than the server names.
    CaughtUp { ch: u32, offset: u64, open_runs: Option<Vec<String>> },
    /// `error` (ERR-1).
    Error { code: String, message: String, retry_after_ms: Option<u64>, req: Option<u64> },
    /// `events` (EVT-1) or `deltas` (DLT-1); the body stays where it was parsed.
    Events { ch: u32, first: u64, count: u32 },
    /// `gap` (GAP-2).
    Gap { ch: u32, from: u64, to: u64, reason: String },
    /// `goaway` (NTC-2).
    GoAway { reason: String, reconnect_after_ms: u64, spread_ms: u64 },
    /// `heartbeat` (HBT-1).
    Heartbeat { heads: Vec<(u32, u64)> },
    /// `history` (HIS-2); its items are for the application.
    History { req: u64 },
    /// `notice` (NTC-1).
    Notice,
    /// `ping` (HBT-3).
    Ping { n: u64 },
    /// `pong` (HBT-3).
    Pong { n: u64 },
    /// `receipt` (SND-1).
    Receipt { id: String, status: String, error: Option<ReceiptError> },
    /// `refreshed` (TOK-1).
    Refreshed { token_expires_in_ms: Option<u64> },
    /// `replayEnd` (RPL-1).
    ReplayEnd { req: u64, to: u64, oldest: u64 },
    /// `signal` (SIG-1).
    Signal,
    /// `subscribed` (SUB-3).
    Subscribed(Subscribed),
    /// `unsubscribed` (SUB-11).
    Unsubscribed { ch: Option<u32>, name: String, reason: String },
    /// A type this version does not know (GEN-3).
    Unknown,
    /// `welcome` (HEL-4).
    Welcome(Welcome),
}

/// The answer to a stream request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of SUB-3")]
pub struct Subscribed {
    pub ch: u32,
    pub name: String,
    pub epoch: String,
    pub oldest: u64,
    pub head: u64,
    pub next: u64,
    pub base: u64,
    pub recovered: bool,
    pub reason: Option<String>,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of HEL-4")]
pub struct Welcome {
    pub session: String,
    pub subject: String,
    pub heartbeat_ms: u64,
    pub max_frame_bytes: u64,
    pub max_streams: u64,
    pub send_horizon_ms: u64,
    pub token_expires_in_ms: Option<u64>,
}

/// What a rejected receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of ERR-1")]
pub struct ReceiptError {
    pub code: String,
    pub retryable: bool,
    pub retry_after_ms: Option<u64>,
}

/// Where a stream begins that has no position (SUB-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// With the first event that is left.
    Start,
    /// With the next event.
    Live,
    /// With the last `n` events.
    Last(u32),
}

/// What a page asks of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of SUB-1")]
pub struct StreamRequest {
    pub name: String,
    pub position: Option<(String, u64)>,
    pub seen: Option<u64>,
    pub open: Open,
}

impl ClientFrame {
    /// Returns the key of a frame that settles by a receipt.
    pub fn send_id(&self) -> Option<&str> {
        match self {
            Self::Approve { id, .. } | Self::Cancel { id, .. } | Self::Send { id, .. } => Some(id),
            Self::Ack { .. }
            | Self::Hello { .. }
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Refresh { .. }
            | Self::Replay { .. }
            | Self::Signal { .. }
            | Self::Subscribe { .. }
            | Self::Unsubscribe { .. } => None,
        }
    }
}

/// A frame of the page. Bodies and tokens stay in their slots until the frame is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of PROTOCOL.md, which explains them")]
pub enum ClientFrame {
    /// `ack` (FLO-2).
    Ack { offsets: Vec<(u32, u64)> },
    /// `approve` (SND-8).
    Approve { id: String, stream: String, body: Slot },
    /// `cancel` (SND-7).
    Cancel { id: String, stream: String, body: Slot },
    /// `hello` (HEL-2).
    Hello {
        token: Slot,
        version: String,
        window_events: u32,
        window_bytes: u32,
        window_total_bytes: u32,
        streams: Vec<StreamRequest>,
    },
    /// `ping` (HBT-3).
    Ping { n: u64 },
    /// `pong` (HBT-3).
    Pong { n: u64 },
    /// `refresh` (TOK-1).
    Refresh { token: Slot },
    /// `replay` (RPL-1).
    Replay { req: u64, ch: u32, from: u64, to: u64 },
    /// `send` (SND-1).
    Send { id: String, stream: String, body: Slot },
    /// `signal` (SIG-1).
    Signal { stream: String, signal: Slot },
    /// `subscribe` (SUB-1).
    Subscribe { streams: Vec<StreamRequest> },
    /// `unsubscribe` (SUB-12).
    Unsubscribe { ch: u32 },
}
