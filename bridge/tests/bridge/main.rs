//! The bridge over real sockets and real files. Tests name the clauses of docs/PROTOCOL.md that they prove.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

mod agents;
mod connection;
mod counters;
mod double;
mod events;
#[cfg(feature = "faults")]
mod faults;
mod flow;
mod http;
mod limits;
mod outside;
mod replay;
mod requirements;
mod rights;
mod runs;
mod sends;
mod serve;
mod streams;
mod support;
mod times;
mod trouble;
mod turns;
mod users;
