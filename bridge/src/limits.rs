//! What the bridge bounds, and how.

use std::time::Duration;

use serde::Deserialize;

/// Least silence after which a socket is given up by default.
const MIN_IDLE: Duration = Duration::from_secs(30);

/// Bounds of a bridge. Each has a default that fits one process in front of a few thousand pages.
///
/// ```
/// use std::time::Duration;
/// use agentwire_bridge::Limits;
///
/// let limits = Limits { heartbeat: Duration::from_secs(5), ..Limits::default() };
/// assert!(limits.check().is_ok());
/// ```
///
/// [`Limits::memory`] says what they can cost in bytes.
///
/// With serde it is read from a map of what differs from the defaults. Times are whole milliseconds, and an unknown name is
/// an error: `{"max_connections": 500, "heartbeat": 5000}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sockets that were welcomed and are open; one more is closed with 4455. 1 to 1,000,000, defaults to 10,000.
    pub max_connections: usize,
    /// Of these, sockets of one user; one more is closed with 4455. One whose page vanished without a close counts for
    /// `idle_timeout`. 1 to 1,000,000, defaults to 16.
    pub max_connections_per_user: usize,
    /// Sockets whose token is not known to be valid yet, beside `max_connections`. One more takes the place of the one
    /// that waits for longest without its `hello`, which is closed with 4455; it is closed itself when all have sent
    /// theirs. 1 to 1,000,000, defaults to 1,000.
    pub max_opening: usize,
    /// Connections that are served at once beside the sockets: requests, and handshakes that are under way. One more is
    /// answered with 503, as are all that would leave the process too few descriptors. [`Bridge::serve`](crate::Bridge::serve)
    /// only. 1 to 1,000,000, defaults to 1,000.
    pub max_requests: usize,
    /// Connections from one address, which for IPv6 is a /64; one more is answered with 503. Those from loopback and
    /// private addresses are not counted: they come from a proxy. [`Bridge::serve`](crate::Bridge::serve) only. 1 to
    /// 1,000,000, defaults to 256.
    pub max_connections_per_address: usize,
    /// How long the head of a request may take, and how long a connection may wait for the next one.
    /// [`Bridge::serve`](crate::Bridge::serve) only. 10 milliseconds to 300 seconds, defaults to 10 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub header_timeout: Duration,
    /// How long the body of a request may take once it is waited for. [`Bridge::serve`](crate::Bridge::serve) only. 10
    /// milliseconds to 1 hour, defaults to 30 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub body_timeout: Duration,
    /// Streams of one socket. As many streams of one frame may be refused after a check of the rights; the rest are
    /// refused as `too_many_streams` without a check. 1 to 10,000, defaults to 64.
    pub max_streams: usize,
    /// Largest frame in either direction, in bytes. Heads that do not fit into one heartbeat come in several. A
    /// `caughtUp` names the open runs of its stream if they fit and are at most 1,000, and otherwise none of them.
    /// 4,096 to 16,777,216, defaults to 1,048,576.
    pub max_frame_bytes: usize,
    /// Bytes of events that one frame aims at; a single larger event goes alone. 1,024 to 1,048,576, defaults to 65,536.
    pub page_bytes: usize,
    /// Most events of one frame. 1 to 10,000, defaults to 512.
    pub page_events: usize,
    /// How long live events wait for others to share a frame, from the frame before on: one that comes alone goes out at
    /// once. 0 to 1 second, defaults to 4 milliseconds.
    #[serde(deserialize_with = "in_millis")]
    pub live_batch: Duration,
    /// Time between two heartbeats. 100 milliseconds to 300 seconds, defaults to 15 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub heartbeat: Duration,
    /// The longest step of a page's backoff, which the `welcome` names. 1 to 60 seconds; `None`, the default, derives it from the
    /// number of connections of this process: 1 s up to 20 of them, 2 s at 100, 15 s at 10,000.
    #[serde(deserialize_with = "in_optional_millis")]
    pub backoff_max: Option<Duration>,
    /// How long a socket may be silent after a ping of the transport before it is given up: each heartbeat comes with
    /// one, and browsers answer by themselves. A frame is heard when it is whole. 100 milliseconds to 1 hour; `None`, the
    /// default, is 3 heartbeats, but 30 seconds at the least.
    #[serde(deserialize_with = "in_optional_millis")]
    pub idle_timeout: Option<Duration>,
    /// How long a new socket may take to send `hello`. 10 milliseconds to 60 seconds, defaults to 10 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub hello_timeout: Duration,
    /// How long an authenticator or an authorizer may take for one answer; later is `unavailable`. The socket that asked
    /// waits meanwhile, its heartbeats included. 10 milliseconds to 60 seconds, defaults to 5 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub auth_timeout: Duration,
    /// How long the log may take for one read or one commit; later is `unavailable`. 10 milliseconds to 300 seconds,
    /// defaults to 15 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub log_timeout: Duration,
    /// Bytes of frames that may wait for one socket that does not read as fast as it is written to; the largest frame may
    /// wait in any case. As many bytes of answers may wait beside them: then the socket is not read, and closed with 4455
    /// if one frame has asked for more. A socket that does not read costs up to twice this much, about 8 kB more, and the buffers of the system.
    /// 4,096 to 1 GiB, defaults to 262,144.
    pub max_buffered_bytes: usize,
    /// The same for all sockets of one user; beyond it, one frame may wait for each. 4,096 to 1 GiB, defaults to 4,194,304.
    pub max_buffered_bytes_per_user: usize,
    /// The same for all sockets. 4,096 to 64 GiB, defaults to 268,435,456.
    pub max_buffered_bytes_in_total: usize,
    /// How long one write to a socket may take before it is closed. 10 milliseconds to 300 seconds, defaults to 30 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub write_timeout: Duration,
    /// How long ids of sends are remembered from their receipt; 15 minutes are added to it. 0 to 365 days, defaults to 24 hours.
    #[serde(deserialize_with = "in_millis")]
    pub send_horizon: Duration,
    /// Bytes that the sockets of one user may send in a second, over time; four seconds of them, and four frames of the
    /// largest size, may come at once. What is beyond it is not read before its time. 1,024 to 1 GiB, defaults to
    /// 1,048,576.
    pub max_bytes_per_second: usize,
    /// Frames and pings that the sockets of one user may send in a second, over time; four seconds of them may come at
    /// once. What is beyond it is not read before its time; a request of `GET /v1/threads/{thread}/events`, which counts
    /// as one, is answered with 429. 1 to 1,000,000, defaults to 1,000.
    pub max_frames_per_second: usize,
    /// Bytes that messages which are not whole may take in all, beyond the first 65,536 bytes of each. What is beyond it
    /// is not read before another message is whole; two of each user are read at once. `max_frame_bytes` to 64 GiB,
    /// defaults to 67,108,864.
    pub max_large_bytes_in_total: usize,
    /// Sends, cancels and approvals of one user in a minute, over time; as many may come at once. One more is rejected
    /// as `overloaded`, with the time after which there is room. 1 to 1,000,000, defaults to 600.
    pub max_sends_per_minute: usize,
    /// Messages of one stream that wait for an agent; one more is rejected as `overloaded`. Each can be withdrawn. 1 to
    /// 1,000,000, defaults to 100.
    pub max_waiting_messages: usize,
    /// Sends, cancels and approvals of one socket that wait for the log; at the limit the socket is not read. The same
    /// limit holds for rejected ones that must be sent again (SND-9); one more closes the socket with 4455. 1 to
    /// 65,536, defaults to 256.
    pub max_pending_sends: usize,
    /// Bytes of JSON that the payload, the edited arguments and the reason of one answer to an approval have together; one
    /// with more is rejected as `invalid_answer`. 1,024 to 1,048,576, defaults to 65,536.
    pub max_answer_bytes: usize,
    /// Streams that the sends, cancels and approvals of one user may begin: this many at once, refilled evenly over an
    /// hour. One more is rejected until there is room. Reading a stream never begins it. A stream that exists costs
    /// about 200 bytes of the log, and up to 1 kB of memory while it is in use. 1 to 1,000,000, defaults to 1,000.
    pub new_streams_per_hour: usize,
    /// How long a signal is worth showing. 1 millisecond to 60 seconds, defaults to 5 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub signal_expiry: Duration,
    /// Turns that agents work on at once, over all streams. One that waits for a person in
    /// [`Run::ask`](crate::Run::ask) does not count. 1 to 65,536, defaults to 64.
    pub max_concurrent_turns: usize,
    /// Of these, turns for messages of one user; the others of that user wait, those of other users go first. A user
    /// has at most 8 times as many turns in all, with those that wait for a person. A turn that goes on without a
    /// permit, because its question was cancelled or dropped, counts for its user alone. 1 to 65,536, defaults to 8.
    pub max_concurrent_turns_per_user: usize,
    /// Recent events that a watched stream keeps in memory. 0 to 1,000,000, defaults to 1,024.
    pub cache_events: usize,
    /// Bytes of recent events that a watched stream keeps in memory. 0 to 1 GiB, defaults to 1,048,576.
    pub cache_bytes: usize,
    /// The same for all streams, with the frames that several sockets share. A stream that grows beyond it keeps none of
    /// its own. 0 to 64 GiB, defaults to 268,435,456.
    pub cache_bytes_in_total: usize,
    /// Most events that one answer of `GET /v1/threads/{thread}/events` holds. 1 to 10,000, defaults to 1,000.
    pub http_page_events: usize,
    /// What `goaway` asks pages to wait before they reconnect. 0 to 300 seconds, defaults to 1 second.
    #[serde(deserialize_with = "in_millis")]
    pub goaway_reconnect_after: Duration,
    /// Over what time `goaway` spreads the reconnects. 0 to 300 seconds, defaults to 5 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub goaway_spread: Duration,
    /// How long a shutdown waits for sockets and commits. 10 milliseconds to 300 seconds, defaults to 10 seconds.
    #[serde(deserialize_with = "in_millis")]
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_user: 16,
            max_opening: 1_000,
            max_requests: 1_000,
            max_connections_per_address: 256,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            max_streams: 64,
            max_frame_bytes: 1_048_576,
            page_bytes: 65_536,
            page_events: 512,
            live_batch: Duration::from_millis(4),
            heartbeat: Duration::from_secs(15),
            backoff_max: None,
            idle_timeout: None,
            hello_timeout: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(5),
            log_timeout: Duration::from_secs(15),
            max_buffered_bytes: 262_144,
            max_buffered_bytes_per_user: 4_194_304,
            max_buffered_bytes_in_total: 268_435_456,
            write_timeout: Duration::from_secs(30),
            send_horizon: Duration::from_secs(24 * 3600),
            max_bytes_per_second: 1_048_576,
            max_frames_per_second: 1_000,
            max_large_bytes_in_total: 67_108_864,
            max_sends_per_minute: 600,
            max_waiting_messages: 100,
            max_pending_sends: 256,
            max_answer_bytes: 65_536,
            new_streams_per_hour: 1_000,
            signal_expiry: Duration::from_secs(5),
            max_concurrent_turns: 64,
            max_concurrent_turns_per_user: 8,
            cache_events: 1_024,
            cache_bytes: 1_048_576,
            cache_bytes_in_total: 268_435_456,
            http_page_events: 1_000,
            goaway_reconnect_after: Duration::from_secs(1),
            goaway_spread: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

fn in_millis<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn in_optional_millis<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
}

/// A limit outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {name} is {value} {unit}; it must be {min} to {max}")]
pub struct LimitError {
    name: &'static str,
    unit: &'static str,
    value: u128,
    min: u128,
    max: u128,
}

impl Limits {
    /// How long a socket may be silent, with the default worked out.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout.unwrap_or_else(|| (self.heartbeat * 3).max(MIN_IDLE))
    }

    /// Checks every limit against its range.
    pub fn check(&self) -> Result<(), LimitError> {
        let counts = [
            ("max_connections", self.max_connections, 1, 1_000_000, "connections"),
            ("max_connections_per_user", self.max_connections_per_user, 1, 1_000_000, "connections"),
            ("max_opening", self.max_opening, 1, 1_000_000, "sockets"),
            ("max_requests", self.max_requests, 1, 1_000_000, "connections"),
            ("max_connections_per_address", self.max_connections_per_address, 1, 1_000_000, "connections"),
            ("max_streams", self.max_streams, 1, 10_000, "streams"),
            ("max_frame_bytes", self.max_frame_bytes, 4_096, 16_777_216, "bytes"),
            ("page_bytes", self.page_bytes, 1_024, 1_048_576, "bytes"),
            ("page_events", self.page_events, 1, 10_000, "events"),
            ("max_bytes_per_second", self.max_bytes_per_second, 1_024, 1 << 30, "bytes"),
            ("max_frames_per_second", self.max_frames_per_second, 1, 1_000_000, "frames"),
            (
                "max_large_bytes_in_total",
                self.max_large_bytes_in_total,
                self.max_frame_bytes as i64,
                1 << 36,
                "bytes",
            ),
            ("max_sends_per_minute", self.max_sends_per_minute, 1, 1_000_000, "sends"),
            ("max_waiting_messages", self.max_waiting_messages, 1, 1_000_000, "messages"),
            ("max_pending_sends", self.max_pending_sends, 1, 65_536, "sends"),
            ("max_answer_bytes", self.max_answer_bytes, 1_024, 1_048_576, "bytes"),
            ("max_buffered_bytes", self.max_buffered_bytes, 4_096, 1 << 30, "bytes"),
            ("max_buffered_bytes_per_user", self.max_buffered_bytes_per_user, 4_096, 1 << 30, "bytes"),
            ("max_buffered_bytes_in_total", self.max_buffered_bytes_in_total, 4_096, 1_i64 << 36, "bytes"),
            ("new_streams_per_hour", self.new_streams_per_hour, 1, 1_000_000, "streams"),
            ("max_concurrent_turns", self.max_concurrent_turns, 1, 65_536, "turns"),
            ("max_concurrent_turns_per_user", self.max_concurrent_turns_per_user, 1, 65_536, "turns"),
            ("cache_events", self.cache_events, 0, 1_000_000, "events"),
            ("cache_bytes", self.cache_bytes, 0, 1 << 30, "bytes"),
            ("cache_bytes_in_total", self.cache_bytes_in_total, 0, 1 << 36, "bytes"),
            ("http_page_events", self.http_page_events, 1, 10_000, "events"),
        ];
        for (name, value, min, max, unit) in counts {
            within(name, unit, value as u128, min as u128, max as u128)?;
        }
        let durations = [
            ("live_batch", self.live_batch, 0, 1_000),
            ("heartbeat", self.heartbeat, 100, 300_000),
            ("backoff_max", self.backoff_max.unwrap_or(Duration::from_secs(1)), 1_000, 60_000),
            ("idle_timeout", self.idle_timeout(), 100, 3_600_000),
            ("header_timeout", self.header_timeout, 10, 300_000),
            ("body_timeout", self.body_timeout, 10, 3_600_000),
            ("hello_timeout", self.hello_timeout, 10, 60_000),
            ("auth_timeout", self.auth_timeout, 10, 60_000),
            ("log_timeout", self.log_timeout, 10, 300_000),
            ("write_timeout", self.write_timeout, 10, 300_000),
            ("send_horizon", self.send_horizon, 0, 365 * 24 * 3_600_000),
            ("signal_expiry", self.signal_expiry, 1, 60_000),
            ("goaway_reconnect_after", self.goaway_reconnect_after, 0, 300_000),
            ("goaway_spread", self.goaway_spread, 0, 300_000),
            ("shutdown_timeout", self.shutdown_timeout, 10, 300_000),
        ];
        for (name, value, min, max) in durations {
            within(name, "milliseconds", value.as_millis(), min, max)?;
        }
        Ok(())
    }
}

fn within(
    name: &'static str,
    unit: &'static str,
    value: u128,
    min: u128,
    max: u128,
) -> Result<(), LimitError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(LimitError { name, unit, value, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_others_are_named() {
        assert_eq!(Limits::default().check(), Ok(()));
        let error = Limits { max_frame_bytes: 100, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "limit max_frame_bytes is 100 bytes; it must be 4096 to 16777216");
        let error = Limits { heartbeat: Duration::ZERO, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "limit heartbeat is 0 milliseconds; it must be 100 to 300000");
        let error = Limits { idle_timeout: Some(Duration::ZERO), ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "limit idle_timeout is 0 milliseconds; it must be 100 to 3600000");
    }

    #[test]
    fn limits_are_read_from_a_map_of_what_differs() {
        let read = serde_json::from_str::<Limits>;
        let expected = Limits {
            max_streams: 3,
            heartbeat: Duration::from_secs(1),
            backoff_max: None,
            ..Limits::default()
        };
        assert_eq!(read(r#"{"max_streams":3,"heartbeat":1000,"backoff_max":null}"#).unwrap(), expected);
        let backoff_max = Some(Duration::from_secs(2));
        assert_eq!(read(r#"{"backoff_max":2000}"#).unwrap(), Limits { backoff_max, ..Limits::default() });
        let error = read(r#"{"max_stream":3}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `max_stream`"), "{error}");
        assert!(read(r#"{"heartbeat":-1}"#).is_err());
    }

    #[test]
    fn silence_is_three_heartbeats_and_half_a_minute_at_the_least() {
        let idle = |heartbeat, idle_timeout| {
            let heartbeat = Duration::from_secs(heartbeat);
            Limits { heartbeat, idle_timeout, ..Limits::default() }.idle_timeout().as_secs()
        };
        assert_eq!([idle(1, None), idle(10, None), idle(15, None), idle(300, None)], [30, 30, 45, 900]);
        assert_eq!(idle(15, Some(Duration::from_secs(7))), 7);
    }
}
