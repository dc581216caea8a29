use std::iter;

use fastrand::Rng;
use serde_json::json;

use super::*;
use crate::{EVENTS, Event};

const CASES: u64 = 20_000;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { unreachable!("tests give objects") };
    fields
}

fn error(value: Value) -> String {
    check(&object(value)).unwrap_err().to_string()
}

fn text(rng: &mut Rng, max: usize) -> String {
    let letters = ["a", "B", "7", " ", "\"", "\\", "\u{0}", "é", "😀", "__proto__"];
    let length = rng.usize(..=max);
    iter::repeat_with(|| rng.choice(letters).unwrap()).take(length).collect()
}

/// Any value, of at most two levels.
fn any(rng: &mut Rng, depth: u32) -> Value {
    match rng.u32(..if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.i64(..).into(),
        3 => (rng.f64() * 1e6).into(),
        4 => text(rng, 8).into(),
        5 => iter::repeat_with(|| any(rng, depth - 1)).take(2).collect::<Vec<_>>().into(),
        _ => json!({ "a": any(rng, depth - 1), "": any(rng, depth - 1) }),
    }
}

fn valid(rng: &mut Rng, kind: Kind) -> Value {
    match kind {
        Kind::Any => any(rng, 2),
        Kind::Text => text(rng, 20).into(),
        Kind::Id => {
            let mut id = text(rng, 20) + "x";
            if rng.u8(..8) == 0 {
                id = "x".repeat(MAX_ID_BYTES);
            }
            id.into()
        }
        Kind::Word(known) => {
            if rng.bool() { text(rng, 9) } else { (*rng.choice(known).unwrap()).to_owned() }.into()
        }
        Kind::OneOf(listed) => (*rng.choice(listed).unwrap()).into(),
        Kind::Boolean => rng.bool().into(),
        Kind::Integer { min, .. } => {
            let between = rng.u64(min..=MAX_INTEGER);
            rng.choice([min, min + 1, MAX_INTEGER, between]).into()
        }
        Kind::Number { min, max, .. } => {
            let between = min + rng.f64() * (max - min);
            rng.choice([min, max, between]).into()
        }
        Kind::List => vec![any(rng, 1); rng.usize(..3)].into(),
        Kind::Object => json!({ text(rng, 3): any(rng, 1) }),
        Kind::Schema => rng.choice([json!(true), json!({}), json!({ "type": "object" })]).unwrap(),
        Kind::Record(fields) => {
            let mut record = Map::new();
            fill(rng, &mut record, fields.iter());
            record.into()
        }
    }
}

fn fill<'a>(rng: &mut Rng, event: &mut Map<String, Value>, fields: impl Iterator<Item = &'a Field>) {
    for field in fields {
        if !field.is_optional || rng.bool() {
            event.insert(field.name.to_owned(), valid(rng, field.kind));
        }
    }
}

fn event_of(rng: &mut Rng, row: &EventType) -> Map<String, Value> {
    let mut event = object(json!({ "type": row.name }));
    fill(rng, &mut event, row.all_fields());
    if row.all_fields().any(|field| field.name == "time") {
        event.insert("time".to_owned(), rng.u64(..MAX_INTEGER).into());
    }
    if rng.bool() {
        event.insert(format!("x{}", text(rng, 3)), any(rng, 2));
    }
    event
}

/// A value that the kind does not take.
fn damaged(rng: &mut Rng, kind: Kind) -> Option<Value> {
    let wrong = match kind {
        Kind::Any => return None,
        Kind::Text | Kind::Word(_) => vec![json!(1), json!(null), json!(["a"]), json!({})],
        Kind::Id => {
            vec![json!(""), json!("x".repeat(MAX_ID_BYTES + 1)), json!("é".repeat(65)), json!(7), json!(null)]
        }
        Kind::OneOf(listed) => {
            vec![
                json!(""),
                json!(listed[0].to_uppercase()),
                json!(format!("{} ", listed[0])),
                json!(0),
                json!(null),
            ]
        }
        Kind::Boolean => vec![json!("true"), json!(1), json!(null)],
        Kind::Integer { min, .. } => {
            let below = i64::try_from(min).unwrap() - 1;
            let above = MAX_INTEGER + 1;
            vec![
                json!(below),
                json!(above),
                json!(u64::MAX),
                json!(1.5),
                json!(-0.5),
                json!("1"),
                json!(null),
            ]
        }
        Kind::Number { min, max, .. } => {
            vec![json!(min - 1e-9), json!(max + 1e-9), json!(1e300), json!(i64::MIN), json!("1"), json!(null)]
        }
        Kind::List => vec![json!({}), json!("a"), json!(null)],
        Kind::Object | Kind::Record(_) => vec![json!([]), json!("a"), json!(null)],
        Kind::Schema => vec![json!([]), json!("a"), json!(1), json!(null)],
    };
    rng.choice(wrong)
}

/// What JSON Schema cannot say: it counts the characters of an id.
fn is_long_id(value: &Value) -> bool {
    value.as_str().is_some_and(|id| id.len() > MAX_ID_BYTES && id.chars().count() <= MAX_ID_BYTES)
}

// PROTOCOL: RUN-6
#[test]
fn every_valid_event_passes_and_every_damage_is_named() {
    let schema: Value = serde_json::from_str(include_str!("../../schema/events.json")).unwrap();
    let validator = jsonschema::options().offline().build(&schema).unwrap();
    let (mut missing, mut wrong) = (0, 0);
    for seed in 0..CASES {
        let rng = &mut Rng::with_seed(seed);
        let row = rng.choice(EVENTS).unwrap();
        let event = event_of(rng, row);
        check(&event).unwrap_or_else(|error| panic!("seed {seed}: {error} in {event:?}"));
        assert!(validator.is_valid(&event.clone().into()), "seed {seed}: the schema refuses {event:?}");
        // Reading and writing keeps all of it.
        let read = Event::try_from(event.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), Value::Object(event.clone()), "seed {seed}");

        let fields: Vec<&Field> = row.all_fields().collect();
        let Some(field) = rng.choice(fields) else { continue };
        let mut broken = event;
        let is_missing = !field.is_optional && rng.bool();
        let mut is_sayable = true;
        if is_missing {
            broken.remove(field.name);
            missing += 1;
        } else {
            let Some(value) = damaged(rng, field.kind) else { continue };
            is_sayable = !is_long_id(&value);
            broken.insert(field.name.to_owned(), value);
            wrong += 1;
        }
        let error = check(&broken).expect_err(&format!("seed {seed}: {broken:?} passes"));
        assert_eq!((&*error.field, error.is_missing), (field.name, is_missing), "seed {seed}: {error}");
        assert!(error.to_string().contains(&format!("`{}` of `{}`", field.name, row.name)), "{error}");
        assert!(!is_sayable || !validator.is_valid(&broken.into()), "seed {seed}: the schema lets it pass");
    }
    assert!(missing > 1_000 && wrong > 5_000, "{missing} and {wrong} are too few");
}

#[test]
fn a_fault_below_an_object_is_named_with_its_path() {
    let event = json!({ "type": "agent_completed", "runId": "r", "usage": { "inputTokens": -1 } });
    assert_eq!(
        error(event),
        "`usage.inputTokens` of `agent_completed` must be an integer from 0 to 2^53 - 1, without a fraction"
    );
}

#[test]
fn errors_say_what_is_wrong() {
    assert_eq!(
        error(json!({ "type": "message_delta", "runId": "r", "messageId": "m" })),
        "`text` of `message_delta` is missing: it must be text"
    );
    assert_eq!(
        error(json!({ "type": "agent_thinking", "runId": "r", "urgency": "soon" })),
        "`urgency` of `agent_thinking` must be `low`, `medium` or `high`"
    );
    assert_eq!(
        error(json!({ "type": "agent_thinking", "runId": "r", "step": 0 })),
        "`step` of `agent_thinking` must be an integer from 1 to 2^53 - 1, without a fraction"
    );
    assert_eq!(
        error(json!({ "runId": "r" })),
        "`type` of `event` is missing: it must be text of 1 byte or more"
    );
    assert_eq!(error(json!({ "type": 7 })), "`type` of `event` must be text of 1 byte or more");
}

#[test]
fn custom_types_pass_whatever_they_hold() {
    for event in [json!({ "type": "x" }), json!({ "type": "User_message", "content": 5, "runId": [] })] {
        check(&object(event.clone())).unwrap();
        let Event::Other(fields) = serde_json::from_value(event.clone()).unwrap() else { panic!("{event}") };
        assert_eq!(Value::Object(fields), event);
    }
}

#[test]
fn no_value_makes_the_check_panic() {
    for seed in 0..CASES {
        let rng = &mut Rng::with_seed(seed);
        let row = rng.choice(EVENTS).unwrap();
        let mut event = object(json!({ "type": row.name }));
        for field in row.all_fields() {
            event.insert(field.name.to_owned(), any(rng, 2));
        }
        let passes = check(&event).is_ok();
        assert_eq!(passes, Event::try_from(event).is_ok(), "seed {seed}");
    }
}

#[test]
fn the_table_is_consistent() {
    for event in EVENTS {
        assert_eq!(find(event.name), Some(event), "two rows are called {}", event.name);
        let mut names: Vec<&str> = event.all_fields().map(|field| field.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{} has a field twice", event.name);
    }
}
