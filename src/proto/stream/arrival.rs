//! What comes on a subscription: events, gaps, the end of the catch-up.

use super::{
    Phase, Refused, Stream, Subscription,
    consumer::Consumer,
    sequencer::{Arrival, Parked},
    subscription::CaughtUp,
};
use crate::proto::{
    effects::Effects,
    ids::{ConsumerId, Slot},
    text::Text,
    wire::Contradiction,
};

impl Stream {
    /// Takes a frame of events. If it is not refused, its slot is released here or when the frame is no longer early.
    pub(crate) fn on_events(
        &mut self,
        first: u64,
        count: u32,
        (slot, bytes): (Slot, u32),
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let frame = Parked { first, count, slot, bytes };
        let exceeds = |subscription: &Subscription| {
            frame.last() > subscription.received && subscription.unacknowledged() > self.window
        };
        if self.subscription().is_some_and(exceeds) {
            return Err(Refused::Contradiction(Contradiction::BeyondWindow));
        }
        match self.sequencer.classify(first, count) {
            Arrival::Early => {
                fx.stats.out_of_order += 1;
                if let Some(unneeded) = self.sequencer.park(frame).map_err(|_| Refused::Overflow)? {
                    fx.release(unneeded);
                }
            }
            Arrival::Old | Arrival::Next => {
                self.take(frame, fx);
                self.take_ready(fx);
            }
        }
        Ok(())
    }

    pub(super) fn take_ready(&mut self, fx: &mut Effects) {
        while let Some(frame) = self.sequencer.take_ready() {
            self.take(frame, fx);
        }
    }

    /// Sends a frame that is not early to each consumer that needs a part of it.
    fn take(&mut self, frame: Parked, fx: &mut Effects) {
        let (first, last, known) = (frame.first, frame.last(), self.sequencer.next());
        let Self { id, epoch, consumers, phase, sequencer, has_concluded, .. } = self;
        if let (Phase::Subscribed(subscription), Some(epoch)) = (phase, *epoch) {
            let mut wanted = false;
            for consumer in consumers.iter_mut() {
                if !consumer.next().is_some_and(|next| (first..=last).contains(&next)) {
                    continue;
                }
                // What a full queue has no room for is asked for again (RPL-4).
                if !consumer.has_room() {
                    continue;
                }
                wanted = true;
                // The resume result is delivered in its place: before everything that is live.
                consumer.send(frame, last.min(subscription.head), subscription.head, fx);
                if let Some(CaughtUp { open_runs }) = &subscription.caught_up {
                    *has_concluded |=
                        consumer.conclude((*id, epoch), subscription.head, open_runs.as_deref(), fx);
                    consumer.send(frame, last, subscription.head, fx);
                }
            }
            let old = (last + 1).min(known).saturating_sub(first);
            // What a consumer that lags took of it was no duplicate.
            let dropped = if !wanted || last >= known { old } else { 0 };
            fx.stats.duplicates_dropped += dropped;
            for catch_up in consumers.iter_mut().filter_map(|consumer| consumer.catch_up.as_mut()) {
                catch_up.duplicates += dropped;
            }
            subscription.receive(last, frame.bytes);
        }
        sequencer.advance_past(last);
        fx.release(frame.slot);
    }

    /// Takes a gap that the server declared (GAP-2).
    pub(crate) fn on_gap(
        &mut self,
        from: u64,
        to: u64,
        reason: Text,
        fx: &mut Effects,
    ) -> Result<(), Contradiction> {
        if from > self.sequencer.next() {
            return Err(Contradiction::GapTooEarly);
        }
        self.skip_to(from, to + 1, reason, fx);
        Ok(())
    }

    /// Takes the end of a request that the server owed: what it leaves missing below `oldest` is trimmed (RPL-3).
    pub(crate) fn on_repaired(&mut self, oldest: u64, fx: &mut Effects) {
        self.skip_to(1, oldest, Text::TRIMMED, fx);
    }

    /// The same for a consumer that asked for what the others have: it concerns nobody else.
    pub(crate) fn on_served(&mut self, id: ConsumerId, oldest: u64, fx: &mut Effects) {
        let lagging =
            |consumer: &&mut Consumer| consumer.id == id && consumer.next().is_some_and(|next| next < oldest);
        if let Some(consumer) = self.consumers.iter_mut().find(lagging) {
            consumer.skip_to(oldest, Text::TRIMMED, fx);
            fx.stats.gaps += 1;
        }
    }

    /// Reports the gap to each consumer whose next offset is in `from..after`, and moves it behind.
    pub(super) fn skip_to(&mut self, from: u64, after: u64, reason: Text, fx: &mut Effects) {
        let concerned =
            |consumer: &&mut Consumer| consumer.next().is_some_and(|next| (from..after).contains(&next));
        let mut concerns_any = false;
        for consumer in self.consumers.iter_mut().filter(concerned) {
            consumer.skip_to(after, reason, fx);
            concerns_any = true;
        }
        fx.stats.gaps += u64::from(concerns_any);
        if let Some(subscription) = self.subscription_mut() {
            subscription.skip(from, after - 1);
        }
        if after > self.sequencer.next() {
            self.sequencer.advance_past(after - 1);
            self.take_ready(fx);
        }
    }

    /// Takes the end of the catch-up; the resume results follow when everything came (SUB-10).
    pub(crate) fn on_caught_up(
        &mut self,
        offset: u64,
        open_runs: Option<Vec<Text>>,
        seal: Option<Text>,
    ) -> Result<(), Contradiction> {
        let Some(subscription) = self.subscription_mut() else { return Ok(()) };
        if offset != subscription.head {
            return Err(Contradiction::CaughtUpElsewhere);
        }
        if subscription.is_caught_up() {
            return Err(Contradiction::SecondCaughtUp);
        }
        subscription.expect(offset);
        subscription.caught_up = Some(CaughtUp { open_runs });
        seal.into_iter().for_each(|seal| self.keep_seal(seal));
        Ok(())
    }

    /// Reports the resume result to each consumer whose catch-up is complete (I3); returns whether there was one since the last
    /// call.
    pub(crate) fn conclude(&mut self, fx: &mut Effects) -> bool {
        if let Self { id, epoch: Some(epoch), consumers, phase: Phase::Subscribed(subscription), .. } = self
            && let Some(CaughtUp { open_runs }) = &subscription.caught_up
        {
            for consumer in consumers {
                self.has_concluded |=
                    consumer.conclude((*id, *epoch), subscription.head, open_runs.as_deref(), fx);
            }
        }
        std::mem::take(&mut self.has_concluded)
    }
}
