//! Keeps a chat page attached to its AI agents: every event once and in order.

pub mod proto;
#[cfg(target_arch = "wasm32")]
pub mod web;
