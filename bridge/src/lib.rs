//! The server half of agentwire: keeps a log of what agents do, and keeps pages attached to it.
//!
//! # The model
//!
//! A **stream** is an ordered list of events: one per thread, and one called `inbox` per user. Agents append with an
//! [`Emitter`] or a [`Run`]. Pages connect over a WebSocket and name their streams and positions. The bridge
//! sends what is missing, then live events. `docs/PROTOCOL.md` defines the protocol.
//!
//! A [`Log`](log::Log) keeps the streams. [`SqliteLog`] is one file and one writer thread, [`MemoryLog`] is for tests.
//! Sessions *pull*: they learn from the log's observer that the durable head has moved, and read up to it as fast as the
//! window of their page allows. A slow page holds up nobody and nothing piles up for it.
//!
//! # What it guarantees
//!
//! - **Durable before visible.** An event reaches a page only after its commit. When a `publish` returns, the event
//!   survives the end of the process.
//! - **Offsets without holes.** Per stream and epoch, a page is sent each offset once and in order, or a `gap` that says
//!   which offsets will never come.
//! - **Sends are applied once.** A message is stored with its key in one record; each copy gets the same receipt.
//! - **Runs end.** A [`Run`] that is dropped is written as died; runs that a killed process left are ended at the next
//!   start, and messages that no run had claimed are given to the [`Agent`] then.
//! - **Users don't meet.** By default every stream name lives in the namespace of the token's subject.
//! - **Everything is bounded**, by [`Limits`].
//! - **No token and no secret is logged**, sent or stored. The bridge logs with `tracing`. The WebSocket library
//!   writes whole frames to `log` at level `trace`: if your subscriber collects that, keep `tungstenite` at `debug`.
//!
//! # Example
//!
//! ```no_run
//! use agentwire_bridge::{Bridge, Hs256, SqliteLog, Turn};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let bridge = Bridge::builder()
//!         .log(SqliteLog::open("agents.sqlite")?)
//!         .agent(async |turn: Turn| {
//!             let run = turn.run("echo").await?;
//!             let mut answer = run.message();
//!             answer.delta(&turn.message.content).await?;
//!             answer.complete().await?;
//!             run.complete("Echoed.").await?;
//!             Ok(())
//!         })
//!         .authenticator(Hs256::new(std::env::var("SECRET")?)?)
//!         .build()
//!         .await?;
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     let stop = async {
//!         tokio::signal::ctrl_c().await?;
//!         bridge.shutdown().await;
//!         Ok(())
//!     };
//!     tokio::try_join!(bridge.serve(listener, bridge.router()), stop)?;
//!     Ok(())
//! }
//! ```

mod agent;
mod auth;
mod bounds;
mod bridge;
mod clock;
mod context;
mod counters;
mod dispatch;
mod effects;
mod emitter;
mod event;
mod expiry;
#[cfg(feature = "faults")]
mod faults;
mod fingerprint;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod health;
mod http;
mod hub;
mod inbox;
mod journal;
mod ledger;
mod limits;
mod live;
pub mod log;
mod measures;
mod memory;
mod origins;
mod outside;
mod question;
mod recovery;
mod retention;
mod retry;
mod run;
mod seal;
mod serve;
mod session;
#[cfg(feature = "__simulation")]
#[doc(hidden)]
pub mod simulation;
#[cfg_attr(
    not(feature = "__simulation"),
    expect(unreachable_pub, reason = "the simulation makes sockets of its own")
)]
mod socket;
mod stream;
mod tasks;
mod wire;
mod workers;

/// The event types that the protocol lists, as Rust types and as a table.
pub use agentwire_events as events;

pub use agent::{Agent, Turn, UserMessage};
pub use auth::{
    AuthError, Authenticator, Authorizer, Grant, Hs256, Identity, Notified, OwnStreams, Refusal, SecretError,
};
pub use bridge::{Bridge, BridgeBuilder, BuildError};
pub use counters::{Counters, Handles};
pub use emitter::{Emitter, PublishError};
pub use event::EventError;
#[cfg(feature = "faults")]
pub use faults::Sabotage;
pub use limits::{LimitError, Limits};
pub use live::{Answer, Decision};
pub use log::{LogError, MemoryLog, OpenError, SqliteLog};
pub use memory::Memory;
pub use origins::OriginError;
pub use outside::{
    Batch, BatchError, Claim, Given, Idempotency, OpenRun, OutsideRun, Producer, Published, RunSignal,
    RunState, Signals, Taken,
};
pub use retention::Retention;
pub use run::{
    AcceptedRun, AgentError, Completion, Message, Question, Run, RunStart, Severity, Thinking, ToolArgs,
    ToolCall, ToolStart, Urgency,
};
pub use serve::{LongBody, Peer};
pub use stream::{INBOX, NameError, Position, StreamKey};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
