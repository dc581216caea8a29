//! One stream of a page: who follows it, what each was handed, and whether it may have been.

use agentwire::proto::{
    Begin, ConsumerId, StreamId, Verdict,
    wire::{StreamRequest, Subscribed},
};

use super::{Counts, Judgement, require};
use crate::{
    driver::{Body, Handed},
    server::Server,
};

/// Where a consumer stands, as far as anyone outside the core can know.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// The next item is this offset, or a gap that begins with it.
    Next { epoch: String, next: u64 },
    /// It began where the stream was: between its slowest and its fastest consumer.
    Within { epoch: String, low: u64, high: u64 },
    /// The next item is a gap that begins here: its position belongs to an epoch that is over. It goes on in the epoch of
    /// the stream, where that is.
    Reset { from: u64, epoch: String, next: u64 },
    /// The stream has no position yet.
    Unplaced(Begin),
}

/// A receiver of events.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: ConsumerId,
    at: At,
    /// It began behind the flow of this socket, and is served by requests that the window does not count (FLO-5).
    late: bool,
    /// The offset after the last one it was given, which an iterator may not have pulled.
    given: u64,
}

impl Consumer {
    pub(super) const fn new(id: ConsumerId) -> Self {
        Self { id, at: At::Unplaced(Begin::Stream), late: false, given: 0 }
    }
}

/// What is known of a stream without asking the core.
#[derive(Debug)]
pub(super) struct StreamView {
    pub(super) id: StreamId,
    pub(super) name: String,
    pub(super) consumers: Vec<Consumer>,
    /// The number of the stream on this socket.
    pub(super) ch: Option<u32>,
    /// The end of the catch-up, once the server has named it.
    pub(super) caught_up: Option<u64>,
    /// The last offset that this socket brought.
    pub(super) received: u64,
    epoch: Option<String>,
    /// The offset after the last one that came in order, or was given to any consumer.
    flow: u64,
    /// The first offset of the present epoch, as the server answered.
    entry: u64,
    /// What was asked of the server and is not answered yet.
    requested: Option<Option<(String, u64)>>,
    ended: bool,
    head: u64,
    acked: u64,
    /// Requests since the last verdict.
    attempts: u32,
    /// The first offset that was missing at the first of them.
    from: Option<u64>,
    /// The lowest offset that any of them asked for; a consumer that attaches between two of them can lower it.
    lowest: u64,
    gap: bool,
    /// The epoch changed or the stream moved back since the first of them: the replays are of more than one range.
    turned: bool,
    reported: Option<(String, u64)>,
}

impl StreamView {
    pub(super) fn new(id: StreamId, name: &str) -> Self {
        Self {
            id,
            name: name.into(),
            consumers: Vec::new(),
            ch: None,
            caught_up: None,
            received: 0,
            epoch: None,
            flow: 0,
            entry: 0,
            requested: None,
            ended: false,
            head: 0,
            acked: 0,
            attempts: 0,
            from: None,
            lowest: 0,
            gap: false,
            turned: false,
            reported: None,
        }
    }

    pub(super) const fn is_wanted(&self) -> bool {
        !self.consumers.is_empty() && !self.ended
    }

    /// What a consumer has of the present epoch: the last offset that was handed over to it.
    fn done(&self, consumer: &Consumer) -> u64 {
        match &consumer.at {
            At::Next { epoch, next } | At::Reset { epoch, next, .. }
                if Some(epoch) == self.epoch.as_ref() =>
            {
                next - 1
            }
            At::Within { epoch, high, .. } if Some(epoch) == self.epoch.as_ref() => high - 1,
            At::Next { .. } | At::Reset { .. } | At::Within { .. } => self.entry - 1,
            At::Unplaced(_) => u64::MAX,
        }
    }

    fn slowest(&self) -> Option<u64> {
        self.consumers.iter().map(|consumer| self.done(consumer)).min()
    }

    /// Tells whether every consumer's place is known to the offset.
    fn is_exact(&self) -> bool {
        self.consumers.iter().all(|consumer| matches!(consumer.at, At::Next { .. }))
    }

    // --- I1, I2: what consumers are handed ---

    pub(super) fn attach(&mut self, mut consumer: Consumer, begin: &Begin) {
        self.ended = false;
        let asked = self.requested.is_some() || self.ch.is_some();
        if let (false, Begin::Position { epoch, offset }) = (asked, begin) {
            if self.epoch.is_none() {
                (self.epoch, self.flow, self.entry) = (Some(epoch.clone()), offset + 1, offset + 1);
                self.reported = Some((epoch.clone(), *offset));
            } else if self.epoch.as_ref() == Some(epoch) {
                // What the others have is brought again, for this one.
                self.turned |= offset + 1 < self.flow;
                self.flow = self.flow.min(offset + 1);
            }
        }
        consumer.at = self.place(begin);
        consumer.late = self.ch.is_some()
            && match &consumer.at {
                At::Next { next, .. } => *next <= self.received,
                At::Within { high, .. } => *high <= self.received,
                At::Reset { .. } | At::Unplaced(_) => false,
            };
        self.consumers.push(consumer);
    }

    fn place(&self, begin: &Begin) -> At {
        let Some(epoch) = self.epoch.clone() else { return At::Unplaced(begin.clone()) };
        let low = self.slowest().map_or(self.flow, |done| (done + 1).min(self.flow));
        let (low, high) = match begin {
            Begin::Stream => (low, self.flow),
            Begin::After(offset) => (low.min(offset + 1), self.flow.min(offset + 1)),
            Begin::Position { epoch: own, offset } if *own == epoch => (offset + 1, offset + 1),
            Begin::Position { offset, .. } => return At::Reset { from: offset + 1, epoch, next: self.flow },
        };
        if low == high { At::Next { epoch, next: low } } else { At::Within { epoch, low, high } }
    }

    pub(super) fn delivered(
        &mut self,
        id: ConsumerId,
        offset: u64,
        take: u32,
        replay_through: u64,
    ) -> Judgement {
        let (name, last) = (&self.name, offset + u64::from(take) - 1);
        require!(take > 0, "I1", "{name}: nothing is delivered at {offset}");
        require!(last <= self.received, "I1", "{name}: {offset}..={last} is delivered and did not come");
        require!(
            replay_through == self.head,
            "EVT-5",
            "{name}: replays end at {replay_through}, the head was {}",
            self.head
        );
        self.flow = self.flow.max(last + 1);
        if let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) {
            consumer.given = last + 1;
        }
        Ok(())
    }

    pub(super) fn handed(
        &mut self,
        id: ConsumerId,
        item: &Handed,
        server: &Server,
        counts: &mut Counts,
    ) -> Judgement {
        let name = self.name.clone();
        let log = &server.logs[&name];
        let (present, entry, flow) = (self.epoch.clone().unwrap_or_default(), self.entry, self.flow);
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else {
            return Ok(());
        };
        let first = match item {
            Handed::Event { offset, .. } => *offset,
            Handed::Gap { from, .. } => *from,
        };
        let (epoch, expected) = match &consumer.at {
            At::Next { epoch, next } => (Some(epoch.clone()), first == *next),
            At::Within { epoch, low, high } => (Some(epoch.clone()), (*low..=*high).contains(&first)),
            At::Reset { from, .. } => (None, first == *from && matches!(item, Handed::Gap { to: None, .. })),
            At::Unplaced(_) => (None, false),
        };
        require!(expected, "I1", "{name}, {id:?} at {:?} is handed {item:?}", consumer.at);
        match item {
            Handed::Event { offset, body, .. } => {
                let epoch = epoch.unwrap_or_default();
                let place = log.place_of(&epoch);
                let stored = place.and_then(|place| log.lives[place].events.get(*offset as usize - 1));
                let is = place.zip(stored).is_some_and(|(place, stored)| match body {
                    Body::Event(number) => *number == log.number(place, *offset),
                    Body::Void => stored.void,
                });
                require!(is, "I1", "{name}, {id:?}: {item:?} is not what the log has at {offset} of {epoch}");
                consumer.at = At::Next { epoch, next: offset + 1 };
                counts.events += 1;
            }
            Handed::Gap { to: Some(to), next, epoch: named, .. } => {
                let epoch = epoch.unwrap_or_default();
                let oldest = log.place_of(&epoch).map_or(0, |place| log.lives[place].oldest);
                require!(
                    oldest > *to,
                    "I2",
                    "{name}, {id:?}: {item:?}, but {epoch} is left from {oldest} on"
                );
                require!(*next == to + 1 && named.is_none(), "GAP-5", "{name}, {id:?}: {item:?}");
                consumer.at = At::Next { epoch, next: *next };
                counts.gaps += 1;
            }
            Handed::Gap { to: None, next, epoch: named, .. } => {
                let named = named.clone().unwrap_or_default();
                require!(named == present, "I2", "{name}, {id:?}: {item:?}, the stream is in {present}");
                let later = match &epoch {
                    Some(former) => log.place_of(former) < log.place_of(&named),
                    None => true,
                };
                require!(later, "I2", "{name}, {id:?}: {item:?}, but {epoch:?} did not end");
                let there = if epoch.is_some() { *next == entry } else { (1..=flow).contains(next) };
                require!(there, "GAP-5", "{name}, {id:?}: {item:?}, the epoch was entered at {entry}");
                consumer.at = At::Next { epoch: named, next: *next };
                counts.gaps += 1;
            }
        }
        Ok(())
    }

    pub(super) const fn declared(&mut self) {
        self.gap |= self.attempts > 0;
    }

    pub(super) fn leave(&mut self, id: ConsumerId) {
        if let [last] = self.consumers.as_slice()
            && last.id == id
            && self.epoch.is_some()
        {
            self.flow = self.done(last).saturating_add(1);
        }
        self.consumers.retain(|consumer| consumer.id != id);
        if self.consumers.is_empty() && self.requested.is_none() {
            // Nobody waits for the catch-up any more; the next one is another.
            (self.attempts, self.from, self.gap, self.turned) = (0, None, false, false);
        }
    }

    /// Tells how a consumer does not have everything, if one does not.
    pub(super) fn behind(&self, server: &Server) -> Option<String> {
        let life = server.logs.get(&self.name)?.life();
        let has_all = |consumer: &Consumer| match &consumer.at {
            At::Next { epoch, next } => *epoch == life.epoch && *next == life.head + 1,
            At::Within { epoch, high, .. } => *epoch == life.epoch && *high > life.head,
            At::Reset { .. } | At::Unplaced(_) => false,
        };
        let behind = self.consumers.iter().find(|consumer| self.is_wanted() && !has_all(consumer))?;
        Some(format!(
            "{}, {:?} is at {:?}, the log at {} of {}",
            self.name, behind.id, behind.at, life.head, life.epoch
        ))
    }

    // --- What the server said ---

    pub(super) fn link_down(&mut self) {
        (self.ch, self.requested, self.caught_up, self.head) = (None, None, None, 0);
    }

    pub(super) fn on_subscribed(&mut self, answer: &Subscribed) {
        let Some(requested) = self.requested.take() else { return };
        if self.consumers.is_empty() {
            // Everyone left while the answer was under way: it is given up, and the next catch-up is another.
            (self.attempts, self.from, self.gap, self.turned) = (0, None, false, false);
            return;
        }
        (self.ch, self.caught_up, self.head) = (Some(answer.ch), None, answer.head);
        (self.received, self.acked) = (answer.next - 1, answer.next - 1);
        for consumer in &mut self.consumers {
            consumer.late = false;
        }
        match requested {
            None => {
                let first = if answer.recovered { answer.next } else { 1 };
                (self.flow, self.entry) = (first, first);
                self.epoch = Some(answer.epoch.clone());
                for index in 0..self.consumers.len() {
                    if let At::Unplaced(begin) = &self.consumers[index].at {
                        let begin = begin.clone();
                        // They begin side by side: none is the stream's past for another.
                        let at = match begin {
                            Begin::Stream => At::Next { epoch: answer.epoch.clone(), next: first },
                            Begin::After(offset) => {
                                At::Next { epoch: answer.epoch.clone(), next: first.min(offset + 1) }
                            }
                            Begin::Position { .. } => self.place(&begin),
                        };
                        self.consumers[index].at = at;
                    }
                }
                self.flow = self.flow.max(answer.next);
            }
            Some((epoch, _)) if epoch == answer.epoch => self.flow = self.flow.max(answer.next),
            Some(_) => self.enter(&answer.epoch, answer.next),
        }
        self.from.get_or_insert(answer.next);
    }

    fn enter(&mut self, epoch: &str, next: u64) {
        (self.epoch, self.flow, self.entry) = (Some(epoch.into()), next, next);
        if self.attempts > 0 {
            self.from = Some(next);
            self.turned = true;
        }
    }

    pub(super) fn on_epoch(&mut self, epoch: &str, ch: u32) {
        self.enter(epoch, 1);
        (self.ch, self.head, self.received, self.acked) = (Some(ch), 0, 0, 0);
        self.caught_up = self.caught_up.map(|_| 0);
        for consumer in &mut self.consumers {
            consumer.late = false;
        }
    }

    pub(super) fn on_events(&mut self, first: u64, count: u32) {
        self.received = self.received.max(first + u64::from(count) - 1);
        if first > self.flow {
            return;
        }
        // The stream is past this frame: for a consumer that misses something before it, the flow has gone by.
        for index in 0..self.consumers.len() {
            let done = self.done(&self.consumers[index]);
            let consumer = &mut self.consumers[index];
            consumer.late |= first > consumer.given.max(done.saturating_add(1));
        }
        self.flow = self.flow.max(first + u64::from(count));
    }

    pub(super) fn on_gap(&mut self, from: u64, to: u64) {
        if from <= self.flow {
            self.flow = self.flow.max(to + 1);
        }
        self.received = self.received.max(to);
    }

    pub(super) fn on_unsubscribed(&mut self, ch: Option<u32>) {
        let concerns_us = if ch.is_some() { self.ch == ch } else { self.requested.is_some() };
        if concerns_us {
            self.link_down();
            self.ended = true;
        }
    }

    // --- What the client asked and acknowledged ---

    pub(super) fn requested(&mut self, request: &StreamRequest) -> Judgement {
        let name = &self.name;
        require!(
            self.requested.is_none() && self.ch.is_none(),
            "SUB-2",
            "{name} is asked for twice on one socket"
        );
        let slowest = self.slowest().unwrap_or_default();
        let position = request.position.clone();
        if let Some(epoch) = &self.epoch {
            let (asked, offset) = position.clone().unwrap_or_default();
            require!(asked == *epoch, "I4", "{name} resumes in {asked:?}, it is in {epoch}");
            let right = if self.is_exact() { offset == slowest } else { offset <= slowest };
            require!(right, "I4", "{name} resumes after {offset}, the slowest consumer has {slowest}");
            self.lowest = if self.attempts == 0 { offset + 1 } else { self.lowest.min(offset + 1) };
            self.from.get_or_insert(offset + 1);
        } else {
            self.lowest = 0;
            require!(position.is_none(), "I4", "{name} resumes from {position:?}, it has no position");
        }
        self.attempts += 1;
        self.requested = Some(position);
        Ok(())
    }

    pub(super) fn acknowledged(&mut self, offset: u64) -> Judgement {
        let name = &self.name;
        require!(offset > self.acked, "FLO-2", "{name}: {offset} is acknowledged after {}", self.acked);
        require!(
            offset <= self.received,
            "FLO-3",
            "{name}: {offset} is acknowledged, the socket brought {}",
            self.received
        );
        for consumer in self.consumers.iter().filter(|consumer| !consumer.late) {
            let done = self.done(consumer);
            require!(
                offset <= done,
                "FLO-2",
                "{name}: {offset} is acknowledged, {:?} was handed {done}",
                consumer.id
            );
        }
        self.acked = offset;
        Ok(())
    }

    // --- I3, I4: verdicts and positions ---

    pub(super) fn position_moved(&mut self, epoch: &str, offset: u64) -> Judgement {
        let name = &self.name;
        require!(
            self.epoch.as_deref() == Some(epoch),
            "I4",
            "{name}: the position moves to {epoch}, the stream is in {:?}",
            self.epoch
        );
        for consumer in &self.consumers {
            let told = match &consumer.at {
                At::Next { epoch: own, .. } | At::Within { epoch: own, .. } => own == epoch,
                At::Reset { .. } | At::Unplaced(_) => false,
            };
            require!(
                told,
                "I4",
                "{name}: the position moves to {offset} of {epoch}, {:?} at {:?} was not told that its epoch ended",
                consumer.id,
                consumer.at
            );
            let done = self.done(consumer);
            require!(
                offset <= done,
                "I4",
                "{name}: the position moves to {offset}, {:?} was handed {done}",
                consumer.id
            );
        }
        self.reported = Some((epoch.into(), offset));
        Ok(())
    }

    pub(super) fn resumed(&mut self, verdict: &Verdict) -> Judgement {
        let name = &self.name;
        require!(self.attempts > 0, "I3", "{name}: a verdict without a catch-up: {verdict:?}");
        require!(
            self.caught_up == Some(verdict.to) && Some(&verdict.epoch) == self.epoch.as_ref(),
            "I3",
            "{name}: {verdict:?}, caught up is {:?} of {:?}",
            self.caught_up,
            self.epoch
        );
        require!(
            verdict.attempts == self.attempts,
            "I3",
            "{name}: {verdict:?} after {} requests",
            self.attempts
        );
        require!(
            verdict.recovered == verdict.gap.is_none() && (verdict.recovered || self.gap),
            "I3",
            "{name}: {verdict:?}, in this catch-up there was {} gap",
            if self.gap { "a" } else { "no" }
        );
        require!(
            Some(verdict.from) == self.from,
            "I3",
            "{name}: {verdict:?}, the first missing offset was {:?}",
            self.from
        );
        let lowest = if self.lowest == 0 { verdict.from } else { self.lowest.min(verdict.from) };
        let most = (verdict.to + 1).saturating_sub(lowest);
        // Over several attempts the log may go back, and who was given a part may leave.
        let one_range = self.attempts == 1 && !self.turned;
        require!(
            !one_range || verdict.replayed <= most,
            "I3",
            "{name}: {verdict:?} counts more replays than there were"
        );
        (self.attempts, self.from, self.gap, self.turned) = (0, None, false, false);
        Ok(())
    }

    pub(super) fn rest(&self) -> Judgement {
        let name = &self.name;
        if let (Some(through), true) = (self.caught_up, self.attempts > 0) {
            require!(
                self.flow <= through || self.consumers.is_empty(),
                "I3",
                "{name}: {through} is reached, and there is no verdict"
            );
        }
        if let (Some((epoch, offset)), Some(slowest)) = (&self.reported, self.slowest())
            && self.is_exact()
            && Some(epoch) == self.epoch.as_ref()
        {
            require!(
                *offset == slowest,
                "I4",
                "{name}: the position is {offset}, the slowest consumer has {slowest}"
            );
        }
        Ok(())
    }

    pub(super) fn check_concluded(&self) -> Judgement {
        require!(
            !self.is_wanted() || self.attempts == 0,
            "I3",
            "{}: caught up after {} requests, and there is no verdict",
            self.name,
            self.attempts
        );
        Ok(())
    }
}
