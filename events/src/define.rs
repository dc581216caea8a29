//! The macros that write a struct and its rows of the table from one definition.
//!
//! The derive of schemars would do a part of this. It would also put its crates into every server that embeds the bridge, and
//! the check and the table of the protocol would still need a table of their own.

use serde::{Deserialize, Deserializer};

/// Reads an optional field that is there: null is then a value, and no sign that the field is missing.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    reader: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// A struct with serde, and `FIELDS`, the rows of its fields.
macro_rules! record {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident $key:literal: $type:ty as $kind:expr, )*
            $( optional { $( $(#[doc = $optional_doc:literal])+ $optional:ident $optional_key:literal: $optional_type:ty as $optional_kind:expr, )* } )?
            $( flatten { $( $(#[doc = $flat_doc:literal])+ $flat:ident: $flat_type:ty, )* } )?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $key)]
                pub $field: $type,
            )*
            $($(
                $(#[doc = $optional_doc])+
                #[serde(
                    rename = $optional_key,
                    default,
                    deserialize_with = "crate::define::given",
                    skip_serializing_if = "Option::is_none"
                )]
                pub $optional: Option<$optional_type>,
            )*)?
            $($(
                $(#[doc = $flat_doc])+
                #[serde(flatten)]
                pub $flat: $flat_type,
            )*)?
        }

        impl $name {
            /// Its rows of the table.
            pub const FIELDS: &[Field] = &[
                $( Field { name: $key, kind: $kind, is_optional: false, about: &[$($doc),+] }, )*
                $($( Field { name: $optional_key, kind: $optional_kind, is_optional: true, about: &[$($optional_doc),+] }, )*)?
            ];
        }
    };
}

/// The structs of all events, the enum of them, and the table.
macro_rules! events {
    ($(
        $(#[doc = $about:literal])+
        #[effect = $effect:literal]
        $name:ident $type:literal of $common:ident {
            $( $(#[doc = $doc:literal])+ $field:ident $key:literal: $rust:ty as $kind:expr, )*
            $( optional { $( $(#[doc = $optional_doc:literal])+ $optional:ident $optional_key:literal: $optional_type:ty as $optional_kind:expr, )* } )?
        }
    )+) => {
        $(
            record! {
                $(#[doc = $about])+
                $name {
                    $( $(#[doc = $doc])+ $field $key: $rust as $kind, )*
                    $( optional { $( $(#[doc = $optional_doc])+ $optional $optional_key: $optional_type as $optional_kind, )* } )?
                    flatten {
                        /// The fields that many events share.
                        common: $common,
                        /// Fields that the table does not have.
                        other: Map<String, Value>,
                    }
                }
            }
        )+

        /// The table of all events, in the order of the protocol.
        pub const EVENTS: &[EventType] = &[$(
            EventType {
                name: $type,
                title: stringify!($name),
                about: &[$($about),+],
                effect: $effect,
                common: $common::ROWS,
                fields: $name::FIELDS,
            },
        )+];

        /// Any event. Reading one of the table that breaks it is an error; reading and writing keeps unknown fields.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", try_from = "Map<String, Value>")]
        #[non_exhaustive]
        pub enum Event {
            $(
                $(#[doc = $about])+
                #[serde(rename = $type)]
                $name($name),
            )+
            /// A custom event: its fields, with its `type`.
            #[serde(untagged)]
            Other(Map<String, Value>),
        }

        impl TryFrom<Map<String, Value>> for Event {
            type Error = Invalid;

            fn try_from(mut fields: Map<String, Value>) -> Result<Self, Invalid> {
                crate::check(&fields)?;
                Ok(match fields.get("type").and_then(Value::as_str) {
                    $( Some($type) => {
                        fields.remove("type");
                        let read = serde_json::from_value(Value::Object(fields));
                        Self::$name(read.map_err(|error| Invalid::unreadable($type, &error))?)
                    } )+
                    _ => Self::Other(fields),
                })
            }
        }
    };
}

/// An enum of texts: a closed list of values.
macro_rules! listed {
    (
        $(#[$about:meta])+
        $name:ident { $( $(#[$doc:meta])+ $value:ident = $text:literal, )+ }
    ) => {
        $(#[$about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $( $(#[$doc])+ #[serde(rename = $text)] $value, )+
        }

        impl $name {
            /// All of its texts.
            pub const VALUES: &[&str] = &[$($text),+];

            /// Its text in an event.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$value => $text, )+ }
            }
        }
    };
}

pub(crate) use {events, listed, record};
