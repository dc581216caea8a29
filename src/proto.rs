//! The sans-IO core: no clock, no socket, no randomness of its own, nothing of the web.
//!
//! Read in this order: [`input`] and [`output`] say what goes in and out, [`client`] is the connection, `stream` is the order
//! of events, [`wire`] is what frames look like.

mod backoff;
mod bucket;
pub mod client;
mod close_code;
pub mod config;
mod effects;
mod ids;
pub mod input;
mod instant;
mod outbox;
pub mod output;
mod rng;
mod stats;
mod stream;
mod streams;
mod text;
mod timer;
pub mod wire;

pub use client::Client;
pub use close_code::CloseCode;
pub use config::Config;
pub use ids::{ConsumerId, Slot, SocketId, StreamId};
pub use input::{Begin, Input, SendKind};
pub use instant::{Duration, Instant};
pub use outbox::FirstSent;
pub use output::{ClientError, Event, Gap, Outcome, Output, ResumeResult, State};
pub use stats::Stats;
pub use text::Text;
