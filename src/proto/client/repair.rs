//! Acknowledging what was delivered, and asking again for what is missing.

use super::{
    Client,
    link::Link,
    replay::{Purpose, Replay},
};
use crate::proto::{
    close_code::CloseCode,
    config::{ACK_DELAY, CATCH_UP_GRACE, LATE_ANSWER, MAX_REPLAYS, MISSING_HEAD_GRACE},
    ids::{ConsumerId, StreamId},
    stream::{Stream, Subscription, Suspect},
    timer::Timer,
    wire::ClientFrame,
};

/// The most bytes of one offset in an `ack`: `"2147483647":9007199254740991,`.
const MAX_ACK_BYTES: usize = 30;

impl Client {
    pub(super) fn on_delivered(&mut self, consumer: ConsumerId, life: u32, through: u64) {
        if let Some(stream) = self.streams.of_consumer(consumer) {
            stream.on_delivered(consumer, life, through);
            let id = stream.id;
            self.serve(id);
        }
    }

    /// Does what a stream needs after anything about it changed: resume results, acknowledgement, requests.
    pub(super) fn serve(&mut self, id: StreamId) {
        let (window, window_bytes) = (self.config.window_events, self.config.window_bytes);
        let total_bytes =
            self.streams.iter().filter_map(Stream::subscription).map(Subscription::unacknowledged_bytes);
        let total_bytes = total_bytes.sum::<u64>();
        let Some(stream) = self.streams.get(id) else { return };
        let has_concluded = stream.conclude(&mut self.fx);
        let acknowledgeable = stream.acknowledgeable();
        if let Some(subscription) = stream.subscription() {
            let unacknowledged = acknowledgeable.saturating_sub(subscription.acked);
            let bytes = subscription.unacknowledged_bytes();
            // A quarter of any window, so that the rest is on its way while the acknowledgement travels.
            let is_due = unacknowledged >= u64::from(window.div_ceil(4))
                || bytes >= u64::from(window_bytes / 4)
                || total_bytes >= u64::from(self.config.window_total_bytes / 4)
                || has_concluded;
            if unacknowledged > 0 && is_due {
                self.send_acks();
            } else if unacknowledged > 0 {
                self.timers.set_earliest(Timer::Ack, self.now + ACK_DELAY);
            }
            self.request_repair(id);
            self.request_catch_ups(id);
        }
        if matches!(&self.link, Link::Live(session) if session.calm_since.is_none()) {
            self.note_calm();
        }
    }

    /// Acknowledges everything that may be, in as few frames as it takes (GEN-7).
    pub(super) fn send_acks(&mut self) {
        self.timers.stop(Timer::Ack);
        let Link::Live(session) = &self.link else { return };
        let (socket, room) = (session.socket, session.frame_room());
        let mut offsets = Vec::new();
        for stream in self.streams.iter_mut() {
            let acknowledgeable = stream.acknowledgeable();
            if let Some(subscription) = stream.subscription_mut()
                && acknowledgeable > subscription.acked
            {
                subscription.acknowledge(acknowledgeable);
                offsets.push((subscription.ch, acknowledgeable));
                stream.note_progress(self.now);
            }
        }
        if !offsets.is_empty() {
            self.watch_answers();
        }
        for part in offsets.chunks(room / MAX_ACK_BYTES) {
            self.fx.stats.acks_sent += 1;
            self.send(socket, ClientFrame::Ack { offsets: part.to_vec() });
        }
    }

    // --- Heads (HBT-1, RPL-4 b) ---

    pub(super) fn on_heads(&mut self, heads: &[(u32, u64)]) {
        // What is not acknowledged may be why the server holds back.
        self.send_acks();
        let Link::Live(session) = &self.link else { return };
        for (ch, head) in heads {
            let Some(id) = session.stream_of(*ch) else { continue };
            let Some(stream) = self.streams.get(id) else { continue };
            let Some(subscription) = stream.subscription_mut() else { continue };
            // While something is unacknowledged the server may be holding back for the window's sake.
            let received = subscription.received;
            if subscription.acked == received && *head > received && subscription.suspect.is_none() {
                let grace = if subscription.is_caught_up() { MISSING_HEAD_GRACE } else { CATCH_UP_GRACE };
                let at = self.now + grace;
                subscription.suspect = Some(Suspect { received, head: *head, at });
                self.timers.set_earliest(Timer::MissingHead, at);
            }
        }
    }

    pub(super) fn check_heads(&mut self) {
        let mut missing = Vec::new();
        let now = self.now;
        for stream in self.streams.iter_mut() {
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
                subscription.expect(suspect.head);
                missing.push(id);
            }
        }
        for id in missing {
            self.request_repair(id);
        }
    }

    // --- Replay requests (section 6) ---

    pub(super) fn request_repair(&mut self, id: StreamId) {
        // An answer counts against no window: it is asked for when there is room for it.
        let missing = self.streams.get(id).and_then(|stream| stream.missing().filter(|_| stream.has_room()));
        if let Some((from, to)) = missing {
            self.request_replay(id, Purpose::Repair, from, to);
        }
    }

    /// Asks for the next page of each consumer that lags behind and has taken what it got.
    pub(super) fn request_catch_ups(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        for (consumer, from, to) in stream.lagging() {
            self.request_replay(id, Purpose::CatchUp(consumer), from, to);
        }
    }

    /// Sends a request unless one for this purpose is open, or as many as may be.
    fn request_replay(&mut self, stream: StreamId, purpose: Purpose, from: u64, to: u64) {
        let to = to.min(from + u64::from(self.config.window_events) - 1);
        let asked = self.now;
        let Some(ch) = self.streams.get(stream).and_then(|stream| Some(stream.subscription()?.ch)) else {
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
        session.replays.push(Replay { req, stream, purpose, from, to, asked });
        self.fx.stats.replay_requests += 1;
        self.timers.set_earliest(Timer::Answer, asked + LATE_ANSWER);
        self.send(socket, ClientFrame::Replay { req, ch, from, to });
    }

    /// An answer under way puts the end of a request's patience off (RPL-5).
    pub(super) fn note_replay_progress(&mut self, stream: StreamId, first: u64, count: u32) {
        let Link::Live(session) = &mut self.link else {
            return;
        };
        let last = first + u64::from(count) - 1;
        for replay in &mut session.replays {
            if replay.stream == stream && first <= replay.to && last >= replay.from {
                replay.asked = self.now;
            }
        }
    }

    pub(super) fn on_replay_end(&mut self, req: u64, oldest: u64) {
        let Some(replay) = self.take_replay(req) else {
            return;
        };
        let Some(stream) = self.streams.get(replay.stream) else { return };
        // What the flow still has to say of later offsets, it says itself.
        let unmoved = match replay.purpose {
            Purpose::CatchUp(id) => {
                let received = stream.subscription().map_or(replay.to, |subscription| subscription.received);
                stream.on_served(id, oldest.min(received + 1), &mut self.fx);
                stream.next_of(id) == Some(replay.from)
            }
            Purpose::Repair => {
                stream.on_repaired(oldest.min(replay.to + 1), &mut self.fx);
                stream.missing().is_some_and(|(from, _)| from == replay.from)
            }
        };
        if unmoved {
            self.drop_socket(CloseCode::REPLAY_UNANSWERED);
            return;
        }
        // A place has become free: another stream may have waited for it.
        self.serve_all();
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

    pub(super) fn take_replay(&mut self, req: u64) -> Option<Replay> {
        let Link::Live(session) = &mut self.link else {
            return None;
        };
        let index = session.replays.iter().position(|replay| replay.req == req)?;
        Some(session.replays.swap_remove(index))
    }
}
