use super::*;

const APP: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$defs": {
    "money": { "type": "object", "properties": { "cents": { "type": "integer" } }, "required": ["cents"] },
    "invoice_ready": {
      "description": "An invoice can be */ seen. \"It\" has a \\ in it.",
      "type": "object",
      "properties": {
        "type": { "const": "invoice_ready" },
        "runId": { "type": "string" },
        "state": { "enum": ["draft", "sent"], "description": "How far it is." },
        "total": { "$ref": "#/$defs/money" },
        "lines": { "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "null" }] } },
        "by-country": { "type": "object", "additionalProperties": { "type": "number" } },
        "note": { "type": ["string", "null"] }
      },
      "required": ["type", "state", "total"]
    },
    "page.turned": { "properties": { "type": { "const": "page.turned" }, "from": { "type": "integer" } } }
  }
}"##;

fn app() -> model::Schema {
    application(APP).unwrap()
}

#[test]
fn an_application_gets_typescript() {
    let expected = r#"// Written by `agentwire-events` from app.json. Do not edit.

/** An invoice can be *\/ seen. "It" has a \ in it. */
export interface InvoiceReadyEvent {
	readonly type: "invoice_ready";
	/** When it happened: milliseconds since the Unix epoch. */
	readonly time: number;
	readonly runId?: string;
	/** How far it is. */
	readonly state: "draft" | "sent";
	readonly total: { readonly cents: number };
	readonly lines?: readonly (string | null)[];
	readonly "by-country"?: Readonly<Record<string, number>>;
	readonly note?: string | null;
}

export interface PageTurnedEvent {
	readonly type: "page.turned";
	/** When it happened: milliseconds since the Unix epoch. */
	readonly time: number;
	readonly from?: number;
}

declare module "agentwire" {
	interface EventMap {
		invoice_ready: InvoiceReadyEvent;
		"page.turned": PageTurnedEvent;
	}
}
"#;
    assert_eq!(typescript::application(&app(), "app.json"), expected);
}

#[test]
fn an_application_gets_python() {
    let expected = r#""""About."""

from typing import Any, Literal, NotRequired, TypedDict, Union

__all__ = [
    "AppEvent",
    "InvoiceReadyEvent",
    "PageTurnedEvent",
]


class InvoiceReadyEvent_total(TypedDict):
    cents: int


# An invoice can be */ seen. "It" has a \ in it.
InvoiceReadyEvent = TypedDict(
    "InvoiceReadyEvent",
    {
        "type": Literal["invoice_ready"],
        # When it happened: milliseconds since the Unix epoch.
        "time": NotRequired[int],
        "runId": NotRequired[str],
        # How far it is.
        "state": Literal["draft", "sent"],
        "total": InvoiceReadyEvent_total,
        "lines": NotRequired[list[Union[str, None]]],
        "by-country": NotRequired[dict[str, float]],
        "note": NotRequired[Union[str, None]],
    },
)


PageTurnedEvent = TypedDict(
    "PageTurnedEvent",
    {
        "type": Literal["page.turned"],
        # When it happened: milliseconds since the Unix epoch.
        "time": NotRequired[int],
        "from": NotRequired[int],
    },
)


AppEvent = Union[
    InvoiceReadyEvent,
    PageTurnedEvent,
]
"#;
    assert_eq!(python::module(&app(), "About.", "AppEvent"), expected);
}

#[test]
fn a_bad_schema_is_refused_with_its_place() {
    let event = |fields: &str| {
        format!(r#"{{"$defs": {{"a": {{"properties": {{"type": {{"const": "a"}}, {fields}}}}}}}}}"#)
    };
    for (schema, problem) in [
        ("{", "this is no JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "#: a schema with `$defs` must be an object"),
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#", "$defs": {}}"#,
            "#/$schema: the dialect must be",
        ),
        ("{}", "#/$defs: there must be an object"),
        (r#"{"$defs": {"part": {"type": "string"}}}"#, "#/$defs: none is an event"),
        (r#"{"$defs": {"a": 5}}"#, "#/$defs/a: it must be an object"),
        (&event(r#""x": {"type": "text"}"#), "#/$defs/a/properties/x/type: `text` is no type"),
        (
            &event(r#""x": {"type": "array", "items": {"type": 7}}"#),
            "#/$defs/a/properties/x/items/type: it must be a text",
        ),
        (&event(r#""x": {"$ref": "other.json"}"#), "#/$defs/a/properties/x/$ref: `other.json` leads nowhere"),
        (&event(r##""x": {"$ref": "#/$defs/a"}"##), "it refers to itself, or is deeper than 32 levels"),
        (&event(r#""x": {"enum": []}"#), "#/$defs/a/properties/x/enum: it must be a list of 1 value or more"),
        (&event(r#""x": {"enum": [1.5]}"#), "#/$defs/a/properties/x/enum/0: it must be a text, an integer"),
        (&event(r#""x": {"if": {}}"#), "#/$defs/a/properties/x/if: this keyword is not supported"),
        (&event(r#""x": {"description": 1}"#), "#/$defs/a/properties/x/description: it must be a text"),
        (
            &event(r#""x": {"type": "number", "minimum": "0"}"#),
            "#/$defs/a/properties/x/minimum: it must be a number",
        ),
        (
            r#"{"$defs": {"a": {"properties": {"type": {"const": "b"}}}}}"#,
            r#"#/$defs/a/properties/type/const: it must be "a", the name of the definition"#,
        ),
        (
            r#"{"$defs": {"a": {"properties": {"type": {"const": "a"}}, "required": ["x"]}}}"#,
            "#/$defs/a/required/0: there is no property `x`",
        ),
        (
            r#"{"$defs": {"7": {"properties": {"type": {"const": "7"}}}}}"#,
            "#/$defs/7/title: `7Event` must be a name in TypeScript and Python",
        ),
        (
            r#"{"$defs": {"a_b": {"properties": {"type": {"const": "a_b"}}}, "a-b": {"properties": {"type": {"const": "a-b"}}}}}"#,
            "#/$defs/a-b/title: `ABEvent` is already the title of `a_b`",
        ),
        (
            r#"{"$defs": {"void": {"properties": {"type": {"const": "void"}}}}}"#,
            "#/$defs/void: this type is one of agentwire's own",
        ),
    ] {
        let error = format!("{:#}", application(schema).expect_err(schema));
        assert!(error.contains(problem), "{schema}: {error}");
    }
}

#[test]
fn files_are_written_and_a_bad_schema_writes_none() {
    let folder = tempfile::tempdir().unwrap();
    let (schema, typescript, python) =
        (folder.path().join("app.json"), folder.path().join("app.ts"), folder.path().join("app.py"));
    let asked = Application {
        schema: Some(schema.clone()),
        typescript: Some(typescript.clone()),
        python: Some(python.clone()),
    };
    assert!(format!("{:#}", asked.write().unwrap_err()).contains("app.json can't be read"));
    fs::write(&schema, r#"{"$defs": {"a": {"properties": {"type": {"const": 1}}}}}"#).unwrap();
    let error = format!("{:#}", asked.write().unwrap_err());
    assert!(error.contains("app.json is no schema of events: #/$defs/a/properties/type/const"), "{error}");
    assert!(!typescript.exists() && !python.exists());
    fs::write(&schema, APP).unwrap();
    assert_eq!(asked.write().unwrap(), 2);
    assert!(fs::read_to_string(typescript).unwrap().contains("from app.json"));
    assert!(fs::read_to_string(python).unwrap().contains("from app.json"));
}

#[test]
fn what_is_made_of_the_table_is_read_back_whole() {
    let made = Made::new().unwrap();
    let read = read::read(&made.schema).unwrap();
    assert_eq!(read.events.len(), agentwire_events::EVENTS.len());
    for (event, row) in read.events.iter().zip(agentwire_events::EVENTS) {
        assert_eq!(event.name, row.name);
        let names: Vec<&str> = row.all_fields().map(|field| field.name).collect();
        assert_eq!(event.fields.iter().map(|field| &*field.name).collect::<Vec<_>>(), names, "{}", row.name);
    }
}
