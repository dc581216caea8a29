//! The core's deadlines.

use super::instant::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// When to send the acknowledgements that are due.
    Ack,
    /// When to give up on a socket that does not open.
    Connect,
    /// When to leave a socket that the server said it will close.
    GoAway,
    /// When to treat a silent socket as dead.
    Heartbeat,
    /// When to ask for offsets that a heartbeat named and that still did not come.
    MissingHead,
    /// When to give up waiting for the receipt of a send.
    Receipt,
    /// When to make the next attempt.
    Reconnect,
    /// When to ask for a token before the present one expires.
    Refresh,
    /// When to give up on a replay request.
    Replay,
    /// When to send again what the server could not take.
    Resend,
    /// When to give up waiting for a token.
    Token,
    /// When to give up waiting for the welcome.
    Welcome,
}

const TIMERS: [Timer; 12] = [
    Timer::Ack,
    Timer::Connect,
    Timer::GoAway,
    Timer::Heartbeat,
    Timer::MissingHead,
    Timer::Receipt,
    Timer::Reconnect,
    Timer::Refresh,
    Timer::Replay,
    Timer::Resend,
    Timer::Token,
    Timer::Welcome,
];

/// The deadlines that are armed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimerTable([Option<Instant>; TIMERS.len()]);

impl TimerTable {
    pub(crate) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Arms a timer unless it is armed for an earlier time.
    pub(crate) fn set_earliest(&mut self, timer: Timer, at: Instant) {
        let slot = &mut self.0[timer as usize];
        *slot = Some(slot.map_or(at, |armed| armed.min(at)));
    }

    pub(crate) const fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(crate) const fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    pub(crate) const fn clear(&mut self) {
        self.0 = [None; TIMERS.len()];
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes a timer that is due at `now`, the earliest first; a spurious call finds none.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let timer = TIMERS
            .into_iter()
            .filter(|&timer| self.get(timer).is_some_and(|at| at <= now))
            .min_by_key(|&timer| self.get(timer))?;
        self.stop(timer);
        Some(timer)
    }
}
