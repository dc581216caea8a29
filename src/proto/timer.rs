//! The core's deadlines.

use super::instant::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// When to send the acknowledgements that are due.
    Ack,
    /// When to give up on a request for a stream or a replay.
    Answer,
    /// When to give up on a socket that does not open.
    Connect,
    /// When to leave a socket that the server said it will close.
    GoAway,
    /// When to ask a silent socket whether it is alive, and when to treat it as dead.
    Heartbeat,
    /// When to ask for offsets that a heartbeat named and that still did not come.
    MissingHead,
    /// When to give up waiting for the receipt of a send.
    Receipt,
    /// When to make the next attempt.
    Reconnect,
    /// When to ask for a token before the present one expires.
    Refresh,
    /// When to send again what the server could not take, and to look whether the socket has room for what is large.
    Resend,
    /// When to ask again for a stream that the server could not serve.
    Subscribe,
    /// When to give up waiting for a token.
    Token,
    /// When to give up waiting for the welcome.
    Welcome,
}

const TIMERS: [Timer; 13] = [
    Timer::Ack,
    Timer::Answer,
    Timer::Connect,
    Timer::GoAway,
    Timer::Heartbeat,
    Timer::MissingHead,
    Timer::Receipt,
    Timer::Reconnect,
    Timer::Refresh,
    Timer::Resend,
    Timer::Subscribe,
    Timer::Token,
    Timer::Welcome,
];

/// The deadlines that are armed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimerTable {
    armed: [Option<Instant>; TIMERS.len()],
    /// The earliest of them, kept because each frame asks for it several times.
    earliest: Option<Instant>,
}

impl TimerTable {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.put(timer, Some(at));
    }

    /// Arms a timer unless it is armed for an earlier time.
    pub(crate) fn set_earliest(&mut self, timer: Timer, at: Instant) {
        if self.get(timer).is_none_or(|armed| at < armed) {
            self.set(timer, at);
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.put(timer, None);
    }

    pub(crate) const fn get(&self, timer: Timer) -> Option<Instant> {
        self.armed[timer as usize]
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) const fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Takes a timer that is due at `now`, the earliest first; a spurious call finds none.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let due = self.earliest.filter(|&at| at <= now)?;
        let timer = TIMERS.into_iter().find(|&timer| self.get(timer) == Some(due))?;
        self.stop(timer);
        Some(timer)
    }

    fn put(&mut self, timer: Timer, at: Option<Instant>) {
        self.armed[timer as usize] = at;
        self.earliest = self.armed.iter().flatten().min().copied();
    }
}
