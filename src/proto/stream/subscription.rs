//! A stream's subscription on the present socket: what came, what was acknowledged, and what is still owed.

use crate::proto::{instant::Instant, text::Text, wire::Subscribed};

/// What the server said at the end of a catch-up.
#[derive(Debug)]
pub(super) struct CaughtUp {
    /// The runs open at the head, unless there are more than it names.
    pub(super) open_runs: Option<Vec<Text>>,
}

/// What one subscription has brought.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) ch: u32,
    /// The head at the moment of subscribing: what is at or below it is a replay (EVT-5), and the catch-up ends there.
    pub(crate) head: u64,
    /// Set once the server has said that everything up to `head` was sent (SUB-10).
    pub(super) caught_up: Option<CaughtUp>,
    /// The last offset that this socket brought; what was delivered before counts for nothing here.
    pub(crate) received: u64,
    pub(crate) acked: u64,
    /// Bytes of the frames that came since the last acknowledgement.
    bytes: u64,
    /// Ranges above `acked` that a gap took out of the flow: they use up no window (FLO-1).
    gaps: Vec<(u64, u64)>,
    /// What must have come by now: the end of the catch-up, or a head that a heartbeat named (RPL-4).
    pub(super) expected: u64,
    pub(crate) suspect: Option<Suspect>,
}

/// A head above what came, that may still come by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    pub(crate) received: u64,
    pub(crate) head: u64,
    pub(crate) at: Instant,
}

impl Subscription {
    pub(super) const fn new(answer: &Subscribed) -> Self {
        Self {
            ch: answer.ch,
            head: answer.head,
            caught_up: None,
            received: answer.next - 1,
            acked: answer.next - 1,
            bytes: 0,
            gaps: Vec::new(),
            expected: 0,
            suspect: None,
        }
    }

    /// Gives each text that it holds.
    pub(super) fn texts(&self, mark: &mut dyn FnMut(Text)) {
        let runs = self.caught_up.iter().filter_map(|caught_up| caught_up.open_runs.as_ref());
        runs.flatten().copied().for_each(mark);
    }

    /// Tells whether the server has sent everything that was there at the moment of subscribing.
    pub(crate) const fn is_caught_up(&self) -> bool {
        self.caught_up.is_some()
    }

    /// The last offset that came and may be sent to a consumer: what is live waits for the end of the catch-up, so that the
    /// resume result has its place before it.
    pub(super) fn sendable(&self) -> u64 {
        if self.caught_up.is_some() { self.received } else { self.received.min(self.head) }
    }

    /// The highest offset that the server is known to have.
    pub(super) const fn known_head(&self) -> u64 {
        if self.received > self.head { self.received } else { self.head }
    }

    /// Takes note that everything up to a head must have come. During the catch-up only its part is owed: what is live comes
    /// behind the resume result, and so behind `caughtUp`.
    pub(crate) fn expect(&mut self, head: u64) {
        let owed = if self.is_caught_up() { head } else { head.min(self.head) };
        self.expected = self.expected.max(owed);
    }

    pub(super) fn receive(&mut self, last: u64, bytes: u32) {
        if last > self.received {
            self.received = last;
            self.bytes += u64::from(bytes);
        }
    }

    /// About how many bytes came and are not acknowledged.
    pub(crate) const fn unacknowledged_bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a gap of the flow.
    pub(super) fn skip(&mut self, from: u64, to: u64) {
        let from = from.max(self.received + 1);
        if from <= to {
            self.gaps.push((from, to));
            self.received = to;
        }
    }

    pub(crate) fn acknowledge(&mut self, offset: u64) {
        // What is left has its part of the bytes: how large each event is, nobody counts here.
        let (all, left) = (self.received - self.acked, self.received - offset);
        self.bytes = self.bytes.checked_div(all).unwrap_or(0) * left;
        self.acked = offset;
        self.gaps.retain(|&(_, to)| to > offset);
    }

    /// Events that came and are not acknowledged: what the window counts (FLO-1).
    pub(super) fn unacknowledged(&self) -> u64 {
        let lost: u64 = self.gaps.iter().map(|&(from, to)| to - from.max(self.acked + 1) + 1).sum();
        (self.received - self.acked).saturating_sub(lost)
    }
}
