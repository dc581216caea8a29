//! The core against a model server, in virtual time.
//!
//! [`World`] is one page with its server, for tests that tell a story. The rest is the deterministic simulation: a seed gives a
//! [plan] of faults, the [arena] carries it out on several pages and one server, and the [oracle] compares
//! what was delivered to every consumer with everything that was ever in the logs.

#![allow(
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    reason = "a model: its numbers are small, and its panics fail a test"
)]

pub mod arena;
pub mod campaign;
pub mod coverage;
pub mod driver;
pub mod herd;
pub mod log;
pub mod oracle;
pub mod plan;
pub mod planted;
pub mod rng;
pub mod runner;
pub mod server;
pub mod world;

pub use driver::{Driver, Item, Receiver, expand};
pub use server::{Loop, Server};
pub use world::World;
