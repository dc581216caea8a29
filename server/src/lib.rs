//! The parts of the server: its configuration, who may use it, and how it calls others.

pub mod auth;
pub mod config;
pub mod outbound;
