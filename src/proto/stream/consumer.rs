//! One receiver of a stream: where it is, and what its catch-up brought so far.

use super::{catch_up::CatchUp, sequencer::Parked};
use crate::proto::{
    effects::Effects,
    ids::{ConsumerId, StreamId},
    input::Begin,
    output::{Event, Gap, Output},
    text::Text,
};

/// A receiver of events.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    place: Place,
    /// Counts the epochs that it entered: a report of what was delivered names it, so that no report of a former epoch
    /// counts for the present one.
    life: u32,
    /// Events that may wait to be delivered to it.
    max_queued: u64,
    /// Its catch-up, from the request until everything that was missing is delivered.
    pub(super) catch_up: Option<CatchUp>,
}

#[derive(Debug)]
enum Place {
    /// It has no place until the server has named the stream's epoch.
    Waiting(Begin),
    /// It is in the stream's epoch.
    Placed {
        /// The offset to send to it next.
        next: u64,
        /// The last offset that was delivered to it: it may hold more in a queue of its own.
        delivered: u64,
        /// The gap of an ended epoch, until the consumer has taken note of it.
        reset: Option<Reset>,
    },
}

/// The end of an epoch that a consumer has not taken note of. Others may have ended since.
#[derive(Clone, Copy, Debug)]
struct Reset {
    /// The life that ended with it.
    life: u32,
    /// The first offset of it that the consumer does not have.
    from: u64,
}

impl Consumer {
    pub(super) fn new(id: ConsumerId, begin: Begin, max_queued: Option<u32>) -> Self {
        let max_queued = max_queued.map_or(u64::MAX, u64::from);
        Self { id, place: Place::Waiting(begin), life: 0, max_queued, catch_up: None }
    }

    /// Gives each text that it holds.
    pub(super) fn texts(&self, mark: &mut dyn FnMut(Text)) {
        if let Place::Waiting(Begin::Position { epoch, .. }) = self.place {
            mark(epoch);
        }
        if let Some(Gap { reason, epoch, .. }) = self.catch_up.as_ref().and_then(|catch_up| catch_up.gap) {
            mark(reason);
            epoch.into_iter().for_each(mark);
        }
    }

    /// Where it asked to begin, while it has no place.
    pub(super) const fn waiting(&self) -> Option<&Begin> {
        if let Place::Waiting(begin) = &self.place { Some(begin) } else { None }
    }

    /// The offset to send to it next, once it has a place.
    pub(crate) const fn next(&self) -> Option<u64> {
        if let Place::Placed { next, .. } = self.place { Some(next) } else { None }
    }

    /// The last offset that was delivered to it, once it has a place.
    pub(crate) const fn delivered(&self) -> Option<u64> {
        if let Place::Placed { delivered, .. } = self.place { Some(delivered) } else { None }
    }

    /// Events that were sent to it and wait in its own queue.
    const fn queued(&self) -> u64 {
        if let Place::Placed { next, delivered, .. } = self.place { next - 1 - delivered } else { 0 }
    }

    /// Events that it has room for.
    const fn room(&self) -> u64 {
        self.max_queued.saturating_sub(self.queued())
    }

    pub(super) const fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// The room for what a request brings: asked for when half of all is free, so that requests are few.
    pub(super) const fn room_for_request(&self) -> Option<u64> {
        let room = self.room();
        if room >= self.max_queued.div_ceil(2) { Some(room) } else { None }
    }

    /// Gives it a place.
    pub(super) fn start_at(&mut self, next: u64) {
        self.place = Place::Placed { next, delivered: next - 1, reset: None };
        if let Some(catch_up) = &mut self.catch_up
            && catch_up.from == 0
        {
            catch_up.from = next;
        }
    }

    /// Sends it its part of a frame up to the offset `last`, if there is one and as far as it has room. Offsets up to `head` are
    /// replays.
    pub(super) fn send(&mut self, frame: Parked, last: u64, head: u64, fx: &mut Effects) {
        let room = self.room();
        let Place::Placed { next, .. } = &mut self.place else { return };
        let last = last.min((*next - 1).saturating_add(room));
        if !(frame.first..=last).contains(next) {
            return;
        }
        let (offset, count) = (*next, last - *next + 1);
        *next = last + 1;
        fx.push(Output::Deliver {
            consumer: self.id,
            life: self.life,
            slot: frame.slot,
            skip: narrow(offset - frame.first),
            take: narrow(count),
            offset,
            replay_through: head,
        });
        let replayed = (head.min(last) + 1).saturating_sub(offset);
        fx.stats.events_delivered += count;
        fx.stats.events_replayed += replayed;
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.replayed += replayed;
        }
    }

    /// Moves it behind offsets that will never come, and reports the gap.
    pub(super) fn skip_to(&mut self, after: u64, reason: Text, fx: &mut Effects) {
        let Place::Placed { next, .. } = &mut self.place else { return };
        let from = std::mem::replace(next, after);
        let gap = Gap { from, to: Some(after - 1), reason, epoch: None, life: self.life, next: after };
        self.report_gap(gap, fx);
    }

    /// Moves it from an epoch that ended, behind `delivered` of it, into another one, and reports the gap.
    ///
    /// If the gap of an earlier epoch was not delivered yet, this one takes its place.
    pub(super) fn enter_epoch(
        &mut self,
        delivered: u64,
        epoch: Text,
        next: u64,
        reason: Text,
        fx: &mut Effects,
    ) {
        let pending = if let Place::Placed { reset, .. } = self.place { reset } else { None };
        let reset = pending.unwrap_or(Reset { life: self.life, from: delivered + 1 });
        self.life += 1;
        self.place = Place::Placed { next, delivered: next - 1, reset: Some(reset) };
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.from = next;
        }
        let (from, epoch) = (reset.from, Some(epoch));
        self.report_gap(Gap { from, to: None, reason, epoch, life: self.life, next }, fx);
    }

    /// Notes what exists of a new epoch before the first offset that is owed to it.
    pub(super) const fn skip_in_epoch(&mut self, oldest: u64, owed: u64) {
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.skipped = if oldest < owed { Some((oldest, owed - 1)) } else { None };
        }
    }

    fn report_gap(&mut self, gap: Gap, fx: &mut Effects) {
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.gap = Some(gap);
        }
        fx.report(Event::Gap { consumer: self.id, gap });
    }

    /// Takes note of what the driver delivered. What a report of a former epoch names is not in the gap with which it ended.
    pub(super) const fn on_delivered(&mut self, life: u32, through: u64) {
        let Place::Placed { next, delivered, reset } = &mut self.place else { return };
        if life == self.life {
            *reset = None;
            let most = *next - 1;
            let through = if through < most { through } else { most };
            if through > *delivered {
                *delivered = through;
            }
        } else if let Some(reset) = reset
            && reset.life <= life
            && life < self.life
        {
            let is_old = reset.life == life && reset.from > through;
            *reset = if is_old { *reset } else { Reset { life, from: through.saturating_add(1) } };
        }
    }

    /// Begins a catch-up, or counts one more request for the present one.
    pub(super) fn request(&mut self) {
        let from = self.next().unwrap_or(0);
        self.catch_up.get_or_insert_with(|| CatchUp { from, ..CatchUp::default() }).attempts += 1;
    }

    /// Reports the resume result when everything up to `through` was sent to it (I3); returns whether it did.
    pub(super) fn conclude(
        &mut self,
        (stream, epoch): (StreamId, Text),
        through: u64,
        open_runs: Option<&[Text]>,
        fx: &mut Effects,
    ) -> bool {
        let Some(next) = self.next().filter(|&next| next > through) else { return false };
        let Some(catch_up) = self.catch_up.take() else { return false };
        let result = Box::new(catch_up.result(epoch, next, through, open_runs));
        fx.report(Event::Resumed { stream, consumer: self.id, result });
        true
    }
}

/// Narrows a number of events of one frame, at most 10,000 (EVT-1).
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
