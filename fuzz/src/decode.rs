//! The core's reader of server frames: any bytes.

use agentwire::proto::{
    Text,
    wire::{Receipt, ServerFrame, decode},
};
use serde_json::Value;

use crate::MAX_INTEGER;

/// A key by which `serde_json`, built with raw values as the bridge needs it, takes a text for JSON of its own. A browser knows
/// nothing of it.
const OF_SERDE: &str = "$serde_json::private::RawValue";

/// Reads the bytes as a frame and checks the answer.
pub fn run(data: &[u8]) {
    // Texts of former inputs would fill the memory.
    Text::forget_all();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return };
    if value.to_string().contains(OF_SERDE) {
        return;
    }
    let answer = decode(&value);
    if let Ok(frame) = &answer {
        check_bounds(frame, text.len());
        assert!(value.is_object(), "what is no object was read as {frame:?}");
    }
    let again: Value = serde_json::from_str(&value.to_string()).expect("what was written is JSON");
    assert_eq!(decode(&again), answer, "read again, the frame is another");
    // GEN-3: a field that no version knows changes nothing, nor does one that only another type knows.
    if let Value::Object(members) = &mut value {
        members.insert("zz-unknown".into(), Value::Array(vec![Value::Null]));
        let foreign = match members.get("type").and_then(Value::as_str) {
            Some("deltas") => Some("events"),
            Some("events") => Some("head"),
            _ => None,
        };
        if let Some(foreign) = foreign {
            members.insert(foreign.into(), serde_json::json!({"type": "a"}));
        }
        assert_eq!(decode(&value), answer, "an unknown field changed the answer");
    }
}

/// Checks that numbers are in their ranges and that nothing in the frame is longer than the text it came from.
fn check_bounds(frame: &ServerFrame, len: usize) {
    let integer =
        |number: u64, min: u64| assert!((min..=MAX_INTEGER).contains(&number), "{number} in {frame:?}");
    let ch = |ch: u32| assert!((1..=u32::MAX >> 1).contains(&ch), "{frame:?}");
    let text = |text: Text, max: usize| {
        let text = text.as_rc();
        assert!(!text.is_empty() && text.len() <= max && text.len() <= len, "{frame:?}");
    };
    match frame {
        ServerFrame::CaughtUp { ch: number, offset, open_runs, seal } => {
            seal.iter().for_each(|seal| text(*seal, 128));
            ch(*number);
            integer(*offset, 0);
            let runs = open_runs.iter().flatten();
            assert!(runs.map(|run| run.as_rc().len() + 2).sum::<usize>() <= len, "{frame:?}");
        }
        ServerFrame::Error { code, retry_after_ms, req } => {
            text(*code, 64);
            assert!(retry_after_ms.is_none_or(|ms| ms <= 86_400_000), "{frame:?}");
            integer(req.unwrap_or(0), 0);
        }
        ServerFrame::Events { ch: number, first, count } => {
            ch(*number);
            integer(*first, 1);
            integer(*first + u64::from(*count) - 1, 1);
            assert!((1..=10_000).contains(count) && *count as usize <= len, "{frame:?}");
        }
        ServerFrame::Gap { ch: number, from, to, reason } => {
            ch(*number);
            integer(*from, 1);
            integer(*to, *from);
            text(*reason, 64);
        }
        ServerFrame::GoAway { reconnect_after_ms, spread_ms } => {
            assert!(*reconnect_after_ms <= 300_000 && *spread_ms <= 300_000, "{frame:?}");
        }
        ServerFrame::Heartbeat { heads, seals } => {
            for (number, seal) in seals {
                ch(*number);
                text(*seal, 128);
            }
            assert!(heads.len() <= len, "{frame:?}");
            for (number, head) in heads {
                ch(*number);
                integer(*head, 0);
            }
        }
        ServerFrame::History { req } => integer(*req, 0),
        ServerFrame::Ping { n } | ServerFrame::Pong { n } => integer(*n, 0),
        ServerFrame::Receipt(Receipt { id, stream, status, decision, error }) => {
            text(*id, 128);
            text(*stream, 256);
            text(*status, 64);
            if let Some(decision) = decision {
                text(*decision, 64);
            }
            if let Some(error) = error {
                assert!(error.retry_after_ms.is_none_or(|ms| ms <= 86_400_000), "{frame:?}");
            }
        }
        ServerFrame::Refreshed { token_expires_in_ms } => integer(token_expires_in_ms.unwrap_or(0), 0),
        ServerFrame::ReplayEnd { req, to, oldest } => {
            integer(*req, 0);
            integer(*to, 0);
            integer(*oldest, 1);
        }
        ServerFrame::Subscribed(answer) => {
            ch(answer.ch);
            text(answer.name, 256);
            text(answer.epoch, 64);
            integer(answer.oldest, 1);
            integer(answer.head, 0);
            assert!((answer.oldest..=answer.head + 1).contains(&answer.next), "{frame:?}");
            assert!(answer.base <= answer.head, "{frame:?}");
            assert!(answer.recovered || answer.reason.is_some(), "{frame:?}");
        }
        ServerFrame::Unsubscribed { ch: number, name, reason } => {
            ch(number.unwrap_or(1));
            assert!(number.is_some() || *reason != Text::EPOCH, "{frame:?}");
            text(*name, 256);
            text(*reason, 64);
        }
        ServerFrame::Welcome(welcome) => {
            text(welcome.session, 128);
            text(welcome.subject, 256);
            assert!((100..=300_000).contains(&welcome.heartbeat_ms), "{frame:?}");
            assert!((4_096..=16_777_216).contains(&welcome.max_frame_bytes), "{frame:?}");
            assert!((1..=10_000).contains(&welcome.max_streams), "{frame:?}");
            integer(welcome.send_horizon_ms, 0);
            integer(welcome.token_expires_in_ms.unwrap_or(0), 0);
        }
        ServerFrame::Notice | ServerFrame::Signal | ServerFrame::Unknown => {}
    }
}
