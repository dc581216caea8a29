//! Compares an event with the table.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::table::{EventType, Field, Kind, MAX_ID_BYTES, MAX_INTEGER, find};

/// A field of an event that is not as the table says. It quotes nothing of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of `{event}` {}must be {expected}", if *is_missing { "is missing: it " } else { "" })]
#[non_exhaustive]
pub struct Invalid {
    /// The type of the event, or `event` for a custom one.
    pub event: &'static str,
    /// The key; below an object, the keys with dots between them.
    pub field: Cow<'static, str>,
    /// What it must hold.
    pub expected: Cow<'static, str>,
    /// Whether it is missing. Otherwise it has another type, or a value outside of its range or list.
    pub is_missing: bool,
}

impl Invalid {
    /// Says that a field does not hold what it must.
    #[must_use]
    pub fn new(
        event: &'static str,
        field: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { event, field: field.into(), expected: expected.into(), is_missing: false }
    }

    /// For what the check lets pass and a struct cannot hold: there is no such event, so this is no panic for one.
    pub(crate) fn unreadable(event: &'static str, error: &serde_json::Error) -> Self {
        Self::new(event, "type", format!("of an event that can be read: {error}"))
    }
}

/// Checks an event that has its `type`. A custom event is valid if its `type` is a text of 1 byte or more. Fields that the
/// table does not have are ignored.
///
/// The work is bounded by the table: each of its fields is looked up once, and none of any value is walked through.
///
/// # Errors
/// Names the first field that is missing, has another type, or holds a value outside of its range or list.
pub fn check(event: &Map<String, Value>) -> Result<(), Invalid> {
    match event.get("type") {
        Some(Value::String(name)) if !name.is_empty() => find(name).map_or(Ok(()), |row| row.check(event)),
        value => Err(Invalid {
            is_missing: value.is_none(),
            ..Invalid::new("event", "type", "text of 1 byte or more")
        }),
    }
}

impl EventType {
    /// Checks the fields of an event of this type. What they say of `type` is not looked at.
    ///
    /// # Errors
    /// As [`check`](crate::check).
    pub fn check(&self, fields: &Map<String, Value>) -> Result<(), Invalid> {
        for field in self.all_fields() {
            check_field(field, fields).map_err(|fault| fault.into_invalid(self.name, field))?;
        }
        Ok(())
    }
}

/// What is wrong with a field, and with which one below it.
struct Fault {
    below: Option<&'static Field>,
    is_missing: bool,
}

impl Fault {
    /// Apart from the check, which is fast because it says nothing.
    #[cold]
    fn into_invalid(self, event: &'static str, field: &'static Field) -> Invalid {
        let (name, wrong) = match self.below {
            None => (Cow::Borrowed(field.name), field),
            Some(below) => (Cow::Owned(format!("{}.{}", field.name, below.name)), below),
        };
        Invalid { is_missing: self.is_missing, ..Invalid::new(event, name, expected(wrong.kind)) }
    }
}

fn check_field(field: &Field, fields: &Map<String, Value>) -> Result<(), Fault> {
    let Some(value) = fields.get(field.name) else {
        return if field.is_optional { Ok(()) } else { Err(Fault { below: None, is_missing: true }) };
    };
    if let (Kind::Record(below), Value::Object(inner)) = (field.kind, value) {
        for field in below {
            check_field(field, inner).map_err(|fault| Fault { below: Some(field), ..fault })?;
        }
        return Ok(());
    }
    if fits(field.kind, value) { Ok(()) } else { Err(Fault { below: None, is_missing: false }) }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Any, _)
        | (Kind::Text | Kind::Word(_), Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::List, Value::Array(_))
        | (Kind::Object, Value::Object(_))
        | (Kind::Schema, Value::Object(_) | Value::Bool(_)) => true,
        (Kind::Id, Value::String(text)) => (1..=MAX_ID_BYTES).contains(&text.len()),
        (Kind::OneOf(listed), Value::String(text)) => listed.contains(&text.as_str()),
        (Kind::Integer { min, .. }, Value::Number(number)) => {
            number.as_u64().is_some_and(|number| (min..=MAX_INTEGER).contains(&number))
        }
        (Kind::Number { min, max, .. }, Value::Number(number)) => {
            number.as_f64().is_some_and(|number| (min..=max).contains(&number))
        }
        _ => false,
    }
}

/// What a field must be, as the end of a sentence.
fn expected(kind: Kind) -> Cow<'static, str> {
    let text = match kind {
        Kind::Any => "a JSON value",
        Kind::Text | Kind::Word(_) => "text",
        Kind::Id => "text of 1 to 128 bytes",
        Kind::Boolean => "true or false",
        Kind::List => "a list",
        Kind::Object | Kind::Record(_) => "an object",
        Kind::Schema => "a JSON Schema: an object, true or false",
        Kind::OneOf(listed) => {
            let mut text = String::new();
            for (index, value) in listed.iter().enumerate() {
                let separator = match index {
                    0 => "",
                    _ if index + 1 == listed.len() => " or ",
                    _ => ", ",
                };
                let _ = write!(text, "{separator}`{value}`");
            }
            return text.into();
        }
        Kind::Integer { min, .. } => {
            return format!("an integer from {min} to 2^53 - 1, without a fraction").into();
        }
        Kind::Number { min, max, .. } => return format!("a number from {min} to {max}").into(),
    };
    text.into()
}

#[cfg(test)]
mod tests;
