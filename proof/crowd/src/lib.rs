//! What the crowd shares with the server that it measures.
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

pub mod stamp;
