//! `cargo xtask`: sets up, builds and tests agentwire. CI calls it, and cargo-deny.
//!
//! It knows what a first start needs: the set-up, the build and the demo; also the reference. For the rest it builds and
//! becomes the program in `proof`, which has this library beneath it.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

pub mod build;
pub mod cli;
pub mod context;
pub mod demo;
pub mod docs;
pub mod fingerprint;
mod handover;
mod lock;
pub mod page;
mod progress;
pub mod run;
pub mod setup;
pub mod test;
