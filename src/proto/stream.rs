//! One stream: who consumes it, what they have, and what is still to come.
//!
//! A stream has a [`Sequencer`] for what arrives, and a cursor per consumer for what was handed over. Most of the time all
//! cursors stand at the sequencer's next offset. A consumer that began earlier lags behind: it is served by `replay` requests
//! until it has caught up, while the others go on.

use std::collections::VecDeque;

use super::{
    ids::{ConsumerId, Slot, StreamId},
    input::Begin,
    instant::Instant,
    output::{Event, Gap, Output, Verdict},
    sequencer::{Arrival, Parked, ParkedFull, Sequencer},
    stats::Stats,
    wire::{GapEnd, Open, StreamRequest, Subscribed},
};

/// A receiver of events.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    /// The offset to deliver next; 0 while the stream has no position.
    pub(crate) next: u64,
    /// The last offset that was handed over.
    done: u64,
    /// Where to begin, until the stream has a position.
    begin: Option<Begin>,
    /// Where the gap begins of an epoch that ended, until the consumer has taken note of it.
    untold: Option<u64>,
}

impl Consumer {
    fn start_at(&mut self, next: u64) {
        self.next = next;
        self.done = next - 1;
    }

    /// Moves behind what will never come.
    fn skip_to(&mut self, next: u64, reason: &str) -> Gap {
        let from = std::mem::replace(&mut self.next, next);
        Gap { from, to: Some(next - 1), reason: reason.into(), epoch: None, next }
    }

    /// Moves into a new epoch. If the gap of an earlier one was not handed over yet, this one takes its place.
    fn enter_epoch(&mut self, from: u64, epoch: &str, next: u64, reason: &str) -> Gap {
        let from = *self.untold.get_or_insert(from);
        self.start_at(next);
        Gap { from, to: None, reason: reason.into(), epoch: Some(epoch.into()), next }
    }

    /// Events that were delivered and wait in the consumer's own queue.
    const fn queued(&self) -> u64 {
        self.next - 1 - self.done
    }
}

/// A stream's subscription on the present socket.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) ch: u32,
    /// The head of the moment of subscribing: what is at or below it is a replay (EVT-5).
    pub(crate) head: u64,
    pub(crate) caught_up: bool,
    /// The last offset that this socket brought; what was handed over before counts for nothing here.
    pub(crate) received: u64,
    pub(crate) acked: u64,
    /// What must have come by now: the end of the catch-up, or a head that a heartbeat named (RPL-4).
    pub(crate) expected: u64,
    /// Where the catch-up ends.
    through: u64,
    pub(crate) suspect: Option<Suspect>,
    open_runs: Vec<String>,
}

/// A head above what came, that may still come by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    pub(crate) received: u64,
    pub(crate) head: u64,
    pub(crate) at: Instant,
}

/// How far the present catch-up is.
#[derive(Debug, Default)]
struct CatchUp {
    from: u64,
    replayed: u64,
    duplicates: u64,
    gap: Option<Gap>,
    attempts: u32,
}

/// Where the stream stands with the server.
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

/// The last event that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    epoch: String,
    offset: u64,
}

/// The server contradicts what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction(pub(crate) &'static str);

/// A named, ordered log as the page sees it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) name: String,
    open: Open,
    /// What `open` was when the stream was asked for last.
    asked: Open,
    epoch: Option<String>,
    pub(crate) sequencer: Sequencer,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) phase: Phase,
    /// Counts while a catch-up is under way: from the request to the verdict.
    catch_up: CatchUp,
    reported: u64,
    /// The epoch of the position is another than the one that was reported.
    epoch_entered: bool,
    /// Events that may wait in a consumer's queue before it is served anything but what flows.
    max_queued: u64,
}

impl Stream {
    pub(crate) fn new(id: StreamId, name: String, open: Open, window: u32) -> Self {
        Self {
            id,
            name,
            open,
            asked: open,
            epoch: None,
            sequencer: Sequencer::default(),
            consumers: Vec::new(),
            phase: Phase::Detached,
            catch_up: CatchUp::default(),
            reported: 0,
            epoch_entered: false,
            max_queued: u64::from(window) / 2,
        }
    }

    pub(crate) const fn subscription(&self) -> Option<&Subscription> {
        if let Phase::Subscribed(subscription) = &self.phase { Some(subscription) } else { None }
    }

    pub(crate) const fn subscription_mut(&mut self) -> Option<&mut Subscription> {
        if let Phase::Subscribed(subscription) = &mut self.phase { Some(subscription) } else { None }
    }

    /// Tells whether the stream should be asked for on a new socket.
    pub(crate) const fn is_wanted(&self) -> bool {
        !self.consumers.is_empty() && !matches!(self.phase, Phase::Ended)
    }

    /// Tells whether nobody follows it, and nothing of it is under way.
    pub(crate) const fn is_idle(&self) -> bool {
        self.consumers.is_empty() && matches!(self.phase, Phase::Detached | Phase::Ended)
    }

    /// Tells whether nothing is left of the catch-up: its verdict was said.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.catch_up.attempts == 0 && self.subscription().is_some_and(|subscription| subscription.caught_up)
    }

    /// The most bytes that its request can take in a frame: each character of its texts escaped.
    pub(crate) fn max_request_bytes(&self) -> usize {
        160 + 2 * (self.name.len() + self.epoch.as_ref().map_or(0, String::len))
    }

    const fn has_position(&self) -> bool {
        self.epoch.is_some()
    }

    /// Takes another beginning, while nobody follows the stream by the former one.
    pub(crate) const fn reopen(&mut self, open: Open) {
        if self.consumers.is_empty() {
            self.open = open;
        }
    }

    /// Tells whether nobody wants the answer that is under way: the last consumer left, or who came after it begins elsewhere.
    pub(crate) fn is_outdated(&self) -> bool {
        match self.phase {
            Phase::Requested(None) => self.consumers.is_empty() || self.open != self.asked,
            Phase::Requested(Some(_)) => self.consumers.is_empty(),
            Phase::Detached | Phase::Ended | Phase::Subscribed(_) => false,
        }
    }

    /// Attaches a consumer (I4).
    pub(crate) fn attach(&mut self, id: ConsumerId, begin: Begin, out: &mut VecDeque<Output>) {
        if matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Detached;
        }
        if self.consumers.iter().any(|consumer| consumer.id == id) {
            // An id used twice would be handed everything twice.
            return;
        }
        self.consumers.push(Consumer { id, next: 0, done: 0, begin: Some(begin.clone()), untold: None });
        if let (Phase::Detached, Begin::Position { epoch, offset }) = (&self.phase, begin) {
            let is_alone = self.consumers.len() == 1;
            if !self.has_position() || (is_alone && self.epoch.as_ref() != Some(&epoch)) {
                self.epoch_entered = self.has_position();
                self.epoch = Some(epoch);
                self.sequencer.start_at(offset + 1);
                self.reported = offset;
            } else if self.epoch.as_ref() == Some(&epoch) {
                // Nothing is asked yet: the stream begins with the slowest consumer.
                self.sequencer.start_at(self.sequencer.next().min(offset + 1));
            }
        }
        self.place_consumers(out);
        self.report_position(out);
    }

    /// Gives the consumers that wait for it their start, once the stream has a position.
    fn place_consumers(&mut self, out: &mut VecDeque<Output>) {
        let Some(epoch) = &self.epoch else { return };
        let next = self.sequencer.next();
        for consumer in &mut self.consumers {
            let place = match consumer.begin.take() {
                None => continue,
                Some(Begin::Stream) => next,
                Some(Begin::After(_)) if is_mutant!(LateConsumerSkips) => next,
                Some(Begin::After(offset)) => next.min(offset + 1),
                // It may be ahead of the others: what it has is not handed to it again.
                Some(Begin::Position { epoch: own, offset }) if own == *epoch => {
                    consumer.start_at(offset + 1);
                    continue;
                }
                Some(Begin::Position { offset, .. }) => {
                    // What exists follows, for this one by replay. What `last` and `live` left out is not owed.
                    let next = if matches!(self.open, Open::Start) { 1 } else { next };
                    let gap = consumer.enter_epoch(offset + 1, epoch, next, "epoch");
                    out.push_back(Output::Event(Event::Gap { consumer: consumer.id, gap }));
                    continue;
                }
            };
            consumer.start_at(place);
            let (consumer, epoch, offset) = (consumer.id, epoch.clone(), place - 1);
            out.push_back(Output::Event(Event::Placed { consumer, epoch, offset }));
        }
    }

    /// Detaches a consumer; returns whether it was the last one.
    pub(crate) fn detach(&mut self, id: ConsumerId, out: &mut VecDeque<Output>) -> bool {
        // What the last one has is where the next one begins.
        if let [last] = self.consumers.as_slice()
            && last.id == id
            && self.has_position()
        {
            let next = last.done + 1;
            self.release_parked(out);
            self.sequencer.start_at(next);
        }
        self.consumers.retain(|consumer| consumer.id != id);
        if self.consumers.is_empty() {
            // Nobody waits for the catch-up any more, unless an answer is under way that the next consumer will take.
            if !matches!(self.phase, Phase::Requested(_)) {
                self.catch_up = CatchUp::default();
            }
            return true;
        }
        self.report_position(out);
        false
    }

    /// Nobody waits for the answer that came.
    pub(crate) fn abandon(&mut self) {
        self.phase = Phase::Detached;
        self.catch_up = CatchUp::default();
    }

    /// Says what to ask of the server, and counts the attempt.
    pub(crate) fn request(&mut self) -> StreamRequest {
        self.catch_up.attempts += 1;
        // A consumer that was the slowest may have left: what it needed is asked for no more.
        if let Some(lowest) = self.consumers.iter().map(|consumer| consumer.next).min()
            && self.sequencer.next() < lowest
        {
            self.sequencer.start_at(lowest);
        }
        let position = self.epoch.clone().map(|epoch| Position { epoch, offset: self.position() });
        let position = position.filter(|_| !is_mutant!(HelloWithoutPositions));
        if self.catch_up.from == 0 {
            self.catch_up.from = position.as_ref().map_or(0, |position| position.offset + 1);
        }
        let named = position.clone().map(|position| (position.epoch, position.offset));
        // A log that went back must be noticed also when it still holds the slowest consumer's position.
        let furthest = self.consumers.iter().map(|consumer| consumer.next.saturating_sub(1)).max();
        let seen = furthest.filter(|&furthest| named.as_ref().is_some_and(|(_, offset)| furthest > *offset));
        self.phase = Phase::Requested(position);
        self.asked = self.open;
        StreamRequest { name: self.name.clone(), position: named, seen, open: self.open }
    }

    /// The last offset that every consumer has; asked for only where there is one.
    fn position(&self) -> u64 {
        self.consumers.iter().map(|consumer| consumer.done).min().unwrap_or(0)
    }

    /// Takes the answer of the server (SUB-3 to SUB-9).
    pub(crate) fn on_subscribed(
        &mut self,
        answer: &Subscribed,
        stats: &mut Stats,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Contradiction> {
        let Phase::Requested(requested) = std::mem::replace(&mut self.phase, Phase::Detached) else {
            return Err(Contradiction("subscribed: the stream was not asked for"));
        };
        let reason = answer.reason.as_deref().unwrap_or_default();
        match requested {
            Some(Position { epoch, offset }) if epoch == answer.epoch => {
                let after = offset + 1;
                if answer.recovered && answer.next != after {
                    return Err(Contradiction(
                        "subscribed: recovered, but next is not the offset after the position",
                    ));
                }
                if !answer.recovered {
                    if answer.next <= after {
                        return Err(Contradiction("subscribed: not recovered, but nothing is missing"));
                    }
                    self.skip_to(after, answer.next, reason, stats, out);
                }
            }
            Some(_) if answer.recovered => {
                return Err(Contradiction("subscribed: recovered, but in another epoch"));
            }
            Some(_) if is_mutant!(AheadAccepted) && reason == "ahead" => {
                self.epoch = Some(answer.epoch.clone());
            }
            Some(_) if is_mutant!(EpochIgnored) && reason == "epoch" => {
                self.epoch = Some(answer.epoch.clone());
            }
            Some(_) => self.change_epoch(answer.epoch.clone(), answer.next, reason, stats, out),
            None => {
                let first = if answer.recovered { answer.next } else { 1 };
                self.epoch = Some(answer.epoch.clone());
                self.sequencer.start_at(first);
                self.place_consumers(out);
                self.epoch_entered = true;
                self.report_position(out);
                if !answer.recovered {
                    self.skip_to(1, answer.next, reason, stats, out);
                }
            }
        }
        // On a new socket the server sends from the position on. What had come beyond it is taken as a duplicate.
        self.release_parked(out);
        if self.catch_up.from == 0 {
            self.catch_up.from = answer.next;
        }
        self.phase = Phase::Subscribed(Subscription {
            ch: answer.ch,
            head: answer.head,
            caught_up: false,
            received: answer.next - 1,
            acked: answer.next - 1,
            expected: 0,
            through: answer.head,
            suspect: None,
            open_runs: Vec::new(),
        });
        Ok(())
    }

    /// Takes a frame of events. The slot is released here or when the frame leaves the park.
    pub(crate) fn on_events(
        &mut self,
        first: u64,
        count: u32,
        slot: Slot,
        stats: &mut Stats,
        out: &mut VecDeque<Output>,
    ) -> Result<(), ParkedFull> {
        match self.sequencer.classify(first, count) {
            Arrival::Early => {
                stats.out_of_order += 1;
                if let Some(unneeded) = self.sequencer.park(Parked { first, count, slot })? {
                    out.push_back(Output::Release(unneeded));
                }
            }
            Arrival::Old | Arrival::Next => {
                self.take(Parked { first, count, slot }, stats, out);
                while let Some(frame) = self.sequencer.take_ready() {
                    self.take(frame, stats, out);
                }
            }
        }
        Ok(())
    }

    /// Hands a frame that is not early to each consumer that needs a part of it.
    fn take(&mut self, frame: Parked, stats: &mut Stats, out: &mut VecDeque<Output>) {
        let last = frame.first + u64::from(frame.count) - 1;
        let replay_through = self.subscription().map_or(0, |subscription| subscription.head);
        let known = self.sequencer.next();
        let received = self.subscription().map_or(0, |subscription| subscription.received);
        let mut wanted = false;
        for consumer in &mut self.consumers {
            if is_mutant!(ReplayToWrongConsumer) && consumer.next > last && last < known {
                let (consumer, slot, offset) = (consumer.id, frame.slot, frame.first);
                let take = frame.count;
                out.push_back(Output::Deliver { consumer, slot, skip: 0, take, offset, replay_through });
            }
            if consumer.next < frame.first || consumer.next > last {
                continue;
            }
            // What answers a request counts against no window; a queue that is full enough is served when it has room.
            if last <= received && consumer.queued() > self.max_queued {
                continue;
            }
            wanted = true;
            if is_mutant!(DuplicateOffByOne) && consumer.next > frame.first {
                consumer.next -= 1;
            }
            let (skip, take) = (consumer.next - frame.first, last - consumer.next + 1);
            out.push_back(Output::Deliver {
                consumer: consumer.id,
                slot: frame.slot,
                skip: narrow(skip),
                take: narrow(take),
                offset: consumer.next,
                replay_through,
            });
            stats.events_delivered += take;
            let replays = (replay_through.min(last) + 1).saturating_sub(consumer.next);
            stats.events_replayed += replays;
            consumer.next = last + 1;
            if is_mutant!(PositionEarly) {
                consumer.done = last;
            }
        }
        let fresh_from = frame.first.max(known);
        let replayed = (replay_through.min(last) + 1).saturating_sub(fresh_from);
        let old = (last + 1).min(known).saturating_sub(frame.first);
        // What a consumer that lags took of it was no duplicate.
        let dropped = if !wanted || last >= known { old } else { 0 };
        stats.duplicates_dropped += dropped;
        if let Some(catch_up) = self.catch_up_mut() {
            catch_up.replayed += replayed + if is_mutant!(ReplaysMiscounted) { dropped } else { 0 };
            catch_up.duplicates += dropped;
        }
        self.sequencer.advance_past(last);
        if let Some(subscription) = self.subscription_mut() {
            subscription.received = subscription.received.max(last);
        }
        out.push_back(Output::Release(frame.slot));
    }

    /// Takes a gap that the server declared (GAP-2).
    pub(crate) fn on_gap(
        &mut self,
        from: u64,
        end: GapEnd,
        reason: &str,
        stats: &mut Stats,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Contradiction> {
        match end {
            GapEnd::Offset(to) => {
                if from > self.sequencer.next() {
                    return Err(Contradiction("gap: begins after an offset that did not come"));
                }
                self.skip_to(from, to + 1, reason, stats, out);
            }
            GapEnd::Epoch { epoch, new_ch } => {
                self.change_epoch(epoch, 1, reason, stats, out);
                if let Some(subscription) = self.subscription_mut() {
                    if !is_mutant!(StaleCh) {
                        subscription.ch = new_ch;
                    }
                    // Whatever follows in the new epoch was not there when we subscribed.
                    (subscription.head, subscription.through, subscription.expected) = (0, 0, 0);
                    (subscription.received, subscription.acked, subscription.suspect) = (0, 0, None);
                }
            }
        }
        Ok(())
    }

    /// Takes the end of a request that the server owed: what it leaves missing below `oldest` is trimmed (RPL-3).
    pub(crate) fn on_repaired(&mut self, oldest: u64, stats: &mut Stats, out: &mut VecDeque<Output>) {
        self.skip_to(1, oldest, "trimmed", stats, out);
    }

    /// The same for a consumer that asked for what the others have: it concerns nobody else.
    pub(crate) fn on_served(
        &mut self,
        id: ConsumerId,
        oldest: u64,
        stats: &mut Stats,
        out: &mut VecDeque<Output>,
    ) {
        let lagging = |consumer: &&mut Consumer| consumer.id == id && consumer.next < oldest;
        let Some(consumer) = self.consumers.iter_mut().find(lagging) else { return };
        let gap = consumer.skip_to(oldest, "trimmed");
        stats.gaps += 1;
        out.push_back(Output::Event(Event::Gap { consumer: id, gap }));
    }

    /// Tells each consumer whose cursor lies in `from..next` that it lies in a gap, and moves it behind.
    fn skip_to(&mut self, from: u64, next: u64, reason: &str, stats: &mut Stats, out: &mut VecDeque<Output>) {
        let mut told = None;
        for consumer in &mut self.consumers {
            if consumer.next < from || consumer.next >= next {
                continue;
            }
            let gap = consumer.skip_to(next, reason);
            out.push_back(Output::Event(Event::Gap { consumer: consumer.id, gap: gap.clone() }));
            if is_mutant!(GapTwice) {
                out.push_back(Output::Event(Event::Gap { consumer: consumer.id, gap: gap.clone() }));
            }
            told = Some(gap);
        }
        if let Some(gap) = told {
            stats.gaps += 1;
            self.note_gap(gap);
        }
        if let Some(subscription) = self.subscription_mut() {
            subscription.received = subscription.received.max(next - 1);
        }
        if next > self.sequencer.next() {
            self.sequencer.advance_past(next - 1);
            while let Some(frame) = self.sequencer.take_ready() {
                self.take(frame, stats, out);
            }
        }
    }

    /// Ends the present epoch: what waits in queues belongs to it, so the gap begins after what was handed over.
    fn change_epoch(
        &mut self,
        epoch: String,
        next: u64,
        reason: &str,
        stats: &mut Stats,
        out: &mut VecDeque<Output>,
    ) {
        self.release_parked(out);
        let mut told = None;
        for consumer in self.consumers.iter_mut().filter(|consumer| consumer.begin.is_none()) {
            let gap = consumer.enter_epoch(consumer.done + 1, &epoch, next, reason);
            told = Some(gap.clone());
            out.push_back(Output::Event(Event::Gap { consumer: consumer.id, gap }));
        }
        if let Some(gap) = told {
            self.note_gap(gap);
        }
        stats.gaps += 1;
        self.epoch = Some(epoch);
        self.epoch_entered = true;
        self.sequencer.start_at(next);
        self.place_consumers(out);
        if let Some(catch_up) = self.catch_up_mut() {
            catch_up.from = next;
        }
        self.report_position(out);
    }

    /// The catch-up that is under way; what happens while live belongs to none.
    const fn catch_up_mut(&mut self) -> Option<&mut CatchUp> {
        if self.catch_up.attempts > 0 { Some(&mut self.catch_up) } else { None }
    }

    fn note_gap(&mut self, gap: Gap) {
        if let Some(catch_up) = self.catch_up_mut() {
            catch_up.gap = Some(gap);
        }
    }

    /// Takes the end of the catch-up; the verdict follows when everything came.
    pub(crate) fn on_caught_up(&mut self, offset: u64, open_runs: Vec<String>) {
        if let Some(subscription) = self.subscription_mut() {
            subscription.open_runs = if is_mutant!(OpenRunsLost) { Vec::new() } else { open_runs };
            subscription.expected = subscription.expected.max(offset);
            subscription.through = offset;
            subscription.caught_up = true;
        }
    }

    /// Says the verdict if the catch-up is complete (I3).
    pub(crate) fn conclude(&mut self, out: &mut VecDeque<Output>) {
        let next = self.sequencer.next();
        let Phase::Subscribed(subscription) = &mut self.phase else {
            return;
        };
        if !subscription.caught_up || self.catch_up.attempts == 0 || next <= subscription.through {
            return;
        }
        let catch_up = std::mem::take(&mut self.catch_up);
        let verdict = Verdict {
            recovered: catch_up.gap.is_none(),
            epoch: self.epoch.clone().unwrap_or_default(),
            from: catch_up.from,
            to: subscription.through,
            replayed: catch_up.replayed,
            duplicates_dropped: catch_up.duplicates,
            gap: catch_up.gap,
            attempts: catch_up.attempts,
            open_runs: std::mem::take(&mut subscription.open_runs),
        };
        if is_mutant!(VerdictMissing) {
            return;
        }
        if is_mutant!(VerdictTwice) {
            out.push_back(Output::Event(Event::Resumed { stream: self.id, verdict: verdict.clone() }));
        }
        out.push_back(Output::Event(Event::Resumed { stream: self.id, verdict }));
    }

    /// Takes note of what a consumer has; returns whether the consumer is one of ours.
    pub(crate) fn handed_over(&mut self, id: ConsumerId, through: u64, out: &mut VecDeque<Output>) -> bool {
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else {
            return false;
        };
        consumer.untold = None;
        consumer.done = consumer.done.max(through.min(consumer.next.saturating_sub(1)));
        self.report_position(out);
        true
    }

    fn report_position(&mut self, out: &mut VecDeque<Output>) {
        let offset = if is_mutant!(FastestReported) {
            self.consumers.iter().map(|consumer| consumer.done).max().unwrap_or(0)
        } else {
            self.position()
        };
        // A page that is left now must hear of the new epoch in its next life, unless every consumer has.
        if !self.has_position() || self.consumers.iter().any(|consumer| consumer.untold.is_some()) {
            return;
        }
        // Also back: a consumer that began earlier holds it there.
        if offset != self.reported || self.epoch_entered {
            self.reported = offset;
            self.epoch_entered = false;
            self.announce_position(out);
        }
    }

    fn announce_position(&self, out: &mut VecDeque<Output>) {
        if let Some(epoch) = self.epoch.clone() {
            let (stream, offset) = (self.id, self.reported);
            out.push_back(Output::Event(Event::PositionMoved { stream, epoch, offset }));
        }
    }

    /// The offset that may be acknowledged: what every consumer has that this socket's flow has reached (FLO-2).
    ///
    /// A consumer that lags behind the flow is served by requests, which the window does not count (FLO-5).
    pub(crate) fn acknowledgeable(&self) -> u64 {
        let received = self.subscription().map_or(0, |subscription| subscription.received);
        if is_mutant!(AckBeforeDispatch) {
            return received;
        }
        self.consumers
            .iter()
            .filter(|consumer| consumer.next > received)
            .map(|consumer| consumer.done.min(received))
            .min()
            .unwrap_or(0)
    }

    /// Tells whether every consumer has room for more than what flows.
    pub(crate) fn has_room(&self) -> bool {
        self.consumers.iter().all(|consumer| consumer.queued() <= self.max_queued)
    }

    /// The consumers that the flow has passed by, with the offset that each needs next.
    pub(crate) fn lagging(&self) -> Vec<(ConsumerId, u64)> {
        let Some(subscription) = self.subscription() else {
            return Vec::new();
        };
        self.consumers
            .iter()
            .filter(|consumer| consumer.next <= subscription.received && consumer.queued() <= self.max_queued)
            .map(|consumer| (consumer.id, consumer.next))
            .collect()
    }

    /// Returns what is missing and must have come (RPL-4 a, b).
    ///
    /// Counted from what this socket brought: a consumer that is behind the others waits for it.
    pub(crate) fn missing(&self) -> Option<(u64, u64)> {
        let subscription = self.subscription()?;
        let (received, expected) = (subscription.received, subscription.expected);
        self.sequencer.hole().or_else(|| (received < expected).then_some((received + 1, expected)))
    }

    /// The socket is gone; what had come beyond the handed over stays with its consumers.
    pub(crate) fn on_link_down(&mut self, out: &mut VecDeque<Output>) {
        self.release_parked(out);
        if !matches!(self.phase, Phase::Ended) {
            self.phase = Phase::Detached;
        }
    }

    pub(crate) fn release_parked(&mut self, out: &mut VecDeque<Output>) {
        if is_mutant!(ParkedDropped) {
            self.sequencer.take_parked().for_each(drop);
            return;
        }
        out.extend(self.sequencer.take_parked().map(|frame| Output::Release(frame.slot)));
    }
}

/// Narrows a number of events of one frame, at most 10,000 (EVT-1).
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
