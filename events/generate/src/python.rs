//! Event types in Python: a module of `TypedDict`s.

use std::fmt::Write as _;

use crate::lines::wrap;
use crate::model::{EventType, Field, Kind, Schema};
use crate::node::Node;
use crate::read::is_identifier;

/// The width of comments.
const WIDTH: usize = 100;

/// Words that cannot be a name.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// A module with a `TypedDict` for each event, and their union under the name `union`.
///
/// `time` need not be given: the server sets it when it is missing.
pub(crate) fn module(schema: &Schema, about: &str, union: &str) -> String {
    let mut body = String::new();
    for event in &schema.events {
        Class { module: &mut body }.event(event);
    }
    let names: Vec<String> = schema.events.iter().map(|event| format!("    {:?},\n", event.title)).collect();
    let members: Vec<&str> = schema.events.iter().map(|event| event.title.as_str()).collect();
    format!(
        "\"\"\"{about}\"\"\"\n\nfrom typing import Any, Literal, NotRequired, TypedDict, Union\n\n__all__ = [\n    {union:?},\n{}]\n\n\n{body}{union} = Union[\n    {},\n]\n",
        names.concat(),
        members.join(",\n    "),
    )
}

/// Writes classes; those of objects in an event come before it.
struct Class<'a> {
    module: &'a mut String,
}

impl Class<'_> {
    fn event(&mut self, event: &EventType) {
        let mut fields =
            vec![("type".to_owned(), format!("Literal[{}]", quoted(&event.name)), String::new())];
        for field in &event.fields {
            let mut type_text = self.type_of(&field.kind, &event.title, &field.name);
            if !field.is_required || field.name == "time" {
                type_text = format!("NotRequired[{type_text}]");
            }
            fields.push((field.name.clone(), type_text, field.about.clone()));
        }
        self.write(&event.title, &event.about, &fields);
    }

    fn object(&mut self, title: &str, fields: &[Field]) {
        let mut members = Vec::new();
        for field in fields {
            let mut type_text = self.type_of(&field.kind, title, &field.name);
            if !field.is_required {
                type_text = format!("NotRequired[{type_text}]");
            }
            members.push((field.name.clone(), type_text, field.about.clone()));
        }
        self.write(title, "", &members);
    }

    fn write(&mut self, title: &str, about: &str, fields: &[(String, String, String)]) {
        let is_name =
            |name: &str| is_identifier(name) && !name.starts_with("__") && !KEYWORDS.contains(&name);
        if fields.iter().all(|(name, ..)| is_name(name)) {
            let _ = writeln!(self.module, "class {title}(TypedDict):");
            if !about.is_empty() {
                let about = about.replace('\\', "\\\\").replace('"', "\\\"");
                let lines = wrap(&about, WIDTH - 10);
                let _ = writeln!(self.module, "    \"\"\"{}\"\"\"\n", lines.join("\n    "));
            }
            for (name, type_text, about) in fields {
                self.comment(about, "    ");
                let _ = writeln!(self.module, "    {name}: {type_text}");
            }
            self.module.push_str("\n\n");
            return;
        }
        self.comment(about, "");
        let _ = writeln!(self.module, "{title} = TypedDict(\n    {title:?},\n    {{");
        for (name, type_text, about) in fields {
            self.comment(about, "        ");
            let _ = writeln!(self.module, "        {}: {type_text},", quoted(name));
        }
        self.module.push_str("    },\n)\n\n\n");
    }

    fn comment(&mut self, about: &str, indent: &str) {
        for line in wrap(about, WIDTH - 2 - indent.len()) {
            let _ = writeln!(self.module, "{indent}# {line}");
        }
    }

    fn type_of(&mut self, kind: &Kind, title: &str, name: &str) -> String {
        match kind {
            Kind::Any => "Any".to_owned(),
            Kind::Null => "None".to_owned(),
            Kind::Boolean => "bool".to_owned(),
            Kind::Text { .. } => "str".to_owned(),
            Kind::Integer(_) => "int".to_owned(),
            Kind::Number(_) => "float".to_owned(),
            Kind::OneOf(values) => {
                format!("Literal[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", "))
            }
            Kind::Union(kinds) => {
                let kinds: Vec<String> = kinds
                    .iter()
                    .enumerate()
                    .map(|(index, kind)| self.type_of(kind, title, &format!("{name}_{}", index + 1)))
                    .collect();
                format!("Union[{}]", kinds.join(", "))
            }
            Kind::List(item) => format!("list[{}]", self.type_of(item, title, name)),
            Kind::Map(value) => format!("dict[str, {}]", self.type_of(value, title, name)),
            Kind::Schema => "Union[dict[str, Any], bool]".to_owned(),
            Kind::Object(fields) if fields.is_empty() => "dict[str, Any]".to_owned(),
            Kind::Object(fields) => {
                let title =
                    format!("{title}_{}", name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_"));
                self.object(&title, fields);
                title
            }
        }
    }
}

fn literal(value: &Node) -> String {
    match value {
        Node::Text(text) => quoted(text),
        Node::Number(number) => number.to_string(),
        Node::Bool(true) => "True".to_owned(),
        Node::Bool(false) => "False".to_owned(),
        // The reader lets no other value be one.
        Node::Null | Node::List(_) | Node::Object(_) => "None".to_owned(),
    }
}

/// A text of JSON is one of Python: what JSON escapes, Python escapes alike, but for `\/`, which is never written.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
