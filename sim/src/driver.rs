//! What the binding does in a browser, with plain data: slots, receivers, and the loop around the core.

use std::collections::{BTreeMap, VecDeque};

use agentwire::proto::{
    Begin, Client, CloseCode, ConsumerId, Event, Input, Instant, Outcome, Output, SendKind, Slot, SocketId,
    StreamId,
    wire::{self, ClientFrame, DecodeError, Name, Open, Problem, ServerFrame},
};
use serde_json::{Value, json};

/// What the body of an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// An event, by the number that the model server put into its `time`.
    Event(u64),
    /// The `void` that stands for an event that was taken out (EVT-7).
    Void,
}

impl Body {
    fn of(frame: &Value, index: usize) -> Self {
        let event = &frame["events"][index];
        if event["type"] == "void" {
            return Self::Void;
        }
        let time = if event.is_object() { &event["time"] } else { &frame["times"][index] };
        Self::Event(time.as_u64().unwrap_or(0))
    }
}

/// What a consumer was handed.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are those of the outputs of the core")]
pub enum Handed {
    /// An event.
    Event { offset: u64, replay: bool, body: Body },
    /// The fact that offsets will never come.
    Gap { from: u64, to: Option<u64>, reason: String, next: u64, epoch: Option<String> },
}

impl Handed {
    fn through(&self) -> u64 {
        match self {
            Self::Event { offset, .. } => *offset,
            Self::Gap { next, .. } => next - 1,
        }
    }
}

/// What a handler does while it is called.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the inputs of the core")]
pub enum Call {
    /// Closes the client.
    Close,
    /// Removes itself.
    Leave,
    /// Sends a message.
    Send { id: String, stream: String },
    /// Attaches another consumer.
    Subscribe { stream: StreamId, consumer: ConsumerId, name: String, open: Open, begin: Begin, pulls: bool },
}

/// One receiver in the page: takes all at once, or waits to be pulled.
#[derive(Debug, Default)]
pub struct Receiver {
    /// What it was handed, in order; kept only where a test looks at it.
    pub handed: Vec<Handed>,
    /// Whether it is an iterator.
    pub pulls: bool,
    /// What an iterator was given and did not pull yet.
    pub queue: VecDeque<Handed>,
    /// How many events a handler takes before it leaves, inside the call.
    pub stops_after: Option<usize>,
    /// What a handler calls when it is handed its n-th item.
    pub script: Vec<(u64, Call)>,
    taken: u64,
    /// It left inside a call: nothing is handed to it while the core does not know yet.
    gone: bool,
}

impl Receiver {
    /// Makes an iterator's receiver.
    pub fn pulling() -> Self {
        Self { pulls: true, ..Self::default() }
    }

    /// Lets a handler make a call when it is handed its n-th event from now.
    pub fn call_after(&mut self, events: u64, call: Call) {
        self.script.push((self.taken + events, call));
    }

    /// The offsets it was handed.
    pub fn offsets(&self) -> Vec<u64> {
        self.handed
            .iter()
            .filter_map(|item| match item {
                Handed::Event { offset, .. } => Some(*offset),
                Handed::Gap { .. } => None,
            })
            .collect()
    }

    /// The gaps it was handed.
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

/// One thing that happened in a page, in the order it happened.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the inputs and outputs of the core")]
pub enum Note {
    /// The application attached a consumer.
    Attached { consumer: ConsumerId, stream: StreamId, name: String, open: Open, begin: Begin },
    /// The application closed the client.
    Closing,
    /// The client closed a socket.
    ClosedSocket { socket: SocketId, code: CloseCode },
    /// The core told a consumer of a gap; an iterator is handed it when it pulls.
    Declared { consumer: ConsumerId },
    /// The core gave events to a consumer.
    Delivered { consumer: ConsumerId, offset: u64, take: u32, replay_through: u64 },
    /// A fact.
    Fact(Event),
    /// A consumer was handed something.
    Handed { consumer: ConsumerId, item: Handed },
    /// A consumer detached.
    Left { consumer: ConsumerId },
    /// The application made a send.
    Made { id: String, stream: String },
    /// The client opened a socket.
    Opened(SocketId),
    /// The client sent a frame.
    Sent { socket: SocketId, frame: ClientFrame, text: String },
    /// A send was settled by a receipt with this id and status, or by a code of the client.
    Settled { id: String, receipt: Option<(String, String)>, failed: Option<&'static str> },
    /// The client asked for a token.
    TokenWanted,
}

/// Does for the core what a browser's binding does.
#[derive(Debug, Default)]
pub struct Driver {
    /// Every receiver that has not left.
    pub receivers: BTreeMap<ConsumerId, Receiver>,
    /// Those that left, where what was handed over is kept.
    pub left: BTreeMap<ConsumerId, Receiver>,
    /// What happened since somebody took the notes.
    pub notes: Vec<Note>,
    /// Whether receivers keep what they were handed.
    pub keeps_handed: bool,
    slots: BTreeMap<u32, Value>,
    next_slot: u32,
    inbox: VecDeque<Input>,
    /// The first rule of the driver's contract that the core broke.
    pub broken: Option<String>,
}

impl Driver {
    /// Makes a driver whose receivers keep what they are handed, for tests that look at it.
    pub fn keeping() -> Self {
        Self { keeps_handed: true, ..Self::default() }
    }

    /// Puts a value into a slot.
    pub fn keep(&mut self, value: Value) -> Slot {
        self.next_slot += 1;
        self.slots.insert(self.next_slot, value);
        Slot(self.next_slot)
    }

    /// Slots that the core holds; more than the outbox and the parked frames is a leak.
    pub fn slots_held(&self) -> usize {
        self.slots.len()
    }

    /// Feeds the core, does what it says, and returns its deadline.
    pub fn feed(&mut self, client: &mut Client, input: Input, now: Instant) -> Option<Instant> {
        self.inbox.push_back(input);
        let mut deadline = None;
        while let Some(input) = self.inbox.pop_front() {
            self.note_input(&input);
            client.handle_input(input, now);
            deadline = self.drain(client, now);
        }
        deadline
    }

    /// Attaches a receiver.
    pub fn subscribe(
        &mut self,
        receiver: Receiver,
        (stream, consumer, name): (StreamId, ConsumerId, &str),
        open: Open,
        begin: Begin,
    ) -> Input {
        self.receivers.insert(consumer, receiver);
        Input::Subscribe { stream, consumer, name: name.into(), open, begin }
    }

    /// Takes the next item of an iterator; what the core must hear of it.
    pub fn pull(&mut self, consumer: ConsumerId) -> Option<Input> {
        let receiver = self.receivers.get_mut(&consumer)?;
        let item = receiver.queue.pop_front()?;
        let through = item.through();
        if self.keeps_handed {
            receiver.handed.push(item.clone());
        }
        self.notes.push(Note::Handed { consumer, item });
        Some(Input::HandedOver { consumer, through })
    }

    /// Makes the input that a message of a socket is for the core.
    pub fn read(&mut self, socket: SocketId, text: &str) -> Input {
        let not_a_frame = DecodeError { field: Name::Type, problem: Problem::NotAnObject };
        match serde_json::from_str::<Value>(text) {
            Err(_) => Input::BadFrame { socket, error: not_a_frame },
            Ok(value) => match wire::decode(&&value) {
                Err(error) => Input::BadFrame { socket, error },
                Ok(frame) => Input::Frame { socket, frame, slot: self.keep(value) },
            },
        }
    }

    /// Makes the input of a message to send.
    pub fn message(&mut self, id: &str, stream: &str, content: &str) -> Input {
        let body = self.keep(json!({"message": {"type": "user_message", "content": content}}));
        Input::Send { kind: SendKind::Message, id: id.into(), stream: stream.into(), body }
    }

    fn note_input(&mut self, input: &Input) {
        match input {
            Input::Close => self.notes.push(Note::Closing),
            Input::Send { id, stream, .. } => {
                self.notes.push(Note::Made { id: id.clone(), stream: stream.clone() });
            }
            Input::Subscribe { stream, consumer, name, open, begin } => self.notes.push(Note::Attached {
                consumer: *consumer,
                stream: *stream,
                name: name.clone(),
                open: *open,
                begin: begin.clone(),
            }),
            Input::Unsubscribe { consumer } => {
                if let Some(receiver) = self.receivers.remove(consumer)
                    && self.keeps_handed
                {
                    self.left.insert(*consumer, receiver);
                }
                self.notes.push(Note::Left { consumer: *consumer });
            }
            _ => {}
        }
    }

    fn drain(&mut self, client: &mut Client, now: Instant) -> Option<Instant> {
        loop {
            match client.poll_output() {
                Output::CloseSocket { socket, code } => self.notes.push(Note::ClosedSocket { socket, code }),
                Output::Deliver { consumer, slot, skip, take, offset, replay_through } => {
                    self.notes.push(Note::Delivered { consumer, offset, take, replay_through });
                    let handed = self.deliver(consumer, slot, skip, take, offset, replay_through);
                    if handed > 0 {
                        let through = offset + handed - 1;
                        client.handle_input(Input::HandedOver { consumer, through }, now);
                    }
                }
                Output::Event(event) => {
                    if let Some(input) = self.on_event(event) {
                        client.handle_input(input, now);
                    }
                }
                Output::OpenSocket(socket) => self.notes.push(Note::Opened(socket)),
                Output::Release(slot) => {
                    if self.slots.remove(&slot.0).is_none() {
                        self.broken.get_or_insert_with(|| format!("{slot:?} was released twice"));
                    }
                }
                Output::RequestToken => self.notes.push(Note::TokenWanted),
                Output::SendFrame { socket, frame } => {
                    let slots = &self.slots;
                    match wire::encode::<Value>(&frame, |slot| slots.get(&slot.0).cloned()) {
                        Some(value) => {
                            self.notes.push(Note::Sent { socket, frame, text: value.to_string() });
                        }
                        None => {
                            self.broken.get_or_insert_with(|| format!("{frame:?} names an empty slot"));
                        }
                    }
                }
                Output::Timeout(deadline) => return deadline,
            }
        }
    }

    /// Returns how many events were handed over before it returned.
    fn deliver(
        &mut self,
        consumer: ConsumerId,
        slot: Slot,
        skip: u32,
        take: u32,
        first: u64,
        replay_through: u64,
    ) -> u64 {
        let Some(frame) = self.slots.get(&slot.0) else {
            self.broken.get_or_insert_with(|| format!("{slot:?} was released before its delivery"));
            return 0;
        };
        let mut handed = 0;
        for index in 0..u64::from(take) {
            // A handler can leave within the frame.
            let receiver = self.receivers.get_mut(&consumer).filter(|receiver| !receiver.gone);
            let Some(receiver) = receiver else { break };
            let body = Body::of(frame, skip as usize + index as usize);
            let offset = first + index;
            let item = Handed::Event { offset, replay: offset <= replay_through, body };
            if receiver.pulls {
                receiver.queue.push_back(item);
                continue;
            }
            if self.keeps_handed {
                receiver.handed.push(item.clone());
            }
            receiver.taken += 1;
            handed += 1;
            let taken = receiver.taken;
            if receiver.stops_after.is_some_and(|limit| taken as usize >= limit) {
                receiver.script.push((taken, Call::Leave));
            }
            let calls = receiver.script.extract_if(.., |(at, _)| *at <= taken).collect::<Vec<_>>();
            self.notes.push(Note::Handed { consumer, item });
            receiver.gone = calls.iter().any(|(_, call)| matches!(call, Call::Leave));
            for (_, call) in calls {
                let input = match call {
                    Call::Close => Input::Close,
                    Call::Leave => Input::Unsubscribe { consumer },
                    Call::Send { id, stream } => {
                        self.next_slot += 1;
                        let body = Slot(self.next_slot);
                        Input::Send { kind: SendKind::Message, id, stream, body }
                    }
                    Call::Subscribe { stream, consumer, name, open, begin, pulls } => {
                        self.receivers.insert(consumer, Receiver { pulls, ..Receiver::default() });
                        Input::Subscribe { stream, consumer, name, open, begin }
                    }
                };
                self.inbox.push_back(input);
            }
        }
        // Filled here, where no frame is borrowed.
        for input in &self.inbox {
            if let Input::Send { body, id, .. } = input {
                self.slots
                    .entry(body.0)
                    .or_insert_with(|| json!({"message": {"type": "user_message", "content": id}}));
            }
        }
        handed
    }

    fn on_event(&mut self, event: Event) -> Option<Input> {
        match event {
            Event::Gap { consumer, gap } => {
                let (gap, through) = (
                    Handed::Gap {
                        from: gap.from,
                        to: gap.to,
                        reason: gap.reason,
                        next: gap.next,
                        epoch: gap.epoch,
                    },
                    gap.next - 1,
                );
                let receiver = self.receivers.get_mut(&consumer).filter(|receiver| !receiver.gone)?;
                self.notes.push(Note::Declared { consumer });
                if receiver.pulls {
                    if matches!(gap, Handed::Gap { to: None, .. }) {
                        receiver.queue.clear();
                    }
                    receiver.queue.push_back(gap);
                    return None;
                }
                if self.keeps_handed {
                    receiver.handed.push(gap.clone());
                }
                self.notes.push(Note::Handed { consumer, item: gap });
                Some(Input::HandedOver { consumer, through })
            }
            Event::Settled { id, outcome } => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (receipt, failed) = match outcome {
                    Outcome::Failed(code) => (None, Some(code)),
                    Outcome::Receipt { slot } => {
                        let frame = self.slots.get(&slot.0).cloned().unwrap_or_default();
                        (Some((text(&frame["id"]), text(&frame["status"]))), None)
                    }
                };
                self.notes.push(Note::Settled { id, receipt, failed });
                None
            }
            fact => {
                self.notes.push(Note::Fact(fact));
                None
            }
        }
    }

    /// Looks at the frame an input holds, if it holds one.
    pub fn frame_of(input: &Input) -> Option<&ServerFrame> {
        if let Input::Frame { frame, .. } = input { Some(frame) } else { None }
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
