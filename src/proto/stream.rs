//! One stream: who consumes it, what each consumer has, and what is still to come.
//!
//! A stream has a [`Sequencer`] for what arrives, and a place per consumer for what was sent and delivered to it. Most of
//! the time all consumers wait for the sequencer's next offset. A consumer that began earlier lags behind: it is served by
//! `replay` requests until it has caught up, while the others go on.

mod answer;
mod arrival;
mod catch_up;
mod consumer;
mod sequencer;
mod subscription;

use super::{
    Duration,
    config::{ANSWER_LIMIT, CATCH_UP_TIMEOUT, SUBSCRIBE_TIMEOUT},
    effects::Effects,
    ids::{ConsumerId, StreamId},
    input::Begin,
    instant::Instant,
    output::Event,
    text::Text,
    wire::{Contradiction, Open, StreamRequest},
};
use consumer::Consumer;
use sequencer::Sequencer;
pub(crate) use subscription::{Subscription, Suspect};

/// The longest wait before a stream is asked for again that the server could not serve.
const MAX_PUT_OFF: Duration = Duration::from_secs(20);

/// Where the stream is with the server.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not asked for on this socket.
    Detached,
    /// Asked for, from a position if the stream has one.
    Requested(Option<Position>),
    /// Answered.
    Subscribed(Subscription),
    /// Ended by the server; asked for again when another consumer attaches (SUB-11).
    Ended,
}

/// What a request named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    epoch: Text,
    /// The last offset that every consumer has.
    offset: u64,
    /// The last offset that any consumer has.
    seen: u64,
}

/// Why a frame of events is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Contradiction(Contradiction),
    /// More frames came out of order than a stream keeps (RPL-6).
    Overflow,
}

/// A named, ordered log as the page sees it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) name: Text,
    name_bytes: u32,
    open: Open,
    /// What `open` was when the stream was asked for last.
    asked: Open,
    epoch: Option<Text>,
    /// The server has named the epoch. Until then it is only what a consumer brought.
    is_confirmed: bool,
    /// The head at which the epoch began: offsets up to it were written in a former one.
    base: u64,
    /// The smallest offset that the server had when it answered last.
    oldest: u64,
    /// The server ended the subscription because the epoch ended, and did not answer the next request yet.
    epoch_ended: bool,
    sequencer: Sequencer,
    consumers: Vec<Consumer>,
    /// The newest proof of a head that the server gave, and its epoch (SUB-6).
    seal: Option<(Text, Text)>,
    /// How often in a row the server could not serve it, and when it is asked again (SUB-11).
    refusals: u32,
    pub(crate) ask_at: Option<Instant>,
    /// When it was asked for, or when events of it came last.
    asked_at: Instant,
    pub(crate) phase: Phase,
    /// A resume result was reported since [`conclude`](Self::conclude) was called last.
    has_concluded: bool,
    window: u64,
}

impl Stream {
    pub(crate) fn new(id: StreamId, (name, name_bytes): (Text, u32), open: Open, window: u32) -> Self {
        Self {
            id,
            name,
            name_bytes,
            open,
            asked: open,
            epoch: None,
            is_confirmed: false,
            base: 0,
            oldest: 1,
            epoch_ended: false,
            sequencer: Sequencer::default(),
            consumers: Vec::new(),
            seal: None,
            refusals: 0,
            ask_at: None,
            asked_at: Instant::ZERO,
            phase: Phase::Detached,
            has_concluded: false,
            window: u64::from(window),
        }
    }

    /// Gives each text that it holds.
    pub(crate) fn texts(&self, mark: &mut dyn FnMut(Text)) {
        mark(self.name);
        self.epoch.into_iter().for_each(&mut *mark);
        self.seal.into_iter().for_each(|(epoch, seal)| [epoch, seal].into_iter().for_each(&mut *mark));
        match &self.phase {
            Phase::Requested(Some(position)) => mark(position.epoch),
            Phase::Subscribed(subscription) => subscription.texts(mark),
            Phase::Detached | Phase::Ended | Phase::Requested(None) => {}
        }
        for consumer in &self.consumers {
            consumer.texts(mark);
        }
    }

    // --- What the client asks ---

    pub(crate) const fn subscription(&self) -> Option<&Subscription> {
        if let Phase::Subscribed(subscription) = &self.phase { Some(subscription) } else { None }
    }

    pub(crate) const fn subscription_mut(&mut self) -> Option<&mut Subscription> {
        if let Phase::Subscribed(subscription) = &mut self.phase { Some(subscription) } else { None }
    }

    pub(crate) fn parked_frames(&self) -> usize {
        self.sequencer.parked_frames()
    }

    pub(crate) fn has(&self, consumer: ConsumerId) -> bool {
        self.consumers.iter().any(|known| known.id == consumer)
    }

    /// The offset that a consumer needs next, once it has a place.
    pub(crate) fn next_of(&self, consumer: ConsumerId) -> Option<u64> {
        self.consumers.iter().find(|known| known.id == consumer)?.next()
    }

    /// Tells whether the stream should be asked for on a new socket.
    pub(crate) const fn is_wanted(&self) -> bool {
        !self.consumers.is_empty() && !matches!(self.phase, Phase::Ended)
    }

    /// Tells whether nobody follows it, and nothing of it is under way.
    pub(crate) const fn is_idle(&self) -> bool {
        self.consumers.is_empty() && matches!(self.phase, Phase::Detached | Phase::Ended)
    }

    /// Tells whether everything that was there at the moment of subscribing has come.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.subscription().is_some_and(|subscription| {
            subscription.is_caught_up() && self.sequencer.next() > subscription.head
        })
    }

    /// The most bytes that its request can take in a frame. Names hold no control characters, so a byte of them takes two at
    /// most when it is escaped; one of an epoch, of 64 bytes at most, takes six. A seal needs no escape.
    pub(crate) fn max_request_bytes(&self) -> usize {
        170 + 2 * self.name_bytes as usize + self.epoch.map_or(0, |_| 6 * 64) + self.seal.map_or(0, |_| 140)
    }

    /// Tells whether nobody wants the answer that is under way: the last consumer left, or who came after it begins elsewhere.
    pub(crate) fn is_outdated(&self) -> bool {
        match self.phase {
            Phase::Requested(None) => self.consumers.is_empty() || self.open != self.asked,
            Phase::Requested(Some(_)) => self.consumers.is_empty(),
            Phase::Detached | Phase::Ended | Phase::Subscribed(_) => false,
        }
    }

    /// Tells whether a consumer has more than the server is known to have: the log may have gone back, which only a new
    /// request can find out (SUB-6).
    pub(crate) fn is_ahead(&self) -> bool {
        let parked = self.sequencer.last_parked();
        self.subscription()
            .is_some_and(|subscription| self.last_sent() > subscription.known_head().max(parked))
    }

    /// Returns since when an answer of the server is awaited.
    pub(crate) fn awaits_since(&self) -> Option<Instant> {
        self.answer_due(self.asked_at).map(|_| self.asked_at)
    }

    /// Returns when the answer that is due must have come: the subscription, or the end of its catch-up (SUB-13). What is live waits
    /// for the end of the catch-up, and so does its acknowledgement. While something else is not acknowledged the server may be
    /// holding back for the window's sake.
    pub(crate) fn answer_due(&self, last_data: Instant) -> Option<Instant> {
        let patience = match &self.phase {
            Phase::Requested(_) => SUBSCRIBE_TIMEOUT,
            Phase::Subscribed(subscription) if !subscription.is_caught_up() && !self.holds_back() => {
                CATCH_UP_TIMEOUT
            }
            Phase::Subscribed(_) | Phase::Detached | Phase::Ended => return None,
        };
        Some(due(self.asked_at, last_data, patience))
    }

    /// Tells whether the answer to a request for it has not come yet.
    pub(crate) const fn is_requested(&self) -> bool {
        matches!(self.phase, Phase::Requested(_))
    }

    /// Tells whether something that may be acknowledged some day is not: what it takes of the window is missing elsewhere.
    pub(crate) fn holds_back(&self) -> bool {
        matches!(&self.phase, Phase::Subscribed(subscription) if subscription.acked < subscription.sendable())
    }

    /// Takes note that events of it came, or that what came was acknowledged.
    pub(crate) const fn note_progress(&mut self, now: Instant) {
        self.asked_at = now;
    }

    /// Keeps the newest proof of a head: a server whose log went back is shown it (SUB-6).
    pub(crate) fn keep_seal(&mut self, seal: Text) {
        self.seal = self.epoch.map(|epoch| (epoch, seal));
    }

    // --- Consumers ---

    /// Takes another beginning, while nobody follows the stream by the former one.
    pub(crate) const fn reopen(&mut self, open: Open) {
        if self.consumers.is_empty() {
            self.open = open;
        }
    }

    /// Attaches a consumer (I4). No other may have its id.
    pub(crate) fn attach(&mut self, id: ConsumerId, begin: Begin, max_queued: Option<u32>, fx: &mut Effects) {
        if matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Detached;
        }
        let mut consumer = Consumer::new(id, begin, max_queued);
        if matches!(self.phase, Phase::Requested(_) | Phase::Subscribed(_)) {
            consumer.request();
        } else if let Begin::Position { epoch, offset } = begin {
            let is_first = self.slowest().is_none();
            if is_first {
                self.is_confirmed &= self.epoch.as_ref() == Some(&epoch);
                self.epoch = Some(epoch);
                self.sequencer.start_at(offset + 1);
            } else if self.epoch.as_ref() == Some(&epoch) {
                // Nothing is asked yet: the stream begins with the slowest consumer.
                self.sequencer.start_at(self.sequencer.next().min(offset + 1));
            }
        }
        self.consumers.push(consumer);
        self.place(false, fx);
    }

    /// Gives the consumers that wait for it their place, once the stream has an epoch.
    pub(crate) fn place_consumers(&mut self, fx: &mut Effects) {
        self.place(true, fx);
    }

    /// `enter`: also those that bring a position of another epoch. They get a gap, which must not come before the page
    /// has attached all that it attaches in one tick.
    fn place(&mut self, enter: bool, fx: &mut Effects) {
        let Some(epoch) = self.epoch else { return };
        // The stream is where its furthest consumer is: for the others the server may be sending an earlier part again.
        let next = self.sequencer.next().max(self.last_sent() + 1);
        let owed = owed_from(self.open, self.base);
        for consumer in &mut self.consumers {
            let place = match consumer.waiting() {
                None => continue,
                Some(Begin::Stream) => next,
                Some(Begin::After(offset)) => next.min(offset + 1),
                // It may be ahead of the others: what it has is not sent to it again.
                Some(Begin::Position { epoch: own, offset }) if *own == epoch => {
                    consumer.start_at(offset + 1);
                    continue;
                }
                // Which of the two epochs is over is the server's word.
                Some(Begin::Position { .. }) if !self.is_confirmed || !enter => continue,
                Some(&Begin::Position { offset, .. }) => {
                    consumer.enter_epoch(offset, epoch, owed, Text::EPOCH, fx);
                    consumer.skip_in_epoch(self.oldest, owed);
                    continue;
                }
            };
            consumer.start_at(place);
            let (consumer, offset) = (consumer.id, place - 1);
            fx.report(Event::Placed { consumer, epoch, offset });
        }
    }

    /// Detaches a consumer; returns whether it was the last one.
    pub(crate) fn detach(&mut self, id: ConsumerId, fx: &mut Effects) -> bool {
        // What the last one has is where the next one begins.
        if let [last] = self.consumers.as_slice()
            && last.id == id
            && let Some(delivered) = last.delivered()
        {
            self.release_parked(fx);
            self.sequencer.start_at(delivered + 1);
        }
        self.consumers.retain(|consumer| consumer.id != id);
        // What it alone lacked is waited for no more: it would hold back the acknowledgement of what the others have.
        if let Some(lowest) = self.consumers.iter().filter_map(Consumer::next).min()
            && self.sequencer.next() < lowest
        {
            self.sequencer.advance_past(lowest - 1);
            self.take_ready(fx);
        }
        self.consumers.is_empty()
    }

    /// Takes note of what the driver delivered.
    pub(crate) fn on_delivered(&mut self, id: ConsumerId, life: u32, through: u64) {
        if let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) {
            consumer.on_delivered(life, through);
        }
    }

    /// The last offset that every consumer has; `None` while none has a place.
    fn slowest(&self) -> Option<u64> {
        self.consumers.iter().filter_map(Consumer::delivered).min()
    }

    /// The last offset that was sent to any consumer.
    fn last_sent(&self) -> u64 {
        self.consumers.iter().filter_map(Consumer::next).max().map_or(0, |next| next - 1)
    }

    // --- Asking ---

    /// Makes the request of the stream for the server, and counts it.
    pub(crate) fn request(&mut self, now: Instant, fx: &mut Effects) -> StreamRequest {
        self.asked_at = now;
        if self.slowest().is_none() {
            self.take_waiting_position();
            self.place_consumers(fx);
        }
        for consumer in &mut self.consumers {
            consumer.request();
        }
        // A consumer that was the slowest may have left: what it needed is asked for no more.
        if let Some(lowest) = self.consumers.iter().filter_map(Consumer::next).min()
            && self.sequencer.next() < lowest
        {
            self.sequencer.start_at(lowest);
        }
        let position = self.epoch.zip(self.slowest());
        // A log that went back must be noticed also when it still holds the slowest consumer's position.
        let seen = self.last_sent();
        let named = position.map(|(epoch, offset)| Position { epoch, offset, seen: seen.max(offset) });
        let seen = position.as_ref().and_then(|&(_, offset)| (seen > offset).then_some(seen));
        self.phase = Phase::Requested(named);
        self.ask_at = None;
        self.asked = self.open;
        let of_epoch = |&(epoch, _): &(Text, Text)| position.is_some_and(|(own, _)| own == epoch);
        let seal = self.seal.filter(of_epoch).map(|(_, seal)| seal);
        StreamRequest { name: self.name, position, seen, seal, open: self.open }
    }

    /// Without a consumer in the stream's epoch, the first position that a consumer brought is the stream's.
    fn take_waiting_position(&mut self) {
        let positions = self.consumers.iter().filter_map(Consumer::waiting);
        let mut positions = positions.filter_map(|begin| match begin {
            Begin::Position { epoch, offset } => Some((*epoch, *offset)),
            Begin::After(_) | Begin::Stream => None,
        });
        if let Some((epoch, offset)) = positions.next() {
            self.is_confirmed = false;
            self.epoch = Some(epoch);
            self.sequencer.start_at(offset + 1);
        }
    }

    /// Takes the stream off the server: what was asked or subscribed on this socket counts no more.
    pub(crate) fn abandon(&mut self, fx: &mut Effects) {
        self.release_parked(fx);
        self.phase = Phase::Detached;
        if self.consumers.is_empty() {
            self.epoch_ended = false;
        }
    }

    /// The server ended the subscription because its epoch is over: the stream is asked for again (SUB-11).
    pub(crate) fn on_epoch_ended(&mut self, fx: &mut Effects) {
        self.abandon(fx);
        self.epoch_ended = true;
    }

    /// The server cannot serve it now. Returns how long to wait at the most: 1 s at first, then twice as long each time, up to
    /// 20 s.
    pub(crate) fn put_off(&mut self, fx: &mut Effects) -> Duration {
        self.abandon(fx);
        self.refusals += 1;
        MAX_PUT_OFF.min(Duration::from_millis(500 << self.refusals.min(10)))
    }

    /// The server ended the subscription for good.
    pub(crate) fn end(&mut self, reason: Text, fx: &mut Effects) {
        self.release_parked(fx);
        self.phase = Phase::Ended;
        fx.report(Event::Ended { stream: self.id, reason });
    }

    /// The socket is gone.
    pub(crate) fn on_link_down(&mut self, fx: &mut Effects) {
        self.release_parked(fx);
        self.ask_at = None;
        self.epoch_ended = false;
        if !matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Detached;
        }
    }

    fn release_parked(&mut self, fx: &mut Effects) {
        for frame in self.sequencer.take_parked() {
            fx.release(frame.slot);
        }
    }

    // --- What is owed ---

    /// The offset that may be acknowledged: what every consumer has that this socket's flow has reached (FLO-2).
    ///
    /// A consumer that lags behind the flow is served by requests, which the window does not count (FLO-5).
    pub(crate) fn acknowledgeable(&self) -> u64 {
        let Some(subscription) = self.subscription() else { return 0 };
        let (received, sendable) = (subscription.received, subscription.sendable());
        let in_flow = |consumer: &&Consumer| consumer.next().is_some_and(|next| next > sendable);
        let delivered = self.consumers.iter().filter(in_flow).filter_map(Consumer::delivered);
        delivered.map(|delivered| delivered.min(received)).min().unwrap_or(0)
    }

    /// Tells whether every consumer has room for what a request brings.
    pub(crate) fn has_room(&self) -> bool {
        self.consumers.iter().all(|consumer| consumer.room_for_request().is_some())
    }

    /// The consumers that the flow has passed by and that have room, with the offsets to ask for.
    pub(crate) fn lagging(&self) -> Vec<(ConsumerId, u64, u64)> {
        let Some(subscription) = self.subscription() else { return Vec::new() };
        let received = subscription.sendable();
        let needs = |consumer: &Consumer| {
            let (next, room) = (consumer.next()?, consumer.room_for_request()?);
            (next <= received).then(|| (consumer.id, next, received.min((next - 1).saturating_add(room))))
        };
        self.consumers.iter().filter_map(needs).collect()
    }

    /// Returns what is missing and must have come (RPL-4 a, b).
    ///
    /// Counted from what this socket brought: a consumer that is behind the others waits for it.
    pub(crate) fn missing(&self) -> Option<(u64, u64)> {
        let subscription = self.subscription()?;
        let (received, expected) = (subscription.received, subscription.expected);
        self.sequencer.hole().or_else(|| (received < expected).then_some((received + 1, expected)))
    }
}

/// When an answer is overdue: the socket was silent for too long, or it took too long whatever else came.
pub(crate) fn due(asked: Instant, last_data: Instant, patience: Duration) -> Instant {
    (asked.max(last_data) + patience).min(asked + ANSWER_LIMIT)
}

/// The first offset of a new epoch that a page with a position in a former one is owed (I2): all of it for a stream that
/// was opened from the start, and otherwise what was written in it.
const fn owed_from(open: Open, base: u64) -> u64 {
    match open {
        Open::Start => 1,
        Open::Last(_) | Open::Live => base + 1,
    }
}
