//! The binding for the browser: a socket, a timer, a clock, and conversions. It makes no decision of the protocol.
//!
//! Data flows one way: a browser callback becomes an [`Input`](crate::proto::Input), the driver feeds it to the core and does
//! each [`Output`](crate::proto::Output). No borrow is held while JavaScript runs.

mod client;
mod clock;
mod driver;
mod host;
mod report;
mod socket;
mod timer;

pub use client::RawClient;
pub use host::Host;

#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
