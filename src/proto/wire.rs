//! Frames on the wire (PROTOCOL sections 2 to 10).
//!
//! JSON is read and written outside: in the page by the package, natively by `json.rs` (feature `json`). Here a frame is a kind
//! and numbers, so what the simulation and the fuzz targets run is what ships.

#[cfg(feature = "json")]
mod json;
mod numbers;

#[cfg(feature = "json")]
pub use json::{DecodeError, Malformed, Problem, decode, encode, is_well_formed};
pub use numbers::{Fields, NONE, PageKind, from_numbers, to_numbers};

use super::{ids::Slot, input::SendKind, text::Text};

/// The frames of the server: the fields of each, in the order of their numbers.
///
/// | after `=` | what it is |
/// |---|---|
/// | `t64` | a text of 1 to 64 bytes; its number |
/// | `i1,5` | an integer from 1 to 5; `n` is one from 0 to 2^53 - 1, `o` from 1, `c` from 1 to 2^31 - 1 |
/// | `b` | a boolean; 1 or 0 |
/// | `l` | a list of texts; their count, then their numbers |
/// | `h` | an object of integers by `ch`; their count, then pairs |
/// | `p` | anything; 1 |
/// | `T64`, `T` | a text of 1 to 64 bytes, or any text; checked only |
/// | `B`, `L`, `O`, `X` | a boolean, a list, an object, a list of texts; checked only |
///
/// `name{ … }` is an object with fields of its own. `?` marks what may be missing: its number is then -1; that of an object
/// that is there is 1.
pub const FRAMES: &str = include_str!("wire/frames.txt");

macro_rules! contradictions {
    ($($name:ident = $text:literal,)+) => {
        /// How a frame contradicts itself, or what the server said before (GEN-4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is what its text says")]
        pub enum Contradiction { $($name),+ }

        impl Contradiction {
            /// The texts, in the order of their numbers.
            pub const TEXTS: &'static [&'static str] = &[$($text),+];

            /// Returns what is wrong, in words.
            pub const fn as_str(self) -> &'static str {
                Self::TEXTS[self as usize]
            }
        }
    };
}

contradictions! {
    AnswerDisagrees = "subscribed: not what the request leads to",
    AnswerUnasked = "subscribed: not asked for",
    BaseAboveHead = "subscribed: base is above the head",
    BeforeWelcome = "a frame before the welcome",
    BeyondWindow = "events: beyond the window",
    CaughtUpElsewhere = "caughtUp: offset is not the head",
    ChInUse = "subscribed: ch is in use",
    ChMissing = "unsubscribed: ch is missing",
    ChOfAnother = "unsubscribed: ch of another stream",
    CountTooLarge = "events: count is too large",
    DecisionMissing = "receipt: decision is missing",
    EpochIsOver = "subscribed: the epoch is over",
    EpochWithoutCh = "unsubscribed: epoch without ch",
    ErrorAndStatus = "receipt: error and status",
    GapBackwards = "gap: to is below from",
    GapTooEarly = "gap: after what did not come",
    NextOutside = "subscribed: next outside oldest and head",
    NotAskedFor = "subscribed: unknown stream",
    PositionMissing = "receipt: accepted without position",
    ReasonMissing = "subscribed: reason is missing",
    SecondCaughtUp = "caughtUp: a second one",
    SecondWelcome = "a second welcome",
    StatusOfAnother = "receipt: status of another frame",
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are those of PROTOCOL.md, which explains them")]
pub enum ServerFrame {
    /// `caughtUp` (SUB-10). `open_runs` is absent when there are more than the server names.
    CaughtUp { ch: u32, offset: u64, open_runs: Option<Vec<Text>>, seal: Option<Text> },
    /// `error` (ERR-1).
    Error { code: Text, retry_after_ms: Option<u64>, req: Option<u64> },
    /// `events` (EVT-1) or `deltas` (DLT-1); the body stays where it was parsed.
    Events { ch: u32, first: u64, count: u32 },
    /// `gap` (GAP-2).
    Gap { ch: u32, from: u64, to: u64, reason: Text },
    /// `goaway` (NTC-2).
    GoAway { reconnect_after_ms: u64, spread_ms: u64 },
    /// `heartbeat` (HBT-1).
    Heartbeat { heads: Vec<(u32, u64)>, seals: Vec<(u32, Text)> },
    /// `history` (HIS-2); its items are for the application.
    History { req: u64 },
    /// `notice` (NTC-1).
    Notice,
    /// `ping` (HBT-3).
    Ping { n: u64 },
    /// `pong` (HBT-3).
    Pong { n: u64 },
    /// `receipt` (SND-11).
    Receipt(Receipt),
    /// `refreshed` (TOK-1).
    Refreshed { token_expires_in_ms: Option<u64> },
    /// `replayEnd` (RPL-1).
    ReplayEnd { req: u64, to: u64, oldest: u64 },
    /// `signal` (SIG-1).
    Signal,
    /// `subscribed` (SUB-3).
    Subscribed(Subscribed),
    /// `unsubscribed` (SUB-11).
    Unsubscribed { ch: Option<u32>, name: Text, reason: Text },
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
    pub name: Text,
    pub epoch: Text,
    pub oldest: u64,
    pub head: u64,
    pub next: u64,
    pub base: u64,
    pub recovered: bool,
    pub reason: Option<Text>,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of HEL-4")]
pub struct Welcome {
    pub session: Text,
    pub subject: Text,
    pub heartbeat_ms: u64,
    pub max_frame_bytes: u64,
    pub max_streams: u64,
    pub send_horizon_ms: u64,
    pub token_expires_in_ms: Option<u64>,
    pub backoff_max_ms: Option<u64>,
    pub time: Option<u64>,
}

/// The answer to a send, a cancel or an approval. What else it says is for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of SND-11")]
pub struct Receipt {
    pub id: Text,
    pub stream: Text,
    pub status: Text,
    pub decision: Option<Text>,
    pub error: Option<ReceiptError>,
}

/// What a rejected receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of ERR-1")]
pub struct ReceiptError {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are those of SUB-1")]
pub struct StreamRequest {
    pub name: Text,
    pub position: Option<(Text, u64)>,
    pub seen: Option<u64>,
    pub seal: Option<Text>,
    pub open: Open,
}

impl ServerFrame {
    /// Tells whether the frame only says that the server is there: it answers no request for events.
    pub(crate) const fn is_sign_of_life(&self) -> bool {
        matches!(self, Self::Heartbeat { .. } | Self::Ping { .. } | Self::Pong { .. })
    }
}

impl ClientFrame {
    /// Returns the id and the stream of a frame that settles by a receipt.
    pub fn key(&self) -> Option<(Text, Text)> {
        match self {
            Self::Keyed { id, stream, .. } => Some((*id, *stream)),
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
    /// `hello` (HEL-2).
    Hello {
        token: Slot,
        window_events: u32,
        window_bytes: u32,
        window_total_bytes: u32,
        streams: Vec<StreamRequest>,
    },
    /// `send` (SND-1), or another frame that settles by a receipt. `first_sent_at` is the server's time when it went out for the
    /// first time, if that was before (SND-5).
    Keyed { kind: SendKind, id: Text, stream: Text, body: Slot, first_sent_at: Option<u64> },
    /// `ping` (HBT-3).
    Ping { n: u64 },
    /// `pong` (HBT-3).
    Pong { n: u64 },
    /// `refresh` (TOK-1).
    Refresh { token: Slot },
    /// `replay` (RPL-1).
    Replay { req: u64, ch: u32, from: u64, to: u64 },
    /// `signal` (SIG-1).
    Signal { stream: Text, signal: Slot },
    /// `subscribe` (SUB-1).
    Subscribe { streams: Vec<StreamRequest> },
    /// `unsubscribe` (SUB-12).
    Unsubscribe { ch: u32 },
}
