//! A driver as ARCHITECTURE describes it, which distrusts the core: it does what the core says and checks that it may.

use std::collections::{BTreeMap, BTreeSet};

use agentwire::proto::Duration;

use agentwire::proto::{
    Begin, Client, CloseCode, Config, ConsumerId, Event, FirstSent, Input, Instant, Outcome, Output, SendKind, SocketId,
    State, StreamId,
    config::MAX_PARKED,
    wire::{ClientFrame, Malformed, Open, ServerFrame, StreamRequest, decode, encode},
};
use serde_json::{Value, json};

use super::{
    ledger::{Asked, Consumer, Held, Sends, Slots},
    script::{Life, Step, Which, epoch_name, send_id, stream_name},
};

/// Streams of a script, as [`stream_name`] has them.
const STREAMS: usize = 4;
/// Consumers of a script.
const MAX_CONSUMERS: usize = 16;
/// Sends that may wait; small, so that scripts reach it.
const MAX_PENDING: usize = 6;
/// Events that may wait in a consumer with a bound.
const SMALL_QUEUE: u32 = 4;

/// The socket in use, as the driver sees it.
#[derive(Debug)]
struct Socket {
    id: SocketId,
    opened: bool,
    greeted: bool,
    welcomed: bool,
    last_req: Option<u64>,
    acked: BTreeMap<u32, u64>,
    asked: Asked,
}

#[derive(Debug)]
pub(super) struct Driver {
    client: Client,
    now: Instant,
    deadline: Option<Instant>,
    state: State,
    online: bool,
    away: bool,
    /// When a token was asked for that did not come yet.
    token_asked: Option<Instant>,
    /// How long the application may take to give a token.
    token_timeout: Duration,
    socket: Option<Socket>,
    /// Bytes that wait in the socket, as the core is told.
    buffered: u32,
    /// Sockets so far; their ids are 0, 1, 2, …
    sockets: u32,
    consumers: Vec<Consumer>,
    /// The number that was given last for each name.
    numbers: BTreeMap<String, StreamId>,
    /// The streams whose end was reported, and nobody attached to since.
    ended: BTreeSet<String>,
    /// The largest offset that any consumer took in an epoch that is over.
    most_done: u64,
    /// Frames that asked for streams since the last flush began.
    subscribes: u32,
    slots: Slots,
    sends: Sends,
}

impl Driver {
    pub(super) fn new() -> Self {
        let mut config = Config::new(7);
        config.max_pending = MAX_PENDING;
        // Small, so that pages of replays, lags and acknowledgements come up soon.
        config.window_events = 16;
        Self {
            token_timeout: config.token_timeout,
            client: Client::new(config),
            now: Instant::from_millis(1_000),
            deadline: None,
            state: State::Idle,
            online: true,
            away: false,
            token_asked: None,
            socket: None,
            buffered: 0,
            sockets: 0,
            consumers: Vec::new(),
            numbers: BTreeMap::new(),
            ended: BTreeSet::new(),
            most_done: 0,
            subscribes: 0,
            slots: Slots::default(),
            sends: Sends::default(),
        }
    }

    /// Does one step of a script; steps that no driver could do are left out.
    pub(super) fn play(&mut self, step: Step) {
        match step {
            Step::Adopt => {
                let socket = SocketId(self.sockets);
                self.sockets += 1;
                if self.state == State::Idle {
                    self.socket = Some(Socket::new(socket));
                }
                let token = self.slots.keep(Held::Value("t".into()));
                self.input(Input::Adopt { socket, token });
            }
            Step::Away(away) => {
                self.away = away;
                self.input(Input::Away(away));
            }
            Step::Close => self.input(Input::Close),
            Step::Connect => self.input(Input::Connect),
            Step::Frame { socket, frame } => self.message(socket, Some(&frame)),
            Step::Text { socket, text } => self.message(socket, serde_json::from_slice(&text).ok().as_ref()),
            Step::Deliver { consumer, all } => self.deliver(consumer, all),
            Step::Delivered { consumer, life, through } => {
                let known = self.consumers.get_mut(usize::from(consumer));
                let own = known.as_ref().map_or(0, |known| known.life);
                let life = if let Life::Any(life) = life { life } else { own };
                if let Some(known) = known {
                    known.take(life, through);
                }
                self.input(Input::Delivered { consumer: ConsumerId(consumer.into()), life, through });
            }
            Step::Flush => self.flush(),
            Step::Online(online) => {
                self.online = online;
                self.input(Input::Online(online));
            }
            Step::Send { kind, stream, id } => self.send(kind, stream, id),
            Step::SendTooLarge { stream, id } => {
                let (id, stream) = (send_id(id).into(), stream_name(stream).into());
                self.input(Input::SendTooLarge { id, stream });
            }
            Step::Settle => self.settle(),
            Step::Signal { stream } => {
                let signal = self.slots.keep(Held::Value(json!({"type": "typing"})));
                self.input(Input::Signal { stream: stream_name(stream).into(), signal });
            }
            Step::SocketClosed { socket, code } => {
                let Some(socket) = self.which(socket) else { return };
                self.socket.take_if(|current| current.id == socket);
                self.input(Input::SocketClosed { socket, code: CloseCode(code) });
            }
            Step::SocketOpened { socket, subprotocol } => {
                let Some(socket) = self.which(socket) else { return };
                if let Some(current) = self.socket.as_mut().filter(|current| current.id == socket) {
                    current.opened = true;
                }
                self.input(Input::SocketOpened { socket, subprotocol });
            }
            Step::Subscribe { stream, open, begin, offset } => self.subscribe(stream, open, begin, offset.0),
            Step::Timeout => self.input(Input::Timeout),
            Step::TokenFailed { retryable } => {
                if self.token_asked.take().is_some() {
                    self.input(Input::TokenFailed { retryable });
                }
            }
            Step::TokenReady => {
                if self.token_asked.take().is_some() {
                    let token = self.slots.keep(Held::Value("t".into()));
                    self.input(Input::TokenReady { token });
                }
            }
            Step::Unsubscribe { consumer } => {
                if let Some(known) = self.consumers.get_mut(usize::from(consumer)) {
                    known.attached = false;
                }
                self.input(Input::Unsubscribe { consumer: ConsumerId(consumer.into()) });
            }
            Step::Wait { ms, notice } => {
                self.now = self.now + Duration::from_millis(ms);
                // A frozen page notices nothing: the next input comes first.
                if notice && self.deadline.is_some_and(|deadline| deadline <= self.now) {
                    self.input(Input::Timeout);
                }
            }
        }
    }

    /// Closes the client, and checks that nothing is left.
    pub(super) fn finish(mut self) {
        self.settle();
        self.input(Input::Close);
        self.slots.check_empty();
        self.sends.check_empty();
        assert!(self.socket.is_none(), "the client is closed, and its socket is not");
        self.play(Step::TokenReady);
        self.play(Step::Send { kind: 0, stream: 0, id: 0 });
        self.slots.check_empty();
        self.sends.check_empty();
    }

    // --- Steps with more to them ---

    fn which(&self, socket: Which) -> Option<SocketId> {
        match socket {
            Which::Current => self.socket.as_ref().map(|socket| socket.id),
            Which::Former(back) => self.sockets.checked_sub(1 + u32::from(back)).map(SocketId),
        }
    }

    fn message(&mut self, socket: Which, message: Option<&Value>) {
        let Some(socket) = self.which(socket) else { return };
        match decode(message.unwrap_or(&Value::Null)) {
            Ok(frame) => {
                let range = match &frame {
                    ServerFrame::Events { first, count, .. } => Some((*first, *count)),
                    _ => None,
                };
                self.hear(socket, &frame);
                let slot = self.slots.keep(Held::Frame(range));
                let bytes = message.map_or(0, |value| value.to_string().len() as u32);
                self.input(Input::Frame { socket, frame, slot, bytes });
            }
            Err(Malformed::Contradiction(contradiction)) => {
                let slot = self.slots.keep(Held::Frame(None));
                self.input(Input::Contradiction { socket, contradiction, slot });
            }
            Err(error) => {
                let slot = self.slots.keep(Held::Value(error.to_string().into()));
                self.input(Input::BadFrame { socket, slot });
            }
        }
    }

    /// Takes note of what a frame says of subscriptions.
    fn hear(&mut self, id: SocketId, frame: &ServerFrame) {
        let Some(socket) = self.socket.as_mut().filter(|socket| socket.id == id && socket.welcomed) else {
            return;
        };
        match frame {
            ServerFrame::CaughtUp { .. } => self.consumers.iter_mut().for_each(Consumer::caught_up),
            ServerFrame::Subscribed(answer) => {
                // A server may not use a number again (SUB-3). This one does, and then acknowledgements begin again.
                socket.acked.remove(&answer.ch);
                socket.asked.answer(&answer.name.as_rc(), answer.ch);
            }
            ServerFrame::Unsubscribed { ch, name, .. } => socket.asked.end(&name.as_rc(), *ch),
            _ => {}
        }
    }

    fn deliver(&mut self, consumer: u8, all: bool) {
        if self.consumers.is_empty() {
            return;
        }
        let index = usize::from(consumer) % self.consumers.len();
        let known = &mut self.consumers[index];
        let Some((from, to)) = known.waiting().filter(|_| known.attached) else { return };
        let (life, through) = (known.life, if all { to } else { from.min(to) });
        known.take(life, through);
        self.input(Input::Delivered { consumer: ConsumerId(index as u32), life, through });
    }

    /// Everything that was attached is asked for, in one frame.
    fn flush(&mut self) {
        self.subscribes = 0;
        self.input(Input::Flush);
        assert!(self.subscribes <= 1, "{} requests of one flush", self.subscribes);
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.welcomed) else { return };
        for consumer in self.consumers.iter().filter(|known| known.attached) {
            let name = &consumer.name;
            assert!(socket.asked.has(name) || self.ended.contains(name), "{name} is not asked for");
        }
    }

    fn send(&mut self, kind: u8, stream: u8, id: u8) {
        let (kind, body) = match kind % 6 {
            0 => (SendKind::Message, json!({"message": {"type": "user_message", "content": "hi"}})),
            1 => (SendKind::Cancel, json!({"runId": "r1"})),
            2 => (SendKind::Approve, json!({"runId": "r1", "approvalId": "a1", "decision": "denied"})),
            3 => (SendKind::Withdraw, json!({"sendId": "m0"})),
            4 => {
                let message = json!({"type": "user_message", "content": "no"});
                (SendKind::RunMessage, json!({"message": message, "mode": "interrupt"}))
            }
            _ => {
                let message = json!({"type": "user_message", "content": "hello"});
                (SendKind::Edit, json!({"sendId": "m0", "message": message}))
            }
        };
        let (id, stream) = (send_id(id), stream_name(stream));
        let body = self.slots.keep(Held::Value(body));
        self.sends.push(&id, &stream);
        let (id, stream) = (id.into(), stream.into());
        // Some are large, and some are about what waits beside them.
        let bytes = if kind == SendKind::Message { 100_000 } else { 100 };
        let about = matches!(kind, SendKind::Edit | SendKind::Withdraw).then(|| send_id(0).into());
        self.input(Input::Send { kind, id, stream, body, bytes, about, first_sent: FirstSent::default() });
    }

    fn subscribe(&mut self, stream: u8, open: u8, begin: u8, offset: u64) {
        if self.consumers.len() >= MAX_CONSUMERS {
            return;
        }
        let open = match open % 3 {
            0 => Open::Start,
            1 => Open::Live,
            _ => Open::Last(1 + u32::from(open)),
        };
        let (begin_at, next) = match begin % 4 {
            0 | 1 => (Begin::Stream, None),
            2 => (Begin::After(offset), None),
            _ => (Begin::Position { epoch: epoch_name(begin / 4).into(), offset }, Some(offset + 1)),
        };
        // Two numbers for each name: the one given last is the stream's.
        let name = stream_name(stream);
        let number = StreamId(u32::from(stream) % (2 * STREAMS as u32));
        let consumer = ConsumerId(self.consumers.len() as u32);
        let max_queued = (begin & 32 != 0).then_some(SMALL_QUEUE);
        let mut known = Consumer::new(name.clone(), next, max_queued);
        if !matches!(self.state, State::Closed | State::Failed) {
            self.numbers.insert(name.clone(), number);
            self.ended.remove(&name);
            if self.socket.as_ref().is_some_and(|socket| socket.asked.has(&name)) {
                known.request();
            }
        }
        self.consumers.push(known);
        let (name, name_bytes) = (name.as_str().into(), name.len() as u32);
        let stream = number;
        self.input(Input::Subscribe {
            stream,
            consumer,
            name,
            name_bytes,
            open,
            begin: begin_at,
            max_queued,
        });
        if begin & 64 == 0 {
            self.flush();
        }
    }

    /// Lets every deadline that is due come, as a driver does whose page is not frozen.
    fn settle(&mut self) {
        for _ in 0..64 {
            if self.deadline.is_none_or(|deadline| deadline > self.now) {
                return;
            }
            self.input(Input::Timeout);
        }
        panic!("the deadline {:?} is due again and again", self.deadline);
    }

    // --- The loop ---

    fn input(&mut self, input: Input) {
        let before = self.client.stats();
        let was_terminal = matches!(self.state, State::Closed | State::Failed);
        // What is due is done with whatever comes, also from a former socket.
        let is_due = self.deadline.is_some_and(|deadline| deadline <= self.now);
        let is_stale = self.is_stale(&input) && !is_due;
        self.client.handle_input(input, self.now);
        // Each parked frame can go to each consumer and be released; each stream, send and consumer can have a few words to say.
        let parked = usize::try_from(before.parked_frames).expect("a few");
        let (consumers, sends) = (self.consumers.len(), self.sends.len());
        let bound = 32 + (parked + 2) * (consumers + 1) + 8 * (STREAMS + consumers) + 4 * sends;
        let mut outputs = 0;
        self.deadline = loop {
            match self.client.poll_output() {
                Output::Timeout(deadline) => break deadline,
                output => {
                    // I8: what comes from a former socket is let go, and that is all.
                    assert!(
                        !is_stale || matches!(output, Output::Release(_)),
                        "{output:?} for a former socket"
                    );
                    self.act(output, was_terminal);
                }
            }
            outputs += 1;
            assert!(outputs <= bound, "more than {bound} outputs of one input");
        };
        self.check();
    }

    /// Tells whether an input is of a socket that is no longer in use.
    fn is_stale(&self, input: &Input) -> bool {
        match input {
            Input::Frame { socket, .. } | Input::BadFrame { socket, .. } => {
                self.socket.as_ref().is_none_or(|current| current.id != *socket)
            }
            _ => false,
        }
    }

    fn act(&mut self, output: Output, was_terminal: bool) {
        if was_terminal {
            // Consumers may still take what was sent to them, come and go; nothing new comes.
            let allowed = matches!(
                output,
                Output::Release(_) | Output::CloseSocket { .. } | Output::Event(Event::Settled { .. })
            );
            assert!(allowed, "{output:?} after the end");
        }
        match output {
            Output::CloseSocket { socket, .. } => {
                assert!(socket.0 < self.sockets, "{socket:?} was never opened");
                self.socket.take_if(|current| current.id == socket);
            }
            Output::Deliver { consumer, life, slot, skip, take, offset, .. } => {
                let Held::Frame(Some((first, count))) = self.slots.get(slot) else {
                    panic!("{slot:?} holds no events");
                };
                assert_eq!(*first + u64::from(skip), offset, "another offset than that of the event");
                assert!(skip + take <= *count, "events beyond the end of the frame");
                self.consumer(consumer).deliver(life, offset, take);
            }
            Output::Event(event) => self.note(event),
            Output::Measure(socket) => {
                let current = self.socket.as_ref().map(|current| current.id);
                assert_eq!(current, Some(socket), "a socket is measured that is not in use");
                self.buffered = if self.buffered == 0 { 200_000 } else { self.buffered / 4 };
                self.client.handle_input(Input::Buffered(self.buffered), self.now);
            }
            Output::OpenSocket(socket) => {
                assert_eq!(socket.0, self.sockets, "socket numbers go up");
                assert!(self.socket.is_none(), "a second socket");
                self.sockets += 1;
                self.socket = Some(Socket::new(socket));
            }
            Output::Release(slot) => self.slots.release(slot),
            Output::RequestToken => {
                let asked = self.token_asked.replace(self.now);
                let patient = asked.is_none_or(|asked| self.now.since(asked) >= self.token_timeout);
                assert!(patient, "a token is asked for twice");
            }
            Output::SendFrame { socket, frame } => self.check_sent(socket, &frame),
            Output::Timeout(_) => {}
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Gap { consumer, gap } => {
                self.most_done = self.most_done.max(self.consumer(consumer).done().unwrap_or(0));
                self.consumer(consumer).gap(&gap);
            }
            Event::Message { slot } => {
                self.slots.get(slot);
            }
            Event::Placed { consumer, offset, .. } => self.consumer(consumer).placed(offset),
            Event::Ended { stream, .. } => {
                let name = self.numbers.iter().find(|(_, number)| **number == stream).map(|(name, _)| name);
                let name = name.unwrap_or_else(|| panic!("{stream:?} is not the number given last"));
                assert!(self.ended.insert(name.clone()), "{name} ends twice");
            }
            Event::Resumed { stream, consumer, result } => {
                let name = self.consumer(consumer).name.clone();
                assert_eq!(self.numbers.get(&name), Some(&stream), "not the number given last");
                self.consumer(consumer).resumed(&result);
            }
            Event::Settled { id, stream, outcome } => {
                if let Outcome::Receipt { slot } = outcome {
                    self.slots.get(slot);
                }
                self.sends.settle(&id.as_rc(), &stream.as_rc());
            }
            Event::StateChanged { state, .. } => self.state = state,
            Event::Trouble(_) => {}
            Event::Welcomed { .. } => {
                let socket = self.socket.as_mut().expect("a welcome comes on a socket");
                assert!(socket.greeted, "a welcome before the hello");
                socket.welcomed = true;
            }
            Event::Error(
                agentwire::proto::ClientError::BadServerFrame(slot)
                | agentwire::proto::ClientError::Server { slot, .. },
            ) => {
                self.slots.get(slot);
            }
            Event::Error(_) => {}
        }
    }

    /// Checks a frame as it goes out: it is in its place, and the bridge can read it.
    fn check_sent(&mut self, id: SocketId, frame: &ClientFrame) {
        let socket = self.socket.as_mut().filter(|current| current.id == id);
        let socket = socket.unwrap_or_else(|| panic!("{frame:?} for {id:?}, which is not in use"));
        assert!(socket.opened, "{frame:?} before the socket is open");
        match frame {
            ClientFrame::Hello { .. } => {
                assert!(!std::mem::replace(&mut socket.greeted, true), "a second hello");
            }
            _ => assert!(socket.welcomed, "{frame:?} before the welcome"),
        }
        if let ClientFrame::Unsubscribe { ch } = frame {
            socket.asked.leave(*ch);
        }
        if let ClientFrame::Hello { streams, .. } | ClientFrame::Subscribe { streams } = frame {
            self.subscribes += u32::from(matches!(frame, ClientFrame::Subscribe { .. }));
            for StreamRequest { name, position, seen, .. } in streams {
                socket.asked.request(&name.as_rc());
                let offset = position.as_ref().map(|(_, offset)| *offset);
                assert!(seen.is_none_or(|seen| offset.is_some_and(|offset| seen > offset)), "{frame:?}");
                let of_stream =
                    self.consumers.iter_mut().filter(|known| known.attached && known.name == *name);
                of_stream.for_each(Consumer::request);
            }
        }
        if let ClientFrame::Ack { offsets } = frame {
            // FLO-2, as far as it can be seen from here: what no consumer took is not acknowledged.
            let started =
                self.consumers.iter().filter(|known| known.attached).all(|known| known.done().is_some());
            let most =
                self.consumers.iter().filter_map(Consumer::done).max().unwrap_or(0).max(self.most_done);
            for (ch, offset) in offsets {
                let before = socket.acked.insert(*ch, *offset);
                assert!(
                    before.is_none_or(|before| before < *offset),
                    "{offset} acknowledged after {before:?}"
                );
                assert!(
                    !started || *offset <= most,
                    "{offset} is acknowledged, and {most} is the most that was taken"
                );
            }
        }
        if let ClientFrame::Replay { req, from, to, .. } = frame {
            let before = socket.last_req.replace(*req);
            assert!(before.is_none_or(|before| before < *req), "the request {req} after {before:?}");
            assert!(from <= to && to - from < 16, "a request for {from} to {to}");
        }
        let text = encode(frame, |slot| self.slots.value(slot)).expect("the slot holds a value").to_string();
        assert!(text.len() <= 65_536, "a frame of {} bytes", text.len());
        match agentwire_bridge::fuzz::decode(&text) {
            Ok(Some(_)) => {}
            other => panic!("the bridge reads {text} as {other:?}"),
        }
    }

    fn consumer(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers.get_mut(id.0 as usize).unwrap_or_else(|| panic!("{id:?} was never attached"))
    }

    /// What holds whenever the core has nothing more to say.
    fn check(&self) {
        assert_eq!(self.client.state(), self.state, "a change of state was not reported");
        let stats = self.client.stats();
        assert!(stats.parked_frames <= (STREAMS * MAX_PARKED) as u64, "{stats:?}");
        assert_eq!(
            stats.sends_pending,
            self.sends.len() as u64,
            "a send left without an answer, or is there twice"
        );
        match self.state {
            State::Closed | State::Failed => assert_eq!(self.deadline, None, "a deadline after the end"),
            State::Connected | State::Connecting | State::Waiting => {
                assert!(self.deadline.is_some(), "{:?} without a deadline", self.state);
            }
            State::Idle => {}
            State::Offline => assert!(!self.online || self.away, "offline, and nothing to wait for"),
        }
    }
}

impl Socket {
    fn new(id: SocketId) -> Self {
        Self {
            id,
            opened: false,
            greeted: false,
            welcomed: false,
            last_req: None,
            acked: BTreeMap::new(),
            asked: Asked::default(),
        }
    }
}
