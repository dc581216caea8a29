//! Keeps a chat page attached to its AI agents: every event once and in order, across drops, sleeps, restarts and reloads.
//!
//! This crate is the client: a state machine without IO ([`proto`]) and its binding to the browser (`web`, for wasm32), from which the
//! npm package `agentwire` is made. The wire is described in `docs/PROTOCOL.md`.
//!
//! # The model
//!
//! A **stream** is a named, ordered log of events; its **offsets** are 1, 2, 3, … without holes, within an **epoch**. A **consumer** of a
//! stream has a **position**: the last event that was *delivered* to it. A socket dies once; the connection survives it, because the
//! client says hello with its positions and the server sends what is missing.
//!
//! What holds, whatever the network does:
//!
//! - The offsets delivered to a consumer go up by exactly one from where it began.
//! - The only exception is a gap, and only the server can declare one. A request that is not answered ends the socket, never an event.
//! - Each catch-up of a consumer ends in one resume result.
//! - A send settles exactly once.
//! - In each state that is not final there is an armed deadline, a live socket, or a named wait.
//!
//! # Driving it
//!
//! The core has one way in, [`Client::handle_input`](proto::Client::handle_input), and one way out,
//! [`Client::poll_output`](proto::Client::poll_output). It has no clock, no socket and no randomness of its own.
//!
//! 1. Something happens outside: pass it in as an [`Input`](proto::Input), with the time.
//! 2. Take outputs until it answers [`Output::Timeout`](proto::Output::Timeout), and perform each before taking the next.
//! 3. Arm one timer for the deadline it names, and wait for something to happen.
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use agentwire::proto::{Begin, Client, Config, ConsumerId, Input, Instant, Output, Slot, StreamId, wire::Open};
//!
//! let mut client = Client::new(Config::new(42));
//! let mut now = Instant::ZERO;
//! let (stream, consumer) = (StreamId(1), ConsumerId(1));
//! let subscribe =
//!     Input::Subscribe { stream, consumer, name: "thread-42".into(), name_bytes: 9, open: Open::Start, begin: Begin::Stream, max_queued: None };
//! // 1. Something happens.
//! client.handle_input(subscribe, now);
//! client.handle_input(Input::Connect, now);
//! // 2. Do what it says.
//! let deadline = loop {
//!     match client.poll_output() {
//!         Output::RequestToken => client.handle_input(Input::TokenReady { token: Slot(0) }, now),
//!         Output::OpenSocket(socket) => println!("open {socket:?}"),
//!         Output::Timeout(deadline) => break deadline,
//!         other => println!("{other:?}"),
//!     }
//! };
//! // 3. Wait for the socket, at most until the deadline.
//! now = deadline.expect("a socket that does not open is given up");
//! client.handle_input(Input::Timeout, now);
//! # }
//! ```
//!
//! # Bodies stay outside
//!
//! The body of an event never enters the core. The driver parses a frame once, keeps it in a slot, and hands the core the frame's
//! numbers; the core answers which events of which slot go to whom. In the browser a slot holds a JavaScript object; in native tests,
//! plain data. That is why the same core runs in both.

pub mod proto;
#[cfg(target_arch = "wasm32")]
pub mod web;
