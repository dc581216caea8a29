//! A request for offsets that a stream is missing.

use crate::proto::{
    ids::{ConsumerId, StreamId},
    instant::Instant,
};

/// A replay request that is open.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) req: u64,
    pub(super) stream: StreamId,
    pub(super) purpose: Purpose,
    pub(super) from: u64,
    pub(super) to: u64,
    /// When it was sent, or when a part of its answer came last.
    pub(super) asked: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A consumer began before the stream's position.
    CatchUp(ConsumerId),
    /// The server owes an offset that did not come.
    Repair,
}
