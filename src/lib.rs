//! Keeps a chat page attached to its AI agents: every event once and in order.

pub mod proto;
