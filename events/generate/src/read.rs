//! Reads the event types of a JSON Schema. Every error names its place, as in `#/$defs/invoice_ready/properties/amount`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use crate::model::{EventType, Field, Kind, Range, Schema};
use crate::node::{Node, Object};
use crate::schema::DIALECT;

/// How deep a value of an event may be described.
const MAX_DEPTH: usize = 32;

/// Keywords that do not change a type in TypeScript or Python.
const WITHOUT_EFFECT: [&str; 21] = [
    "$comment",
    "additionalProperties",
    "default",
    "deprecated",
    "description",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "title",
    "uniqueItems",
];

/// Keywords that say what a value is.
const WITH_EFFECT: [&str; 9] =
    ["$ref", "anyOf", "const", "enum", "items", "oneOf", "properties", "required", "type"];

/// Reads a schema. Its events are the `$defs` whose property `type` has a `const`; the others are parts that events refer
/// to.
pub(crate) fn read(text: &str) -> Result<Schema> {
    let root: Node = serde_json::from_str(text).context("this is no JSON")?;
    let root = root.object().context("#: a schema with `$defs` must be an object")?;
    if let Some(dialect) = root.get("$schema") {
        ensure!(
            dialect.text().map(|text| text.trim_end_matches('#')) == Some(DIALECT),
            "#/$schema: the dialect must be \"{DIALECT}\""
        );
    }
    let definitions = root.get("$defs").and_then(Node::object);
    let definitions = definitions.context("#/$defs: there must be an object with a schema for each event")?;
    let reader = Reader { definitions };
    let mut events = Vec::new();
    let mut titles = BTreeMap::new();
    for (name, definition) in definitions {
        let at = format!("#/$defs/{name}");
        if let Some(event) = reader.event(name, definition, &at)? {
            if let Some(other) = titles.insert(event.title.clone(), name) {
                bail!("{at}/title: `{}` is already the title of `{other}`; choose another", event.title);
            }
            events.push(event);
        }
    }
    ensure!(!events.is_empty(), "#/$defs: none is an event: its property `type` must have a `const`");
    Ok(Schema { events })
}

struct Reader<'a> {
    definitions: &'a Object,
}

impl Reader<'_> {
    /// An event, or `None` if the definition is a part.
    fn event(&self, name: &str, definition: &Node, at: &str) -> Result<Option<EventType>> {
        let schema = object(definition, at)?;
        let properties = schema.get("properties").and_then(Node::object);
        let constant = properties
            .and_then(|properties| properties.get("type")?.object()?.get("const"))
            .map(|constant| (constant, format!("{at}/properties/type/const")));
        let Some((constant, constant_at)) = constant else { return Ok(None) };
        ensure!(
            constant.text() == Some(name) && !name.is_empty(),
            "{constant_at}: it must be \"{name}\", the name of the definition"
        );
        let Kind::Object(mut fields) = self.kind(definition, at, 0)? else {
            bail!("{at}/type: an event must be of type \"object\"");
        };
        fields.retain(|field| field.name != "type");
        let title = match text(schema, "title", at)? {
            Some(title) => title,
            None => format!("{}Event", pascal(name)),
        };
        ensure!(
            is_identifier(&title),
            "{at}/title: `{title}` must be a name in TypeScript and Python: letters, digits and `_`, no digit first"
        );
        let about = text(schema, "description", at)?.unwrap_or_default();
        let effect = text(schema, "x-effect", at)?.unwrap_or_default();
        Ok(Some(EventType { name: name.to_owned(), title, about, effect, fields }))
    }

    fn kind(&self, schema: &Node, at: &str, depth: usize) -> Result<Kind> {
        ensure!(depth <= MAX_DEPTH, "{at}: it refers to itself, or is deeper than {MAX_DEPTH} levels");
        if *schema == Node::Bool(true) {
            return Ok(Kind::Any);
        }
        let schema = object(schema, at)?;
        for keyword in schema.keys() {
            let is_known = WITHOUT_EFFECT.contains(&keyword.as_str())
                || WITH_EFFECT.contains(&keyword.as_str())
                || keyword.starts_with("x-");
            ensure!(is_known, "{at}/{keyword}: this keyword is not supported; describe the type without it");
        }
        if let Some(target) = schema.get("$ref") {
            return self.referred(target, &format!("{at}/$ref"), depth);
        }
        if let Some(value) = schema.get("const") {
            return Ok(Kind::OneOf(vec![literal(value, &format!("{at}/const"))?]));
        }
        if let Some(values) = schema.get("enum") {
            let at = format!("{at}/enum");
            let values = values.list().filter(|values| !values.is_empty());
            let values = values.with_context(|| format!("{at}: it must be a list of 1 value or more"))?;
            let literals =
                values.iter().enumerate().map(|(index, value)| literal(value, &format!("{at}/{index}")));
            return Ok(Kind::OneOf(literals.collect::<Result<_>>()?));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(kinds) = schema.get(keyword) {
                let at = format!("{at}/{keyword}");
                let kinds = kinds.list().filter(|kinds| !kinds.is_empty());
                let kinds = kinds.with_context(|| format!("{at}: it must be a list of 1 schema or more"))?;
                let kinds = kinds
                    .iter()
                    .enumerate()
                    .map(|(index, kind)| self.kind(kind, &format!("{at}/{index}"), depth + 1));
                return Ok(Kind::Union(kinds.collect::<Result<_>>()?));
            }
        }
        self.typed(schema, at, depth)
    }

    /// A schema that says its type.
    fn typed(&self, schema: &Object, at: &str, depth: usize) -> Result<Kind> {
        match schema.get("type") {
            None if schema.contains_key("properties") => self.named(schema, "object", at, depth),
            None => Ok(Kind::Any),
            Some(Node::Text(name)) => self.named(schema, name, at, depth),
            Some(Node::List(names)) if !names.is_empty() => {
                let kinds = names.iter().enumerate().map(|(index, name)| {
                    let name =
                        name.text().with_context(|| format!("{at}/type/{index}: it must be a text"))?;
                    self.named(schema, name, at, depth)
                });
                Ok(Kind::Union(kinds.collect::<Result<_>>()?))
            }
            Some(_) => bail!("{at}/type: it must be a text, or a list of texts"),
        }
    }

    fn named(&self, schema: &Object, name: &str, at: &str, depth: usize) -> Result<Kind> {
        Ok(match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "string" => {
                let known = schema.get("examples").and_then(Node::list).unwrap_or_default();
                Kind::Text { known: known.iter().filter_map(Node::text).map(str::to_owned).collect() }
            }
            "integer" => Kind::Integer(range(schema, at)?),
            "number" => Kind::Number(range(schema, at)?),
            "array" => Kind::List(Box::new(match schema.get("items") {
                Some(items) => self.kind(items, &format!("{at}/items"), depth + 1)?,
                None => Kind::Any,
            })),
            "object" => match (schema.get("properties"), schema.get("additionalProperties")) {
                (Some(properties), _) => Kind::Object(self.fields(schema, properties, at, depth)?),
                (None, Some(Node::Bool(_)) | None) => Kind::Map(Box::new(Kind::Any)),
                (None, Some(values)) => Kind::Map(Box::new(self.kind(
                    values,
                    &format!("{at}/additionalProperties"),
                    depth + 1,
                )?)),
            },
            _ => bail!(
                "{at}/type: `{name}` is no type; it must be null, boolean, string, integer, number, array or object"
            ),
        })
    }

    fn fields(&self, schema: &Object, properties: &Node, at: &str, depth: usize) -> Result<Vec<Field>> {
        let properties = object(properties, &format!("{at}/properties"))?;
        let required = match schema.get("required") {
            None => &[],
            Some(required) => {
                required.list().with_context(|| format!("{at}/required: it must be a list of names"))?
            }
        };
        for (index, name) in required.iter().enumerate() {
            let name = name.text().with_context(|| format!("{at}/required/{index}: it must be a text"))?;
            ensure!(properties.contains_key(name), "{at}/required/{index}: there is no property `{name}`");
        }
        let field = |(name, schema): (&String, &Node)| {
            let at = format!("{at}/properties/{name}");
            Ok(Field {
                name: name.clone(),
                kind: self.kind(schema, &at, depth + 1)?,
                is_required: required.iter().any(|required| required.text() == Some(name)),
                about: match schema.object() {
                    Some(schema) => text(schema, "description", &at)?.unwrap_or_default(),
                    None => String::new(),
                },
            })
        };
        properties.iter().map(field).collect()
    }

    fn referred(&self, target: &Node, at: &str, depth: usize) -> Result<Kind> {
        let target = target.text().with_context(|| format!("{at}: it must be a text"))?;
        if target == DIALECT {
            return Ok(Kind::Schema);
        }
        let found = target.strip_prefix("#/$defs/").and_then(|name| self.definitions.get(name));
        let found = found.with_context(|| {
            format!("{at}: `{target}` leads nowhere; it must be #/$defs/ and the name of a definition of this file")
        })?;
        self.kind(found, target, depth + 1)
    }
}

fn object<'a>(node: &'a Node, at: &str) -> Result<&'a Object> {
    node.object().with_context(|| format!("{at}: it must be an object"))
}

fn text(schema: &Object, keyword: &str, at: &str) -> Result<Option<String>> {
    let Some(value) = schema.get(keyword) else { return Ok(None) };
    let text = value.text().with_context(|| format!("{at}/{keyword}: it must be a text"))?;
    Ok(Some(text.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// A value that a type can name.
fn literal(value: &Node, at: &str) -> Result<Node> {
    let is_nameable = matches!(value, Node::Null | Node::Bool(_) | Node::Text(_))
        || matches!(value, Node::Number(number) if !number.is_f64());
    ensure!(is_nameable, "{at}: it must be a text, an integer, true, false or null");
    Ok(value.clone())
}

fn range(schema: &Object, at: &str) -> Result<Range> {
    let bound = |keyword: &str| match schema.get(keyword) {
        None => Ok(None),
        Some(Node::Number(number)) => Ok(number.as_f64()),
        Some(_) => bail!("{at}/{keyword}: it must be a number"),
    };
    Ok(Range { min: bound("minimum")?, max: bound("maximum")?, unit: text(schema, "x-unit", at)? })
}

/// Whether a name can be one in TypeScript and in Python.
pub(crate) fn is_identifier(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

/// `invoice_ready` and `invoice-ready` become `InvoiceReady`.
fn pascal(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    words.filter_map(upper).collect()
}

#[cfg(test)]
mod tests;
