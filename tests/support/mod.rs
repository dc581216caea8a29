//! The core, a model server and a link between them, in virtual time. Nothing sleeps.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "each test file uses a part"
)]

pub mod server;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use agentwire::proto::{
    Begin, Client, CloseCode, Config, ConsumerId, Event, Input, Instant, Output, SendKind, Slot, SocketId,
    State, StreamId,
    wire::{self, Name, Open, Problem},
};
use serde_json::{Value, json};
use server::Server;

/// What a consumer was handed, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Handed {
    Event { offset: u64, replay: bool, body: Value },
    Gap { from: u64, to: Option<u64>, reason: String, next: u64, epoch: Option<String> },
}

/// One receiver in the page: takes all at once, or waits to be pulled.
#[derive(Debug, Default)]
pub struct Receiver {
    pub handed: Vec<Handed>,
    pub pulls: bool,
    pub queue: VecDeque<Handed>,
    /// How many events a handler takes before it stops for good (it disposed inside).
    pub stops_after: Option<usize>,
}

impl Receiver {
    pub fn offsets(&self) -> Vec<u64> {
        self.handed
            .iter()
            .filter_map(|item| match item {
                Handed::Event { offset, .. } => Some(*offset),
                Handed::Gap { .. } => None,
            })
            .collect()
    }

    pub fn gaps(&self) -> Vec<(u64, Option<u64>, &str)> {
        self.handed
            .iter()
            .filter_map(|item| match item {
                Handed::Gap { from, to, reason, .. } => Some((*from, *to, reason.as_str())),
                Handed::Event { .. } => None,
            })
            .collect()
    }
}

#[derive(Debug)]
enum Travelling {
    ToClient { socket: SocketId, text: String },
    ToServer { socket: SocketId, text: String },
    Opened(SocketId),
    ClosedByServer { socket: SocketId, code: u16 },
    ClosedByClient(SocketId),
}

pub struct World {
    pub now: Instant,
    pub client: Client,
    pub server: Server,
    pub receivers: BTreeMap<ConsumerId, Receiver>,
    pub facts: Vec<Event>,
    /// Everything the client sent, with its time.
    pub sent: Vec<(Instant, Value)>,
    pub positions: BTreeMap<StreamId, (String, u64)>,
    pub latency: Duration,
    /// No socket opens while this is set.
    pub refusing: bool,
    /// The token provider answers at once with this; `None` leaves the client waiting.
    pub token: Option<String>,
    slots: BTreeMap<u32, Value>,
    next_slot: u32,
    travelling: VecDeque<(Instant, Travelling)>,
    open: Option<SocketId>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::new(7))
    }

    pub fn with(config: Config) -> Self {
        Self {
            now: Instant::from_millis(1_000),
            client: Client::new(config),
            server: Server::default(),
            receivers: BTreeMap::new(),
            facts: Vec::new(),
            sent: Vec::new(),
            positions: BTreeMap::new(),
            latency: Duration::from_millis(20),
            refusing: false,
            token: Some("token-of-ada".into()),
            slots: BTreeMap::new(),
            next_slot: 0,
            travelling: VecDeque::new(),
            open: None,
        }
    }

    // --- What a page does ---

    pub fn connect(&mut self) {
        self.input(Input::Connect);
    }

    pub fn subscribe(&mut self, stream: u32, consumer: u32, name: &str, open: Open, begin: Begin) {
        self.receivers.insert(ConsumerId(consumer), Receiver::default());
        self.input(Input::Subscribe {
            stream: StreamId(stream),
            consumer: ConsumerId(consumer),
            name: name.into(),
            open,
            begin,
        });
    }

    /// Subscribes consumer 1 of stream 1 from the start, as most tests do.
    pub fn follow(&mut self, name: &str) {
        self.subscribe(1, 1, name, Open::Start, Begin::Stream);
    }

    pub fn subscribe_pulling(&mut self, stream: u32, consumer: u32, name: &str, open: Open, begin: Begin) {
        self.subscribe(stream, consumer, name, open, begin);
        self.receiver_mut(consumer).pulls = true;
    }

    /// Pulls up to `count` items of an iterator.
    pub fn pull(&mut self, consumer: u32, count: usize) {
        for _ in 0..count {
            let receiver = self.receiver_mut(consumer);
            let Some(item) = receiver.queue.pop_front() else {
                return;
            };
            let through = match &item {
                Handed::Event { offset, .. } => *offset,
                Handed::Gap { next, .. } => next - 1,
            };
            receiver.handed.push(item);
            self.input(Input::HandedOver { consumer: ConsumerId(consumer), through });
        }
    }

    pub fn send(&mut self, id: &str, stream: &str, content: &str) {
        let body = self.keep(json!({"message": {"type": "user_message", "content": content}}));
        let (id, stream) = (id.into(), stream.into());
        self.input(Input::Send { kind: SendKind::Message, id, stream, body });
    }

    pub fn give_token(&mut self, token: &str) {
        let token = self.keep(json!(token));
        self.input(Input::TokenReady { token });
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

    /// Puts a message of the server on the wire, whatever it holds.
    pub fn inject(&mut self, text: impl Into<String>) {
        let socket = self.open.expect("a socket is open");
        self.travelling
            .push_back((self.now + self.latency, Travelling::ToClient { socket, text: text.into() }));
    }

    /// As [`inject`](Self::inject), if there is a socket.
    pub fn try_inject(&mut self, text: &str) {
        if self.open.is_some() {
            self.inject(text);
        }
    }

    pub fn close_by_server(&mut self, code: u16) {
        if let Some(socket) = self.open {
            self.server.disconnect(socket);
            self.travelling.push_back((self.now + self.latency, Travelling::ClosedByServer { socket, code }));
        }
    }

    // --- Time ---

    /// Lets time pass until nothing happens for `quiet`.
    pub fn settle(&mut self) {
        self.run_for(Duration::from_millis(500));
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..200_000 {
            self.pump_server();
            let deadline = self.drain();
            self.pump_server();
            let arrival = self.travelling.front().map(|(at, _)| *at);
            let Some(next) = [deadline, arrival, self.server.next_deadline()].into_iter().flatten().min()
            else {
                self.now = end;
                return;
            };
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if arrival == Some(next) {
                self.arrive();
            } else if deadline == Some(next) {
                self.input(Input::Timeout);
            } else {
                self.server.on_time(self.now);
            }
        }
        panic!("the world does not come to rest");
    }

    // --- Looking ---

    pub fn state(&self) -> State {
        self.client.state()
    }

    pub fn receiver(&self, consumer: u32) -> &Receiver {
        &self.receivers[&ConsumerId(consumer)]
    }

    pub fn receiver_mut(&mut self, consumer: u32) -> &mut Receiver {
        self.receivers.get_mut(&ConsumerId(consumer)).expect("a known consumer")
    }

    pub fn sent_of(&self, kind: &str) -> Vec<&Value> {
        self.sent.iter().map(|(_, frame)| frame).filter(|frame| frame["type"] == kind).collect()
    }

    pub fn settled(&self) -> Vec<(String, String)> {
        self.facts
            .iter()
            .filter_map(|fact| match fact {
                Event::Settled { id, outcome } => Some((id.clone(), format!("{outcome:?}"))),
                _ => None,
            })
            .collect()
    }

    /// Slots that the core still holds; more than the outbox and the parked frames is a leak.
    pub fn slots_held(&self) -> usize {
        self.slots.len()
    }

    // --- The driver ---

    pub fn input(&mut self, input: Input) {
        self.client.handle_input(input, self.now);
        self.drain();
    }

    pub fn keep(&mut self, value: Value) -> Slot {
        self.next_slot += 1;
        self.slots.insert(self.next_slot, value);
        Slot(self.next_slot)
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.client.poll_output() {
                Output::CloseSocket { socket, .. } => {
                    if self.open == Some(socket) {
                        self.open = None;
                    }
                    self.travelling.push_back((self.now + self.latency, Travelling::ClosedByClient(socket)));
                }
                Output::Deliver { consumer, slot, skip, take, offset, replay_through } => {
                    self.deliver(consumer, slot, skip, take, offset, replay_through);
                }
                Output::Event(event) => self.on_event(event),
                Output::OpenSocket(socket) => {
                    let then = if self.refusing {
                        Travelling::ClosedByServer { socket, code: 1006 }
                    } else {
                        self.open = Some(socket);
                        Travelling::Opened(socket)
                    };
                    self.travelling.push_back((self.now + self.latency, then));
                }
                Output::Release(slot) => {
                    assert!(self.slots.remove(&slot.0).is_some(), "{slot:?} was released twice");
                }
                Output::RequestToken => {
                    if let Some(token) = self.token.clone() {
                        self.give_token(&token);
                    }
                }
                Output::SendFrame { socket, frame } => {
                    let slots = &self.slots;
                    let value =
                        wire::encode(&frame, |slot| slots.get(&slot.0).cloned()).expect("slots are full");
                    self.sent.push((self.now, value.clone()));
                    let text = value.to_string();
                    self.travelling
                        .push_back((self.now + self.latency, Travelling::ToServer { socket, text }));
                }
                Output::Timeout(deadline) => return deadline,
            }
        }
    }

    fn deliver(
        &mut self,
        consumer: ConsumerId,
        slot: Slot,
        skip: u32,
        take: u32,
        offset: u64,
        replay_through: u64,
    ) {
        let bodies = expand(&self.slots[&slot.0]);
        let Some(receiver) = self.receivers.get_mut(&consumer) else {
            return;
        };
        let mut through = offset - 1;
        for (index, body) in bodies.into_iter().skip(skip as usize).take(take as usize).enumerate() {
            let offset = offset + index as u64;
            let item = Handed::Event { offset, replay: offset <= replay_through, body };
            if receiver.pulls {
                receiver.queue.push_back(item);
                continue;
            }
            if receiver.stops_after.is_some_and(|limit| receiver.handed.len() >= limit) {
                break;
            }
            receiver.handed.push(item);
            through = offset;
        }
        if !receiver.pulls {
            let stopped = receiver.stops_after.is_some_and(|limit| receiver.handed.len() >= limit);
            self.client.handle_input(Input::HandedOver { consumer, through }, self.now);
            if stopped {
                self.client.handle_input(Input::Unsubscribe { consumer }, self.now);
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        if let Event::Gap { consumer, gap } = &event
            && let Some(receiver) = self.receivers.get_mut(consumer)
        {
            let item = Handed::Gap {
                from: gap.from,
                to: gap.to,
                reason: gap.reason.clone(),
                next: gap.next,
                epoch: gap.epoch.clone(),
            };
            if receiver.pulls {
                if gap.to.is_none() {
                    receiver.queue.clear();
                }
                receiver.queue.push_back(item);
            } else {
                receiver.handed.push(item);
                let (consumer, through) = (*consumer, gap.next - 1);
                self.client.handle_input(Input::HandedOver { consumer, through }, self.now);
            }
        }
        if let Event::PositionMoved { stream, epoch, offset } = &event {
            self.positions.insert(*stream, (epoch.clone(), *offset));
        }
        self.facts.push(event);
    }

    fn arrive(&mut self) {
        let Some((_, item)) = self.travelling.pop_front() else {
            return;
        };
        match item {
            Travelling::ClosedByClient(socket) => self.server.disconnect(socket),
            Travelling::ClosedByServer { socket, code } => {
                if self.open == Some(socket) {
                    self.open = None;
                }
                self.input(Input::SocketClosed { socket, code: CloseCode(code) });
            }
            Travelling::Opened(socket) => {
                self.server.connect(socket, self.now);
                self.input(Input::SocketOpened { socket, subprotocol: true });
            }
            Travelling::ToClient { socket, text } => {
                let input = match serde_json::from_str::<Value>(&text) {
                    Err(_) => Input::BadFrame {
                        socket,
                        error: wire::DecodeError { field: Name::Type, problem: Problem::NotAnObject },
                    },
                    Ok(value) => match wire::decode(&&value) {
                        Err(error) => Input::BadFrame { socket, error },
                        Ok(frame) => Input::Frame { socket, frame, slot: self.keep(value) },
                    },
                };
                self.input(input);
            }
            Travelling::ToServer { socket, text } => self.server.on_text(socket, &text, self.now),
        }
    }

    fn pump_server(&mut self) {
        for (socket, text) in self.server.take_outgoing() {
            self.travelling.push_back((self.now + self.latency, Travelling::ToClient { socket, text }));
        }
        for (socket, code) in self.server.take_closing() {
            self.travelling.push_back((self.now + self.latency, Travelling::ClosedByServer { socket, code }));
        }
    }
}

/// The expansion of a frame of events (DLT-1).
pub fn expand(frame: &Value) -> Vec<Value> {
    if let Some(events) = frame["events"].as_array() {
        return events.clone();
    }
    let (times, texts) = (frame["times"].as_array(), frame["texts"].as_array());
    let (Some(times), Some(texts)) = (times, texts) else {
        return Vec::new();
    };
    times
        .iter()
        .zip(texts)
        .map(|(time, text)| {
            let mut event = frame["head"].clone();
            event["time"] = time.clone();
            event["text"] = text.clone();
            event
        })
        .collect()
}
