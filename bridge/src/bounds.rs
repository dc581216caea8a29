//! What one user may do, and all of them together: sockets, bytes, frames, sends, new streams, heavy work, turns.

pub(crate) mod buffers;
pub(crate) mod connections;
pub(crate) mod heavy;
pub(crate) mod new_streams;
pub(crate) mod pace;
pub(crate) mod turns;
pub(crate) mod users;
