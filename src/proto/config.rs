//! The knobs of the core.

use crate::proto::Duration;

use super::text::Text;

/// How a [`Client`](super::Client) behaves. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the jitter starts; two clients with one seed draw the same delays.
    pub seed: u64,
    /// Events the server may send per stream without an acknowledgement, 1 to 65,536. Defaults to 32,768.
    pub window_events: u32,
    /// Bytes of events the server may send per stream without an acknowledgement, 1,024 to 67,108,864. Defaults to 8 MiB.
    pub window_bytes: u32,
    /// The same over all streams of a socket, `window_bytes` to 268,435,456. Defaults to 16 MiB.
    pub window_total_bytes: u32,
    /// Sends that may wait for a receipt; one more settles with `outbox_full`. Defaults to 256.
    pub max_pending: usize,
    /// The first step of the backoff: the first delay after a loss is drawn from 0 to this. Defaults to 500 ms.
    pub backoff_base: Duration,
    /// The longest step. Defaults to none: what the welcome says, or [`DEFAULT_BACKOFF_MAX`].
    pub backoff_max: Option<Duration>,
    /// Hundredths of the step before that a step has. Defaults to 200: steps double.
    pub backoff_growth: u32,
    /// Hundredths of a step that are drawn, 0 to 100. Defaults to 50: a delay is between half a step and a step.
    pub backoff_jitter: u32,
    /// Attempts to connect that may be made at once; one more is allowed per half of the longest step (I14). Defaults to 6.
    pub attempt_burst: u32,
    /// How often one send is transmitted within [`UPLOAD_WINDOW`] at the most (I14). Defaults to 5.
    pub max_uploads: u32,
    /// The server is reachable without a network: what the browser says of the network is no reason to wait. Defaults to false.
    pub is_local: bool,
    /// How long a socket may take to open. Defaults to 10 s.
    pub connect_timeout: Duration,
    /// How long the application may take to give a token. Defaults to 30 s.
    pub token_timeout: Duration,
    /// The user that the server must name, because the application expects it or because a former core of this page was
    /// welcomed as it: the client ends when the server names another one (HEL-6). Defaults to none.
    pub subject: Option<Text>,
}

impl Config {
    /// Makes the default configuration with a seed for the jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            window_events: 32_768,
            window_bytes: 8 << 20,
            window_total_bytes: 16 << 20,
            max_pending: 256,
            backoff_base: Duration::from_millis(500),
            backoff_max: None,
            backoff_growth: 200,
            backoff_jitter: 50,
            attempt_burst: 6,
            max_uploads: 5,
            is_local: false,
            connect_timeout: Duration::from_secs(10),
            token_timeout: Duration::from_secs(30),
            subject: None,
        }
    }
}

/// The longest step of the backoff if neither the application nor the server names one (CLS-4).
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(20);
/// The shortest time caught up that makes a connection a success (CLS-4).
pub const MIN_LASTING: Duration = Duration::from_secs(10);
/// How long the client waits between two attempts while the browser says that there is no network, and how much of it is drawn on
/// top: the browser may be wrong.
pub const OFFLINE_DELAY: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// The least time between two attempts that the application asks for.
pub const RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// The time within which uploads of a send are counted (SND-19).
pub const UPLOAD_WINDOW: Duration = Duration::from_secs(600);
/// Closes with 4400 or 4402 after which the client stops, if no connection lasted between them (CLS-1).
pub const MAX_REJECTIONS: u32 = 3;
/// How long the welcome may take after the hello (HEL-7).
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest frame before the welcome, in bytes (GEN-7).
pub const MAX_HELLO_BYTES: u64 = 65_536;
/// The least time between two refreshes of a token, whatever the server says of its life.
pub const MIN_REFRESH: Duration = Duration::from_secs(1);
/// Bytes that the stream requests of a hello may take: what a token, the largest, leaves of [`MAX_HELLO_BYTES`].
pub const MAX_HELLO_REQUESTS: usize = 48_000;
/// Streams without a consumer whose place the client remembers; the one that was left first is forgotten.
pub const MAX_IDLE_STREAMS: usize = 64;
/// How long an acknowledgement may wait for others (FLO-2).
pub const ACK_DELAY: Duration = Duration::from_secs(1);
/// How long an offset that a heartbeat named may take to come by itself (RPL-4).
pub const MISSING_HEAD_GRACE: Duration = Duration::from_secs(1);
/// The same, while the server has not sent everything that was missing yet.
pub const CATCH_UP_GRACE: Duration = Duration::from_secs(10);
/// How long the socket may bring nothing while a replay request is open (RPL-5).
pub const REPLAY_TIMEOUT: Duration = Duration::from_secs(5);
/// The same, while a stream is asked for (SUB-13).
pub const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same, while a stream catches up: what a heartbeat names is asked for before (SUB-13, RPL-4).
pub const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(20);
/// A request that waits for so long is a sign of trouble.
pub const LATE_ANSWER: Duration = Duration::from_secs(3);
/// A round trip that takes so long is one, too.
pub const SLOW_ROUND_TRIP: Duration = Duration::from_secs(2);
/// How long an answer may take although the socket brings other things (RPL-5, SUB-13).
pub const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// Replay requests open at once (RPL-2).
pub const MAX_REPLAYS: usize = 8;
/// Frames out of order that a stream keeps (RPL-6).
pub const MAX_PARKED: usize = 64;
/// Refusals of a token in a row after which the client stops (CLS-3).
pub const MAX_TOKEN_REFUSALS: u32 = 3;
/// The shortest silence after which the server is asked whether it is there (HBT-2).
pub const MIN_SILENCE: Duration = Duration::from_secs(5);
/// How long the answer to that may take (HBT-2).
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same, after the page woke up or the browser said something of the network (HBT-5).
pub const WAKE_PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// A frame that is not older than this needs no question after waking up.
pub const FRESH: Duration = Duration::from_secs(1);
/// A timer that fires later than this was held up by sleep.
pub const LATE: Duration = Duration::from_secs(2);
/// How long a receipt may take before the client sends again on another socket (SND-10).
pub const RECEIPT_TIMEOUT: Duration = Duration::from_secs(30);
/// A loss that comes so soon after a send may be its fault (SND-20).
pub const QUICK_LOSS: Duration = Duration::from_secs(5);
/// How long a send waits that lost a connection alone; twice as long each time (SND-20).
pub const HOLD_DELAY: Duration = Duration::from_secs(10);
/// Delay before a send that the server could not take is sent again, unless it says otherwise; four times as long each time
/// (ERR-2).
pub const RESEND_DELAY: Duration = Duration::from_secs(1);
/// The longest of these delays.
pub const MAX_RESEND_DELAY: Duration = Duration::from_secs(64);
/// Bytes of a message or an edit that may always be written: the least that a server takes in one frame (HEL-4, SND-22).
pub const SMALL_SEND: u32 = 4_096;
/// Bytes that wait in the socket below which a larger one is written: a line of 1 Mbit/s takes half a second for them (SND-22).
pub const MAX_BUFFERED: u32 = 65_536;
/// How often the client looks whether the socket has room again: no event of a browser tells it.
pub const ROOM_DELAY: Duration = Duration::from_millis(50);
/// Delay before a token is asked for again when a refresh failed.
pub const REFRESH_RETRY: Duration = Duration::from_secs(10);
