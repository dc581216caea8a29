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
    /// Bound of the delay before the first attempt after a loss; it doubles with each attempt. Defaults to 500 ms.
    pub backoff_base: Duration,
    /// Upper bound of the delay between two attempts. Defaults to 20 s.
    pub backoff_max: Duration,
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
            backoff_max: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            token_timeout: Duration::from_secs(30),
            subject: None,
        }
    }
}

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
/// How long a replay request may go without an answer (RPL-5).
pub const REPLAY_TIMEOUT: Duration = Duration::from_secs(5);
/// Replay requests open at once (RPL-2).
pub const MAX_REPLAYS: usize = 8;
/// Frames out of order that a stream keeps (RPL-6).
pub const MAX_PARKED: usize = 64;
/// Refusals of a token in a row after which the client stops (CLS-3).
pub const MAX_TOKEN_REFUSALS: u32 = 3;
/// The shortest silence that counts as death (HBT-2).
pub const MIN_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a receipt may take before the client sends again on another socket (SND-10).
pub const RECEIPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Delay before a send that the server could not take is sent again, unless it says otherwise (ERR-2).
pub const RESEND_DELAY: Duration = Duration::from_secs(1);
/// Delay before a token is asked for again when a refresh failed.
pub const REFRESH_RETRY: Duration = Duration::from_secs(10);
