//! Acknowledging what was handed over, and asking again for what is missing.

use super::{Client, Link, Session};
use crate::proto::{
    close_code::CloseCode,
    config::{ACK_DELAY, CATCH_UP_GRACE, MAX_REPLAYS, MISSING_HEAD_GRACE, REPLAY_TIMEOUT},
    ids::{ConsumerId, StreamId},
    instant::Instant,
    stream::Suspect,
    timer::Timer,
    wire::ClientFrame,
};

/// A replay request that is open.
#[derive(Debug)]
pub(super) struct Replay {
    req: u64,
    pub(super) stream: StreamId,
    purpose: Purpose,
    from: u64,
    to: u64,
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// A consumer began before the stream's position.
    CatchUp(ConsumerId),
    /// The server owes an offset that did not come.
    Repair,
}

impl Client {
    pub(super) fn on_handed_over(&mut self, consumer: ConsumerId, through: u64) {
        let out = &mut self.out;
        let stream = self
            .streams
            .iter_mut()
            .find_map(|stream| stream.handed_over(consumer, through, out).then_some(stream.id));
        if let Some(id) = stream {
            self.serve(id);
        }
    }

    /// Does what a stream needs after anything about it changed: verdict, acknowledgement, requests.
    pub(super) fn serve(&mut self, id: StreamId) {
        let window = u64::from(self.config.window_events);
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
            return;
        };
        stream.conclude(&mut self.out);
        let acknowledgeable = stream.acknowledgeable();
        if let Some(subscription) = stream.subscription() {
            let unacknowledged = acknowledgeable.saturating_sub(subscription.acked);
            if unacknowledged >= window.div_ceil(4) {
                self.send_acks();
            } else if unacknowledged > 0 && !is_mutant!(AckForgotten) {
                self.timers.set_earliest(Timer::Ack, self.now + ACK_DELAY);
            }
            self.request_repair(id);
            self.request_catch_ups(id);
        }
        self.reset_backoff_if_caught_up();
    }

    /// Acknowledges everything that may be, in one frame.
    pub(super) fn send_acks(&mut self) {
        self.timers.stop(Timer::Ack);
        let Link::Live(Session { socket, .. }) = self.link else {
            return;
        };
        let mut offsets = Vec::new();
        for stream in &mut self.streams {
            let acknowledgeable = stream.acknowledgeable() + u64::from(is_mutant!(AckAboveReceived));
            if let Some(subscription) = stream.subscription_mut()
                && acknowledgeable > subscription.acked
            {
                subscription.acked = acknowledgeable;
                offsets.push((subscription.ch, acknowledgeable));
            }
        }
        if !offsets.is_empty() {
            self.stats.acks_sent += 1;
            self.send(socket, ClientFrame::Ack { offsets });
        }
    }

    // --- Heads (HBT-1, RPL-4 b) ---

    pub(super) fn on_heads(&mut self, heads: &[(u32, u64)]) {
        let Link::Live(session) = &self.link else { return };
        let heads = if is_mutant!(HeadUnchecked) { &[] } else { heads };
        for (ch, head) in heads {
            let Some(id) = session.stream_of(*ch) else { continue };
            let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else { continue };
            let Some(subscription) = stream.subscription_mut() else { continue };
            // While something is unacknowledged the server may be holding back for the window's sake.
            let received = subscription.received;
            if subscription.acked == received && *head > received && subscription.suspect.is_none() {
                let grace = if subscription.caught_up { MISSING_HEAD_GRACE } else { CATCH_UP_GRACE };
                let at = self.now + grace;
                subscription.suspect = Some(Suspect { received, head: *head, at });
                self.timers.set_earliest(Timer::MissingHead, at);
            }
        }
    }

    pub(super) fn check_heads(&mut self) {
        let mut missing = Vec::new();
        let now = self.now;
        for stream in &mut self.streams {
            let id = stream.id;
            let Some(subscription) = stream.subscription_mut() else { continue };
            let Some(suspect) = subscription.suspect else { continue };
            if suspect.at > now {
                self.timers.set_earliest(Timer::MissingHead, suspect.at);
                continue;
            }
            subscription.suspect = None;
            // If anything came since, data flows and the next heartbeat looks again.
            if subscription.received == suspect.received {
                subscription.expected = subscription.expected.max(suspect.head);
                missing.push(id);
            }
        }
        for id in missing {
            self.request_repair(id);
        }
    }

    // --- Replay requests (section 6) ---

    fn request_repair(&mut self, id: StreamId) {
        // An answer counts against no window: it is asked for when there is room for it.
        let missing = self.stream(id).filter(|stream| stream.has_room()).and_then(|stream| stream.missing());
        if let Some((from, to)) = missing {
            self.request_replay(id, Purpose::Repair, from, to);
        }
    }

    /// Asks for the next page of each consumer that lags behind and has taken what it got.
    fn request_catch_ups(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else { return };
        let Some(last) = stream.subscription().map(|subscription| subscription.received) else { return };
        for (consumer, from) in stream.lagging() {
            self.request_replay(id, Purpose::CatchUp(consumer), from, last);
        }
    }

    /// Sends a request unless one for this purpose is open, or as many as may be.
    fn request_replay(&mut self, stream: StreamId, purpose: Purpose, from: u64, to: u64) {
        let to = to.min(from + u64::from(self.config.window_events) - 1);
        let deadline = self.now + REPLAY_TIMEOUT;
        let Some(ch) = self.stream(stream).and_then(|stream| Some(stream.subscription()?.ch)) else {
            return;
        };
        let Link::Live(session) = &mut self.link else {
            return;
        };
        let open = |replay: &Replay| replay.stream == stream && replay.purpose == purpose;
        if session.replays.len() >= MAX_REPLAYS || session.replays.iter().any(open) {
            return;
        }
        let (req, socket) = (session.next_req, session.socket);
        session.next_req += 1;
        session.replays.push(Replay { req, stream, purpose, from, to, deadline });
        self.stats.replay_requests += 1;
        self.timers.set_earliest(Timer::Replay, deadline);
        self.send(socket, ClientFrame::Replay { req, ch, from, to });
    }

    /// An answer under way puts the end of a request's patience off (RPL-5).
    pub(super) fn note_replay_progress(&mut self, stream: StreamId, first: u64, count: u32) {
        let deadline = self.now + REPLAY_TIMEOUT;
        let Link::Live(session) = &mut self.link else {
            return;
        };
        let last = first + u64::from(count) - 1;
        for replay in &mut session.replays {
            if replay.stream == stream && first <= replay.to && last >= replay.from {
                replay.deadline = deadline;
            }
        }
    }

    pub(super) fn check_replays(&mut self) {
        let Link::Live(session) = &self.link else { return };
        let Some(deadline) = session.replays.iter().map(|replay| replay.deadline).min() else {
            return;
        };
        if is_mutant!(GapInsteadOfReconnect) && deadline <= self.now {
            if let Link::Live(session) = &mut self.link {
                let replay = session.replays.remove(0);
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == replay.stream) {
                    stream.on_repaired(replay.to + 1, &mut self.stats, &mut self.out);
                }
            }
        } else if deadline <= self.now {
            self.drop_socket(CloseCode::REPLAY_UNANSWERED);
        } else {
            self.timers.set(Timer::Replay, deadline);
        }
    }

    pub(super) fn on_replay_end(&mut self, req: u64, oldest: u64) {
        let Some(replay) = self.take_replay(req) else {
            return;
        };
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == replay.stream) else {
            return;
        };
        // What the flow still has to say of offsets beyond the request, it says itself.
        let oldest = oldest.min(replay.to + 1);
        match replay.purpose {
            Purpose::CatchUp(id) => stream.on_served(id, oldest, &mut self.stats, &mut self.out),
            Purpose::Repair => stream.on_repaired(oldest, &mut self.stats, &mut self.out),
        }
        let unmoved = match replay.purpose {
            Purpose::Repair => stream.missing().is_some_and(|(from, _)| from == replay.from),
            Purpose::CatchUp(id) => {
                stream.consumers.iter().any(|consumer| consumer.id == id && consumer.next == replay.from)
            }
        };
        if unmoved {
            self.drop_socket(CloseCode::REPLAY_UNANSWERED);
            return;
        }
        let streams = self.streams.iter().map(|stream| stream.id).collect::<Vec<_>>();
        // A place has become free: another stream may have waited for it.
        for id in streams {
            self.serve(id);
        }
    }

    /// The server has too many requests open: it is asked again when another one is over.
    pub(super) fn on_replay_refused(&mut self, req: u64) {
        let ours = self.take_replay(req).is_some();
        if let Link::Live(session) = &self.link
            && ours
            && session.replays.is_empty()
        {
            self.drop_socket(CloseCode::REPLAY_UNANSWERED);
        }
    }

    fn take_replay(&mut self, req: u64) -> Option<Replay> {
        let Link::Live(session) = &mut self.link else {
            return None;
        };
        let index = session.replays.iter().position(|replay| replay.req == req)?;
        Some(session.replays.swap_remove(index))
    }
}
