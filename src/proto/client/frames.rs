//! What the server's frames do.

use crate::proto::Duration;

use super::{
    Client,
    link::{Link, Session, silence},
};
use crate::proto::{
    close_code::CloseCode,
    config::{MIN_REFRESH, REFRESH_RETRY},
    ids::{Slot, StreamId},
    instant::Instant,
    output::{ClientError, Event, Output},
    stream::{Phase, Refused},
    text::Text,
    timer::Timer,
    wire::{ClientFrame, Contradiction, ServerFrame, Subscribed, Welcome},
};

impl Client {
    /// Takes a frame of the socket in use. `slot` is released here, unless the frame is parked.
    pub(super) fn on_frame(&mut self, frame: ServerFrame, slot: Slot, bytes: u32) {
        self.fx.stats.frames_received += 1;
        match &mut self.link {
            Link::Live(session) => {
                session.last_heard = self.now;
                session.probe = None;
                session.woken = false;
                if !frame.is_sign_of_life() {
                    session.last_data = self.now;
                    session.late = false;
                }
            }
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
                self.fx.release(slot);
                return;
            }
        }
        if let ServerFrame::Events { ch, first, count } = frame {
            // The only frame that keeps its slot for longer than this call.
            self.on_events(ch, (first, count, bytes), slot);
            return;
        }
        self.on_control_frame(frame, slot);
        self.fx.release(slot);
    }

    /// Before the welcome only a welcome counts, the error that stands in its place, or a goaway (HEL-3, NTC-2).
    pub(super) fn on_greeting_frame(&mut self, frame: ServerFrame, slot: Slot) {
        match frame {
            ServerFrame::Welcome(welcome) => self.on_welcome(welcome),
            ServerFrame::Error { code, retry_after_ms, .. } => {
                self.on_error(code, retry_after_ms, slot);
            }
            ServerFrame::GoAway { reconnect_after_ms, spread_ms } => {
                self.on_go_away(reconnect_after_ms, spread_ms);
            }
            ServerFrame::Unknown => self.fx.stats.frames_ignored += 1,
            ServerFrame::CaughtUp { .. }
            | ServerFrame::Events { .. }
            | ServerFrame::Gap { .. }
            | ServerFrame::Heartbeat { .. }
            | ServerFrame::History { .. }
            | ServerFrame::Notice
            | ServerFrame::Ping { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Receipt(_)
            | ServerFrame::Refreshed { .. }
            | ServerFrame::ReplayEnd { .. }
            | ServerFrame::Signal
            | ServerFrame::Subscribed(_)
            | ServerFrame::Unsubscribed { .. } => {
                self.contradicted(Contradiction::BeforeWelcome);
            }
        }
        self.fx.release(slot);
    }

    /// The server will close: the page comes back at its own moment of the spread.
    fn on_go_away(&mut self, reconnect_after_ms: u64, spread_ms: u64) {
        let spread = self.rng.up_to(Duration::from_millis(spread_ms));
        let at = self.now + Duration::from_millis(reconnect_after_ms) + spread;
        self.not_before = Some(at);
        self.moves_at = Some(at);
        self.timers.set(Timer::GoAway, at);
    }

    /// Moves to another connection at once: the server is there, it only wants to be rid of this one (NTC-2).
    pub(super) fn move_away(&mut self) {
        let Some(socket) = self.link.socket() else { return };
        self.end_calm();
        self.fx.push(Output::CloseSocket { socket, code: CloseCode::MOVED });
        self.unlink();
        self.timers.clear();
        self.attempt(Text::GOING_AWAY);
    }

    pub(super) fn on_welcome(&mut self, welcome: Welcome) {
        let Link::Greeting { socket } = self.link else {
            return;
        };
        if self.subject.is_some_and(|subject| subject != welcome.subject) {
            // Nothing of the former user may be sent or shown (HEL-6).
            self.fx.push(Output::CloseSocket { socket, code: CloseCode::NORMAL });
            self.fail(Text::SUBJECT_CHANGED);
            return;
        }
        self.subject = Some(welcome.subject);
        self.fx.stats.connects += 1;
        self.token_refusals = 0;
        let silence = silence(welcome.heartbeat_ms);
        self.timers.stop(Timer::Welcome);
        self.timers.set(Timer::Heartbeat, self.now + silence);
        // What an earlier connection asked for is over, and whatever the browser says, there is a network.
        self.not_before = self.moves_at;
        self.online = true;
        self.backoff.set_server_max(welcome.backoff_max_ms.map(Duration::from_millis));
        self.arm_refresh(welcome.token_expires_in_ms);
        let session = Session {
            socket,
            silence,
            last_heard: self.now,
            last_data: self.now,
            probe: None,
            woken: false,
            late: false,
            round_trip: self.now.since(self.greeted_at),
            calm_since: None,
            max_frame_bytes: welcome.max_frame_bytes,
            send_horizon: Duration::from_millis(welcome.send_horizon_ms),
            server_time: welcome.time.map(|time| (time, self.now)),
            by_ch: Vec::new(),
            replays: Vec::new(),
            next_req: 1,
            refreshing: false,
        };
        self.go(Link::Live(session), Text::WELCOME, None);
        self.fx.report(Event::Welcomed {
            session: welcome.session,
            subject: welcome.subject,
            max_frame_bytes: welcome.max_frame_bytes,
            time: welcome.time,
        });
        self.subscribe_detached();
        self.watch_answers();
        self.note_calm();
        self.flush_outbox();
    }

    /// Asks for a token a tenth of its life before the end: at least 30 seconds, at most half of its life.
    pub(super) fn arm_refresh(&mut self, expires_in_ms: Option<u64>) {
        if let Some(ms) = expires_in_ms {
            let early = (ms / 10).max(30_000.min(ms / 2));
            let delay = Duration::from_millis(ms - early).max(MIN_REFRESH);
            self.timers.set(Timer::Refresh, self.now + delay);
        } else {
            self.timers.stop(Timer::Refresh);
        }
    }

    pub(super) fn on_events(&mut self, ch: u32, (first, count, bytes): (u64, u32, u32), slot: Slot) {
        let Some(id) = self.stream_of(ch) else {
            self.fx.release(slot);
            return;
        };
        self.note_replay_progress(id, first, count);
        let Some(stream) = self.streams.get(id) else { return };
        stream.note_progress(self.now);
        let refused = match stream.on_events(first, count, (slot, bytes), &mut self.fx) {
            Ok(()) => return self.serve(id),
            Err(refused) => refused,
        };
        self.fx.release(slot);
        match refused {
            Refused::Contradiction(contradiction) => self.contradicted(contradiction),
            Refused::Overflow => self.drop_socket(CloseCode::OUT_OF_ORDER_OVERFLOW),
        }
    }

    pub(super) fn on_control_frame(&mut self, frame: ServerFrame, slot: Slot) {
        match frame {
            ServerFrame::CaughtUp { ch, offset, open_runs, seal } => {
                if let Some(id) = self.stream_of(ch) {
                    let taken =
                        self.streams.get(id).map(|stream| stream.on_caught_up(offset, open_runs, seal));
                    self.serve_or_refuse(id, taken.unwrap_or(Ok(())));
                }
            }
            ServerFrame::Error { code, retry_after_ms, req } => {
                if let Some(req) = req {
                    self.on_replay_refused(req);
                }
                self.on_error(code, retry_after_ms, slot);
            }
            ServerFrame::Gap { ch, from, to, reason } => {
                if let Some(id) = self.stream_of(ch) {
                    let fx = &mut self.fx;
                    let taken = self.streams.get(id).map(|stream| stream.on_gap(from, to, reason, fx));
                    self.serve_or_refuse(id, taken.unwrap_or(Ok(())));
                }
            }
            ServerFrame::GoAway { reconnect_after_ms, spread_ms } => {
                self.on_go_away(reconnect_after_ms, spread_ms);
            }
            ServerFrame::Heartbeat { heads, seals } => {
                for (ch, seal) in seals {
                    if let Some(stream) = self.stream_of(ch).and_then(|id| self.streams.get(id)) {
                        stream.keep_seal(seal);
                    }
                }
                self.on_heads(&heads);
                self.note_success();
                self.measure_again();
            }
            ServerFrame::History { .. } | ServerFrame::Notice | ServerFrame::Signal => {
                self.fx.report(Event::Message { slot });
            }
            ServerFrame::Ping { n } => {
                if let Some(socket) = self.link.socket() {
                    self.send(socket, ClientFrame::Pong { n });
                }
            }
            ServerFrame::Pong { n } => {
                if let Link::Live(session) = &mut self.link {
                    session.round_trip = self.now.since(Instant::from_millis(n));
                }
            }
            ServerFrame::Receipt(receipt) => {
                match self.outbox.on_receipt(&receipt, slot, self.now, &mut self.fx) {
                    Ok(Some(at)) => self.timers.set_earliest(Timer::Resend, at),
                    Ok(None) => {}
                    Err(contradiction) => self.contradicted(contradiction),
                }
                // While one goes at a time, the next one waited for this receipt.
                self.flush_outbox();
            }
            ServerFrame::Refreshed { token_expires_in_ms } => {
                if let Link::Live(session) = &mut self.link {
                    session.refreshing = false;
                }
                self.arm_refresh(token_expires_in_ms);
            }
            ServerFrame::ReplayEnd { req, oldest, .. } => self.on_replay_end(req, oldest),
            ServerFrame::Subscribed(answer) => self.on_subscribed(&answer),
            ServerFrame::Unsubscribed { ch, name, reason } => self.on_unsubscribed(ch, name, reason),
            ServerFrame::Unknown => self.fx.stats.frames_ignored += 1,
            ServerFrame::Welcome(_) => {
                self.contradicted(Contradiction::SecondWelcome);
            }
            // Taken before, because it keeps its slot.
            ServerFrame::Events { .. } => {}
        }
    }

    pub(super) fn on_subscribed(&mut self, answer: &Subscribed) {
        let Link::Live(session) = &mut self.link else { return };
        let socket = session.socket;
        if session.stream_of(answer.ch).is_some() {
            self.contradicted(Contradiction::ChInUse);
            return;
        }
        let Some(stream) = self.streams.named(answer.name) else {
            self.contradicted(Contradiction::NotAskedFor);
            return;
        };
        if stream.is_outdated() {
            stream.abandon(&mut self.fx);
            self.send(socket, ClientFrame::Unsubscribe { ch: answer.ch });
            self.subscribe_detached();
            return;
        }
        let id = stream.id;
        session.by_ch.push((answer.ch, id));
        let taken = stream.on_subscribed(answer, &mut self.fx);
        let is_ahead = stream.is_ahead();
        self.serve_or_refuse(id, taken);
        if is_ahead {
            // A consumer that came after the request has more than the server: it is asked again, with what was seen.
            self.leave_channel(id);
            self.subscribe_detached();
        }
    }

    /// Goes on with a stream after a frame that concerns it, unless the frame contradicts the protocol.
    pub(super) fn serve_or_refuse(&mut self, id: StreamId, taken: Result<(), Contradiction>) {
        match taken {
            Ok(()) => self.serve(id),
            Err(contradiction) => self.contradicted(contradiction),
        }
    }

    pub(super) fn on_unsubscribed(&mut self, ch: Option<u32>, name: Text, reason: Text) {
        let Link::Live(session) = &mut self.link else { return };
        let named = self.streams.named(name);
        let of_channel = ch.and_then(|ch| session.stream_of(ch));
        if of_channel.is_some() && of_channel != named.as_ref().map(|stream| stream.id) {
            self.contradicted(Contradiction::ChOfAnother);
            return;
        }
        let Some(stream) = named else { return };
        let has_epoch_ended = reason == Text::EPOCH;
        match (&stream.phase, ch) {
            (Phase::Subscribed(_), None) => {
                self.contradicted(Contradiction::ChMissing);
                return;
            }
            (Phase::Subscribed(subscription), Some(ch)) if subscription.ch == ch => {
                session.forget_channel(ch, stream.id);
            }
            (Phase::Requested(_), None) => {}
            // The answer to an unsubscribe of ours may come after the stream was asked for again.
            (_, Some(_)) | (Phase::Detached | Phase::Ended, None) => return,
        }
        if has_epoch_ended {
            stream.on_epoch_ended(&mut self.fx);
            self.subscribe_detached();
        } else if reason == Text::UNAVAILABLE {
            let delay = stream.put_off(&mut self.fx);
            // Half of it for certain, so that a server in trouble gets a pause.
            let at = self.now + delay / 2 + self.rng.up_to(delay / 2);
            stream.ask_at = Some(at);
            self.timers.set_earliest(Timer::Subscribe, at);
        } else {
            stream.end(reason, &mut self.fx);
        }
        // Its requests ended with it, and another stream may have waited for that.
        self.serve_all();
        self.note_calm();
    }

    pub(super) fn on_error(&mut self, code: Text, retry_after_ms: Option<u64>, slot: Slot) {
        if let Some(ms) = retry_after_ms {
            self.not_before = Some(self.now + Duration::from_millis(ms));
        }
        if matches!(code, Text::TOKEN_INVALID | Text::UNAVAILABLE)
            && let Link::Live(session) = &mut self.link
            && std::mem::take(&mut session.refreshing)
        {
            // The refresh was refused or could not be looked at: the socket goes on with the former token (TOK-1).
            self.timers.set(Timer::Refresh, self.now + REFRESH_RETRY);
        }
        self.fx.error(ClientError::Server { code, slot });
    }

    pub(super) fn contradicted(&mut self, contradiction: Contradiction) {
        self.bad_server_frame(ClientError::Contradiction(contradiction));
    }

    /// Finds the stream of a `ch`; frames of one that is not in use are ignored (SUB-12).
    pub(super) fn stream_of(&mut self, ch: u32) -> Option<StreamId> {
        let Link::Live(session) = &self.link else {
            return None;
        };
        let id = session.stream_of(ch);
        if id.is_none() {
            self.fx.stats.frames_ignored += 1;
        }
        id
    }
}
