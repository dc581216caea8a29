//! The agentwire server: a [bridge](agentwire_bridge) with an HTTP API for backends in any language.
//!
//! `docs/SERVER.md` describes the configuration, `docs/HTTP.md` the API. A request goes through `api`, what users do through
//! `deliver`; `state` holds what both share, and `app` puts all of it together.

mod api;
mod app;
pub mod auth;
mod clock;
pub mod config;
mod deliver;
pub mod dev;
mod logging;
mod members;
mod metrics;
pub mod outbound;
mod retention;
mod state;

pub use app::{ReloadHandle, Server, StartError};
pub use logging::start as start_logging;
