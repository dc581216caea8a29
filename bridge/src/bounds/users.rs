//! What the sockets and requests of one user share: counts, rates and room.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::bounds::new_streams::NewStreams;
use crate::bounds::pace::Pace;
use crate::limits::Limits;

/// Users that are kept at the most although nobody of them is here, unless more of them have used up what they may.
const MAX_IDLE: usize = 4_096;

/// Large messages of one user that are read at once.
const LARGE_OF_USER: usize = 2;

/// Seconds of bytes and frames that may come at once.
const BURST: f64 = 4.0;

/// Users who are connected, or who still have to wait for something.
#[derive(Debug)]
pub(crate) struct Users {
    users: Mutex<HashMap<String, Arc<User>>>,
    limits: Limits,
    /// Large messages that are read at once, of all users.
    large: Arc<Semaphore>,
    /// How often users were revoked.
    revocations: AtomicU64,
}

/// One user.
#[derive(Debug)]
pub(crate) struct User {
    sockets: AtomicUsize,
    /// Cancelled, and replaced, when the user is revoked: the sockets end.
    revoked: Mutex<CancellationToken>,
    max_sockets: usize,
    /// Bytes that wait for the sockets.
    pub(crate) buffered: Arc<AtomicUsize>,
    /// What the sockets take in.
    pub(crate) intake: Arc<Intake>,
    /// Sends, cancels and approvals.
    pub(crate) sends: Pace,
    /// Streams that are begun.
    pub(crate) new_streams: NewStreams,
    /// One heavy frame is worked on at a time.
    pub(crate) heavy: Arc<Semaphore>,
}

/// What the sockets of one user take in.
#[derive(Debug)]
pub(crate) struct Intake {
    /// Bytes, whatever they are.
    pub(crate) bytes: Pace,
    /// Frames and pings.
    pub(crate) frames: Pace,
    /// Large messages that are read or worked on at once: of the user, and of all.
    pub(crate) large: [Arc<Semaphore>; 2],
}

/// One of the sockets of a user.
pub(crate) struct Seat {
    pub(crate) user: Arc<User>,
}

impl Users {
    pub(crate) fn new(limits: &Limits) -> Self {
        let large = (limits.max_large_bytes_in_total / limits.max_frame_bytes).max(1);
        Self {
            users: Mutex::default(),
            limits: limits.clone(),
            large: Arc::new(Semaphore::new(large)),
            revocations: AtomicU64::new(0),
        }
    }

    /// How often users were revoked: a token that was checked at another count may be one of theirs.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Ends the sockets of a user. Returns how many there are.
    pub(crate) fn revoke(&self, name: &str) -> usize {
        // Before the sockets are looked at: one that is added meanwhile finds that its token was checked too early.
        self.revocations.fetch_add(1, Ordering::SeqCst);
        let Some(user) = self.users.lock().get(name).cloned() else { return 0 };
        std::mem::take(&mut *user.revoked.lock()).cancel();
        user.sockets.load(Ordering::Relaxed)
    }

    /// A user by name.
    pub(crate) fn of(&self, name: &str) -> Arc<User> {
        let mut users = self.users.lock();
        if let Some(user) = users.get(name) {
            return Arc::clone(user);
        }
        if users.len() >= MAX_IDLE {
            users.retain(|_, user| Arc::strong_count(user) > 1 || !user.is_rested());
        }
        let user = Arc::new(User::new(&self.limits, &self.large));
        users.insert(name.to_owned(), Arc::clone(&user));
        user
    }
}

impl User {
    fn new(limits: &Limits, large: &Arc<Semaphore>) -> Self {
        let bytes = limits.max_bytes_per_second as f64;
        let bytes = Pace::new(bytes, BURST * bytes.max(limits.max_frame_bytes as f64));
        let frames = limits.max_frames_per_second as f64;
        let frames = Pace::new(frames, BURST * frames);
        let sends = limits.max_sends_per_minute as f64;
        let of_user = Arc::new(Semaphore::new(LARGE_OF_USER));
        let intake = Intake { bytes, frames, large: [of_user, Arc::clone(large)] };
        Self {
            sockets: AtomicUsize::new(0),
            revoked: Mutex::default(),
            max_sockets: limits.max_connections_per_user,
            buffered: Arc::default(),
            intake: Arc::new(intake),
            sends: Pace::new(sends / 60.0, sends),
            new_streams: NewStreams::new(limits.new_streams_per_hour),
            heavy: Arc::new(Semaphore::new(1)),
        }
    }

    /// Cancelled when the user is revoked.
    pub(crate) fn revoked(&self) -> CancellationToken {
        self.revoked.lock().clone()
    }

    /// Takes a place for one more socket, if there is one.
    pub(crate) fn sit(self: Arc<Self>) -> Option<Seat> {
        let max = self.max_sockets;
        let more = |count| (count < max).then_some(count + 1);
        self.sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Seat { user: self })
    }

    /// Whether a new one in its place would be the same.
    fn is_rested(&self) -> bool {
        self.intake.bytes.is_full()
            && self.intake.frames.is_full()
            && self.sends.is_full()
            && self.new_streams.is_full()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.user.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_user_is_forgotten_when_nobody_of_it_is_here_and_nothing_was_used_up() {
        let users = Users::new(&Limits::default());
        let of = |number: usize| users.of(&number.to_string());
        let seat = of(0).sit();
        of(1).sends.take(1);
        (2..MAX_IDLE).for_each(|number| drop(of(number)));
        assert_eq!(users.users.lock().len(), MAX_IDLE);
        of(MAX_IDLE);
        // The first one is here, the second has used something.
        assert_eq!(users.users.lock().len(), 3);
        drop(seat);
        tokio::time::advance(Duration::from_secs(60)).await;
        (0..MAX_IDLE).for_each(|number| drop(of(number + MAX_IDLE)));
        assert!(!users.users.lock().contains_key("1"));
    }

    #[tokio::test]
    async fn a_user_has_so_many_sockets() {
        let users = Users::new(&Limits { max_connections_per_user: 2, ..Limits::default() });
        let ada = [users.of("ada").sit(), users.of("ada").sit()];
        assert!(ada.iter().all(Option::is_some));
        assert!(users.of("ada").sit().is_none());
        assert!(users.of("bob").sit().is_some());
        drop(ada);
        assert!(users.of("ada").sit().is_some());
    }
}
