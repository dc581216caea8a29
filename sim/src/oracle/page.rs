//! One page life: its connection, its sends, its subject.

use std::collections::BTreeMap;

use agentwire::proto::Duration;

use agentwire::proto::{
    Config, ConsumerId, Event, Instant, SendKind, SocketId, State, StreamId,
    wire::{ClientFrame, Receipt, ServerFrame, StreamRequest},
};

use super::{
    Causes, Counts, Judgement,
    rate::Rate,
    require,
    stream::{Consumer, StreamView},
};
use crate::{
    driver::{Driver, Item, Note},
    server::Server,
};

/// How many delays the client must have drawn before their mean says anything.
const ENOUGH_DELAYS: u32 = 8;

/// A send of the application.
#[derive(Debug)]
pub(super) struct Send {
    kind: SendKind,
    stream: String,
    /// The key of the message that it is about.
    about: Option<String>,
    /// Its place among the sends of the page.
    made: usize,
    pub(super) settled: bool,
    sent: bool,
    /// It went out on the socket in use, and nothing came back that puts it off.
    on_way: bool,
    /// It was put off on the socket in use.
    put_off: bool,
    /// When it went out on the socket in use, in the order of all transmissions.
    went: u64,
}

impl Send {
    const fn has_content(&self) -> bool {
        matches!(self.kind, SendKind::Edit | SendKind::Message | SendKind::RunMessage)
    }

    /// Tells whether it may go out before one that was made earlier and waits (SND-4).
    fn may_pass(&self, id: &str, waiting: &Self) -> bool {
        let is_about =
            self.about.as_deref().is_some_and(|about| about == id || waiting.about.as_deref() == Some(about));
        !self.has_content()
            && !is_about
            && (!waiting.put_off || (self.put_off && self.went < waiting.went))
            && matches!(waiting.kind, SendKind::Edit | SendKind::Message)
    }
}

/// What is known of a page without asking its core.
#[derive(Debug)]
pub(super) struct PageView {
    pub(super) window: u64,
    window_bytes: u32,
    pub(super) max_pending: usize,
    pub(super) streams: Vec<StreamView>,
    pub(super) sends: BTreeMap<String, Send>,
    transmissions: u64,
    /// The requests that are open on the socket in use for what the server owes: their `ch`, and where they end.
    replays: BTreeMap<u64, (u32, u64)>,
    pub(super) closing: bool,
    pub(super) causes: Causes,
    socket: Option<SocketId>,
    greeted: bool,
    subject: Option<String>,
    /// Another user was welcomed: nothing may be sent any more.
    foreign: bool,
    /// The longest silence of a live socket (HBT-2).
    silence: Duration,
    /// Until then a socket that was silent for longer may be asked.
    asks_until: Instant,
    last_heard: Instant,
    /// Since when everything has caught up.
    calm_since: Option<Instant>,
    /// A connection lasted, or something outside changed, since the last wait: the next one may be short (CLS-4).
    fresh: bool,
    /// A connection lasted: the next wait is short.
    lasted: bool,
    /// The server rejected a frame: waits are long until a connection lasts.
    exhausted: bool,
    rate: Rate,
    /// The server named a time before which it must not be called.
    floor: bool,
    /// That time.
    not_before: Instant,
    /// The server said on this socket, before its welcome, that it will leave.
    left_early: bool,
    attempt: u32,
    /// Delays as thousandths of their bound.
    delays: (u64, u32),
    failed: Option<String>,
}

impl PageView {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            window: u64::from(config.window_events),
            window_bytes: config.window_bytes,
            max_pending: config.max_pending,
            streams: Vec::new(),
            sends: BTreeMap::new(),
            transmissions: 0,
            replays: BTreeMap::new(),
            closing: false,
            causes: Causes::default(),
            socket: None,
            greeted: false,
            subject: None,
            foreign: false,
            silence: Duration::ZERO,
            asks_until: Instant::ZERO,
            last_heard: Instant::ZERO,
            calm_since: None,
            fresh: true,
            lasted: false,
            exhausted: false,
            rate: Rate::new(config),
            floor: false,
            not_before: Instant::ZERO,
            left_early: false,
            attempt: 0,
            delays: (0, 0),
            failed: None,
        }
    }

    fn by_ch(&mut self, ch: u32) -> Option<&mut StreamView> {
        self.streams.iter_mut().find(|stream| stream.ch == Some(ch))
    }

    fn by_id(&mut self, id: StreamId) -> Option<&mut StreamView> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    fn of_consumer(&mut self, id: ConsumerId) -> Option<&mut StreamView> {
        self.streams.iter_mut().find(|stream| stream.consumers.iter().any(|consumer| consumer.id == id))
    }

    /// Tells whether the token of a hello may still wait in its slot.
    pub(super) const fn is_opening(&self) -> bool {
        self.socket.is_some() && !self.greeted
    }

    pub(super) fn socket_gone(&mut self, now: Instant) {
        self.end_calm(now);
        self.socket = None;
        self.left_early = false;
        self.greeted = false;
        self.replays.clear();
        for stream in &mut self.streams {
            stream.link_down();
        }
        for send in self.sends.values_mut() {
            (send.on_way, send.put_off) = (false, false);
        }
    }

    // --- What the server said ---

    pub(super) fn heard(&mut self, frame: &ServerFrame, now: Instant) {
        self.last_heard = now;
        if !self.greeted {
            if let ServerFrame::Welcome(welcome) = frame {
                self.greeted = true;
                self.floor = std::mem::take(&mut self.left_early);
                // A heartbeat may be a fifth late, and a question is answered within five seconds.
                let late = Duration::from_millis(welcome.heartbeat_ms * 6 / 5).max(Duration::from_secs(5));
                self.silence = late + Duration::from_secs(5);
                self.rate.cap = Duration::from_millis(welcome.backoff_max_ms.unwrap_or(20_000));
                self.foreign |= self.subject.as_ref().is_some_and(|known| *known != welcome.subject);
                self.subject.get_or_insert_with(|| welcome.subject.into());
            }
            if let ServerFrame::Welcome(_) = frame
                && !self.floor
            {
                self.not_before = Instant::ZERO;
            }
            self.hear_floor(frame, now);
            if let ServerFrame::GoAway { .. } = frame {
                self.left_early = true;
            }
            return;
        }
        match frame {
            ServerFrame::CaughtUp { ch, offset, open_runs, .. } => {
                if let Some(stream) = self.by_ch(*ch) {
                    let runs: Vec<String> = open_runs.iter().flatten().map(|&run| run.into()).collect();
                    stream.on_caught_up(*offset, &runs);
                }
            }
            ServerFrame::Error { .. } | ServerFrame::GoAway { .. } => self.hear_floor(frame, now),
            ServerFrame::Events { ch, first, count } => {
                if let Some(stream) = self.by_ch(*ch) {
                    stream.on_events(*first, *count);
                }
            }
            ServerFrame::Gap { ch, from, to, .. } => {
                if let Some(stream) = self.by_ch(*ch) {
                    stream.on_gap(*from, *to);
                }
            }
            ServerFrame::Receipt(Receipt { id, error: Some(error), .. }) if error.retryable => {
                if let Some(send) = self.sends.get_mut(&*id.as_rc()) {
                    (send.on_way, send.put_off) = (false, true);
                }
            }
            ServerFrame::ReplayEnd { req, oldest, .. } => {
                if let Some((ch, to)) = self.replays.remove(req)
                    && let Some(stream) = self.by_ch(ch)
                {
                    stream.on_repaired((*oldest).min(to + 1));
                }
            }
            ServerFrame::Subscribed(answer) => {
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.name == answer.name) {
                    stream.on_subscribed(answer);
                }
            }
            ServerFrame::Unsubscribed { ch, name, reason } => {
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.name == *name) {
                    stream.on_unsubscribed(*ch, &reason.as_rc());
                }
            }
            _ => {}
        }
    }

    /// Takes note of the time before which the server must not be called.
    fn hear_floor(&mut self, frame: &ServerFrame, now: Instant) {
        let after_ms = match frame {
            ServerFrame::Error { retry_after_ms: Some(ms), .. } => *ms,
            ServerFrame::GoAway { reconnect_after_ms, .. } => *reconnect_after_ms,
            _ => return,
        };
        self.floor = true;
        self.not_before = now + Duration::from_millis(after_ms);
    }

    /// Takes note whether every stream has caught up (CLS-4).
    fn look_at_catch_ups(&mut self, now: Instant) {
        if !self.streams.iter().filter(|stream| stream.is_wanted()).all(StreamView::has_caught_up) {
            self.end_calm(now);
        } else if self.calm_since.is_none() {
            self.calm_since = Some(now);
        }
    }

    fn end_calm(&mut self, now: Instant) {
        let calm = self.calm_since.take().map_or(Duration::ZERO, |since| now.since(since));
        self.fresh |= calm >= Duration::from_secs(10);
        // The core looks a moment later, or earlier.
        self.lasted |= calm >= Duration::from_secs(11);
    }

    /// Something outside has changed: the next wait may be short (CLS-4).
    pub(super) fn hinted(&mut self, now: Instant) {
        self.fresh = true;
        // A page that woke up asks first whether its socket is alive.
        self.asks_until = now + Duration::from_secs(5);
    }

    // --- What the client did ---

    pub(super) fn note(
        &mut self,
        note: &Note,
        (server, now): (&Server, Instant),
        counts: &mut Counts,
    ) -> Judgement {
        match note {
            // After the end nobody gets anything any more.
            Note::Attached { .. } if self.closing || self.failed.is_some() => {}
            Note::Attached { consumer, stream, name, begin, open } => {
                let view = match self.streams.iter().position(|known| known.id == *stream) {
                    Some(index) => &mut self.streams[index],
                    None => {
                        self.streams.push(StreamView::new(*stream, name, *open));
                        let last = self.streams.len() - 1;
                        &mut self.streams[last]
                    }
                };
                view.attach(Consumer::new(*consumer), begin)?;
            }
            Note::Closing => self.closing = true,
            Note::ClosedSocket { socket, .. } => {
                if self.socket == Some(*socket) {
                    self.socket_gone(now);
                }
            }
            Note::Declared { consumer, to } => {
                if let Some(stream) = self.of_consumer(*consumer) {
                    stream.declared(*consumer, *to);
                }
            }
            Note::Queued { consumer, offset, take, replay_through } => {
                let Some(stream) = self.of_consumer(*consumer) else {
                    require!(false, "I1", "{consumer:?} is sent events and is not attached");
                    return Ok(());
                };
                stream.queued(*consumer, *offset, *take, *replay_through)?;
            }
            Note::Fact(fact) => self.fact(fact, now, counts)?,
            Note::Delivered { consumer, item } => {
                let subject = self.subject.clone().unwrap_or_default();
                let Some(stream) = self.of_consumer(*consumer) else {
                    require!(false, "I1", "{consumer:?} gets something and is not attached");
                    return Ok(());
                };
                stream.delivered(*consumer, item, (server, &subject), counts)?;
            }
            Note::Left { consumer } => {
                if let Some(stream) = self.of_consumer(*consumer) {
                    stream.leave(*consumer);
                }
            }
            Note::Made { kind, id, stream, about } => {
                let (kind, stream, made) = (*kind, stream.clone(), self.sends.len());
                let about = about.clone();
                let send = Send {
                    kind,
                    stream,
                    about,
                    made,
                    settled: false,
                    sent: false,
                    on_way: false,
                    put_off: false,
                    went: 0,
                };
                self.sends.entry(id.clone()).or_insert(send);
            }
            Note::Opened(socket) => {
                require!(self.socket.is_none(), "I8", "{socket:?} is opened beside {:?}", self.socket);
                self.socket_gone(now);
                self.socket = Some(*socket);
            }
            Note::Sent { socket, frame, .. } => {
                require!(
                    self.socket == Some(*socket),
                    "I8",
                    "{frame:?} goes to {socket:?}, in use is {:?}",
                    self.socket
                );
                require!(!self.foreign, "I11", "{frame:?} is sent after another subject was welcomed");
                self.sent(frame, now)?;
            }
            Note::Settled { id, receipt, failed, .. } => {
                counts.sends += 1;
                self.settled(id, receipt.as_ref(), failed.as_deref(), server)?;
            }
            Note::TokenWanted => self.rate.token_wanted(self.greeted)?,
            Note::Trapped => {
                self.socket_gone(now);
                for stream in &mut self.streams {
                    stream.trapped();
                }
                (self.fresh, self.attempt, self.floor, self.lasted) = (true, 0, false, false);
                self.not_before = Instant::ZERO;
                self.exhausted = false;
                self.rate.trapped(now);
            }
        }
        Ok(())
    }

    fn sent(&mut self, frame: &ClientFrame, now: Instant) -> Judgement {
        match frame {
            ClientFrame::Ack { offsets } => {
                for (ch, offset) in offsets {
                    let Some(stream) = self.by_ch(*ch) else {
                        require!(false, "FLO-3", "an ack names ch {ch}, which is not in use");
                        continue;
                    };
                    stream.acknowledged(*offset)?;
                }
            }
            ClientFrame::Hello { streams, window_events, window_bytes, .. } => {
                require!(
                    u64::from(*window_events) == self.window && *window_bytes == self.window_bytes,
                    "FLO-1",
                    "the hello allows {window_events} events and {window_bytes} bytes"
                );
                for stream in self.streams.iter().filter(|stream| stream.is_wanted()) {
                    let asked = streams.iter().any(|request| request.name == stream.name);
                    require!(asked, "SUB-1", "the hello leaves out {}", stream.name);
                }
                self.requested(streams)?;
            }
            ClientFrame::Replay { req, ch, from, to } => {
                if self.by_ch(*ch).is_some_and(|stream| stream.is_owed(*from)) {
                    self.replays.insert(*req, (*ch, *to));
                }
                let window = self.window;
                require!(to >= from && to - from < window, "RPL-2", "a request for {from}..={to}");
                require!(self.by_ch(*ch).is_some(), "RPL-1", "a request names ch {ch}, which is not in use");
            }
            ClientFrame::Keyed { kind, id, stream, .. } => {
                let is_it = |send: &&Send| !send.settled && send.kind == *kind && send.stream == *stream;
                let send = self.sends.get(&*id.as_rc()).filter(is_it);
                require!(send.is_some(), "I6", "{id} is sent to {stream} and is not waiting there");
                let made = send.map_or(0, |send| send.made);
                let waits =
                    |send: &Send| send.made < made && send.stream == *stream && !send.settled && !send.on_way;
                let is_overtaken = |(of, waiting): &(&String, &Send)| {
                    waits(waiting) && !send.is_some_and(|send| send.may_pass(of, waiting))
                };
                let overtaken = self.sends.iter().find(is_overtaken).map(|(id, _)| id);
                require!(overtaken.is_none(), "SND-4", "{id} goes out before {overtaken:?} of its stream");
                self.rate.uploaded(&id.as_rc(), now)?;
                self.transmissions += 1;
                if let Some(send) = self.sends.get_mut(&*id.as_rc()) {
                    (send.sent, send.on_way) = (true, true);
                    // What was put off keeps its place (SND-9).
                    send.went = if send.put_off { send.went } else { self.transmissions };
                }
            }
            ClientFrame::Subscribe { streams } => self.requested(streams)?,
            ClientFrame::Unsubscribe { ch } => {
                if let Some(stream) = self.by_ch(*ch) {
                    let may_leave = !stream.is_wanted() || stream.is_ahead();
                    require!(may_leave, "SUB-12", "{} is left and still followed", stream.name);
                    stream.link_down();
                }
            }
            ClientFrame::Ping { .. }
            | ClientFrame::Pong { .. }
            | ClientFrame::Refresh { .. }
            | ClientFrame::Signal { .. } => {}
        }
        Ok(())
    }

    fn requested(&mut self, requests: &[StreamRequest]) -> Judgement {
        for request in requests {
            let stream = self.streams.iter_mut().find(|stream| stream.name == request.name);
            let Some(stream) = stream.filter(|stream| stream.is_wanted()) else {
                require!(false, "SUB-1", "{} is asked for and nobody follows it", request.name);
                continue;
            };
            stream.requested(request)?;
        }
        Ok(())
    }

    fn settled(
        &mut self,
        id: &str,
        receipt: Option<&(String, String)>,
        failed: Option<&str>,
        server: &Server,
    ) -> Judgement {
        let pending = self.sends.values().filter(|send| !send.settled).count();
        let Some(send) = self.sends.get_mut(id) else {
            require!(false, "I6", "{id} settles and was never made");
            return Ok(());
        };
        require!(!send.settled, "I6", "{id} settles twice");
        send.settled = true;
        if let Some((named, status)) = receipt {
            require!(named == id, "I6", "{id} settles by the receipt of {named}");
            require!(send.sent, "I6", "{id} settles by a receipt and was never sent");
            let count = |list: &[(String, String, String)]| {
                list.iter().filter(|(stream, known, _)| known == id && *stream == send.stream).count()
            };
            let (applied, lost) = (count(&server.applied), count(&server.lost));
            require!(
                status != "accepted"
                    || send.kind != SendKind::Message
                    || (applied > 0 && applied <= lost + 1),
                "I6",
                "{id} is accepted, was applied {applied} times and lost {lost} times"
            );
        }
        let justified = match failed {
            None => true,
            Some("closed") => self.closing || self.failed.is_some(),
            Some("outbox_full") => pending > self.max_pending,
            Some("message_too_large") => self.causes.too_large && send.sent,
            Some(reason) => {
                reason == "outcome_unknown" && send.sent
                    || self.failed.as_deref() == Some(reason)
                    || self.may_fail(reason)
            }
        };
        require!(justified, "I6", "{id} settles with {failed:?}, {pending} wait");
        Ok(())
    }

    /// The messages of each stream were applied in the order in which they were made (SND-4).
    pub(super) fn check_order(&self, server: &Server) -> Judgement {
        let mut last = BTreeMap::new();
        for (stream, id, _) in &server.applied {
            let Some(send) =
                self.sends.get(id).filter(|_| !server.lost.iter().any(|(_, lost, _)| lost == id))
            else {
                continue;
            };
            if !send.has_content() {
                continue;
            }
            let before = last.insert(stream, send.made);
            require!(before <= Some(send.made), "SND-4", "{id} of {stream} is applied after one made later");
        }
        Ok(())
    }

    fn fact(&mut self, fact: &Event, now: Instant, counts: &mut Counts) -> Judgement {
        match fact {
            Event::Placed { consumer, epoch, offset } => {
                if let Some(stream) = self.of_consumer(*consumer) {
                    stream.placed(*consumer, &epoch.as_rc(), *offset)?;
                }
            }
            Event::Resumed { consumer, result, .. } => {
                counts.resumed += 1;
                if let Some(stream) = self.of_consumer(*consumer) {
                    stream.resumed(*consumer, result)?;
                }
            }
            Event::StateChanged { state: State::Connecting, .. } => {
                require!(now >= self.not_before, "CLS-4", "an attempt before {:?}", self.not_before);
                self.rate.attempted(now)?;
            }
            Event::StateChanged { state: State::Waiting, reason, retry_in, attempt } => {
                self.waits(&reason.as_rc(), retry_in.unwrap_or_default(), *attempt)?;
            }
            Event::StateChanged { state: State::Failed, reason, .. } => {
                self.failed = Some((*reason).into());
                self.socket_gone(now);
            }
            Event::Ended { stream, reason } => {
                if let Some(stream) = self.by_id(*stream) {
                    stream.end_reported(&reason.as_rc())?;
                }
            }
            Event::Error(_)
            | Event::Gap { .. }
            | Event::Message { .. }
            | Event::Settled { .. }
            | Event::StateChanged { .. }
            | Event::Trouble(_)
            | Event::Welcomed { .. } => {}
        }
        Ok(())
    }

    /// A wait has begun (CLS-4).
    fn waits(&mut self, reason: &str, delay: Duration, attempt: u32) -> Judgement {
        let cap = self.rate.cap;
        // An attempt that the server or the bucket puts off is no step of the backoff.
        let is_put_off = matches!(reason, "connect" | "online" | "page_back" | "retry" | "wake")
            || (reason == "going_away" && attempt == self.attempt)
            || attempt == 0;
        if is_put_off {
            let known = attempt == self.attempt || (attempt == 0 && self.fresh);
            require!(known, "CLS-4", "a wait counts as attempt {attempt} after {}", self.attempt);
            self.attempt = attempt;
            return Ok(());
        }
        self.exhausted |= matches!(reason, "bad_frame" | "frame_too_large");
        let (fresh, lasted) = (std::mem::take(&mut self.fresh), std::mem::take(&mut self.lasted));
        let bound = Duration::from_millis(500 << attempt.saturating_sub(1).min(10)).min(cap);
        let bound = if self.exhausted && attempt > 1 { cap } else { bound };
        // Until the next welcome.
        let floor = self.floor;
        require!(floor || delay <= bound, "CLS-4", "attempt {attempt} waits {delay:?}, {bound:?} at most");
        require!(
            floor || attempt == 1 || delay >= bound / 2,
            "CLS-4",
            "attempt {attempt} waits {delay:?}, half of {bound:?} at least"
        );
        require!(
            attempt == self.attempt + 1
                || (attempt == 1 && fresh)
                || (floor && attempt == self.attempt)
                || self.exhausted,
            "CLS-4",
            "attempt {attempt} follows attempt {}",
            self.attempt
        );
        require!(
            !lasted || attempt <= 1 || floor || self.exhausted,
            "CLS-4",
            "the connection had lasted, and the wait counts as attempt {attempt}"
        );
        self.exhausted &= attempt > 1;
        self.attempt = attempt;
        if !floor && attempt == 1 {
            self.delays.0 += delay.as_millis() * 1_000 / bound.as_millis();
            self.delays.1 += 1;
            let (sum, count) = self.delays;
            require!(
                count < ENOUGH_DELAYS || sum / u64::from(count) > 40,
                "CLS-4",
                "{count} delays are on average {} thousandths of their bound",
                sum / u64::from(count)
            );
        }
        Ok(())
    }

    fn may_fail(&self, reason: &str) -> bool {
        match reason {
            "subject_changed" => self.causes.subject && self.foreign,
            "token_failed" => self.causes.no_token,
            "token_rejected" => self.causes.tokens,
            "forbidden" | "refused" => self.causes.refused,
            "bad_frame" | "frame_too_large" => self.causes.rejected >= 3,
            _ => false,
        }
    }

    pub(super) fn justify_failure(&self) -> Judgement {
        let reason = self.failed.as_deref().unwrap_or("nothing");
        require!(self.may_fail(reason), "I7", "failed with {reason}, which the plan does not explain");
        Ok(())
    }

    pub(super) fn rest(&mut self, driver: &Driver, state: State, now: Instant) -> Judgement {
        require!(
            !self.foreign || matches!(state, State::Failed | State::Closed),
            "I11",
            "another subject was welcomed, and the client is {state:?}"
        );
        if state == State::Connected {
            let silent = now.since(self.last_heard);
            let may_be = silent <= self.silence || now <= self.asks_until;
            require!(may_be, "HBT-2", "the server is silent for {silent:?}");
        }
        if matches!(state, State::Closed | State::Failed) {
            return Ok(());
        }
        if state == State::Connected && now > Instant::ZERO {
            self.look_at_catch_ups(now);
        }
        for stream in &mut self.streams {
            stream.rest()?;
            // A page that was frozen stands at no time until its timers have run.
            if state == State::Connected && now > Instant::ZERO {
                stream.rest_connected(self.window, now)?;
            }
            for consumer in &stream.consumers {
                let queue = driver.receivers.get(&consumer.id).map(|receiver| &receiver.queue);
                let moves = |item: &&Item| !matches!(item, Item::Resumed(_));
                let queued = queue.map_or(0, |queue| queue.iter().filter(moves).count());
                let bound = driver.receivers.get(&consumer.id).and_then(|receiver| receiver.max_queued);
                // A gap waits beside the events.
                let most = 2 * bound.unwrap_or(0) as usize + 1;
                require!(queued <= most, "I9", "{queued} items wait for {:?}", consumer.id);
            }
        }
        Ok(())
    }
}
