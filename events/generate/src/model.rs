//! Event types, as a schema has them.

use crate::node::Node;

/// The event types of a schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schema {
    pub(crate) events: Vec<EventType>,
}

/// A type of event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventType {
    /// Its `type`.
    pub(crate) name: String,
    /// Its name in TypeScript and Python.
    pub(crate) title: String,
    pub(crate) about: String,
    /// What it does when a page folds the stream.
    pub(crate) effect: String,
    /// All fields but `type`.
    pub(crate) fields: Vec<Field>,
}

/// A field of an event or of an object in one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
    pub(crate) about: String,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Any,
    Null,
    Boolean,
    /// A text; the ones that are known have a meaning.
    Text {
        known: Vec<String>,
    },
    /// One of these values.
    OneOf(Vec<Node>),
    Integer(Range),
    Number(Range),
    List(Box<Self>),
    /// An object of any names and values of one kind.
    Map(Box<Self>),
    /// An object of these fields, and others.
    Object(Vec<Field>),
    /// A JSON Schema.
    Schema,
    /// A value of one of these kinds.
    Union(Vec<Self>),
}

/// The bounds of a number, and its unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Range {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) unit: Option<String>,
}

impl EventType {
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
