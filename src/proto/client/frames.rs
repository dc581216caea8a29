//! What the server's frames do.

use std::time::Duration;

use super::{Client, Link, Session, heartbeat_timeout};
use crate::proto::{
    close_code::CloseCode,
    config::{MIN_REFRESH, REFRESH_RETRY},
    ids::{Slot, StreamId},
    output::{ClientError, Event, Output},
    stream::{Contradiction, Phase, Stream},
    timer::Timer,
    wire::{ClientFrame, GapEnd, ServerFrame, Subscribed, Welcome},
};

impl Client {
    /// Takes a frame of the socket in use. `slot` is released here, unless the frame is parked.
    pub(super) fn on_frame(&mut self, frame: ServerFrame, slot: Slot) {
        self.stats.frames_received += 1;
        match &mut self.link {
            Link::Live(session) => session.last_heard = self.now,
            Link::Greeting { .. } => {
                self.on_greeting_frame(frame, slot);
                return;
            }
            Link::Closed
            | Link::Failed
            | Link::Idle
            | Link::Offline
            | Link::Opening { .. }
            | Link::Token
            | Link::Waiting => {
                self.out.push_back(Output::Release(slot));
                return;
            }
        }
        if let ServerFrame::Events { ch, first, count } = frame {
            // The only frame that keeps its slot for longer than this call.
            self.on_events(ch, first, count, slot);
            return;
        }
        self.on_control_frame(frame, slot);
        self.out.push_back(Output::Release(slot));
    }

    /// Before the welcome only a welcome counts, or the error that stands in its place (HEL-3).
    fn on_greeting_frame(&mut self, frame: ServerFrame, slot: Slot) {
        match frame {
            ServerFrame::Welcome(welcome) => self.on_welcome(welcome),
            ServerFrame::Error { code, message, retry_after_ms, .. } => {
                self.on_error(code, message, retry_after_ms, slot);
            }
            ServerFrame::Unknown => self.stats.frames_ignored += 1,
            ServerFrame::CaughtUp { .. }
            | ServerFrame::Events { .. }
            | ServerFrame::Gap { .. }
            | ServerFrame::GoAway { .. }
            | ServerFrame::Heartbeat { .. }
            | ServerFrame::History { .. }
            | ServerFrame::Notice
            | ServerFrame::Ping { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Receipt { .. }
            | ServerFrame::Refreshed { .. }
            | ServerFrame::ReplayEnd { .. }
            | ServerFrame::Signal
            | ServerFrame::Subscribed(_)
            | ServerFrame::Unsubscribed { .. } => {
                self.bad_server_frame(ClientError::Contradiction("a frame came before the welcome"));
            }
        }
        self.out.push_back(Output::Release(slot));
    }

    fn on_welcome(&mut self, welcome: Welcome) {
        let Link::Greeting { socket } = self.link else {
            return;
        };
        let former = self.subject.as_ref().filter(|_| !is_mutant!(SentToNewSubject));
        if former.is_some_and(|subject| *subject != welcome.subject) {
            // Nothing of the former user may be sent or shown (HEL-6).
            self.out.push_back(Output::CloseSocket { socket, code: CloseCode::NORMAL });
            self.fail("subject_changed");
            return;
        }
        self.subject = Some(welcome.subject.clone());
        self.stats.connects += 1;
        self.token_refusals = 0;
        let heartbeat_timeout = heartbeat_timeout(welcome.heartbeat_ms);
        self.timers.stop(Timer::Welcome);
        self.timers.set(Timer::Heartbeat, self.now + heartbeat_timeout);
        self.arm_refresh(welcome.token_expires_in_ms);
        let session = Session {
            socket,
            heartbeat_timeout,
            last_heard: self.now,
            max_frame_bytes: welcome.max_frame_bytes,
            by_ch: Vec::new(),
            replays: Vec::new(),
            next_req: 1,
            refreshing: false,
        };
        self.go(Link::Live(session), "welcome", None);
        self.out.push_back(Output::Event(Event::Welcomed {
            session: welcome.session,
            subject: welcome.subject,
            max_frame_bytes: welcome.max_frame_bytes,
        }));
        self.subscribe_detached();
        self.reset_backoff_if_caught_up();
        self.outbox.expire(self.now, Duration::from_millis(welcome.send_horizon_ms), &mut self.out);
        self.flush_outbox();
    }

    /// Asks for a token a tenth of its life before the end: at least 30 seconds, at most half of its life.
    fn arm_refresh(&mut self, expires_in_ms: Option<u64>) {
        if let Some(ms) = expires_in_ms {
            let early = (ms / 10).max(30_000.min(ms / 2));
            let delay = Duration::from_millis(ms - early).max(MIN_REFRESH);
            self.timers.set(Timer::Refresh, self.now + delay);
        } else {
            self.timers.stop(Timer::Refresh);
        }
    }

    fn on_events(&mut self, ch: u32, first: u64, count: u32, slot: Slot) {
        let Some(id) = self.stream_of(ch) else {
            if !is_mutant!(SlotLeaks) {
                self.out.push_back(Output::Release(slot));
            }
            return;
        };
        self.note_replay_progress(id, first, count);
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
            return;
        };
        if stream.on_events(first, count, slot, &mut self.stats, &mut self.out).is_err() {
            self.out.push_back(Output::Release(slot));
            self.drop_socket(CloseCode::OUT_OF_ORDER_OVERFLOW);
            return;
        }
        self.serve(id);
    }

    fn on_control_frame(&mut self, frame: ServerFrame, slot: Slot) {
        match frame {
            ServerFrame::CaughtUp { ch, offset, open_runs } => {
                if let Some(id) = self.stream_of(ch) {
                    if let Some(stream) = self.stream(id) {
                        stream.on_caught_up(offset, open_runs);
                    }
                    self.serve(id);
                }
            }
            ServerFrame::Error { code, message, retry_after_ms, req } => {
                if let Some(req) = req {
                    self.on_replay_refused(req);
                }
                self.on_error(code, message, retry_after_ms, slot);
            }
            ServerFrame::Gap { ch, from, end, reason } => {
                if let Some(id) = self.stream_of(ch) {
                    self.on_gap(id, ch, from, end, &reason);
                }
            }
            ServerFrame::GoAway { reconnect_after_ms, spread_ms, .. } => {
                let spread = self.rng.up_to(Duration::from_millis(spread_ms));
                let at = self.now + Duration::from_millis(reconnect_after_ms) + spread;
                self.not_before = Some(at);
                self.timers.set(Timer::GoAway, at);
            }
            ServerFrame::Heartbeat { heads } => {
                if !self.streams.iter().any(Stream::is_wanted) {
                    // Nothing to catch up with: the connection has lasted, and that is enough.
                    self.backoff.reset();
                }
                self.on_heads(&heads);
            }
            ServerFrame::History { .. } | ServerFrame::Notice | ServerFrame::Signal => {
                self.out.push_back(Output::Event(Event::Message { slot }));
            }
            ServerFrame::Ping { n } => {
                if let Some(socket) = self.link.socket() {
                    self.send(socket, ClientFrame::Pong { n });
                }
            }
            // That it came is all that matters.
            ServerFrame::Pong { .. } => {}
            ServerFrame::Receipt { id, error, .. } => {
                let retry_at = self.outbox.on_receipt(&id, error.as_ref(), slot, self.now, &mut self.out);
                if let Some(at) = retry_at {
                    self.timers.set_earliest(Timer::Resend, at);
                }
            }
            ServerFrame::Refreshed { token_expires_in_ms } => {
                if let Link::Live(session) = &mut self.link {
                    session.refreshing = false;
                }
                self.arm_refresh(token_expires_in_ms);
            }
            ServerFrame::ReplayEnd { req, oldest, .. } => self.on_replay_end(req, oldest),
            ServerFrame::Subscribed(answer) => self.on_subscribed(&answer),
            ServerFrame::Unsubscribed { ch, name, reason } => self.on_unsubscribed(ch, &name, reason),
            ServerFrame::Unknown => self.stats.frames_ignored += 1,
            ServerFrame::Welcome(_) => {
                self.bad_server_frame(ClientError::Contradiction("a second welcome"));
            }
            // Taken before, because it keeps its slot.
            ServerFrame::Events { .. } => {}
        }
    }

    fn on_subscribed(&mut self, answer: &Subscribed) {
        let Link::Live(session) = &mut self.link else {
            return;
        };
        let socket = session.socket;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.name == answer.name) else {
            return;
        };
        if stream.is_outdated() {
            stream.abandon();
            self.send(socket, ClientFrame::Unsubscribe { ch: answer.ch });
            self.subscribe_detached();
            return;
        }
        if session.stream_of(answer.ch).is_some() {
            self.contradicted(Contradiction("subscribed: the ch is in use"));
            return;
        }
        let id = stream.id;
        session.by_ch.push((answer.ch, id));
        match stream.on_subscribed(answer, &mut self.stats, &mut self.out) {
            Ok(()) => self.serve(id),
            Err(contradiction) => self.contradicted(contradiction),
        }
    }

    fn on_gap(&mut self, id: StreamId, ch: u32, from: u64, end: GapEnd, reason: &str) {
        if let (GapEnd::Epoch { new_ch, .. }, Link::Live(session)) = (&end, &mut self.link) {
            if session.stream_of(*new_ch).is_some() {
                self.contradicted(Contradiction("gap: the new ch is in use"));
                return;
            }
            session.forget_ch(ch);
            session.by_ch.push((*new_ch, id));
            session.replays.retain(|replay| replay.stream != id);
        }
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else {
            return;
        };
        match stream.on_gap(from, end, reason, &mut self.stats, &mut self.out) {
            Ok(()) => self.serve(id),
            Err(contradiction) => self.contradicted(contradiction),
        }
    }

    fn on_unsubscribed(&mut self, ch: Option<u32>, name: &str, reason: String) {
        let Link::Live(session) = &mut self.link else {
            return;
        };
        if let Some(ch) = ch {
            session.forget_ch(ch);
        }
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.name == name) else {
            return;
        };
        // The answer to an unsubscribe of ours may come after the stream was asked for again.
        let concerns_us = match &stream.phase {
            Phase::Requested(_) => ch.is_none(),
            Phase::Subscribed(subscription) => Some(subscription.ch) == ch,
            Phase::Detached | Phase::Ended => false,
        };
        if !concerns_us {
            return;
        }
        let id = stream.id;
        session.replays.retain(|replay| replay.stream != id);
        stream.release_parked(&mut self.out);
        stream.phase = if is_mutant!(EndedAskedAgain) { Phase::Detached } else { Phase::Ended };
        if !is_mutant!(EndUntold) {
            self.out.push_back(Output::Event(Event::Ended { stream: id, reason }));
        }
        self.reset_backoff_if_caught_up();
    }

    fn on_error(&mut self, code: String, message: String, retry_after_ms: Option<u64>, slot: Slot) {
        if let Some(ms) = retry_after_ms {
            self.not_before = Some(self.now + Duration::from_millis(ms));
        }
        if matches!(code.as_str(), "token_invalid" | "unavailable")
            && let Link::Live(session) = &mut self.link
            && std::mem::take(&mut session.refreshing)
        {
            // The refresh was refused or could not be looked at: the socket goes on with the former token (TOK-1).
            self.timers.set(Timer::Refresh, self.now + REFRESH_RETRY);
        }
        self.error(ClientError::Server { code, message, slot });
    }

    pub(super) fn contradicted(&mut self, contradiction: Contradiction) {
        self.bad_server_frame(ClientError::Contradiction(contradiction.0));
    }

    /// Starts the backoff anew when nothing is left to catch up with (CLS-4).
    pub(super) fn reset_backoff_if_caught_up(&mut self) {
        let mut wanted = self.streams.iter().filter(|stream| stream.is_wanted()).peekable();
        if matches!(self.link, Link::Live(_))
            && !is_mutant!(BackoffNeverReset)
            && wanted.peek().is_some()
            && wanted.all(Stream::has_caught_up)
        {
            self.backoff.reset();
        }
    }

    /// Finds the stream of a `ch`; frames of one that is not in use are ignored (SUB-12).
    fn stream_of(&mut self, ch: u32) -> Option<StreamId> {
        let Link::Live(session) = &self.link else {
            return None;
        };
        let id = session.stream_of(ch);
        if id.is_none() {
            self.stats.frames_ignored += 1;
        }
        id
    }
}
