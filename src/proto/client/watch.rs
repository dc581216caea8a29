//! Watching the socket: whether it is alive, whether requests are answered, and whether it has lasted.

use super::{Client, Link};
use crate::proto::{
    close_code::CloseCode,
    config::{FRESH, LATE_ANSWER, PROBE_TIMEOUT, REPLAY_TIMEOUT, SLOW_ROUND_TRIP, WAKE_PROBE_TIMEOUT},
    instant::Duration,
    output::{Event, Output},
    stream::{Stream, due},
    text::Text,
    timer::Timer,
    wire::ClientFrame,
};

impl Client {
    /// Frames only note when they came, so that a busy stream does not arm a timer per frame.
    pub(super) fn check_heartbeat(&mut self) {
        let Link::Live(session) = &self.link else { return };
        let silent_at = session.last_heard + session.silence;
        match session.probe {
            Some(deadline) if deadline <= self.now => self.drop_socket(CloseCode::HEARTBEAT_TIMEOUT),
            Some(deadline) => self.timers.set(Timer::Heartbeat, deadline),
            None if silent_at <= self.now => self.probe(PROBE_TIMEOUT),
            None => self.timers.set(Timer::Heartbeat, silent_at),
        }
    }

    /// Asks the server whether it is there, unless it has just said something (HBT-5).
    pub(super) fn probe_awake(&mut self) {
        let Link::Live(session) = &mut self.link else { return };
        if self.now.since(session.last_heard) > FRESH {
            session.woken = true;
            self.probe(WAKE_PROBE_TIMEOUT);
        }
    }

    fn probe(&mut self, patience: Duration) {
        let Link::Live(session) = &mut self.link else { return };
        let (socket, deadline) = (session.socket, self.now + patience);
        // One that is past was slept through: the server has had no chance to answer.
        let earlier = session.probe.filter(|&earlier| earlier > self.now);
        let deadline = earlier.map_or(deadline, |earlier| earlier.min(deadline));
        session.probe = Some(deadline);
        self.timers.set(Timer::Heartbeat, deadline);
        if earlier.is_none() {
            self.fx.push(Output::SendFrame { socket, frame: ClientFrame::Ping { n: self.now.as_millis() } });
        }
    }

    /// Asks a slow server again, so that one that has recovered is not called slow for the rest of the connection.
    pub(super) fn measure_again(&mut self) {
        let Link::Live(session) = &self.link else { return };
        if session.round_trip > SLOW_ROUND_TRIP {
            self.send(session.socket, ClientFrame::Ping { n: self.now.as_millis() });
        }
    }

    // --- Requests ---

    /// Drops the socket if a request has waited for too long, or arms the timer for the first that will have.
    pub(super) fn check_answers(&mut self) {
        let Link::Live(session) = &self.link else { return };
        let last_data = session.last_data;
        let replays = session.replays.iter().map(|replay| due(replay.asked, last_data, REPLAY_TIMEOUT));
        let replay = replays.min();
        // What is not acknowledged of one stream takes the room of all (FLO-1).
        let is_full = self.streams.iter().any(Stream::holds_back);
        let awaiting = || self.streams.iter().filter(move |stream| !is_full || stream.is_requested());
        let stream = awaiting().filter_map(|stream| stream.answer_due(last_data)).min();
        let asked = session.replays.iter().map(|replay| replay.asked);
        let asked = asked.chain(awaiting().filter_map(Stream::awaits_since));
        let asked = asked.map(|asked| asked.max(last_data)).chain(self.outbox.oldest_on_way()).min();
        let late_at = asked.map(|asked| asked + LATE_ANSWER);
        let is_late = late_at.is_some_and(|at| at <= self.now);
        if replay.is_some_and(|at| at <= self.now) {
            self.drop_socket(CloseCode::REPLAY_UNANSWERED);
        } else if stream.is_some_and(|at| at <= self.now) {
            self.drop_socket(CloseCode::SUBSCRIBE_UNANSWERED);
        } else if let Some(at) = [replay, stream, late_at.filter(|_| !is_late)].into_iter().flatten().min() {
            self.timers.set(Timer::Answer, at);
        }
        if let Link::Live(session) = &mut self.link {
            session.late = is_late;
        }
    }

    /// Reports what is wrong with a connection that stands, when that changes.
    pub(super) fn look_at_health(&mut self) {
        let trouble = match &self.link {
            Link::Live(session) if session.probe.is_some() => Some(Text::SILENT),
            Link::Live(session) if session.late => Some(Text::UNANSWERED),
            Link::Live(session) if session.round_trip > SLOW_ROUND_TRIP => Some(Text::SLOW),
            _ => None,
        };
        if trouble != self.trouble {
            self.trouble = trouble;
            self.fx.report(Event::Trouble(trouble));
        }
    }

    // --- Success ---

    /// Takes note whether everything that is followed has caught up on this socket.
    pub(super) fn note_calm(&mut self) {
        let Link::Live(session) = &mut self.link else { return };
        let is_calm = self.streams.iter().filter(|stream| stream.is_wanted()).all(Stream::has_caught_up);
        if !is_calm {
            self.end_calm();
        } else if session.calm_since.is_none() {
            session.calm_since = Some(self.now);
        }
    }

    /// Ends the time caught up. Only one that lasted counts as a success: a server that welcomes and closes in turn is called no
    /// more often for that (I14).
    pub(super) fn end_calm(&mut self) {
        let Link::Live(session) = &mut self.link else { return };
        if let Some(since) = session.calm_since.take()
            && self.now.since(since) >= self.backoff.lasting()
        {
            self.succeed();
        }
    }

    /// Takes note of a connection that has lasted, while it goes on: what was held back for the losses before may go.
    pub(super) fn note_success(&mut self) {
        let Link::Live(session) = &self.link else { return };
        if session.calm_since.is_some_and(|since| self.now.since(since) >= self.backoff.lasting()) {
            self.succeed();
            self.flush_outbox();
        }
    }

    fn succeed(&mut self) {
        self.backoff.restart();
        self.rejections = 0;
        self.outbox.on_success();
    }
}
