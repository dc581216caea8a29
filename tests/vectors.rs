//! What the core makes of each frame in `vectors/protocol.json`.

mod support;

use agentwire::proto::wire::{ServerFrame, decode};
use serde_json::Value;

fn kind(frame: &ServerFrame) -> &'static str {
    match frame {
        ServerFrame::CaughtUp { .. } => "caughtUp",
        ServerFrame::Error { .. } => "error",
        ServerFrame::Events { .. } => "events",
        ServerFrame::Gap { .. } => "gap",
        ServerFrame::GoAway { .. } => "goaway",
        ServerFrame::Heartbeat { .. } => "heartbeat",
        ServerFrame::History { .. } => "history",
        ServerFrame::Notice => "notice",
        ServerFrame::Ping { .. } => "ping",
        ServerFrame::Pong { .. } => "pong",
        ServerFrame::Receipt(_) => "receipt",
        ServerFrame::Refreshed { .. } => "refreshed",
        ServerFrame::ReplayEnd { .. } => "replayEnd",
        ServerFrame::Signal => "signal",
        ServerFrame::Subscribed(_) => "subscribed",
        ServerFrame::Unsubscribed { .. } => "unsubscribed",
        ServerFrame::Unknown => "unknown",
        ServerFrame::Welcome(_) => "welcome",
    }
}

#[test]
fn every_server_frame_is_read_or_refused_as_the_vectors_say() {
    // PROTOCOL: GEN-2, GEN-3, GEN-4, GEN-5, GEN-6, GEN-8, HEL-4, SUB-3, SUB-11, EVT-1, EVT-7, DLT-1, GAP-2, HBT-1, RPL-1, SND-1, TOK-1, SIG-1, NTC-1, NTC-2, ERR-1
    let vectors: Value =
        serde_json::from_str(include_str!("vectors/protocol.json")).expect("the vectors are JSON");
    let cases = vectors["server_frames"].as_array().expect("a list");
    assert!(cases.len() > 100, "{} cases", cases.len());
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let text = case["text"].as_str().expect("a text");
        let parsed = serde_json::from_str::<Value>(text);
        match (case["kind"].as_str(), case["error"].as_str()) {
            (Some(expected), None) => {
                let Some(expected) = expected.strip_suffix(":browser").map_or(Some(expected), |_| None)
                else {
                    // serde_json refuses what JSON.parse reads: the browser's tests cover it.
                    assert!(parsed.is_err(), "{name}");
                    continue;
                };
                let value = parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
                match decode(&value) {
                    Ok(frame) => assert_eq!(kind(&frame), expected, "{name}"),
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            (None, Some(field)) => {
                let Ok(value) = parsed else {
                    assert_eq!(field, "any", "{name}: not JSON");
                    continue;
                };
                let error = decode(&value).expect_err(name);
                // What contradicts itself names the fields in its text.
                let words: Vec<_> = error.to_string().split([' ', ':', ',']).map(str::to_owned).collect();
                assert!(
                    field == "any" || words.contains(&field.to_owned()),
                    "{name}: {error}, expected {field}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn deltas_expand_as_the_vectors_say() {
    // PROTOCOL: DLT-1, DLT-2
    let vectors: Value =
        serde_json::from_str(include_str!("vectors/protocol.json")).expect("the vectors are JSON");
    for case in vectors["deltas"].as_array().expect("a list") {
        assert_eq!(Value::Array(support::expand(&case["frame"])), case["events"], "{}", case["name"]);
    }
}
