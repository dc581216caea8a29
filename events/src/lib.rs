//! The event types that agentwire lists (section 12 of `docs/PROTOCOL.md`), defined once.
//!
//! [`EVENTS`] is the table of them. [`check`] compares an event with it. [`Event`] and the structs in [`types`] are the
//! same events in Rust. The JSON Schema (`schema/events.json`), the TypeScript `EventMap`, the Python module and the table
//! of the protocol are written from the table by `cargo xtask events --write`.
//!
//! A type that is not in the table is a custom event: any object with a text `type` is one.
//!
//! ```
//! use agentwire_events::{Event, check};
//! use serde_json::{Map, Value, json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let thought = json!({ "type": "agent_thinking", "time": 5, "runId": "r1", "progress": 140 });
//! let Value::Object(thought) = thought else { unreachable!() };
//! let error = check(&thought).unwrap_err();
//! assert_eq!(error.to_string(), "`progress` of `agent_thinking` must be a number from 0 to 100");
//!
//! let delta = r#"{ "type": "message_delta", "time": 5, "runId": "r1", "messageId": "m1", "text": "High " }"#;
//! let Event::MessageDelta(delta) = serde_json::from_str(delta)? else { unreachable!() };
//! assert_eq!(delta.text, "High ");
//! # Ok(())
//! # }
//! ```

mod check;
mod common;
mod define;
mod table;
pub mod types;

pub use check::{Invalid, check};
pub use table::{EventType, Field, Kind, MAX_ID_BYTES, MAX_INTEGER, Unit, find};
pub use types::{EVENTS, Event};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
