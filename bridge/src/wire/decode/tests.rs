use serde_json::json;

use super::*;

fn hello(streams: Value) -> Value {
    json!({
        "type": "hello", "token": "t", "client": {"name": "c", "version": "1"},
        "window": {"events": 512, "bytes": 262_144}, "streams": streams
    })
}

fn with(mut frame: Value, field: &str, value: Value) -> String {
    let pointer = format!("/{}", field.replace('.', "/"));
    *frame.pointer_mut(&pointer).unwrap() = value;
    frame.to_string()
}

fn without(mut frame: Value, field: &str) -> String {
    frame.as_object_mut().unwrap().remove(field).unwrap();
    frame.to_string()
}

/// One valid frame of each type.
fn valid() -> Vec<Value> {
    vec![
        hello(json!([
            {"name": "a"},
            {"name": "b", "position": {"epoch": "e", "offset": 0}, "seen": 1, "open": {"from": "live"}},
            {"name": "c", "open": {"last": 100_000}},
        ])),
        json!({"type": "subscribe", "streams": []}),
        json!({"type": "unsubscribe", "ch": 2_147_483_647}),
        json!({"type": "ack", "offsets": {"3": 142}}),
        json!({"type": "replay", "req": 0, "ch": 1, "from": 1, "to": 1}),
        json!({"type": "history", "req": 9, "stream": "s", "before": 120, "limit": 50}),
        json!({"type": "send", "id": "i", "stream": "s", "message": {"type": "user_message", "content": "hi"}}),
        json!({"type": "cancel", "id": "i", "stream": "s", "runId": "r"}),
        json!({"type": "approve", "id": "i", "stream": "s", "runId": "r", "approvalId": "a", "decision": "denied"}),
        json!({"type": "signal", "stream": "s", "signal": {"type": "typing"}}),
        json!({"type": "refresh", "token": "t"}),
        json!({"type": "ping", "n": 9_007_199_254_740_991_u64}),
        json!({"type": "pong", "n": 0}),
    ]
}

// PROTOCOL: GEN-2, GEN-3, GEN-4
#[test]
fn each_frame_is_read_and_each_missing_field_is_malformed() {
    for frame in valid() {
        assert!(matches!(decode(&frame.to_string()), Ok(Some(_))), "{frame}");
        for field in frame.as_object().unwrap().keys() {
            if ["type", "before"].contains(&field.as_str()) {
                continue;
            }
            assert!(decode(&without(frame.clone(), field)).is_err(), "{frame} without {field}");
            assert!(decode(&with(frame.clone(), field, Value::Null)).is_err(), "{frame} with null {field}");
            assert!(decode(&with(frame.clone(), field, json!([[]]))).is_err(), "{frame} with list {field}");
        }
        let mut more = frame.clone();
        more.as_object_mut().unwrap().insert("unknown".to_owned(), json!({"a": [1]}));
        assert_eq!(decode(&more.to_string()), decode(&frame.to_string()));
    }
}

// PROTOCOL: GEN-3
#[test]
fn unknown_types_are_ignored() {
    assert_eq!(decode(r#"{"type":"later","n":1e400}"#), Ok(None));
    assert_eq!(decode(r#"{"type":""}"#), Ok(None));
}

// PROTOCOL: GEN-2, GEN-4
#[test]
fn what_is_no_frame_is_malformed() {
    for text in ["", "nope", "[]", "null", "{", "{\"type\":\"ping\",\"n\":1}x", "\u{feff}{}"] {
        assert_eq!(decode(text), Err(Malformed::NotAnObject), "{text}");
    }
    for text in ["{}", r#"{"type":null}"#, r#"{"type":1}"#, r#"{"type":["ping"]}"#] {
        assert_eq!(decode(text), Err(Malformed::NoType), "{text}");
    }
}

// PROTOCOL: GEN-5, GEN-8
#[test]
fn integers_have_their_range() {
    let ping = |n: &str| decode(&format!(r#"{{"type":"ping","n":{n}}}"#));
    for n in ["0", "7", "7.0", "7e2", "-0", "9007199254740991"] {
        assert!(ping(n).is_ok(), "{n}");
    }
    for n in ["-1", "7.5", "1e400", "9007199254740992", "\"7\"", "true"] {
        assert!(ping(n).is_err(), "{n}");
    }
    for ch in ["0", "2147483648", "-1", "1.5", "1e400"] {
        assert!(decode(&format!(r#"{{"type":"unsubscribe","ch":{ch}}}"#)).is_err(), "{ch}");
    }
    for offsets in
        [r#"{"0":1}"#, r#"{"03":1}"#, r#"{"x":1}"#, r#"{"-3":1}"#, r#"{"3":-1}"#, r#"{"3":1.5}"#, "[]"]
    {
        assert!(decode(&format!(r#"{{"type":"ack","offsets":{offsets}}}"#)).is_err(), "{offsets}");
    }
    assert!(decode(r#"{"type":"replay","req":1,"ch":1,"from":0,"to":1}"#).is_err());
    assert!(decode(r#"{"type":"replay","req":1,"ch":1,"from":3,"to":2}"#).is_err());
    // The last of equal keys counts.
    assert_eq!(decode(r#"{"type":"ping","n":"x","n":2}"#), Ok(Some(ClientFrame::Ping { n: 2 })));
}

// PROTOCOL: GEN-5
#[test]
fn numbers_are_read_to_the_last_bit() {
    let largest = decode(r#"{"type":"ping","n":9007199254740991.0}"#);
    assert_eq!(largest, Ok(Some(ClientFrame::Ping { n: 9_007_199_254_740_991 })));
    let text = r#"{"type":"send","id":"i","stream":"s","message":{"type":"x","n":0.30000000000000004,"m":8.98846567431158e307}}"#;
    let Ok(Some(ClientFrame::Send { message, .. })) = decode(text) else { panic!("refused") };
    assert_eq!(
        Value::Object(message).to_string(),
        r#"{"m":8.98846567431158e+307,"n":0.30000000000000004,"type":"x"}"#
    );
}

// PROTOCOL: GEN-6
#[test]
fn texts_have_their_lengths() {
    let long = |bytes: usize| Value::from("x".repeat(bytes));
    let cancel = json!({"type": "cancel", "id": "i", "stream": "s", "runId": "r"});
    for (field, max) in [("id", 128), ("stream", 256), ("runId", 128)] {
        assert!(decode(&with(cancel.clone(), field, long(max))).is_ok(), "{field}");
        assert!(decode(&with(cancel.clone(), field, long(max + 1))).is_err(), "{field}");
        assert!(decode(&with(cancel.clone(), field, long(0))).is_err(), "{field}");
    }
    assert!(decode(&with(cancel, "stream", "a\u{0}b".into())).is_err());
    assert!(decode(&with(hello(json!([])), "token", long(16_384))).is_ok());
    assert!(decode(&with(hello(json!([])), "token", long(16_385))).is_err());
    let position = |bytes| hello(json!([{"name": "a", "position": {"epoch": long(bytes), "offset": 1}}]));
    assert!(decode(&position(64).to_string()).is_ok());
    assert!(decode(&position(65).to_string()).is_err());
}

// PROTOCOL: GEN-8
#[test]
fn texts_with_lone_surrogates_are_read() {
    let text = r#"{"type":"cancel","id":"\ud83d","stream":"\ud83d\ude00","runId":"r"}"#;
    let Ok(Some(ClientFrame::Cancel { send, .. })) = decode(text) else { panic!("refused") };
    assert_eq!((&*send.id, send.stream.as_str()), ("\u{fffd}", "\u{1f600}"));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(decode(&format!(r#"{{"type":"later","x":{deep}}}"#)), Err(Malformed::TooDeep));
}

// PROTOCOL: HEL-2, FLO-1, SUB-1, SUB-2
#[test]
fn requests_of_streams_are_checked() {
    for streams in [
        json!([{"name": "a"}, {"name": "a"}]),
        json!([{"name": "a", "open": {}}]),
        json!([{"name": "a", "open": {"from": "end"}}]),
        json!([{"name": "a", "open": {"from": "start", "last": 1}}]),
        json!([{"name": "a", "open": {"last": 0}}]),
        json!([{"name": "a", "open": {"last": 100_001}}]),
        json!([{"name": "a", "position": {"epoch": "e"}}]),
        json!([{"name": "a", "position": {"epoch": "", "offset": 1}}]),
        json!([{"name": "a", "position": null}]),
        json!([{"name": "a", "seen": 1}]),
        json!([{"name": "a", "position": {"epoch": "e", "offset": 5}, "seen": 5}]),
        json!([{"name": "a", "position": {"epoch": "e", "offset": 5}, "seen": 5.5}]),
        json!(["a"]),
        json!([{}]),
    ] {
        assert!(decode(&hello(streams.clone()).to_string()).is_err(), "{streams}");
    }
    for (field, value) in [
        ("window.events", json!(0)),
        ("window.events", json!(65_537)),
        ("window.bytes", json!(1_023)),
        ("window.bytes", json!(67_108_865)),
        ("client.name", json!(1)),
    ] {
        assert!(decode(&with(hello(json!([])), field, value)).is_err(), "{field}");
    }
    let mut features = hello(json!([]));
    features["features"] = json!([1]);
    assert!(decode(&features.to_string()).is_err());
}

#[test]
fn tokens_are_not_shown() {
    let frame = decode(r#"{"type":"refresh","token":"secret-text"}"#).unwrap().unwrap();
    assert!(!format!("{frame:?}").contains("secret-text"));
    let error = decode(r#"{"type":"refresh","token":["secret-text"]}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret-text"));
}

/// The frames that all parts of the project read alike.
// PROTOCOL: GEN-2, GEN-3, GEN-5, GEN-6, GEN-8
#[test]
fn vectors_of_the_protocol_hold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/protocol.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    let vectors: Value = serde_json::from_str(&text).unwrap();
    for vector in vectors["client_frames"].as_array().into_iter().flatten() {
        let name = &vector["name"];
        let answer = decode(vector["text"].as_str().unwrap());
        match vector["error"].as_str() {
            None => assert!(answer.is_ok(), "{name}: {answer:?}"),
            Some("bad_frame") => assert!(answer.is_err(), "{name}: {answer:?}"),
            // Other codes are answers of a session, not of the decoder.
            Some(_) => assert!(answer.is_ok(), "{name}: {answer:?}"),
        }
    }
}
