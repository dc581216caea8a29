//! The sans-IO core: no clock, no socket, no randomness of its own, nothing of the web.
//!
//! Read in this order: [`input`] and [`output`] say what goes in and out, [`client`] is the connection, `stream` and `sequencer`
//! are the order of events, [`wire`] is what frames look like.

/// Asks whether a named bug is switched on: `false` unless the feature `__mutants` compiles them in.
#[cfg(feature = "__mutants")]
macro_rules! is_mutant {
    ($name:ident) => {
        $crate::proto::mutant::is($crate::proto::mutant::Mutant::$name)
    };
}
#[cfg(not(feature = "__mutants"))]
macro_rules! is_mutant {
    ($name:ident) => {
        false
    };
}

mod backoff;
pub mod client;
mod close_code;
pub mod config;
mod ids;
pub mod input;
mod instant;
#[cfg(feature = "__mutants")]
pub mod mutant;
mod outbox;
pub mod output;
mod sequencer;
mod stats;
mod stream;
mod timer;
pub mod wire;

pub use client::Client;
pub use close_code::CloseCode;
pub use config::Config;
pub use ids::{ConsumerId, Slot, SocketId, StreamId};
pub use input::{Begin, Input, SendKind};
pub use instant::Instant;
pub use output::{ClientError, Event, Gap, Outcome, Output, State, Verdict};
pub use stats::Stats;
