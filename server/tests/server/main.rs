//! The server as backends and pages meet it: over real sockets, with a real SQLite file.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

mod bad_input;
mod deliver_by_webhook;
mod deliver_to_workers;
mod publish;
mod support;
mod threads;
