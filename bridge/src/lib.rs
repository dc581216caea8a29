//! The server half of agentwire: keeps a log of what agents do, and keeps pages attached to it.
//!
//! # The model
//!
//! A **stream** is an ordered log of events: one per thread of a user, and one called `inbox`. Agents append by an
//! [`Emitter`] or a [`Run`]. Pages connect by a WebSocket, name the streams they want and how far they are, and are
//! sent what is missing and then what happens. The protocol is `docs/PROTOCOL.md`.
//!
//! A [`Log`] keeps the streams. [`SqliteLog`] is one file and one writer thread, [`MemoryLog`] is for tests. Sessions
//! *pull*: they learn from the log's observer that the durable head has moved, and read up to it as fast as the window
//! of their page allows. A slow page holds up nobody and nothing piles up for it.
//!
//! # What it guarantees
//!
//! - **Durable before visible.** An event reaches a page only after its commit. When a `publish` returns, the event
//!   survives the end of the process.
//! - **Offsets without holes.** Per stream and epoch, a page is sent each offset once and in order, or a `gap` that says
//!   which offsets will never come.
//! - **Sends are applied once.** A message is stored with its key in one transaction; each copy gets the same receipt.
//! - **Runs end.** A [`Run`] that is dropped is written as died; runs that a killed process left are ended at the next
//!   start, and messages that no run had claimed are given to the [`Agent`] then.
//! - **Users don't meet.** By default every stream name lives in the namespace of the token's subject.
//! - **Everything is bounded**, by [`Limits`].
//!
//! # Example
//!
//! ```no_run
//! use agentwire_bridge::{Agent, Bridge, Hs256, SqliteLog, Turn};
//! use futures_util::future::BoxFuture;
//!
//! struct Echo;
//!
//! impl Agent for Echo {
//!     fn handle(&self, turn: Turn) -> BoxFuture<'static, ()> {
//!         Box::pin(async move {
//!             // With this the message is claimed. After an error of the log it comes again.
//!             let Ok(run) = turn.run("echo").await else { return };
//!             let mut answer = run.message();
//!             let _ = answer.delta(&turn.message.content).await;
//!             let _ = answer.complete().await;
//!             let _ = run.complete("Echoed.").await;
//!         })
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let bridge = Bridge::builder()
//!         .log(SqliteLog::open("agents.sqlite")?)
//!         .agent(Echo)
//!         .authenticator(Hs256::new(std::env::var("SECRET")?))
//!         .build()
//!         .await?;
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     let stop = bridge.clone();
//!     axum::serve(listener, bridge.router())
//!         .with_graceful_shutdown(async move {
//!             let _ = tokio::signal::ctrl_c().await;
//!             stop.shutdown().await;
//!         })
//!         .await?;
//!     Ok(())
//! }
//! ```

mod auth;
mod bridge;
mod clock;
mod connections;
mod dispatch;
mod emitter;
mod event;
#[cfg(feature = "faults")]
mod faults;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod http;
mod hub;
mod limits;
mod log;
mod recovery;
mod retry;
mod run;
mod session;
mod stream;
mod wire;

pub use auth::{Access, AuthError, Authenticator, Authorizer, Hs256, Identity, OwnStreams, Refusal};
pub use bridge::{Bridge, BridgeBuilder, BuildError};
pub use dispatch::{Agent, Turn, UserMessage};
pub use emitter::{Emitter, PublishError};
pub use event::{Claims, Effect, Event, EventError};
#[cfg(feature = "faults")]
pub use faults::Sabotage;
pub use limits::{LimitError, Limits};
pub use log::{
    Append, Change, Commit, Guard, Log, LogError, MemoryLog, Observer, Once, OpenError, Outcome, Page,
    Pending, Receipt, SqliteLog, Status, StreamState, Ticket, Unfinished,
};
pub use run::{
    AgentError, Completion, Decision, Message, Run, Severity, Thinking, ToolCall, ToolStart, Urgency,
};
pub use stream::{INBOX, NameError, Position, StreamKey};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
