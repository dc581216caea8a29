//! Frames of the bridge.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::deltas::{self, Cut};
use crate::stream::Position;

/// A frame of the bridge; `events` alone is built by [`events`].
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum ServerFrame<'a> {
    CaughtUp {
        ch: u32,
        offset: u64,
        /// `None` when they are too many to name.
        #[serde(skip_serializing_if = "Option::is_none")]
        open_runs: Option<&'a [Arc<str>]>,
        seal: &'a str,
    },
    Error {
        code: &'a str,
        message: &'a str,
        retryable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        remediation: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        req: Option<u64>,
    },
    Gap {
        ch: u32,
        from: u64,
        to: u64,
        reason: &'a str,
    },
    Goaway {
        reason: &'a str,
        reconnect_after_ms: u64,
        spread_ms: u64,
    },
    Heartbeat {
        heads: BTreeMap<u32, u64>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        seals: BTreeMap<u32, &'a str>,
    },
    Pong {
        n: u64,
    },
    Receipt {
        id: &'a str,
        stream: &'a str,
        status: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<&'a Position>,
        #[serde(skip_serializing_if = "Option::is_none")]
        decision: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Rejection<'a>>,
    },
    Refreshed {
        #[serde(skip_serializing_if = "Option::is_none")]
        token_expires_in_ms: Option<u64>,
    },
    ReplayEnd {
        req: u64,
        to: u64,
        oldest: u64,
    },
    Signal {
        stream: &'a str,
        from: &'a str,
        signal: &'a RawValue,
        expires_in_ms: u64,
    },
    Subscribed {
        ch: u32,
        name: &'a str,
        epoch: &'a str,
        /// The head at which the epoch began; `None` for 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<u64>,
        oldest: u64,
        head: u64,
        next: u64,
        recovered: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        ch: Option<u32>,
        name: &'a str,
        reason: &'a str,
    },
    Welcome {
        session: &'a str,
        subject: &'a str,
        heartbeat_ms: u64,
        max_frame_bytes: usize,
        max_streams: usize,
        send_horizon_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        token_expires_in_ms: Option<u64>,
        backoff_max_ms: u64,
        time: u64,
        features: [&'a str; 0],
    },
}

/// Why a send was rejected (SND-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rejection<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) retryable: bool,
    pub(crate) remediation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
}

impl<'a> Rejection<'a> {
    /// One that sending again does not change.
    pub(crate) const fn final_one(code: &'a str, message: &'a str, remediation: &'a str) -> Self {
        Self { code, message, retryable: false, remediation, retry_after_ms: None }
    }
}

impl ServerFrame<'_> {
    /// The text of the frame.
    pub(crate) fn encode(&self) -> String {
        // Every key is text, and no value can fail.
        serde_json::to_string(self).expect("frames are plain data")
    }
}

/// Longest `heartbeat` without its heads, and longest head and seal in it, in bytes.
const HEARTBEAT_BYTES: usize = r#"{"type":"heartbeat","heads":{},"seals":{}}"#.len();
const HEAD_BYTES: usize =
    r#""2147483647":9007199254740991,"2147483647":"9007199254740991.0123456789012345678901","#.len();

/// The heads of streams and their seals: one frame, or several if one would be larger than `max_frame_bytes` (HBT-1).
pub(crate) fn heartbeats(heads: &[(u32, u64, String)], max_frame_bytes: usize) -> Vec<String> {
    let most = ((max_frame_bytes - HEARTBEAT_BYTES) / HEAD_BYTES).max(1);
    let frame = |heads: &[(u32, u64, String)]| {
        let seals = heads.iter().map(|(ch, _, seal)| (*ch, seal.as_str())).collect();
        let heads = heads.iter().map(|(ch, head, _)| (*ch, *head)).collect();
        ServerFrame::Heartbeat { heads, seals }.encode()
    };
    let mut frames: Vec<_> = heads.chunks(most).map(frame).collect();
    if frames.is_empty() {
        frames.push(frame(&[]));
    }
    frames
}

/// A `caughtUp` frame. With runs that make it larger than `max_frame_bytes` it names none (SUB-10).
pub(crate) fn caught_up(
    ch: u32,
    offset: u64,
    seal: &str,
    open_runs: Option<&[Arc<str>]>,
    max_frame_bytes: usize,
) -> String {
    let frame = ServerFrame::CaughtUp { ch, offset, open_runs, seal }.encode();
    if open_runs.is_some() && frame.len() <= max_frame_bytes {
        return frame;
    }
    tracing::warn!(ch, offset, "too many runs are open: a `caughtUp` does not name them");
    ServerFrame::CaughtUp { ch, offset, open_runs: None, seal }.encode()
}

/// The next frame of these events, and how many of them it has. `reads_deltas`: whether the page reads them (DLT-2).
pub(crate) fn next_events(ch: u32, first: u64, bodies: &[Arc<str>], reads_deltas: bool) -> (String, usize) {
    next(Some(ch), first, bodies, reads_deltas)
}

/// A list of such frames for all of the events, without a `ch`: outside a socket it has no meaning.
pub(crate) fn event_frames(first: u64, bodies: &[Arc<str>]) -> String {
    let (mut frames, mut at) = (String::from("["), 0);
    while at < bodies.len() {
        let (frame, count) = next(None, first + at as u64, &bodies[at..], true);
        if at > 0 {
            frames.push(',');
        }
        frames.push_str(&frame);
        at += count;
    }
    frames.push(']');
    frames
}

fn next(ch: Option<u32>, first: u64, bodies: &[Arc<str>], reads_deltas: bool) -> (String, usize) {
    let cut = if reads_deltas { deltas::cut(bodies) } else { Cut::Events(bodies.len()) };
    match cut {
        Cut::Events(count) => (events(ch, first, &bodies[..count]), count),
        Cut::Deltas(count) => (deltas(ch, first, &bodies[..count]), count),
    }
}

/// An `events` frame, put together from the texts of the log, with its keys in the order of EVT-2.
fn events(ch: Option<u32>, first: u64, bodies: &[Arc<str>]) -> String {
    let bytes: usize = bodies.iter().map(|body| body.len() + 1).sum();
    let mut frame = begin("events", ch, first, bodies.len(), bytes);
    frame.push_str(r#""events":["#);
    for (index, body) in bodies.iter().enumerate() {
        if index > 0 {
            frame.push(',');
        }
        frame.push_str(body);
    }
    frame.push_str("]}");
    frame
}

/// A `deltas` frame, of events that [`deltas::cut`] has found.
fn deltas(ch: Option<u32>, first: u64, bodies: &[Arc<str>]) -> String {
    let bytes = bodies.first().map_or(0, |body| body.len()) + 40 * bodies.len();
    let mut frame = begin("deltas", ch, first, bodies.len(), bytes);
    deltas::write_lists(&mut frame, bodies);
    frame.push('}');
    frame
}

/// What stands before the events of a frame. `bytes`: how many follow.
fn begin(kind: &str, ch: Option<u32>, first: u64, count: usize, bytes: usize) -> String {
    let mut frame = String::with_capacity(bytes + crate::event::FRAME_OVERHEAD);
    let _ = write!(frame, r#"{{"type":"{kind}","#);
    if let Some(ch) = ch {
        let _ = write!(frame, r#""ch":{ch},"#);
    }
    let _ = write!(frame, r#""first":{first},"count":{count},"#);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    // PROTOCOL: EVT-1, EVT-2
    #[test]
    fn events_keep_the_texts_of_the_log_and_the_order_of_keys() {
        let bodies: [Arc<str>; 2] = [r#"{"type":"a","x":1.0}"#.into(), r#"{"type":"b"}"#.into()];
        let expected =
            r#"{"type":"events","ch":3,"first":101,"count":2,"events":[{"type":"a","x":1.0},{"type":"b"}]}"#;
        assert_eq!(events(Some(3), 101, &bodies), expected);
        let longest = events(Some(u32::MAX >> 1), (1 << 53) - 1, &[]);
        assert!(longest.len() <= crate::event::FRAME_OVERHEAD);
    }

    // PROTOCOL: HBT-1, GEN-7
    #[test]
    fn heads_are_spread_over_as_many_heartbeats_as_they_need() {
        assert_eq!(heartbeats(&[], 4_096), [r#"{"type":"heartbeat","heads":{}}"#]);
        let seal = format!("9007199254740991.{}", "x".repeat(22));
        for count in [1, 46, 47, 48, 10_000_u32] {
            let heads: Vec<_> =
                (0..count).map(|n| ((u32::MAX >> 1) - n, (1 << 53) - 1, seal.clone())).collect();
            let frames = heartbeats(&heads, 4_096);
            assert!(frames.iter().all(|frame| frame.len() <= 4_096));
            let named: usize = frames
                .iter()
                .map(|frame| {
                    frame.matches("9007199254740991,").count() + frame.matches("9007199254740991}").count()
                })
                .sum();
            assert_eq!(named, heads.len());
            assert_eq!(frames.len(), heads.len().div_ceil(47));
        }
    }

    // PROTOCOL: SUB-10, GEN-7
    #[test]
    fn a_list_of_runs_is_sent_whole_or_not_at_all() {
        let open_runs: Vec<Arc<str>> = vec!["r1".into(), "r2".into()];
        let whole = r#"{"type":"caughtUp","ch":3,"offset":7,"openRuns":["r1","r2"],"seal":"7.x"}"#;
        let none = r#"{"type":"caughtUp","ch":3,"offset":7,"seal":"7.x"}"#;
        assert_eq!(caught_up(3, 7, "7.x", Some(&open_runs), whole.len()), whole);
        assert_eq!(caught_up(3, 7, "7.x", Some(&open_runs), whole.len() - 1), none);
        assert_eq!(caught_up(3, 7, "7.x", None, 4_096), none);
        assert_eq!(
            caught_up(3, 7, "7.x", Some(&[]), 4_096),
            r#"{"type":"caughtUp","ch":3,"offset":7,"openRuns":[],"seal":"7.x"}"#
        );
    }

    #[test]
    fn frames_look_as_in_the_protocol() {
        let open_runs: [Arc<str>; 1] = ["r1".into()];
        for (frame, expected) in [
            (
                ServerFrame::CaughtUp { ch: 3, offset: 142, open_runs: Some(&open_runs), seal: "142.x" },
                r#"{"type":"caughtUp","ch":3,"offset":142,"openRuns":["r1"],"seal":"142.x"}"#,
            ),
            (
                ServerFrame::Gap { ch: 3, from: 143, to: 150, reason: "trimmed" },
                r#"{"type":"gap","ch":3,"from":143,"to":150,"reason":"trimmed"}"#,
            ),
            (
                ServerFrame::Unsubscribed { ch: Some(3), name: "thread-42", reason: "epoch" },
                r#"{"type":"unsubscribed","ch":3,"name":"thread-42","reason":"epoch"}"#,
            ),
            (
                ServerFrame::Heartbeat { heads: [(3, 142)].into(), seals: [(3, "142.x")].into() },
                r#"{"type":"heartbeat","heads":{"3":142},"seals":{"3":"142.x"}}"#,
            ),
            (
                ServerFrame::ReplayEnd { req: 7, to: 140, oldest: 1 },
                r#"{"type":"replayEnd","req":7,"to":140,"oldest":1}"#,
            ),
            (
                ServerFrame::Goaway { reason: "deploy", reconnect_after_ms: 1000, spread_ms: 5000 },
                r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":1000,"spreadMs":5000}"#,
            ),
        ] {
            assert_eq!(frame.encode(), expected);
        }
    }
}
