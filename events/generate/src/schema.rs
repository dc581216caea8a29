//! The JSON Schema of all listed events (draft 2020-12), written from the table.

use agentwire_events::{EVENTS, EventType, Field, Kind, MAX_ID_BYTES, MAX_INTEGER, Unit};

use crate::node::{Node, Object, object};

/// The dialect of the schema.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of every event of a stream.
///
/// `$defs` has one schema per type. An event of any other type fits, too. What JSON Schema cannot say: an id has at most 128
/// bytes of UTF-8, and here 128 characters.
///
/// Two keywords are our own. `x-effect` says what an event does when a page folds the stream, and `x-unit` names the unit of
/// a number.
pub(crate) fn schema() -> Node {
    let names: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
    let mut fitting: Vec<Node> =
        names.iter().map(|name| object([("$ref", format!("#/$defs/{name}").into())]).into()).collect();
    let other = object([
        ("type", "string".into()),
        ("minLength", 1.into()),
        ("not", object([("enum", names.into())]).into()),
    ]);
    let custom = object([
        ("description", "A custom event: of a type that is not listed here.".into()),
        ("type", "object".into()),
        ("properties", object([("type", other.into())]).into()),
        ("required", vec!["type"].into()),
    ]);
    fitting.push(custom.into());
    let definitions: Object =
        EVENTS.iter().map(|event| (event.name.to_owned(), definition(event).into())).collect();
    object([
        ("$schema", DIALECT.into()),
        ("title", "AgentEvent".into()),
        ("description", "The events of an agentwire stream (section 12 of docs/PROTOCOL.md).".into()),
        ("anyOf", fitting.into()),
        ("$defs", definitions.into()),
    ])
    .into()
}

fn definition(event: &EventType) -> Object {
    let mut properties = object([("type", object([("const", event.name.into())]).into())]);
    properties.extend(all(event.all_fields()));
    // One who publishes may leave `time` out, and the server then sets it: in a stream every event has it.
    let required = event.all_fields().filter(|field| !field.is_optional || field.name == "time");
    let required: Vec<&str> = ["type"].into_iter().chain(required.map(|field| field.name)).collect();
    object([
        ("title", format!("{}Event", event.title).into()),
        ("description", text(event.about).into()),
        ("type", "object".into()),
        ("properties", properties.into()),
        ("required", required.into()),
        ("x-effect", event.effect.into()),
    ])
}

fn all(fields: impl Iterator<Item = &'static Field>) -> Object {
    fields.map(|field| (field.name.to_owned(), property(field).into())).collect()
}

fn property(field: &Field) -> Object {
    let mut schema = object([("description", text(field.about).into())]);
    schema.extend(kind(field.kind));
    schema
}

fn kind(kind: Kind) -> Object {
    match kind {
        Kind::Any => Object::new(),
        Kind::Text => object([("type", "string".into())]),
        Kind::Id => object([
            ("type", "string".into()),
            ("minLength", 1.into()),
            ("maxLength", (MAX_ID_BYTES as u64).into()),
        ]),
        Kind::Word(known) => object([("type", "string".into()), ("examples", known.to_vec().into())]),
        Kind::OneOf(listed) => object([("enum", listed.to_vec().into())]),
        Kind::Boolean => object([("type", "boolean".into())]),
        Kind::Integer { min, unit } => {
            let range =
                [("type", "integer".into()), ("minimum", min.into()), ("maximum", MAX_INTEGER.into())];
            with_unit(object(range), unit)
        }
        Kind::Number { min, max, unit } => {
            let range = [("type", "number".into()), ("minimum", min.into()), ("maximum", max.into())];
            with_unit(object(range), unit)
        }
        Kind::List => object([("type", "array".into())]),
        Kind::Object => object([("type", "object".into())]),
        Kind::Schema => object([("$ref", DIALECT.into())]),
        Kind::Record(fields) => {
            let required = fields.iter().filter(|field| !field.is_optional);
            object([
                ("type", "object".into()),
                ("properties", all(fields.iter()).into()),
                ("required", required.map(|field| field.name).collect::<Vec<_>>().into()),
            ])
        }
    }
}

fn with_unit(mut schema: Object, unit: Option<Unit>) -> Object {
    if let Some(unit) = unit {
        schema.insert("x-unit".to_owned(), unit.as_str().into());
    }
    schema
}

/// Doc lines as one text.
fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
