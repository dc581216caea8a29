//! What sockets can make a bridge hold, in bytes. `bridge/tests/memory` measures that they cannot make it hold more.

use crate::journal::MAX_QUEUED_BYTES;
use crate::limits::Limits;
use crate::socket::{CHUNK_BYTES, MAX_BEFORE_WELCOME, SMALL_BYTES};

/// A socket that was welcomed, with one stream, and at which nothing happens: measured 22.5 kB.
const IDLE: usize = 24 * 1_024;

/// A send whose receipt is not out yet, or that has to come again: its ids, its place in the order, its answer.
const SEND: usize = 2_048;

/// A subscription, without its events.
const STREAM: usize = 4_096;

/// What is known of a user beside its sockets.
const USER: usize = 4_096;

/// The most memory that sockets can make a bridge hold, in bytes.
///
/// These are bounds for the worst page, or for that many of them; [`Limits::memory`] computes them. A page that reads
/// what it is sent takes about 24 kB. With the default limits a socket that has not said who it is takes up to 184 KiB,
/// one of a user up to 5 MiB, all of one user up to 69 MiB, and 10,000 sockets that all do their worst up to 38 GiB: a
/// process with less memory gets a lower `max_connections`, `max_frame_bytes` or `max_buffered_bytes`. What streams have come to (open runs, approvals, ids of sends within
/// `send_horizon`) and the caches of the log come on top, and so do the buffers of the system: about 200 kB for a socket
/// that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// A socket that has not said who it is.
    pub opening: usize,
    /// A socket of a user that has sent a part of a message, without what is above 65,536 bytes of it.
    pub reading: usize,
    /// A socket of a user in any state, without what is above 65,536 bytes of a message.
    pub connection: usize,
    /// All sockets of one user.
    pub user: usize,
    /// All sockets, and the recent events and queued records that they share.
    pub total: usize,
}

impl Limits {
    /// What these limits can cost in memory.
    #[must_use]
    pub fn memory(&self) -> Memory {
        // A buffer that grows has up to twice the bytes that are in it.
        let opening = IDLE + 2 * MAX_BEFORE_WELCOME;
        let reading = IDLE + 2 * (SMALL_BYTES + CHUNK_BYTES);
        // One frame may wait in any case, beside the event that it was made of.
        let frame = 2 * self.max_frame_bytes;
        let kept = 2 * self.max_pending_sends * SEND + self.max_streams * STREAM;
        // Without the frames that wait: they are bounded for a socket, a user and all.
        let others = reading + frame + self.max_buffered_bytes + kept;
        let connection = others + self.max_buffered_bytes;
        let large = |messages: usize| 2 * messages * self.max_frame_bytes;
        let sockets = self.max_connections_per_user.min(self.max_connections);
        let user = USER
            + sockets * others
            + self.max_buffered_bytes_per_user.min(sockets * self.max_buffered_bytes)
            + large(2);
        let total = self.max_opening * opening
            + self.max_connections * (others + USER)
            + self.max_buffered_bytes_in_total.min(self.max_connections * self.max_buffered_bytes)
            + large((self.max_large_bytes_in_total / self.max_frame_bytes).max(1))
            + self.cache_bytes_in_total
            + MAX_QUEUED_BYTES;
        Memory { opening, reading, connection, user, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_cost_what_their_documentation_says() {
        let Memory { opening, reading, connection, user, total } = Limits::default().memory();
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        assert_eq!(
            (opening >> 10, reading >> 10, mib(connection), mib(user), mib(total)),
            (184, 280, 5, 69, 38_658)
        );
    }

    #[test]
    fn each_limit_that_bounds_bytes_counts() {
        let memory = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.memory()
        };
        let usual = Limits::default().memory();
        assert!(memory(|limits| limits.max_frame_bytes *= 2).connection > usual.connection);
        assert!(memory(|limits| limits.max_buffered_bytes *= 2).connection > usual.connection);
        assert!(memory(|limits| limits.max_pending_sends *= 2).connection > usual.connection);
        assert!(memory(|limits| limits.max_streams *= 2).connection > usual.connection);
        assert!(memory(|limits| limits.max_connections_per_user *= 2).user > usual.user);
        assert!(memory(|limits| limits.max_buffered_bytes_per_user /= 2).user < usual.user);
        assert!(memory(|limits| limits.max_connections /= 2).total < usual.total);
        assert!(memory(|limits| limits.max_opening /= 2).total < usual.total);
        assert!(memory(|limits| limits.max_buffered_bytes_in_total /= 2).total < usual.total);
        assert!(memory(|limits| limits.max_large_bytes_in_total *= 2).total > usual.total);
        assert!(memory(|limits| limits.cache_bytes_in_total *= 2).total > usual.total);
    }
}
