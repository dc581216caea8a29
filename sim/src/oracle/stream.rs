//! One stream of a page: who follows it, what each consumer got, and whether it may have got it.

use agentwire::proto::Duration;

use agentwire::proto::{
    Begin, ConsumerId, Instant, ResumeResult, StreamId, Text,
    wire::{Open, StreamRequest, Subscribed},
};

use super::{Counts, Judgement, require};
use crate::{
    driver::{Body, Item},
    server::Server,
};

/// How long an acknowledgement may wait for others (FLO-2).
const ACK_DELAY: Duration = Duration::from_secs(1);

/// Where a consumer stands, as far as anyone outside the core can know.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// The next item is this offset, or a gap that begins with it.
    Next { epoch: String, next: u64 },
    /// It began where the stream was: between its slowest and its fastest consumer.
    Within { epoch: String, low: u64, high: u64 },
    /// The next item is a gap that begins here: its position belongs to an epoch that is over. It goes on in the epoch of
    /// the stream, where that is.
    Reset { former: String, from: u64, epoch: String, next: u64 },
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
    /// It got something: it may not begin elsewhere again.
    began: bool,
    /// The offset after the last one that was sent to it, which an iterator may not have pulled.
    given: u64,
    /// The epoch that the last gap led to that was reported to it, and the first offset of it that it is owed.
    entering: Option<(String, u64)>,
    /// It begins the present epoch anew, because the page claimed what the server never had, or lost unproven (SUB-6).
    starts_over: Option<u64>,
    /// The last gap that was reported to it leads to the beginning of the epoch that it is in.
    is_started_over: bool,
    catch_up: Option<CatchUp>,
}

/// What is known of a catch-up that a consumer has no resume result of yet.
#[derive(Clone, Copy, Debug)]
struct CatchUp {
    /// The first offset that it was missing, where that is known.
    from: Option<u64>,
    /// Replays that were sent to it.
    replayed: u64,
    has_gap: bool,
    skipped: Option<(u64, u64)>,
    attempts: u32,
}

impl Consumer {
    pub(super) const fn new(id: ConsumerId) -> Self {
        Self {
            id,
            at: At::Unplaced(Begin::Stream),
            late: false,
            began: false,
            given: 0,
            entering: None,
            starts_over: None,
            is_started_over: false,
            catch_up: None,
        }
    }

    fn request(&mut self, from: Option<u64>) {
        let new = CatchUp { from, replayed: 0, has_gap: false, skipped: None, attempts: 0 };
        self.catch_up.get_or_insert(new).attempts += 1;
    }
}

/// What is known of a stream without asking the core.
#[derive(Debug)]
pub(super) struct StreamView {
    pub(super) id: StreamId,
    pub(super) name: String,
    open: Open,
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
    /// Frames that came before what stands before them: first and last offset.
    early: Vec<(u64, u64)>,
    /// The first offset of the present epoch, as the server answered.
    entry: u64,
    /// What was asked of the server and is not answered yet.
    requested: Option<Option<(String, u64)>>,
    ended: bool,
    /// The server ended the stream with this reason, which was not reported to the application yet.
    end_unreported: Option<String>,
    /// What each consumer had when the core was lost; it must go on there.
    kept: Vec<Consumer>,
    head: u64,
    acked: u64,
    /// Since when there is something to acknowledge.
    ack_owed: Option<Instant>,
    /// The runs that the server named as open at the end of the catch-up.
    open_runs: Vec<String>,
    /// The server has named the epoch.
    confirmed: bool,
    /// The head at which the epoch began, and the smallest offset, as the server answered.
    base: u64,
    oldest: u64,
}

impl StreamView {
    pub(super) fn new(id: StreamId, name: &str, open: Open) -> Self {
        Self {
            id,
            name: name.into(),
            open,
            consumers: Vec::new(),
            ch: None,
            caught_up: None,
            received: 0,
            epoch: None,
            flow: 0,
            early: Vec::new(),
            entry: 0,
            requested: None,
            ended: false,
            end_unreported: None,
            kept: Vec::new(),
            head: 0,
            acked: 0,
            ack_owed: None,
            open_runs: Vec::new(),
            confirmed: false,
            base: 0,
            oldest: 1,
        }
    }

    pub(super) const fn is_wanted(&self) -> bool {
        !self.consumers.is_empty() && !self.ended
    }

    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up.is_some_and(|through| self.flow > through)
    }

    /// Tells whether a consumer has more than the server is known to have: it has to be asked again (SUB-6).
    pub(super) fn is_ahead(&self) -> bool {
        let known = self.head.max(self.received);
        self.consumers.iter().filter_map(|consumer| self.next(consumer)).any(|next| next > known + 1)
    }

    /// The first offset of a new epoch that a page with a position in a former one is owed (I2).
    const fn owed(&self) -> u64 {
        match self.open {
            Open::Start => 1,
            Open::Last(_) | Open::Live => self.base + 1,
        }
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended && !self.consumers.is_empty()
    }

    /// The core was lost: the next one must let every consumer go on where it was.
    pub(super) fn trapped(&mut self) {
        let kept = std::mem::take(&mut self.consumers);
        *self = Self { kept, ..Self::new(self.id, &self.name, self.open) };
    }

    /// What a consumer has of the present epoch: the last offset that was delivered to it.
    fn done(&self, consumer: &Consumer) -> u64 {
        match &consumer.at {
            At::Next { .. } | At::Reset { .. } | At::Within { .. }
                if consumer.starts_over.is_some() || consumer.is_started_over =>
            {
                self.entry - 1
            }
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

    /// The offset that the core sends to a consumer next, where that is known.
    fn next(&self, consumer: &Consumer) -> Option<u64> {
        match &consumer.at {
            At::Next { .. } | At::Reset { .. } => Some(consumer.given.max(self.done(consumer) + 1)),
            At::Within { .. } | At::Unplaced(_) => None,
        }
    }

    fn slowest(&self) -> Option<u64> {
        self.consumers.iter().map(|consumer| self.done(consumer)).min()
    }

    /// Tells whether every consumer's place is known to the offset.
    fn is_exact(&self) -> bool {
        self.consumers.iter().all(|consumer| matches!(consumer.at, At::Next { .. }))
    }

    // --- I1, I2: what consumers get ---

    pub(super) fn attach(&mut self, mut consumer: Consumer, begin: &Begin) -> Judgement {
        let kept = self.kept.iter().position(|kept| kept.id == consumer.id);
        if let Some(Consumer { at: At::Next { epoch, next }, began: true, .. }) =
            kept.map(|index| self.kept.swap_remove(index))
        {
            let there = Begin::Position { epoch: epoch.into(), offset: next - 1 };
            require!(*begin == there, "I1", "{}: after a trap {begin:?} instead of {there:?}", self.name);
        }
        self.ended = false;
        let asked = self.requested.is_some() || self.ch.is_some();
        if let (false, Begin::Position { epoch, offset }) = (asked, begin) {
            if self.has_none_placed() {
                self.begin_at(&epoch.as_rc(), *offset);
            } else if self.epoch.as_deref() == Some(&*epoch.as_rc()) {
                // What the others have is brought again, for this one.
                self.flow = self.flow.min(offset + 1);
            }
        }
        consumer.at = self.place(begin);
        if asked {
            consumer.request(self.next(&consumer));
            self.note_skipped(&mut consumer);
        }
        consumer.late = self.ch.is_some()
            && match &consumer.at {
                At::Next { next, .. } | At::Reset { next, .. } => *next <= self.received,
                At::Within { high, .. } => *high <= self.received,
                At::Unplaced(_) => false,
            };
        self.consumers.push(consumer);
        Ok(())
    }

    fn has_none_placed(&self) -> bool {
        self.consumers.iter().all(|consumer| matches!(consumer.at, At::Unplaced(_)))
    }

    /// The stream takes a position that a consumer brought.
    fn begin_at(&mut self, epoch: &str, offset: u64) {
        self.confirmed &= self.epoch.as_deref() == Some(epoch);
        (self.epoch, self.flow, self.entry) = (Some(epoch.into()), offset + 1, offset + 1);
        self.place_the_waiting(epoch, offset + 1);
    }

    /// Before the stream is asked for, without a consumer that has a place, it takes the first position that one brought.
    fn take_waiting_position(&mut self) {
        let waiting = self.consumers.iter().find_map(|consumer| match &consumer.at {
            At::Unplaced(Begin::Position { epoch, offset }) => Some((String::from(*epoch), *offset)),
            _ => None,
        });
        if let Some((epoch, offset)) = waiting.filter(|_| self.has_none_placed()) {
            self.begin_at(&epoch, offset);
        }
    }

    /// A consumer that enters the epoch late is not owed what exists before its first offset.
    fn note_skipped(&self, consumer: &mut Consumer) {
        let owed = self.owed();
        if let (At::Reset { .. }, Some(catch_up)) = (&consumer.at, &mut consumer.catch_up) {
            catch_up.from = Some(owed);
            catch_up.skipped = (self.oldest < owed).then_some((self.oldest, owed - 1));
            // The end of its epoch is a gap, which is reported when it gets its place.
            catch_up.has_gap = true;
        }
    }

    fn place(&self, begin: &Begin) -> At {
        let Some(epoch) = self.epoch.clone() else { return At::Unplaced(*begin) };
        let low = self.slowest().map_or(self.flow, |done| done.saturating_add(1).min(self.flow));
        // The furthest of the others may be ahead of what flows again for the slowest.
        let furthest = self.consumers.iter().filter_map(|consumer| self.next(consumer)).max();
        let high = self.flow.max(furthest.unwrap_or(0));
        let (low, high) = match begin {
            Begin::Stream => (low, high),
            Begin::After(offset) => (low.min(offset + 1), high.min(offset + 1)),
            Begin::Position { epoch: own, offset } if *own == epoch => (offset + 1, offset + 1),
            // Which of the two is over is the server's word.
            Begin::Position { .. } if !self.confirmed || self.ch.is_none() => {
                return At::Unplaced(*begin);
            }
            Begin::Position { epoch: own, offset } => {
                return At::Reset { former: (*own).into(), from: offset + 1, epoch, next: self.owed() };
            }
        };
        if low == high { At::Next { epoch, next: low } } else { At::Within { epoch, low, high } }
    }

    /// The stream has a position now. Those that waited for it begin side by side: none is the stream's past for another.
    fn place_the_waiting(&mut self, epoch: &str, first: u64) {
        let furthest = self.consumers.iter().filter_map(|consumer| self.next(consumer)).max();
        let first = first.max(furthest.unwrap_or(0));
        for index in 0..self.consumers.len() {
            let At::Unplaced(begin) = &self.consumers[index].at else { continue };
            let next = match *begin {
                Begin::Stream => first,
                Begin::After(offset) => first.min(offset + 1),
                begin @ Begin::Position { .. } => {
                    let mut consumer = self.consumers.remove(index);
                    consumer.at = self.place(&begin);
                    if let (At::Next { next, .. }, Some(catch_up)) = (&consumer.at, &mut consumer.catch_up) {
                        catch_up.from.get_or_insert(*next);
                    }
                    self.note_skipped(&mut consumer);
                    self.consumers.insert(index, consumer);
                    continue;
                }
            };
            let consumer = &mut self.consumers[index];
            consumer.at = At::Next { epoch: epoch.into(), next };
            if let Some(catch_up) = &mut consumer.catch_up {
                catch_up.from.get_or_insert(next);
            }
        }
    }

    /// The core says where it put a consumer that came without a position: from there on it is held to it.
    pub(super) fn placed(&mut self, id: ConsumerId, named: &str, offset: u64) -> Judgement {
        if self.ch.is_none() && self.requested.is_none() {
            self.take_waiting_position();
        }
        let name = &self.name;
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else {
            return Ok(());
        };
        let next = offset + 1;
        let right = match &consumer.at {
            At::Next { epoch, next: known } => epoch == named && *known == next,
            At::Within { epoch, low, high } => epoch == named && (*low..=*high).contains(&next),
            At::Reset { .. } | At::Unplaced(_) => false,
        };
        require!(
            right && !consumer.began,
            "I4",
            "{name}, {id:?} at {:?} is placed after {offset} of {named}",
            consumer.at
        );
        consumer.at = At::Next { epoch: named.into(), next };
        consumer.began = true;
        if let Some(catch_up) = &mut consumer.catch_up {
            catch_up.from.get_or_insert(next);
        }
        Ok(())
    }

    pub(super) fn queued(
        &mut self,
        id: ConsumerId,
        offset: u64,
        take: u32,
        replay_through: u64,
    ) -> Judgement {
        let (name, last) = (&self.name, offset + u64::from(take) - 1);
        require!(self.ch.is_some(), "SUB-12", "{name}: {offset} is sent, and nothing is subscribed");
        require!(take > 0, "I1", "{name}: nothing is sent at {offset}");
        require!(last <= self.received, "I1", "{name}: {offset}..={last} is sent and did not come");
        require!(
            replay_through == self.head,
            "EVT-5",
            "{name}: replays end at {replay_through}, the head was {}",
            self.head
        );
        self.advance(last + 1);
        if let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) {
            consumer.given = last + 1;
            if let Some(catch_up) = &mut consumer.catch_up {
                catch_up.replayed += (self.head.min(last) + 1).saturating_sub(offset);
            }
        }
        Ok(())
    }

    pub(super) fn delivered(
        &mut self,
        id: ConsumerId,
        item: &Item,
        (server, subject): (&Server, &str),
        counts: &mut Counts,
    ) -> Judgement {
        let name = self.name.clone();
        let log = &server.logs[&name];
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else {
            return Ok(());
        };
        let first = match item {
            Item::Event { offset, .. } => *offset,
            Item::Gap { from, .. } => *from,
            // A gap can go beyond the end of the catch-up.
            Item::Resumed(ResumeResult { to, gap: Some(gap), .. }) => gap.next.max(to + 1),
            Item::Resumed(result) => result.to + 1,
        };
        let (epoch, expected) = match &consumer.at {
            At::Next { epoch, next } => (Some(epoch.clone()), first == *next),
            At::Within { epoch, low, high } => (Some(epoch.clone()), (*low..=*high).contains(&first)),
            At::Reset { former, from, .. } => {
                (Some(former.clone()), first == *from && matches!(item, Item::Gap { to: None, .. }))
            }
            At::Unplaced(_) => (None, false),
        };
        require!(expected, "I1", "{name}, {id:?} at {:?} gets {item:?}", consumer.at);
        consumer.began = true;
        match item {
            Item::Event { offset, body, .. } => {
                let epoch = epoch.unwrap_or_default();
                let place = log.place_of(&epoch);
                let stored = place.and_then(|place| log.lives[place].events.get(*offset as usize - 1));
                let is = place.zip(stored).is_some_and(|(place, stored)| match body {
                    Body::Event(number) => *number == log.number(place, *offset),
                    Body::Void => stored.void,
                });
                require!(is, "I1", "{name}, {id:?}: {item:?} is not what the log has at {offset} of {epoch}");
                let durable = place.map_or(0, |place| log.lives[place].durable);
                require!(
                    *offset <= durable,
                    "I13",
                    "{name}, {id:?}: {item:?}, durable is {durable} of {epoch}"
                );
                consumer.at = At::Next { epoch, next: offset + 1 };
                counts.events += 1;
            }
            Item::Gap { from, to: Some(to), next, epoch: named, reason, .. } => {
                let epoch = epoch.unwrap_or_default();
                let life = log.place_of(&epoch).map(|place| &log.lives[place]);
                let oldest = life.map_or(0, |life| life.oldest);
                let withheld = life.and_then(|life| life.withheld_through(subject, *from));
                let legal = if reason == "forbidden" {
                    withheld.is_some_and(|last| last >= *to)
                } else {
                    oldest > *to
                };
                require!(
                    legal,
                    "I2",
                    "{name}, {id:?}: {item:?}, but {epoch} is left from {oldest} on, withheld through {withheld:?}"
                );
                require!(*next == to + 1 && named.is_none(), "GAP-5", "{name}, {id:?}: {item:?}");
                consumer.at = At::Next { epoch, next: *next };
                counts.gaps += 1;
            }
            Item::Gap { to: None, next, epoch: named, .. } => {
                let named = named.clone().unwrap_or_default();
                let former = epoch.unwrap_or_default();
                let is_anew = former == named && consumer.is_started_over;
                let later = log.place_of(&former) < log.place_of(&named) || is_anew;
                consumer.is_started_over = false;
                require!(later, "I2", "{name}, {id:?}: {item:?}, but {former} did not end before it");
                // An iterator may be pulled when the next epoch has begun and is not reported to it.
                let entering = consumer.entering.take();
                require!(
                    entering.as_ref().is_some_and(|(epoch, owed)| *epoch == named && owed == next),
                    "GAP-5",
                    "{name}, {id:?}: {item:?}, the stream entered {entering:?}"
                );
                consumer.at = At::Next { epoch: named, next: *next };
                counts.gaps += 1;
            }
            // Its place was looked at above.
            Item::Resumed(_) => {}
        }
        Ok(())
    }

    /// A gap was reported to a consumer, up to `to` if it is not the rest of an epoch.
    pub(super) fn declared(&mut self, id: ConsumerId, to: Option<u64>) {
        let owed = self.owed();
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else { return };
        if let Some(to) = to {
            consumer.given = consumer.given.max(to + 1);
        } else {
            let anew = consumer.starts_over.take();
            consumer.is_started_over = anew.is_some();
            consumer.entering = self.epoch.clone().map(|epoch| (epoch, anew.unwrap_or(owed)));
        }
        if let Some(catch_up) = &mut consumer.catch_up {
            catch_up.has_gap = true;
        }
    }

    pub(super) fn leave(&mut self, id: ConsumerId) {
        if let [last] = self.consumers.as_slice()
            && last.id == id
            && self.epoch.is_some()
        {
            self.flow = self.done(last).saturating_add(1);
        }
        self.consumers.retain(|consumer| consumer.id != id);
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
        self.ack_owed = None;
        self.early.clear();
    }

    pub(super) fn on_caught_up(&mut self, offset: u64, open_runs: &[String]) {
        self.caught_up = Some(offset);
        self.open_runs = open_runs.to_vec();
    }

    pub(super) fn on_subscribed(&mut self, answer: &Subscribed) {
        let Some(requested) = self.requested.take() else { return };
        if self.consumers.is_empty() {
            // Everyone left while the answer was under way: it is given up.
            return;
        }
        (self.ch, self.caught_up, self.head) = (Some(answer.ch), None, answer.head);
        (self.received, self.acked) = (answer.next - 1, answer.next - 1);
        (self.base, self.oldest, self.confirmed) = (answer.base, answer.oldest, true);
        for consumer in &mut self.consumers {
            consumer.late = false;
        }
        match requested {
            None => {
                let first = if answer.recovered { answer.next } else { 1 };
                (self.flow, self.entry) = (first, first);
                self.epoch = Some(answer.epoch.into());
                self.place_the_waiting(&answer.epoch.as_rc(), first);
                self.flow = self.flow.max(answer.next);
            }
            Some((epoch, _)) if epoch == answer.epoch && answer.reason == Some(Text::AHEAD) => {
                for consumer in &mut self.consumers {
                    if !matches!(consumer.at, At::Unplaced(_)) {
                        consumer.starts_over = Some(answer.oldest);
                    }
                }
                self.enter(answer, answer.oldest);
            }
            Some((epoch, _)) if epoch == answer.epoch => {
                self.place_the_waiting(&answer.epoch.as_rc(), self.flow);
                self.flow = self.flow.max(answer.next);
            }
            Some(_) => self.enter(answer, self.owed()),
        }
    }

    fn enter(&mut self, answer: &Subscribed, owed: u64) {
        (self.epoch, self.flow, self.entry) = (Some(answer.epoch.into()), owed, owed);
        self.early.clear();
        for consumer in &mut self.consumers {
            consumer.given = 0;
            if let (At::Next { .. } | At::Reset { .. } | At::Within { .. }, Some(catch_up)) =
                (&consumer.at, &mut consumer.catch_up)
            {
                catch_up.from = Some(owed);
                catch_up.skipped = (self.oldest < owed).then_some((self.oldest, owed - 1));
            }
        }
        self.place_the_waiting(&answer.epoch.as_rc(), owed);
        self.flow = self.flow.max(answer.next);
    }

    pub(super) fn on_events(&mut self, first: u64, count: u32) {
        self.received = self.received.max(first + u64::from(count) - 1);
        let last = first + u64::from(count) - 1;
        if first > self.flow {
            self.early.push((first, last));
            return;
        }
        self.flow_goes_by(first);
        self.advance(last + 1);
    }

    /// The flow has come to an offset, and past the early frames that wait for it.
    fn advance(&mut self, next: u64) {
        self.flow = self.flow.max(next);
        while let Some(index) = self.early.iter().position(|(first, _)| *first <= self.flow) {
            let (first, last) = self.early.swap_remove(index);
            self.flow_goes_by(first);
            self.flow = self.flow.max(last + 1);
        }
    }

    /// The stream is past what begins here: for a consumer that misses something before it, the flow has gone by.
    fn flow_goes_by(&mut self, first: u64) {
        for index in 0..self.consumers.len() {
            let done = self.done(&self.consumers[index]);
            let consumer = &mut self.consumers[index];
            consumer.late |= first > consumer.given.max(done.saturating_add(1));
        }
    }

    pub(super) fn on_gap(&mut self, from: u64, to: u64) {
        if from <= self.flow {
            self.flow_goes_by(from);
            self.skip(to + 1);
        }
        self.received = self.received.max(to);
    }

    /// Tells whether a request is for what the server owes, and not for what the flow has brought to others.
    pub(super) const fn is_owed(&self, from: u64) -> bool {
        from >= self.flow || from > self.received
    }

    /// A request for what was owed is over; what is below `oldest` is trimmed (RPL-3).
    pub(super) fn on_repaired(&mut self, oldest: u64) {
        self.skip(oldest);
        self.received = self.received.max(oldest - 1);
    }

    fn skip(&mut self, next: u64) {
        self.advance(next);
    }

    pub(super) fn on_unsubscribed(&mut self, ch: Option<u32>, reason: &str) {
        let concerns_us = if ch.is_some() { self.ch == ch } else { self.requested.is_some() };
        if concerns_us {
            self.link_down();
            if reason != "epoch" && reason != "unavailable" {
                self.ended = true;
                self.end_unreported = Some(reason.into());
            }
        }
    }

    pub(super) fn end_reported(&mut self, reason: &str) -> Judgement {
        let (name, said) = (&self.name, self.end_unreported.take());
        require!(
            said.as_deref() == Some(reason),
            "SUB-11",
            "{name}: the end is reported with {reason:?}, the server said {said:?}"
        );
        Ok(())
    }

    // --- What the client asked and acknowledged ---

    pub(super) fn requested(&mut self, request: &StreamRequest) -> Judgement {
        self.take_waiting_position();
        let name = &self.name;
        require!(
            self.requested.is_none() && self.ch.is_none(),
            "SUB-2",
            "{name} is asked for twice on one socket"
        );
        let slowest = self.slowest().unwrap_or_default();
        let position = request.position;
        if let Some(epoch) = &self.epoch {
            let (asked, offset) =
                position.map_or_else(Default::default, |(epoch, offset)| (String::from(epoch), offset));
            require!(asked == *epoch, "I4", "{name} resumes in {asked:?}, it is in {epoch}");
            // Asked again at once for one that is ahead, it may not know yet that a gap was delivered.
            let is_exact = self.is_exact() && !self.is_ahead();
            let right = if is_exact { offset == slowest } else { offset <= slowest };
            require!(right, "I4", "{name} resumes after {offset}, the slowest consumer has {slowest}");
        } else {
            require!(position.is_none(), "I4", "{name} resumes from {position:?}, it has no position");
        }
        // A log that went back is noticed by what the furthest consumer has (SUB-6).
        if let Some((_, offset)) = position.as_ref().filter(|_| self.is_exact()) {
            let furthest = self.consumers.iter().filter_map(|consumer| self.next(consumer)).max();
            let furthest = furthest.map(|next| next - 1).filter(|furthest| furthest > offset);
            let named = request.seen;
            require!(named == furthest, "SUB-6", "{name}: seen is {named:?}, a consumer has {furthest:?}");
        }
        // One that began earlier may have left: what it needed is asked for no more.
        if self.is_exact()
            && let Some(next) =
                self.consumers.iter().map(|consumer| consumer.given.max(self.done(consumer) + 1)).min()
        {
            self.flow = self.flow.max(next);
        }
        let places = self.consumers.iter().map(|consumer| self.next(consumer)).collect::<Vec<_>>();
        for (consumer, from) in self.consumers.iter_mut().zip(places) {
            consumer.request(from);
        }
        self.requested = Some(position.map(|(epoch, offset)| (epoch.into(), offset)));
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
        // One whose queue was full is behind the flow, and is served by requests.
        let in_flow = |consumer: &&Consumer| {
            !consumer.late && self.next(consumer).is_none_or(|next| next > self.received)
        };
        for consumer in self.consumers.iter().filter(in_flow) {
            let done = self.done(consumer);
            require!(
                offset <= done,
                "FLO-2",
                "{name}: {offset} is acknowledged, {:?} got {done}",
                consumer.id
            );
        }
        self.acked = offset;
        self.ack_owed = None;
        Ok(())
    }

    // --- I3: resume results ---

    pub(super) fn resumed(&mut self, id: ConsumerId, result: &ResumeResult) -> Judgement {
        let name = &self.name;
        let Some(through) = self.caught_up else {
            require!(
                false,
                "I3",
                "{name}: {result:?}, and the server did not say that it has sent everything"
            );
            return Ok(());
        };
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else {
            return Ok(());
        };
        let Some(catch_up) = consumer.catch_up.take() else {
            require!(false, "I3", "{name}, {id:?}: a resume result without a catch-up: {result:?}");
            return Ok(());
        };
        let behind = result.from > through + 1;
        require!(
            Some(&*result.epoch.as_rc()) == self.epoch.as_deref()
                && result.to == if behind { result.from - 1 } else { through },
            "I3",
            "{name}, {id:?}: {result:?}, caught up is {through} of {:?}",
            self.epoch
        );
        require!(
            result.attempts == catch_up.attempts,
            "I3",
            "{name}, {id:?}: {result:?} after {} requests",
            catch_up.attempts
        );
        require!(
            result.recovered != catch_up.has_gap && result.recovered == result.gap.is_none(),
            "I3",
            "{name}, {id:?}: {result:?}, in this catch-up there was {} gap",
            if catch_up.has_gap { "a" } else { "no" }
        );
        require!(
            catch_up.from.is_none_or(|from| from == result.from),
            "I3",
            "{name}, {id:?}: {result:?}, the first missing offset was {:?}",
            catch_up.from
        );
        require!(
            result.replayed == catch_up.replayed,
            "I3",
            "{name}, {id:?}: {result:?}, it was sent {} replays",
            catch_up.replayed
        );
        require!(
            result.skipped == catch_up.skipped,
            "I2",
            "{name}, {id:?}: {result:?}, of the epoch {:?} exists and is not owed",
            catch_up.skipped
        );
        let open_runs = (!behind).then(|| self.open_runs.iter().map(Into::into).collect());
        require!(
            result.open_runs == open_runs,
            "I5",
            "{name}, {id:?}: {result:?}, the server named {open_runs:?} as open"
        );
        Ok(())
    }

    pub(super) fn rest(&self) -> Judgement {
        let name = &self.name;
        let Some(through) = self.caught_up else { return Ok(()) };
        let owes = |consumer: &&Consumer| {
            consumer.catch_up.is_some() && self.next(consumer).is_some_and(|next| next > through)
        };
        let owed = self.consumers.iter().find(owes).map(|consumer| consumer.id);
        require!(
            owed.is_none(),
            "I3",
            "{name}, {owed:?}: {through} is reached, and there is no resume result"
        );
        Ok(())
    }

    /// What holds while the connection stands: an end is reported at once, and an acknowledgement waits 1 s at most, or not at
    /// all when a quarter of the window is used up (SUB-11, FLO-2).
    pub(super) fn rest_connected(&mut self, window: u64, now: Instant) -> Judgement {
        let name = &self.name;
        require!(self.end_unreported.is_none(), "SUB-11", "{name} was ended, and nobody was notified");
        let at_flow = self.is_exact()
            && self.ch.is_some()
            && self.consumers.iter().any(|consumer| self.done(consumer) >= self.received);
        let all_have = self.slowest().unwrap_or_default().min(self.received);
        if !at_flow || all_have <= self.acked {
            self.ack_owed = None;
            return Ok(());
        }
        let owed = all_have - self.acked;
        require!(owed < window.div_ceil(4), "FLO-2", "{name}: {owed} events wait to be acknowledged");
        let since = *self.ack_owed.get_or_insert(now);
        let waits = now.since(since);
        require!(waits <= ACK_DELAY, "FLO-2", "{name}: {owed} events wait for {waits:?} to be acknowledged");
        Ok(())
    }

    pub(super) fn check_concluded(&self) -> Judgement {
        let name = &self.name;
        let owed = self.consumers.iter().find(|consumer| self.is_wanted() && consumer.catch_up.is_some());
        require!(
            owed.is_none(),
            "I3",
            "{name}, {owed:?}: everything has come, and there is no resume result"
        );
        Ok(())
    }
}
