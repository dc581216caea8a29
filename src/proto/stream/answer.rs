//! What the server answers to a request for a stream (SUB-3 to SUB-8, GAP-4).

use super::{Phase, Position, Stream, Subscription, owed_from};
use crate::proto::{
    effects::Effects,
    text::Text,
    wire::{Contradiction, Open, Subscribed},
};

impl Stream {
    /// Takes the answer of the server.
    pub(crate) fn on_subscribed(
        &mut self,
        answer: &Subscribed,
        fx: &mut Effects,
    ) -> Result<(), Contradiction> {
        let Phase::Requested(requested) = std::mem::replace(&mut self.phase, Phase::Detached) else {
            return Err(Contradiction::AnswerUnasked);
        };
        let epoch_ended = std::mem::take(&mut self.epoch_ended);
        let meaning = Answer::of(requested.as_ref(), self.asked, answer)?;
        if epoch_ended && self.epoch == Some(answer.epoch) {
            return Err(Contradiction::EpochIsOver);
        }
        self.is_confirmed = true;
        self.refusals = 0;
        (self.base, self.oldest) = (answer.base, answer.oldest);
        let reason = answer.reason.unwrap_or(Text::TRIMMED);
        // On a new socket the server sends from the position on. What had come beyond it is taken as a duplicate.
        self.phase = Phase::Subscribed(Subscription::new(answer));
        match meaning {
            Answer::Begins { next } => {
                let first = if answer.recovered { next } else { 1 };
                self.epoch = Some(answer.epoch);
                self.sequencer.start_at(first);
                self.place_consumers(fx);
                self.skip_to(first, next, reason, fx);
            }
            Answer::Recovered => self.place_consumers(fx),
            Answer::Trimmed { from } => {
                self.place_consumers(fx);
                self.skip_to(from, answer.oldest, reason, fx);
            }
            Answer::NewEpoch { owed } => self.change_epoch(answer, owed, fx),
        }
        Ok(())
    }

    /// Ends the present epoch for the page, or begins it anew. What waits in queues belongs to it, so the gap begins after what was delivered.
    fn change_epoch(&mut self, answer: &Subscribed, owed: u64, fx: &mut Effects) {
        let reason = answer.reason.unwrap_or(Text::TRIMMED);
        for consumer in &mut self.consumers {
            let Some(delivered) = consumer.delivered() else { continue };
            consumer.enter_epoch(delivered, answer.epoch, owed, reason, fx);
            consumer.skip_in_epoch(answer.oldest, owed);
        }
        fx.stats.gaps += 1;
        self.epoch = Some(answer.epoch);
        self.sequencer.start_at(owed);
        self.place_consumers(fx);
        self.skip_to(owed, answer.next, Text::TRIMMED, fx);
    }
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The stream had no position.
    Begins { next: u64 },
    /// Everything after the position follows.
    Recovered,
    /// A part after the position is gone.
    Trimmed { from: u64 },
    /// The position belongs to an epoch that is over, or to a part of the present one that never was.
    NewEpoch { owed: u64 },
}

impl Answer {
    /// Reads an answer; a contradiction if it is not what the rules say of the request.
    fn of(requested: Option<&Position>, open: Open, answer: &Subscribed) -> Result<Self, Contradiction> {
        let Subscribed { oldest, head, .. } = *answer;
        let (meaning, next, reasons): (_, _, &[Text]) = match requested {
            None => {
                let next = match open {
                    Open::Start => oldest,
                    Open::Live => head + 1,
                    Open::Last(count) => oldest.max((head + 1).saturating_sub(u64::from(count))),
                };
                let is_trimmed = open == Open::Start && oldest > 1;
                (Self::Begins { next }, next, if is_trimmed { &[Text::TRIMMED] } else { &[] })
            }
            Some(position) if position.epoch != answer.epoch => {
                let owed = owed_from(open, answer.base);
                (Self::NewEpoch { owed }, owed.max(oldest), &[Text::EPOCH])
            }
            // Nothing proves that the log ever had it: this page starts over, in the same epoch (SUB-6).
            Some(position) if position.seen > head => {
                (Self::NewEpoch { owed: oldest }, oldest, &[Text::AHEAD])
            }
            Some(position) if position.offset + 1 < oldest => {
                (Self::Trimmed { from: position.offset + 1 }, oldest, &[Text::TRIMMED])
            }
            Some(position) => (Self::Recovered, position.offset + 1, &[]),
        };
        let agrees = answer.reason.map_or(reasons.is_empty(), |reason| reasons.contains(&reason));
        if answer.next != next || answer.recovered != reasons.is_empty() || !(answer.recovered || agrees) {
            return Err(Contradiction::AnswerDisagrees);
        }
        Ok(meaning)
    }
}
