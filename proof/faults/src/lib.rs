//! Breaks connections and servers on purpose. The demo gives its user the switches; its delivery check uses them itself.
#![allow(clippy::print_stdout, reason = "the demo tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

pub mod ending;
pub mod interrupt;
pub mod proxy;
pub mod server;
pub mod switches;
