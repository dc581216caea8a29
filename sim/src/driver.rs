//! What the binding does in a browser, with plain data: slots, receivers, and the loop around the core.

use std::collections::{BTreeMap, VecDeque};

use agentwire::proto::{
    Begin, Client, CloseCode, Config, ConsumerId, Event, FirstSent, Gap, Input, Instant, Outcome, Output,
    ResumeResult, SendKind, Slot, SocketId, StreamId,
    config::MAX_BUFFERED,
    wire::{self, ClientFrame, Malformed, Open, ServerFrame},
};
use serde_json::{Value, json};

/// Bytes that a large message claims to have, where [`Driver::pulling_in_calls`] fills a socket with them.
const LARGE_SEND: u32 = 40_000;
/// Events that may wait in an iterator that a handler makes.
const SCRIPTED_QUEUE: u32 = 8;

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

/// What was delivered to a consumer.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are those of the outputs of the core")]
pub enum Item {
    /// An event.
    Event { offset: u64, replay: bool, body: Body },
    /// The fact that offsets will never come.
    Gap { from: u64, to: Option<u64>, reason: String, next: u64, epoch: Option<String>, life: u32 },
    /// The end of a catch-up.
    Resumed(ResumeResult),
}

impl Item {
    /// The last offset that a consumer has with it; `None` when it moves nothing.
    const fn through(&self) -> Option<u64> {
        match self {
            Self::Event { offset, .. } => Some(*offset),
            Self::Gap { next, .. } => Some(*next - 1),
            Self::Resumed(_) => None,
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

/// Where a receiver began and what it has: what a page must know to attach it to another core.
#[derive(Clone, Debug)]
struct Seat {
    stream: StreamId,
    name: String,
    open: Open,
    begin: Begin,
    epoch: Option<String>,
    /// The last offset that was delivered to it.
    offset: Option<u64>,
    /// The epochs that it entered.
    life: u32,
}

/// One receiver in the page: takes all at once, or waits to be pulled.
#[derive(Debug, Default)]
pub struct Receiver {
    /// What was delivered to it, in order; kept only where a test looks at it.
    pub items: Vec<Item>,
    /// Whether it is an iterator.
    pub pulls: bool,
    /// Events that may wait in the queue of an iterator.
    pub max_queued: Option<u32>,
    /// What an iterator was given and did not pull yet.
    pub queue: VecDeque<Item>,
    /// How many events a handler takes before it leaves, inside the call.
    pub stops_after: Option<usize>,
    /// What a handler calls when it gets its n-th item.
    pub script: Vec<(u64, Call)>,
    taken: u64,
    seat: Option<Seat>,
    /// It left inside a call: nothing is delivered to it while the core does not know yet.
    gone: bool,
    /// It was pulled inside a call: the core does not know yet.
    pulled: bool,
}

impl Receiver {
    /// Makes an iterator's receiver, with so many events that may wait in its queue.
    pub fn pulling(max_queued: u32) -> Self {
        Self { pulls: true, max_queued: Some(max_queued), ..Self::default() }
    }

    /// Lets a handler make a call when it gets its n-th event from now.
    pub fn call_after(&mut self, events: u64, call: Call) {
        self.script.push((self.taken + events, call));
    }

    /// Takes note of what it has now.
    fn sit(&mut self, item: &Item) {
        let Some(seat) = &mut self.seat else { return };
        if let Item::Gap { epoch: Some(epoch), life, .. } = item {
            (seat.epoch, seat.life) = (Some(epoch.clone()), *life);
        }
        seat.offset = item.through().or(seat.offset);
    }

    /// Queues a resume result. Two with nothing between them become one, so that reconnecting fills no queue (I9).
    fn queue_result(&mut self, mut result: ResumeResult) {
        if let Some(Item::Resumed(former)) = self.queue.back_mut() {
            result.recovered &= former.recovered;
            result.from = former.from.min(result.from);
            result.replayed += former.replayed;
            result.duplicates_dropped += former.duplicates_dropped;
            result.attempts += former.attempts;
            result.gap = result.gap.or_else(|| former.gap.take());
            result.skipped = result.skipped.or(former.skipped);
            *former = result;
        } else {
            self.queue.push_back(Item::Resumed(result));
        }
    }

    /// The offsets it got.
    pub fn offsets(&self) -> Vec<u64> {
        self.items
            .iter()
            .filter_map(|item| match item {
                Item::Event { offset, .. } => Some(*offset),
                Item::Gap { .. } | Item::Resumed(_) => None,
            })
            .collect()
    }

    /// The resume results it got.
    pub fn resumed(&self) -> Vec<&ResumeResult> {
        let results = self.items.iter().filter_map(|item| match item {
            Item::Resumed(result) => Some(result),
            Item::Event { .. } | Item::Gap { .. } => None,
        });
        results.collect()
    }

    /// The gaps it got.
    pub fn gaps(&self) -> Vec<(u64, Option<u64>, &str)> {
        self.items
            .iter()
            .filter_map(|item| match item {
                Item::Gap { from, to, reason, .. } => Some((*from, *to, reason.as_str())),
                Item::Event { .. } | Item::Resumed(_) => None,
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
    /// The core reported a gap to a consumer; an iterator gets it when it pulls.
    Declared { consumer: ConsumerId, to: Option<u64> },
    /// The core sent events to a consumer.
    Queued { consumer: ConsumerId, offset: u64, take: u32, replay_through: u64 },
    /// A fact.
    Fact(Event),
    /// Something was delivered to a consumer.
    Delivered { consumer: ConsumerId, item: Item },
    /// A consumer detached.
    Left { consumer: ConsumerId },
    /// The application made a send; `about` is the key of the message that it is about.
    Made { kind: SendKind, id: String, stream: String, about: Option<String> },
    /// The client opened a socket.
    Opened(SocketId),
    /// The client sent a frame.
    Sent { socket: SocketId, frame: ClientFrame, text: String },
    /// A send was settled by a receipt with this id and status, or by a code of the client.
    Settled { id: String, stream: String, receipt: Option<(String, String)>, failed: Option<String> },
    /// The client asked for a token.
    TokenWanted,
    /// The core was lost, and another one takes its place.
    Trapped,
}

/// Does for the core what a browser's binding does.
#[derive(Debug, Default)]
pub struct Driver {
    /// Every receiver that has not left.
    pub receivers: BTreeMap<ConsumerId, Receiver>,
    /// Those that left, where what was delivered is kept.
    pub left: BTreeMap<ConsumerId, Receiver>,
    /// What happened since somebody took the notes.
    pub notes: Vec<Note>,
    /// Whether receivers keep what they got.
    pub keeps_items: bool,
    /// Bytes that wait in the socket: the answer to the core's question.
    pub buffered: u32,
    /// See [`pulling_in_calls`](Self::pulling_in_calls).
    pulls_in_calls: bool,
    slots: BTreeMap<u32, Value>,
    next_slot: u32,
    inbox: VecDeque<Input>,
    /// Where each stream is: its epoch.
    epochs: BTreeMap<StreamId, String>,
    /// Where each stream was when its last receiver left.
    left_at: BTreeMap<StreamId, (String, u64)>,
    /// Something was attached that the core has not been asked to flush.
    has_attached: bool,
    /// Sends that are not settled, in the order they were made: kind, stream, id, body, and when.
    outbox: Vec<(SendKind, String, String, Value, Instant)>,
    /// Whom the client was welcomed as.
    subject: Option<String>,
    /// The present core counts its sockets from here.
    sockets_from: u32,
    next_socket: u32,
    /// The first rule of the driver's contract that the core broke.
    pub broken: Option<String>,
}

impl Driver {
    /// Makes a driver whose receivers keep what is delivered to them, for tests that look at it.
    pub fn keeping() -> Self {
        Self { keeps_items: true, ..Self::default() }
    }

    /// Makes a driver whose handlers pull an item of each iterator when they enter an epoch, inside the call. Each message fills
    /// its sockets with `LARGE_SEND` bytes, half of which are gone whenever the core asks.
    pub fn pulling_in_calls() -> Self {
        Self { pulls_in_calls: true, ..Self::default() }
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
        loop {
            let input = match self.inbox.pop_front() {
                Some(input) => input,
                // The package asks for what was attached at the end of the turn.
                None if std::mem::take(&mut self.has_attached) => Input::Flush,
                None => {
                    self.receivers.values_mut().for_each(|receiver| receiver.pulled = false);
                    return deadline;
                }
            };
            self.has_attached |= matches!(input, Input::Subscribe { .. });
            self.note_input(&input, now);
            if let Some(input) = self.of_present_core(input) {
                client.handle_input(input, now);
            }
            deadline = self.drain(client, now);
        }
    }

    /// Where a page would go on that is left now: where the slowest receiver of a stream is, or where the last one left.
    pub fn position(&self, stream: StreamId) -> Option<(String, u64)> {
        let present = self.epochs.get(&stream);
        let seats = self.receivers.values().filter_map(|receiver| receiver.seat.as_ref());
        let places = seats.filter(|seat| seat.stream == stream).map(|seat| (seat.epoch.clone(), seat.offset));
        let places = places.filter_map(|(epoch, offset)| epoch.zip(offset));
        // One that did not take note of the end of its epoch is behind all that did.
        let slowest = places.min_by_key(|(epoch, offset)| (Some(epoch) == present, *offset));
        slowest.or_else(|| self.left_at.get(&stream).cloned())
    }

    /// Puts a new core in the place of one that was lost, and gives it what the page holds: positions and sends.
    ///
    /// As the package does it: consumers in the epoch of the stream first, and of them the one that is furthest ahead.
    pub fn rebuild(&mut self, client: &mut Client, mut config: Config, now: Instant) {
        config.subject = self.subject.as_ref().map(Into::into);
        *client = Client::new(config);
        self.slots.clear();
        self.inbox.clear();
        self.sockets_from = self.next_socket;
        self.notes.push(Note::Trapped);
        let mut seats = Vec::new();
        for (consumer, receiver) in &mut self.receivers {
            receiver.queue.clear();
            seats.extend(receiver.seat.clone().map(|seat| (*consumer, seat)));
        }
        let epochs = &self.epochs;
        seats.sort_by_key(|(_, seat)| {
            let is_former = seat.epoch.as_ref() != epochs.get(&seat.stream);
            (is_former, std::cmp::Reverse(seat.offset))
        });
        for (consumer, Seat { stream, name, open, begin, epoch, offset, .. }) in seats {
            let place =
                epoch.zip(offset).map(|(epoch, offset)| Begin::Position { epoch: epoch.into(), offset });
            let begin = place.unwrap_or(begin);
            let max_queued = self.receivers.get(&consumer).and_then(|receiver| receiver.max_queued);
            let (name, name_bytes) = (name.as_str().into(), name.len() as u32);
            let seat = Input::Subscribe { stream, consumer, name, name_bytes, open, begin, max_queued };
            self.feed(client, seat, now);
        }
        for (kind, stream, id, body, made) in self.outbox.clone() {
            let mut input = self.send(kind, &id, &stream, body);
            if let Input::Send { first_sent, .. } = &mut input {
                // As if it had gone out when it was made, which is the earliest that can be.
                *first_sent = FirstSent { ago: Some(now.since(made)), at: None };
            }
            self.feed(client, input, now);
        }
    }

    /// Names the socket of an input as the present core does; what a former one opened is over for it.
    fn of_present_core(&mut self, input: Input) -> Option<Input> {
        let from = self.sockets_from;
        let own = |socket: SocketId| socket.0.checked_sub(from).map(SocketId);
        Some(match input {
            Input::BadFrame { socket, slot }
            | Input::Contradiction { socket, slot, .. }
            | Input::Frame { socket, slot, .. }
                if own(socket).is_none() =>
            {
                self.slots.remove(&slot.0);
                return None;
            }
            Input::BadFrame { socket, slot } => Input::BadFrame { socket: own(socket)?, slot },
            Input::Contradiction { socket, contradiction, slot } => {
                Input::Contradiction { socket: own(socket)?, contradiction, slot }
            }
            Input::Frame { socket, frame, slot, bytes } => match own(socket) {
                Some(socket) => Input::Frame { socket, frame, slot, bytes },
                None => {
                    self.slots.remove(&slot.0);
                    return None;
                }
            },
            Input::SocketClosed { socket, code } => Input::SocketClosed { socket: own(socket)?, code },
            Input::SocketOpened { socket, subprotocol } => {
                Input::SocketOpened { socket: own(socket)?, subprotocol }
            }
            input => input,
        })
    }

    const fn on_wire(&self, socket: SocketId) -> SocketId {
        SocketId(socket.0 + self.sockets_from)
    }

    /// Attaches a receiver.
    pub fn subscribe(
        &mut self,
        receiver: Receiver,
        (stream, consumer, name): (StreamId, ConsumerId, &str),
        open: Open,
        begin: Begin,
    ) -> Input {
        let max_queued = receiver.max_queued;
        self.receivers.insert(consumer, receiver);
        let name_bytes = name.len() as u32;
        Input::Subscribe { stream, consumer, name: name.into(), name_bytes, open, begin, max_queued }
    }

    /// Takes the next item of an iterator; what the core must hear of it.
    pub fn pull(&mut self, consumer: ConsumerId) -> Option<Input> {
        let receiver = self.receivers.get_mut(&consumer)?;
        let item = receiver.queue.pop_front()?;
        receiver.sit(&item);
        let life = receiver.seat.as_ref().map_or(0, |seat| seat.life);
        // What moves nothing is reported again where the consumer is.
        let through = item.through().or(receiver.seat.as_ref()?.offset)?;
        if self.keeps_items {
            receiver.items.push(item.clone());
        }
        self.notes.push(Note::Delivered { consumer, item });
        Some(Input::Delivered { consumer, life, through })
    }

    /// Takes an item of each iterator while a handler is called: the core hears of it when the call is over.
    fn pull_inside_call(&mut self) {
        let pulling = self.receivers.iter().filter(|(_, receiver)| receiver.pulls).map(|(id, _)| *id);
        for consumer in pulling.collect::<Vec<_>>() {
            let Some(input) = self.pull(consumer) else { continue };
            self.inbox.push_back(input);
            if let Some(receiver) = self.receivers.get_mut(&consumer) {
                receiver.pulled = true;
            }
        }
    }

    /// Makes the input that a message of a socket is for the core.
    pub fn read(&mut self, socket: SocketId, text: &str) -> Input {
        let value = serde_json::from_str::<Value>(text).unwrap_or_default();
        match wire::decode(&value) {
            Err(Malformed::Contradiction(contradiction)) => {
                Input::Contradiction { socket, contradiction, slot: self.keep(value) }
            }
            Err(error) => Input::BadFrame { socket, slot: self.keep(error.to_string().into()) },
            Ok(frame) => {
                let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
                Input::Frame { socket, frame, slot: self.keep(value), bytes }
            }
        }
    }

    /// Makes the input of a message to send.
    pub fn message(&mut self, id: &str, stream: &str, content: &str) -> Input {
        let body = json!({"message": {"type": "user_message", "content": content}});
        self.send(SendKind::Message, id, stream, body)
    }

    /// Makes the input of anything that settles by a receipt. `body` has the fields of its frame.
    pub fn send(&mut self, kind: SendKind, id: &str, stream: &str, body: Value) -> Input {
        let acts_on_runs = body["mode"].as_str().is_some_and(|mode| mode != "queue");
        let kind = if acts_on_runs { SendKind::RunMessage } else { kind };
        let is_large = self.pulls_in_calls && kind == SendKind::Message;
        let bytes = if is_large { LARGE_SEND } else { body.to_string().len() as u32 };
        let about = body["sendId"].as_str().map(Into::into);
        let (id, stream, body) = (id.into(), stream.into(), self.keep(body));
        Input::Send { kind, id, stream, body, bytes, about, first_sent: FirstSent::default() }
    }

    fn note_input(&mut self, input: &Input, now: Instant) {
        match input {
            Input::Close => self.notes.push(Note::Closing),
            Input::Send { kind, id, stream, body, about, .. } => {
                let (id, stream): (String, String) = ((*id).into(), (*stream).into());
                let about = about.map(Into::into);
                self.notes.push(Note::Made { kind: *kind, id: id.clone(), stream: stream.clone(), about });
                if !self.outbox.iter().any(|(_, of, known, ..)| *known == id && *of == stream) {
                    let body = self.slots.get(&body.0).cloned().unwrap_or_default();
                    self.outbox.push((*kind, stream, id, body, now));
                }
            }
            Input::Subscribe { stream, consumer, name, open, begin, .. } => {
                self.notes.push(Note::Attached {
                    consumer: *consumer,
                    stream: *stream,
                    name: (*name).into(),
                    open: *open,
                    begin: *begin,
                });
                let (epoch, offset) = match begin {
                    Begin::Position { epoch, offset } => {
                        self.epochs.entry(*stream).or_insert_with(|| (*epoch).into());
                        (Some((*epoch).into()), Some(*offset))
                    }
                    Begin::After(_) | Begin::Stream => (None, None),
                };
                let seat = Seat {
                    stream: *stream,
                    name: (*name).into(),
                    open: *open,
                    begin: *begin,
                    epoch,
                    offset,
                    life: 0,
                };
                if let Some(receiver) = self.receivers.get_mut(consumer) {
                    receiver.seat = Some(seat);
                }
            }
            Input::Unsubscribe { consumer } => {
                if let Some(receiver) = self.receivers.remove(consumer) {
                    if let Some(Seat { stream, epoch: Some(epoch), offset: Some(offset), .. }) =
                        &receiver.seat
                    {
                        self.left_at.insert(*stream, (epoch.clone(), *offset));
                    }
                    if self.keeps_items {
                        self.left.insert(*consumer, receiver);
                    }
                }
                self.notes.push(Note::Left { consumer: *consumer });
            }
            _ => {}
        }
    }

    fn drain(&mut self, client: &mut Client, now: Instant) -> Option<Instant> {
        loop {
            match client.poll_output() {
                Output::CloseSocket { socket, code } => {
                    let socket = self.on_wire(socket);
                    self.notes.push(Note::ClosedSocket { socket, code });
                }
                Output::Deliver { consumer, life, slot, skip, take, offset, replay_through } => {
                    self.notes.push(Note::Queued { consumer, offset, take, replay_through });
                    let delivered = self.deliver(consumer, slot, skip, take, offset, replay_through);
                    if delivered > 0 {
                        let through = offset + delivered - 1;
                        client.handle_input(Input::Delivered { consumer, life, through }, now);
                    }
                }
                Output::Event(event) => {
                    if let Some(input) = self.on_event(event) {
                        client.handle_input(input, now);
                    }
                }
                Output::Measure(_) => {
                    client.handle_input(Input::Buffered(self.buffered), now);
                    if self.pulls_in_calls {
                        self.buffered /= 2;
                    }
                }
                Output::OpenSocket(socket) => {
                    if self.pulls_in_calls {
                        self.buffered = 0;
                    }
                    let socket = self.on_wire(socket);
                    self.next_socket = self.next_socket.max(socket.0 + 1);
                    self.notes.push(Note::Opened(socket));
                }
                Output::Release(slot) => {
                    if self.slots.remove(&slot.0).is_none() {
                        self.broken.get_or_insert_with(|| format!("{slot:?} was released twice"));
                    }
                }
                Output::RequestToken => self.notes.push(Note::TokenWanted),
                Output::SendFrame { socket, frame } => {
                    let slots = &self.slots;
                    match wire::encode(&frame, |slot| slots.get(&slot.0).cloned()) {
                        Some(value) => {
                            let (socket, text) = (self.on_wire(socket), value.to_string());
                            let is_too_large = text.len() as u64 > client.max_frame_bytes();
                            if let Some((id, stream)) = frame.key().filter(|_| is_too_large) {
                                client.handle_input(Input::SendTooLarge { id, stream }, now);
                            } else {
                                if self.pulls_in_calls
                                    && matches!(frame, ClientFrame::Keyed { kind: SendKind::Message, .. })
                                {
                                    self.write_large();
                                }
                                self.notes.push(Note::Sent { socket, frame, text });
                            }
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

    /// A large message goes into the socket: there must be room (SND-22).
    fn write_large(&mut self) {
        let bytes = self.buffered;
        if bytes >= MAX_BUFFERED {
            self.broken.get_or_insert_with(|| format!("SND-22: {bytes} bytes wait in the socket"));
        }
        self.buffered += LARGE_SEND;
    }

    /// Returns how many events were delivered before it returned.
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
        let mut delivered = 0;
        for index in 0..u64::from(take) {
            // A handler can leave within the frame.
            let receiver = self.receivers.get_mut(&consumer).filter(|receiver| !receiver.gone);
            let Some(receiver) = receiver else { break };
            let body = Body::of(frame, skip as usize + index as usize);
            let offset = first + index;
            let item = Item::Event { offset, replay: offset <= replay_through, body };
            if receiver.pulls {
                receiver.queue.push_back(item);
                continue;
            }
            receiver.sit(&item);
            if self.keeps_items {
                receiver.items.push(item.clone());
            }
            receiver.taken += 1;
            delivered += 1;
            let taken = receiver.taken;
            if receiver.stops_after.is_some_and(|limit| taken as usize >= limit) {
                receiver.script.push((taken, Call::Leave));
            }
            let calls = receiver.script.extract_if(.., |(at, _)| *at <= taken).collect::<Vec<_>>();
            self.notes.push(Note::Delivered { consumer, item });
            receiver.gone = calls.iter().any(|(_, call)| matches!(call, Call::Leave));
            for (_, call) in calls {
                let input = match call {
                    Call::Close => Input::Close,
                    Call::Leave => Input::Unsubscribe { consumer },
                    Call::Send { id, stream } => {
                        self.next_slot += 1;
                        let body = Slot(self.next_slot);
                        let (id, stream) = (id.into(), stream.into());
                        Input::Send {
                            kind: SendKind::Message,
                            id,
                            stream,
                            body,
                            bytes: LARGE_SEND,
                            about: None,
                            first_sent: FirstSent::default(),
                        }
                    }
                    Call::Subscribe { stream, consumer, name, open, begin, pulls } => {
                        let max_queued = pulls.then_some(SCRIPTED_QUEUE);
                        self.receivers
                            .insert(consumer, Receiver { pulls, max_queued, ..Receiver::default() });
                        let (name, name_bytes) = (name.as_str().into(), name.len() as u32);
                        Input::Subscribe { stream, consumer, name, name_bytes, open, begin, max_queued }
                    }
                };
                self.inbox.push_back(input);
            }
        }
        // Filled here, where no frame is borrowed.
        for input in &self.inbox {
            if let Input::Send { body, id, .. } = input {
                self.slots.entry(body.0).or_insert_with(
                    || json!({"message": {"type": "user_message", "content": id.to_string()}}),
                );
            }
        }
        delivered
    }

    fn on_event(&mut self, event: Event) -> Option<Input> {
        match event {
            Event::Gap { consumer, gap } => {
                let Gap { mut from, to, reason, next, epoch, life } = gap;
                let through = next - 1;
                let receiver = self.receivers.get_mut(&consumer).filter(|receiver| !receiver.gone)?;
                if let Some(offset) = receiver.seat.as_ref().and_then(|seat| seat.offset)
                    && to.is_none()
                    && receiver.pulled
                {
                    // What was pulled while this gap was on its way is not lost with its epoch.
                    from = offset + 1;
                }
                let (reason, epoch) = (reason.into(), epoch.map(Into::into));
                let gap = Item::Gap { from, to, reason, next, epoch, life };
                if let (Item::Gap { epoch: Some(epoch), .. }, Some(seat)) = (&gap, &receiver.seat) {
                    self.epochs.insert(seat.stream, epoch.clone());
                }
                self.notes.push(Note::Declared { consumer, to });
                if receiver.pulls {
                    if matches!(gap, Item::Gap { to: None, .. }) {
                        receiver.queue.clear();
                    }
                    receiver.queue.push_back(gap);
                    return None;
                }
                receiver.sit(&gap);
                if self.keeps_items {
                    receiver.items.push(gap.clone());
                }
                // In every second epoch, so that a gap also comes to an iterator that was not pulled just before.
                let pulls_others = self.pulls_in_calls && to.is_none() && life % 2 == 1;
                self.notes.push(Note::Delivered { consumer, item: gap });
                if pulls_others {
                    self.pull_inside_call();
                }
                Some(Input::Delivered { consumer, life, through })
            }
            Event::Settled { id, stream, outcome } => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (receipt, failed) = match outcome {
                    Outcome::Failed(code) => (None, Some(code.into())),
                    Outcome::Receipt { slot } => {
                        let frame = self.slots.get(&slot.0).cloned().unwrap_or_default();
                        (Some((text(&frame["id"]), text(&frame["status"]))), None)
                    }
                };
                self.outbox.retain(|(_, of, known, ..)| *known != id || *of != stream);
                self.notes.push(Note::Settled { id: id.into(), stream: stream.into(), receipt, failed });
                None
            }
            Event::Resumed { consumer, ref result, .. } => {
                let result = (**result).clone();
                self.notes.push(Note::Fact(event));
                let receiver = self.receivers.get_mut(&consumer).filter(|receiver| !receiver.gone)?;
                if receiver.pulls {
                    receiver.queue_result(result);
                    return None;
                }
                let item = Item::Resumed(result);
                if self.keeps_items {
                    receiver.items.push(item.clone());
                }
                self.notes.push(Note::Delivered { consumer, item });
                None
            }
            Event::Placed { consumer, epoch, offset } => {
                let seat = self.receivers.get_mut(&consumer).and_then(|receiver| receiver.seat.as_mut());
                if let Some(seat) = seat {
                    (seat.epoch, seat.offset) = (Some(epoch.into()), Some(offset));
                    self.epochs.insert(seat.stream, epoch.into());
                }
                self.notes.push(Note::Fact(event));
                None
            }
            Event::Welcomed { subject, .. } => {
                self.subject.get_or_insert_with(|| subject.into());
                self.notes.push(Note::Fact(event));
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
