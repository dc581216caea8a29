//! What the table of events is made of.

use crate::types::EVENTS;

/// Largest integer of the protocol (GEN-5).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Longest id of a run, a tool call, a message, an approval or a send, in bytes (GEN-6).
pub const MAX_ID_BYTES: usize = 128;

/// A type of event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventType {
    /// Its `type`.
    pub name: &'static str,
    /// Its name in Rust; in TypeScript and Python, `Event` follows.
    pub title: &'static str,
    /// What it says, in lines.
    pub about: &'static [&'static str],
    /// What it does when a page folds the stream into messages and runs.
    pub effect: &'static str,
    /// The fields that many events share, in groups.
    pub common: &'static [&'static [Field]],
    /// Its own fields.
    pub fields: &'static [Field],
}

impl EventType {
    /// All of its fields but `type`.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.common.iter().copied().flatten().chain(self.fields)
    }

    /// Whether it belongs to a run: it has a `runId`.
    #[must_use]
    pub fn is_of_run(&self) -> bool {
        self.common.iter().copied().flatten().any(|field| field.name == "runId")
    }
}

/// A field of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be left out. Null is no value of a field, unless any value is.
    pub is_optional: bool,
    /// What it says, in lines.
    pub about: &'static [&'static str],
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text of 1 to [`MAX_ID_BYTES`] bytes of UTF-8.
    Id,
    /// Any text; these have a meaning.
    Word(&'static [&'static str]),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// True or false.
    Boolean,
    /// A whole number from `min` to [`MAX_INTEGER`].
    Integer {
        /// The smallest.
        min: u64,
        /// What it counts, if that has a unit.
        unit: Option<Unit>,
    },
    /// A number.
    Number {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
        /// What it measures, if that has a unit.
        unit: Option<Unit>,
    },
    /// Any JSON value.
    Any,
    /// A list of any values.
    List,
    /// An object of any fields.
    Object,
    /// A JSON Schema: an object, true or false.
    Schema,
    /// An object of these fields, and others.
    Record(&'static [Field]),
}

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Milliseconds since the Unix epoch.
    Time,
    /// Hundredths of the whole.
    Percent,
}

impl Unit {
    /// Its name in the schema.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Time => "ms since the Unix epoch",
            Self::Percent => "percent",
        }
    }
}

/// The row of a type, or `None` for a custom event.
#[must_use]
pub fn find(name: &str) -> Option<&'static EventType> {
    EVENTS.iter().find(|event| event.name == name)
}
