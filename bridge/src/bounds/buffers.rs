//! Bytes that wait for sockets: bounded for one socket, for those of one user, and in total.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::counters::{Counted, Counter, Handles};
use crate::limits::Limits;

/// What waits for all sockets.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    total: Arc<AtomicUsize>,
    sockets: Counter,
}

/// What waits for one socket. A socket for which nothing waits always has room for one frame, so that each goes on.
pub(crate) struct Buffer {
    own: AtomicUsize,
    /// What waits for the sockets of its user, once that is known.
    user: OnceLock<Arc<AtomicUsize>>,
    total: Arc<AtomicUsize>,
    most: [usize; 3],
    /// Notified when something was written.
    written: Notify,
    /// Each socket has one buffer.
    _socket: Counted,
}

/// A frame that waits; counted until it is dropped.
pub(crate) struct Waiting {
    buffer: Arc<Buffer>,
    bytes: usize,
    /// What it is counted in beside its socket.
    user: Option<Arc<AtomicUsize>>,
}

impl Buffers {
    /// The buffer of a new socket.
    pub(crate) fn buffer(&self, limits: &Limits) -> Arc<Buffer> {
        Arc::new(Buffer {
            own: AtomicUsize::new(0),
            user: OnceLock::new(),
            total: Arc::clone(&self.total),
            most: [
                limits.max_buffered_bytes,
                limits.max_buffered_bytes_per_user,
                limits.max_buffered_bytes_in_total,
            ],
            written: Notify::new(),
            _socket: self.sockets.count(),
        })
    }

    /// Counts sockets.
    pub(crate) fn sockets(&self) -> Handles {
        // Each buffer has a share in the total, and so has this.
        self.sockets.handles(Arc::strong_count(&self.total) - 1)
    }
}

impl Buffer {
    /// The socket belongs to a user from now on.
    pub(crate) fn of_user(&self, bytes: Arc<AtomicUsize>) {
        // A socket has one user.
        let _ = self.user.set(bytes);
    }

    /// Whether another frame may wait.
    pub(crate) fn has_room(&self) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        let user = self.user.get().map_or(0, |user| user.load(Ordering::Relaxed));
        let total = self.total.load(Ordering::Relaxed);
        own == 0 || [own, user, total].iter().zip(self.most).all(|(bytes, most)| *bytes < most)
    }

    /// Waits until it is so; looks again whenever something was written. One waits at a time.
    pub(crate) async fn written_until(&self, is_so: impl Fn() -> bool) {
        loop {
            // Before the look, so that nothing falls between the two.
            let written = self.written.notified();
            if is_so() {
                return;
            }
            written.await;
        }
    }

    /// Counts a frame.
    pub(crate) fn add(self: &Arc<Self>, bytes: usize) -> Waiting {
        let user = self.user.get().cloned();
        for count in [Some(&self.own), user.as_deref(), Some(&*self.total)].into_iter().flatten() {
            count.fetch_add(bytes, Ordering::Relaxed);
        }
        Waiting { buffer: Arc::clone(self), bytes, user }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let buffer = &self.buffer;
        for count in [Some(&buffer.own), self.user.as_deref(), Some(&*buffer.total)].into_iter().flatten() {
            count.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        buffer.written.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_socket_a_user_and_all_have_bounds_and_one_frame_always_has_room() {
        let limits = Limits {
            max_buffered_bytes: 100,
            max_buffered_bytes_per_user: 150,
            max_buffered_bytes_in_total: 250,
            ..Limits::default()
        };
        let (all, ada) = (Buffers::default(), Arc::new(AtomicUsize::new(0)));
        let socket = |user: Option<&Arc<AtomicUsize>>| {
            let buffer = all.buffer(&limits);
            user.into_iter().for_each(|user| buffer.of_user(Arc::clone(user)));
            buffer
        };
        let room = async |buffer: &Arc<Buffer>| buffer.written_until(|| buffer.has_room()).await;
        let one = socket(Some(&ada));
        let large = one.add(1_000);
        assert!(!one.has_room(), "its own bound");
        assert!(room(&one).now_or_never().is_none());
        drop(large);
        assert!(room(&one).now_or_never().is_some());
        let waits = [one.add(60), one.add(30)];
        assert!(one.has_room());
        let other = socket(Some(&ada));
        let more = other.add(70);
        assert!(!one.has_room() && !other.has_room(), "that of the user");
        let third = socket(Some(&ada));
        assert!(third.has_room(), "nothing waits for it");
        let of_bob = socket(None);
        let last = [of_bob.add(50), of_bob.add(45)];
        assert!(!of_bob.has_room(), "that of all");
        drop((waits, more));
        assert!(of_bob.has_room());
        drop(last);
        assert_eq!([ada.load(Ordering::Relaxed), all.total.load(Ordering::Relaxed)], [0, 0]);
    }
}
