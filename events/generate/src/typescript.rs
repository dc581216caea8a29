//! Event types in TypeScript.

use std::fmt::Write as _;

use agentwire_events::types::{Base, OfRun};

use crate::lines::wrap;
use crate::model::{EventType, Field, Kind, Schema};
use crate::node::Node;
use crate::read::is_identifier;

/// The width of comments.
const WIDTH: usize = 120;

/// An interface that others extend.
struct Parent<'a> {
    name: &'static str,
    extends: &'static str,
    fields: Vec<&'a Field>,
}

/// The interfaces of the events that agentwire lists, and `EventMap`.
pub(crate) fn listed(schema: &Schema) -> String {
    let common = |names: &[agentwire_events::Field]| -> Vec<&Field> {
        let find = |name| schema.events.iter().find_map(|event| event.field(name));
        names.iter().filter_map(|field| find(field.name)).collect()
    };
    let parents = [
        Parent { name: "OfRun", extends: "Base", fields: common(OfRun::FIELDS) },
        Parent { name: "Base", extends: "", fields: common(Base::FIELDS) },
    ];
    let mut text = String::new();
    for parent in parents.iter().rev() {
        let extends =
            if parent.extends.is_empty() { String::new() } else { format!(" extends {}", parent.extends) };
        let _ = writeln!(text, "interface {}{extends} {{", parent.name);
        parent.fields.iter().for_each(|field| write_field(&mut text, field));
        text.push_str("}\n\n");
    }
    for event in &schema.events {
        write_event(&mut text, event, &parents);
    }
    comment(&mut text, "The types of event that `on` and `switch` know; an application may add its own.", "");
    text.push_str("export interface EventMap {\n");
    write_map(&mut text, schema, "\t");
    text.push_str("}\n");
    text
}

/// A module with the interfaces of an application's events, which adds them to `EventMap`.
pub(crate) fn application(schema: &Schema, source: &str) -> String {
    let mut text = format!("// Written by `agentwire-events` from {source}. Do not edit.\n\n");
    for event in &schema.events {
        write_event(&mut text, event, &[]);
    }
    text.push_str("declare module \"agentwire\" {\n\tinterface EventMap {\n");
    write_map(&mut text, schema, "\t\t");
    text.push_str("\t}\n}\n");
    text
}

fn write_map(text: &mut String, schema: &Schema, indent: &str) {
    for event in &schema.events {
        let _ = writeln!(text, "{indent}{}: {};", key(&event.name), event.title);
    }
}

fn write_event(text: &mut String, event: &EventType, parents: &[Parent<'_>]) {
    let has_all = |parent: &&Parent<'_>| parent.fields.iter().all(|field| event.field(&field.name).is_some());
    let parent = parents.iter().find(has_all);
    let inherited: Vec<&Field> = match parent {
        None => Vec::new(),
        Some(parent) => {
            let above = parents.iter().find(|above| above.name == parent.extends);
            parent.fields.iter().chain(above.iter().flat_map(|above| &above.fields)).copied().collect()
        }
    };
    comment(text, &event.about, "");
    let extends = parent.map_or_else(String::new, |parent| format!(" extends {}", parent.name));
    let _ = writeln!(text, "export interface {}{extends} {{", event.title);
    let _ = writeln!(text, "\treadonly type: {};", quoted(&event.name));
    event.fields.iter().filter(|field| !inherited.contains(field)).for_each(|field| write_field(text, field));
    text.push_str("}\n\n");
}

fn write_field(text: &mut String, field: &Field) {
    comment(text, &field.about, "\t");
    let _ = writeln!(text, "\treadonly {};", member(field));
}

fn member(field: &Field) -> String {
    let optional = if field.is_required { "" } else { "?" };
    format!("{}{optional}: {}", key(&field.name), type_of(&field.kind))
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Any | Kind::Schema => "unknown".to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Text { .. } => "string".to_owned(),
        Kind::Integer(_) | Kind::Number(_) => "number".to_owned(),
        Kind::OneOf(values) => values.iter().map(literal).collect::<Vec<_>>().join(" | "),
        Kind::Union(kinds) => kinds.iter().map(type_of).collect::<Vec<_>>().join(" | "),
        Kind::List(item) => {
            let item_type = type_of(item);
            let is_union = matches!(**item, Kind::OneOf(_) | Kind::Union(_) | Kind::List(_));
            if is_union { format!("readonly ({item_type})[]") } else { format!("readonly {item_type}[]") }
        }
        Kind::Map(value) => format!("Readonly<Record<string, {}>>", type_of(value)),
        Kind::Object(fields) if fields.is_empty() => "Readonly<Record<string, unknown>>".to_owned(),
        Kind::Object(fields) => {
            let members: Vec<String> =
                fields.iter().map(|field| format!("readonly {}", member(field))).collect();
            format!("{{ {} }}", members.join("; "))
        }
    }
}

fn literal(value: &Node) -> String {
    match value {
        Node::Text(text) => quoted(text),
        Node::Number(number) => number.to_string(),
        Node::Bool(value) => value.to_string(),
        // The reader lets no other value be one.
        Node::Null | Node::List(_) | Node::Object(_) => "null".to_owned(),
    }
}

fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quoted(name) }
}

/// A text of JSON is one of TypeScript.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn comment(text: &mut String, about: &str, indent: &str) {
    // What would end the comment.
    let about = about.replace("*/", "*\\/");
    let lines = wrap(&about, WIDTH - indent.len() - "/**  */".len());
    match lines.as_slice() {
        [] => {}
        [line] => {
            let _ = writeln!(text, "{indent}/** {line} */");
        }
        lines => {
            let _ = writeln!(text, "{indent}/**");
            lines.iter().for_each(|line| {
                let _ = writeln!(text, "{indent} * {line}");
            });
            let _ = writeln!(text, "{indent} */");
        }
    }
}
