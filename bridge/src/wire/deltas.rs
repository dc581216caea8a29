//! Pieces of a text as one `deltas` frame (DLT-1): what all of them share is written once.

use std::sync::Arc;

/// Fewest pieces of a `deltas` frame: fewer save less than a frame of their own costs a page.
const MIN_RUN: usize = 8;

/// Types whose events are looked at.
const TYPES: [&str; 2] = [r#"{"type":"message_delta","#, r#"{"type":"tool_args_delta","#];

/// Most fields of an event that is looked at.
const MAX_FIELDS: usize = 8;

/// Digits of a time that no page reads wrong (GEN-5).
const TIME_DIGITS: usize = 15;

/// How many of the next events make one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// So many as they are.
    Events(usize),
    /// So many as deltas.
    Deltas(usize),
}

/// Whether a frame of deltas comes next, or one of events, and how long it is. `bodies` is not empty.
pub(super) fn cut(bodies: &[Arc<str>]) -> Cut {
    let mut at = 0;
    while at + MIN_RUN <= bodies.len() {
        let run = run(&bodies[at..]);
        match run {
            MIN_RUN.. if at == 0 => return Cut::Deltas(run),
            MIN_RUN.. => return Cut::Events(at),
            _ => at += run.max(1),
        }
    }
    Cut::Events(bodies.len())
}

/// `head`, `times` and `texts` of a frame of events that [`cut`] has found. Each event is taken apart once.
pub(super) fn write_lists(frame: &mut String, bodies: &[Arc<str>]) {
    let mut texts = String::new();
    for (index, delta) in bodies.iter().filter_map(|body| Delta::of(body)).enumerate() {
        if index == 0 {
            frame.push_str(r#""head":{"#);
            frame.push_str(&delta.rest[..delta.fields].join(","));
            frame.push_str(r#"},"times":["#);
        } else {
            frame.push(',');
            texts.push(',');
        }
        frame.push_str(delta.time);
        texts.push_str(delta.text);
    }
    frame.push_str(r#"],"texts":["#);
    frame.push_str(&texts);
    frame.push(']');
}

/// How many events at the beginning differ in nothing but `time` and `text`.
fn run(bodies: &[Arc<str>]) -> usize {
    let mut deltas = bodies.iter().map_while(|body| Delta::of(body));
    let Some(first) = deltas.next() else { return 0 };
    1 + deltas.take_while(|next| next.rest == first.rest).count()
}

/// The JSON of an event, taken apart.
struct Delta<'a> {
    time: &'a str,
    text: &'a str,
    /// The other fields, as `"key":value`.
    rest: [&'a str; MAX_FIELDS],
    fields: usize,
}

impl<'a> Delta<'a> {
    /// `None` if it is no delta, or written in a way that is not looked at: then it goes out as it is.
    fn of(body: &'a str) -> Option<Self> {
        TYPES.iter().find(|start| body.starts_with(**start))?;
        let (mut time, mut text, mut rest, mut fields) = (None, None, [""; MAX_FIELDS], 0);
        let mut left = body.strip_prefix('{')?.strip_suffix('}')?;
        loop {
            let key = string(left)?;
            let value = left[key..].strip_prefix(':')?;
            let length = scalar(value)?;
            let (value, after) = value.split_at(length);
            match &left[..key] {
                r#""time""# if time.is_none() && is_time(value) => time = Some(value),
                r#""text""# if text.is_none() && value.starts_with('"') => text = Some(value),
                r#""time""# | r#""text""# => return None,
                // It may be one of these in other letters.
                other if other.contains('\\') => return None,
                _ => {
                    *rest.get_mut(fields)? = &left[..key + 1 + length];
                    fields += 1;
                }
            }
            match after.strip_prefix(',') {
                Some(more) => left = more,
                None if after.is_empty() => break,
                None => return None,
            }
        }
        Some(Self { time: time?, text: text?, rest, fields })
    }
}

fn is_time(value: &str) -> bool {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=TIME_DIGITS).contains(&value.len())
}

/// Bytes of the string that a JSON text begins with.
fn string(json: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Bytes of the value that a JSON text begins with; `None` for a list or an object.
fn scalar(json: &str) -> Option<usize> {
    match json.bytes().next()? {
        b'"' => string(json),
        b'[' | b'{' => None,
        _ => Some(json.find(',').unwrap_or(json.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::encode::{event_frames, next_events};

    fn body(event: &Value) -> Arc<str> {
        // The type comes first, as in what the bridge publishes.
        let mut fields = event.as_object().unwrap().clone();
        let kind = fields.remove("type").unwrap();
        let rest = serde_json::to_string(&fields).unwrap();
        format!(r#"{{"type":{kind},{}"#, &rest[1..]).into()
    }

    fn delta(number: u64, run: &str, text: &str) -> Arc<str> {
        body(
            &json!({ "type": "message_delta", "runId": run, "messageId": "m", "time": 100 + number, "text": text }),
        )
    }

    /// What a page makes of a frame (DLT-1).
    fn expanded(frame: &str) -> Vec<Value> {
        let frame: Value = serde_json::from_str(frame).unwrap();
        let (times, texts) = (frame["times"].as_array().unwrap(), frame["texts"].as_array().unwrap());
        assert_eq!([times.len(), texts.len()], [frame["count"].as_u64().unwrap() as usize; 2]);
        let event = |(time, text): (&Value, &Value)| {
            let mut event = frame["head"].clone();
            event["time"] = time.clone();
            event["text"] = text.clone();
            event
        };
        times.iter().zip(texts).map(event).collect()
    }

    fn parsed(bodies: &[Arc<str>]) -> Vec<Value> {
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    // PROTOCOL: DLT-1, DLT-2
    #[test]
    fn a_frame_stands_for_the_events_it_was_made_of() {
        let texts = ["", "a", "\"", "\\", "\\\"", ",", "}", "{\"text\":1}", "\u{1F600}", "\n", "time", "é"];
        let bodies: Vec<_> = texts.iter().zip(0..).map(|(text, number)| delta(number, "r", text)).collect();
        assert_eq!(cut(&bodies), Cut::Deltas(texts.len()));
        let (text, count) = next_events(3, 101, &bodies, true);
        assert_eq!(count, texts.len());
        assert!(text.starts_with(r#"{"type":"deltas","ch":3,"first":101,"count":12,"head":{"type":"#));
        assert_eq!(expanded(&text), parsed(&bodies));
        assert!(next_events(3, 101, &bodies, false).0.starts_with(r#"{"type":"events""#));
        let plain: usize = bodies.iter().map(|body| body.len()).sum();
        assert!(text.len() * 3 < plain, "{} of {plain} bytes", text.len());
    }

    #[test]
    fn only_what_is_alike_shares_a_frame() {
        let many =
            |run: &str, count: u64| (0..count).map(|number| delta(number, run, "x")).collect::<Vec<_>>();
        let other: [Arc<str>; 1] = [r#"{"type":"agent_thinking","runId":"r","text":"x","time":1}"#.into()];
        let joined = |parts: &[&[Arc<str>]]| parts.concat();
        assert_eq!(cut(&many("r", 7)), Cut::Events(7));
        assert_eq!(cut(&many("r", 8)), Cut::Deltas(8));
        assert_eq!(cut(&joined(&[&many("a", 8), &many("b", 9)])), Cut::Deltas(8));
        assert_eq!(cut(&joined(&[&many("a", 3), &many("b", 9)])), Cut::Events(3));
        assert_eq!(cut(&joined(&[&other, &many("b", 9), &other])), Cut::Events(1));
        assert_eq!(cut(&joined(&[&many("b", 9), &other])), Cut::Deltas(9));
        let in_turn: Vec<_> =
            (0..40).map(|number| delta(number, if number % 2 == 0 { "a" } else { "b" }, "x")).collect();
        assert_eq!(cut(&in_turn), Cut::Events(40));
        assert_eq!(cut(&vec![other[0].clone(); 9]), Cut::Events(9));
    }

    #[test]
    fn a_list_of_frames_has_every_event_once_and_in_order() {
        let other: Arc<str> = r#"{"type":"agent_started","runId":"r","time":1}"#.into();
        let deltas: Vec<_> = (0..9).map(|number| delta(number, "r", "x")).collect();
        let bodies = [vec![other.clone(); 2], deltas, vec![other]].concat();
        let frames: Value = serde_json::from_str(&event_frames(5, &bodies)).unwrap();
        let frames = frames.as_array().unwrap();
        let kinds: Vec<_> = frames.iter().map(|frame| (&frame["type"], &frame["first"])).collect();
        assert_eq!(
            kinds,
            [(&json!("events"), &json!(5)), (&json!("deltas"), &json!(7)), (&json!("events"), &json!(16))]
        );
        assert!(frames.iter().all(|frame| frame.get("ch").is_none()));
        let events = frames.iter().flat_map(|frame| match frame.get("events") {
            Some(events) => events.as_array().unwrap().clone(),
            None => expanded(&frame.to_string()),
        });
        assert_eq!(events.collect::<Vec<_>>(), parsed(&bodies));
        assert_eq!(event_frames(5, &[]), "[]");
    }

    #[test]
    fn what_is_written_otherwise_goes_out_as_it_is() {
        let start = r#"{"type":"message_delta","runId":"r","#;
        for rest in [
            r#""time":1}"#,
            r#""text":"x"}"#,
            r#""time":1,"text":2}"#,
            r#""time":"1","text":"x"}"#,
            r#""time":1.5,"text":"x"}"#,
            r#""time":-1,"text":"x"}"#,
            r#""time":1000000000000000,"text":"x"}"#,
            r#""time":1,"text":"x","text":"y"}"#,
            r#""time":1,"text":"x","te\u0078t":"y"}"#,
            r#""time":1,"text":"x","metadata":{}}"#,
            r#""time":1, "text":"x"}"#,
            r#""time":1,"text":"x"} "#,
            r#""time":1,"text":"x","a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}"#,
            r#""time":1,"text":"x"#,
            r#""time":1,"text":"x\"#,
            "",
        ] {
            let body: Arc<str> = format!("{start}{rest}").into();
            assert_eq!(cut(&vec![body; 9]), Cut::Events(9), "{rest}");
        }
        let like = |rest: &str| Arc::<str>::from(format!("{start}{rest}"));
        assert_eq!(cut(&vec![like(r#""time":1,"text":"x","n":-1.5e3,"ok":true}"#); 9]), Cut::Deltas(9));
    }
}
