//! The real bridge and the real core together, in virtual time.
//!
//! A seed gives everything: when sockets break, when the log fails, when the bridge is killed, what agents do. The bridge
//! runs on a runtime whose clock only moves when nothing else can happen; pages are cores with the driver of the other
//! simulation, which also lends its oracle. What that oracle cannot see, such as what the bridge sends to whom and what
//! becomes of runs, is judged by the [`audit`].
//!
//! One seed always does the same: [`trace`] makes a hash of everything that goes over the wire.

#![allow(
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    reason = "a model: its numbers are small, and its panics fail a test"
)]

pub mod acts;
pub mod agents;
pub mod audit;
pub mod campaign;
pub mod doors;
pub mod faulty;
pub mod network;
pub mod page;
pub mod plan;
pub mod receipts;
pub mod socket;
pub mod steps;
pub mod store;
pub mod trace;
pub mod turns;
pub mod world;
