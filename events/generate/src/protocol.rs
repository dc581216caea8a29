//! The table of section 12 of docs/PROTOCOL.md.

use std::fmt::Write as _;

use crate::lines::or;
use crate::model::{EventType, Field, Kind, Range, Schema};

/// What the text above the table says of every event.
const COMMON: [&str; 3] = ["time", "id", "runId"];

/// The table, without a blank line around it.
pub(crate) fn table(schema: &Schema) -> String {
    let mut text = String::from("| type | R | fields | effect |\n|---|---|---|---|\n");
    for event in &schema.events {
        let of_run = if event.field("runId").is_some() { " R" } else { "" };
        let fields = fields(event);
        let separator = if fields.is_empty() { "" } else { " " };
        let _ = writeln!(text, "| `{}` |{of_run} |{separator}{fields} | {} |", event.name, event.effect);
    }
    text
}

fn fields(event: &EventType) -> String {
    // The name of an agent is a field that many events may have; where it is needed, the table says so.
    let is_shown = |field: &&Field| {
        !COMMON.contains(&field.name.as_str()) && (field.name != "agent" || field.is_required)
    };
    let fields: Vec<String> = event.fields.iter().filter(is_shown).map(field).collect();
    fields.join(", ")
}

fn field(field: &Field) -> String {
    let optional = if field.is_required { "" } else { "?" };
    let hint = hint(&field.kind);
    if hint.is_empty() {
        return format!("`{}`{optional}", field.name);
    }
    format!("`{}`{optional} ({hint})", field.name)
}

/// What a field holds, if it is no plain text.
fn hint(kind: &Kind) -> String {
    match kind {
        Kind::Text { known } if known.is_empty() => String::new(),
        Kind::Text { known } => {
            let known: Vec<String> = known.iter().map(|text| format!("`{text}`")).collect();
            or(&[known, vec!["another".to_owned()]].concat())
        }
        Kind::OneOf(values) => {
            let texts = values.iter().filter_map(|value| Some(format!("`{}`", value.text()?)));
            texts.collect::<Vec<_>>().join(", ")
        }
        Kind::Any => "any".to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::List(_) => "list".to_owned(),
        Kind::Map(_) => "object".to_owned(),
        Kind::Schema => "JSON Schema".to_owned(),
        Kind::Object(fields) => {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            format!("`{{{}}}`", names.join(", "))
        }
        Kind::Union(kinds) => or(&kinds.iter().map(hint).collect::<Vec<_>>()),
        Kind::Integer(Range { unit: Some(unit), .. }) => unit.clone(),
        Kind::Integer(Range { min: Some(min), .. }) if *min > 0.0 => format!("integer from {min}"),
        Kind::Integer(_) => "integer".to_owned(),
        Kind::Number(Range { min: Some(min), max: Some(max), .. }) => format!("{min} to {max}"),
        Kind::Number(_) => "number".to_owned(),
    }
}
