//! One page, a model server and a link between them, in virtual time: for tests that tell a story. Nothing sleeps.

use std::collections::VecDeque;

use agentwire::proto::Duration;

use agentwire::proto::{
    Begin, Client, CloseCode, Config, ConsumerId, Event, Input, Instant, Outcome, SendKind, Slot, SocketId,
    State, StreamId, wire::Open,
};
use serde_json::{Value, json};

use crate::{
    driver::{Driver, Note, Receiver},
    server::{Outgoing, Peer, Server},
};

#[derive(Debug)]
enum Travelling {
    ToClient { socket: SocketId, text: String },
    ToServer { socket: SocketId, text: String },
    Opened(SocketId),
    ClosedByServer { socket: SocketId, code: u16 },
    ClosedByClient(SocketId),
}

/// One page with its server.
#[derive(Debug)]
pub struct World {
    /// The time; only [`run_for`](Self::run_for) lets it pass.
    pub now: Instant,
    /// The core.
    pub client: Client,
    /// The model server.
    pub server: Server,
    /// Every fact that the core reported.
    pub facts: Vec<Event>,
    /// Everything the client sent, with its time.
    pub sent: Vec<(Instant, Value)>,
    /// How long a message travels.
    pub latency: Duration,
    /// No socket opens while this is set.
    pub refusing: bool,
    /// The token provider answers at once with this; `None` leaves the client waiting.
    pub token: Option<String>,
    /// Events that may wait in an iterator: as many as the window, unless a test says otherwise.
    pub max_queued: u32,
    driver: Driver,
    travelling: VecDeque<(Instant, Travelling)>,
    open: Option<SocketId>,
    deadline: Option<Instant>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Makes a world with the default configuration.
    pub fn new() -> Self {
        Self::with(Config::new(7))
    }

    /// Makes a world with a configuration.
    pub fn with(config: Config) -> Self {
        Self {
            now: Instant::from_millis(1_000),
            max_queued: config.window_events,
            client: Client::new(config),
            server: Server::default(),
            facts: Vec::new(),
            sent: Vec::new(),
            latency: Duration::from_millis(20),
            refusing: false,
            token: Some("token-of-ada".into()),
            driver: Driver::keeping(),
            travelling: VecDeque::new(),
            open: None,
            deadline: None,
        }
    }

    // --- What a page does ---

    /// Wants to be connected.
    pub fn connect(&mut self) {
        self.input(Input::Connect);
    }

    /// Attaches a handler.
    pub fn subscribe(&mut self, stream: u32, consumer: u32, name: &str, open: Open, begin: Begin) {
        self.attach(Receiver::default(), (stream, consumer, name), open, begin);
    }

    /// Subscribes consumer 1 of stream 1 from the start, as most tests do.
    pub fn follow(&mut self, name: &str) {
        self.subscribe(1, 1, name, Open::Start, Begin::Stream);
    }

    /// Attaches an iterator.
    pub fn subscribe_pulling(&mut self, stream: u32, consumer: u32, name: &str, open: Open, begin: Begin) {
        self.attach(Receiver::pulling(self.max_queued), (stream, consumer, name), open, begin);
    }

    fn attach(
        &mut self,
        receiver: Receiver,
        (stream, consumer, name): (u32, u32, &str),
        open: Open,
        begin: Begin,
    ) {
        let ids = (StreamId(stream), ConsumerId(consumer), name);
        let input = self.driver.subscribe(receiver, ids, open, begin);
        self.input(input);
    }

    /// Pulls up to `count` items of an iterator.
    pub fn pull(&mut self, consumer: u32, count: usize) {
        for _ in 0..count {
            let Some(input) = self.driver.pull(ConsumerId(consumer)) else { return };
            self.input(input);
        }
    }

    /// Sends a message.
    pub fn send(&mut self, id: &str, stream: &str, content: &str) {
        let input = self.driver.message(id, stream, content);
        self.input(input);
    }

    /// Sends anything that settles by a receipt. `body` has the fields of its frame.
    pub fn send_kind(&mut self, kind: SendKind, id: &str, stream: &str, body: Value) {
        let input = self.driver.send(kind, id, stream, body);
        self.input(input);
    }

    /// Lets so many bytes wait in the socket from now on, as if nothing went out of it.
    pub fn hold_up(&mut self, bytes: u32) {
        self.driver.buffered = bytes;
    }

    /// Gives a token.
    pub fn give_token(&mut self, token: &str) {
        let token = self.keep(json!(token));
        self.input(Input::TokenReady { token });
    }

    /// Loses the core: another one takes its place, as the package does it.
    pub fn trap(&mut self) {
        self.half_open();
        self.open = None;
        self.driver.rebuild(&mut self.client, Config::new(8), self.now);
        self.connect();
    }

    // --- What the network does ---

    /// Breaks the socket: what is under way is lost, and the client hears of it now.
    pub fn cut(&mut self) {
        if let Some(socket) = self.open.take() {
            self.travelling.clear();
            self.server.disconnect(socket);
            self.input(Input::SocketClosed { socket, code: CloseCode::ABNORMAL });
        }
    }

    /// Breaks the socket without anyone hearing of it.
    pub fn half_open(&mut self) {
        if let Some(socket) = self.open {
            self.travelling.clear();
            self.server.disconnect(socket);
        }
    }

    /// Puts a message of the server on the wire, whatever it holds. A socket must be open.
    pub fn inject(&mut self, text: impl Into<String>) {
        let socket = self.open.expect("a socket is open");
        self.travel(Travelling::ToClient { socket, text: text.into() });
    }

    /// Gives the client a message of a socket at once, whether it is in use or not.
    pub fn hear(&mut self, socket: SocketId, text: &str) {
        let input = self.driver.read(socket, text);
        self.input(input);
    }

    /// Lets the server close the socket.
    pub fn close_by_server(&mut self, code: u16) {
        if let Some(socket) = self.open {
            self.server.disconnect(socket);
            self.travel(Travelling::ClosedByServer { socket, code });
        }
    }

    // --- Time ---

    /// Lets half a second pass.
    pub fn settle(&mut self) {
        self.run_for(Duration::from_millis(500));
    }

    /// Lets time pass.
    ///
    /// # Panics
    ///
    /// When the world does not come to rest.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..200_000 {
            self.pump_server();
            let arrival = self.travelling.front().map(|(at, _)| *at);
            let next = [self.deadline, arrival, self.server.next_deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                self.arrive();
            } else if self.deadline == Some(next) {
                self.input(Input::Timeout);
            } else {
                self.server.on_time(self.now);
            }
        }
        panic!("the world does not come to rest");
    }

    // --- Looking ---

    /// Tells whether a socket is open.
    pub const fn has_socket(&self) -> bool {
        self.open.is_some()
    }

    /// Where a page would go on in a stream that is left now.
    pub fn position(&self, stream: u32) -> Option<(String, u64)> {
        self.driver.position(StreamId(stream))
    }

    /// The state of the client.
    pub fn state(&self) -> State {
        self.client.state()
    }

    /// A consumer's receiver; it must be known.
    pub fn receiver(&self, consumer: u32) -> &Receiver {
        self.driver
            .receivers
            .get(&ConsumerId(consumer))
            .or_else(|| self.driver.left.get(&ConsumerId(consumer)))
            .expect("a known consumer")
    }

    /// A consumer's receiver, to change it; it must be attached.
    pub fn receiver_mut(&mut self, consumer: u32) -> &mut Receiver {
        self.driver.receivers.get_mut(&ConsumerId(consumer)).expect("a known consumer")
    }

    /// The frames of a type that the client sent.
    pub fn sent_of(&self, kind: &str) -> Vec<&Value> {
        self.sent.iter().map(|(_, frame)| frame).filter(|frame| frame["type"] == kind).collect()
    }

    /// The sends that are settled, each with its outcome in words.
    pub fn settled(&self) -> Vec<(String, String)> {
        self.facts
            .iter()
            .filter_map(|fact| match fact {
                Event::Settled { id, outcome, .. } => Some(((*id).into(), format!("{outcome:?}"))),
                _ => None,
            })
            .collect()
    }

    /// Slots that the core still holds; more than the outbox and the parked frames is a leak.
    pub fn slots_held(&self) -> usize {
        self.driver.slots_held()
    }

    // --- The driver ---

    /// Feeds the core.
    ///
    /// # Panics
    ///
    /// When the core breaks the driver's contract, or the client breaks the protocol.
    pub fn input(&mut self, input: Input) {
        self.deadline = self.driver.feed(&mut self.client, input, self.now);
        let mut notes = std::mem::take(&mut self.driver.notes);
        for note in notes.drain(..) {
            self.follow_note(note);
        }
        assert_eq!(self.driver.broken, None, "the core breaks the driver's contract");
        assert_eq!(self.server.broken, None, "the client breaks the protocol");
    }

    /// Puts a value into a slot.
    pub fn keep(&mut self, value: Value) -> Slot {
        self.driver.keep(value)
    }

    fn travel(&mut self, item: Travelling) {
        self.travelling.push_back((self.now + self.latency, item));
    }

    fn follow_note(&mut self, note: Note) {
        match note {
            Note::ClosedSocket { socket, .. } => {
                self.open.take_if(|open| *open == socket);
                self.travel(Travelling::ClosedByClient(socket));
            }
            Note::Fact(fact) => self.facts.push(fact),
            Note::Opened(socket) if self.refusing => {
                self.travel(Travelling::ClosedByServer { socket, code: 1006 });
            }
            Note::Opened(socket) => {
                self.open = Some(socket);
                self.travel(Travelling::Opened(socket));
            }
            Note::Sent { socket, text, .. } => {
                self.sent.push((self.now, serde_json::from_str(&text).unwrap_or_default()));
                self.travel(Travelling::ToServer { socket, text });
            }
            Note::Settled { id, stream, receipt, failed } => {
                let outcome = match (receipt, failed) {
                    (None, Some(code)) => Outcome::Failed(code.into()),
                    _ => Outcome::Receipt { slot: Slot(0) },
                };
                self.facts.push(Event::Settled { id: id.into(), stream: stream.into(), outcome });
            }
            Note::TokenWanted => {
                if let Some(token) = self.token.clone() {
                    self.give_token(&token);
                }
            }
            Note::Attached { .. }
            | Note::Closing
            | Note::Declared { .. }
            | Note::Delivered { .. }
            | Note::Queued { .. }
            | Note::Left { .. }
            | Note::Made { .. }
            | Note::Trapped => {}
        }
    }

    fn arrive(&mut self) {
        let Some((_, item)) = self.travelling.pop_front() else { return };
        match item {
            Travelling::ClosedByClient(socket) => self.server.disconnect(socket),
            Travelling::ClosedByServer { socket, code } => {
                self.open.take_if(|open| *open == socket);
                self.input(Input::SocketClosed { socket, code: CloseCode(code) });
            }
            Travelling::Opened(socket) => {
                self.server.connect(socket, self.now);
                self.input(Input::SocketOpened { socket, subprotocol: true });
            }
            Travelling::ToClient { socket, text } => {
                let input = self.driver.read(socket, &text);
                self.input(input);
            }
            Travelling::ToServer { socket, text } => {
                self.server.on_text(socket, &text);
                assert_eq!(self.server.broken, None, "the client breaks the protocol");
            }
        }
    }

    fn pump_server(&mut self) {
        for (Peer { socket, .. }, what) in self.server.take_outgoing() {
            self.travel(match what {
                Outgoing::Close(code) => Travelling::ClosedByServer { socket, code },
                Outgoing::Text(text) => Travelling::ToClient { socket, text },
            });
        }
    }
}
