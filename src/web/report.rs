//! Facts on their way to the host, as numbers.

use super::host::Host;
use crate::proto::{ClientError, Event, Gap, Outcome, ResumeResult, Slot, Text, wire::NONE};

/// The kinds of reports; `pkg/src/core/border.ts` has the same list.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Report {
    Ended,
    Error,
    Gap,
    Message,
    Placed,
    Resumed,
    Settled,
    State,
    Token,
    Trouble,
    Welcome,
}

/// Offsets stay below 2^53 (GEN-5), where an `f64` is exact.
#[allow(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) const fn number(number: u64) -> f64 {
    number as f64
}

impl Host {
    fn put_all<const N: usize>(&self, numbers: [f64; N]) {
        for number in numbers {
            self.put(number);
        }
    }

    fn put_gap(&self, gap: &Gap) {
        let Gap { from, to, reason, epoch, life, next } = *gap;
        self.put_all([
            number(from),
            to.map_or(NONE, number),
            text(reason),
            epoch.map_or(NONE, text),
            life.into(),
            number(next),
        ]);
    }

    fn put_result(&self, result: &ResumeResult) {
        let (skipped_from, skipped_to) = result.skipped.unwrap_or_default();
        self.put_all([
            f64::from(u8::from(result.recovered)),
            text(result.epoch),
            number(result.from),
            number(result.to),
            number(result.replayed),
            number(result.duplicates_dropped),
            result.attempts.into(),
            // 0 is no offset.
            number(skipped_from),
            number(skipped_to),
            f64::from(u8::from(result.gap.is_some())),
        ]);
        if let Some(gap) = &result.gap {
            self.put_gap(gap);
        }
        if let Some(runs) = &result.open_runs {
            self.put(runs.len() as f64);
            for &run in runs {
                self.put(text(run));
            }
        } else {
            self.put(NONE);
        }
    }

    /// Reports a fact; returns what the host answers to a gap: whether it was delivered.
    pub(super) fn tell(&self, event: Event) -> bool {
        let kind = match event {
            Event::Ended { stream, reason } => {
                self.put_all([stream.0.into(), text(reason)]);
                Report::Ended
            }
            Event::Error(error) => {
                let (code, at, contradiction) = match error {
                    ClientError::BadServerFrame(why) => (Text::BAD_SERVER_FRAME, slot(why), NONE),
                    ClientError::Contradiction(which) => {
                        (Text::BAD_SERVER_FRAME, NONE, f64::from(which as u32))
                    }
                    ClientError::Server { code, slot: frame } => (code, slot(frame), NONE),
                    ClientError::Rejected(code) | ClientError::Token(code) => (code, NONE, NONE),
                    // The number of a text stands where others have that of a contradiction.
                    ClientError::SendHeld(id) => (Text::SEND_HELD, NONE, text(id)),
                };
                self.put_all([text(code), at, contradiction]);
                Report::Error
            }
            Event::Gap { consumer, gap } => {
                self.put(consumer.0.into());
                self.put_gap(&gap);
                Report::Gap
            }
            Event::Message { slot: frame } => {
                self.put(slot(frame));
                Report::Message
            }
            Event::Placed { consumer, epoch, offset } => {
                self.put_all([consumer.0.into(), text(epoch), number(offset)]);
                Report::Placed
            }
            Event::Resumed { consumer, result, .. } => {
                self.put(consumer.0.into());
                self.put_result(&result);
                Report::Resumed
            }
            Event::Settled { id, outcome, .. } => {
                let (code, receipt) = match outcome {
                    Outcome::Failed(code) => (text(code), NONE),
                    Outcome::Receipt { slot: frame } => (NONE, slot(frame)),
                };
                self.put_all([text(id), code, receipt]);
                Report::Settled
            }
            Event::StateChanged { state, reason, retry_in, attempt } => {
                let retry_in_ms = retry_in.map_or(NONE, |delay| number(delay.as_millis()));
                self.put_all([f64::from(state as u32), text(reason), retry_in_ms, attempt.into()]);
                Report::State
            }
            Event::Trouble(trouble) => {
                self.put(trouble.map_or(NONE, text));
                Report::Trouble
            }
            Event::Welcomed { session, subject, max_frame_bytes, time } => {
                let time = time.map_or(NONE, number);
                self.put_all([text(session), text(subject), number(max_frame_bytes), time]);
                Report::Welcome
            }
        };
        self.report(kind as u32)
    }
}

fn text(text: Text) -> f64 {
    text.0.into()
}

fn slot(slot: Slot) -> f64 {
    slot.0.into()
}
