//! What is known of a stream while a record is made: the ledger, and what the record holds already.

use std::sync::Arc;

use super::Draft;
use crate::event::Claims;
use crate::ledger::{Answer, Approval, Run, Waiting};
use crate::log::Fact;
use crate::stream::Position;

impl Draft<'_> {
    /// Who sent the message at a place, and its id. One that another run has claimed is found by the answer to its send.
    pub(super) fn sender(&self, place: u64) -> Option<(Arc<str>, Arc<str>)> {
        if let Some(Waiting { subject, send_id, .. }) = self.waiting(place) {
            return Some((subject, send_id));
        }
        let drafted = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { key, offset, is_message: true, .. } if *offset == place => {
                Some((Arc::clone(&key.subject), Arc::clone(&key.id)))
            }
            _ => None,
        });
        let is_of = |answer: &Answer| answer.is_message && answer.offset == place;
        let known =
            || self.ledger.answers.iter().find(|(_, answer)| is_of(answer)).map(|(key, _)| key.clone());
        drafted.or_else(known)
    }

    /// Runs that are open after what the record holds already, in the order in which they began.
    pub(super) fn open_runs(&self) -> Vec<Arc<str>> {
        let started = self.facts.iter().filter_map(|fact| match fact {
            Fact::RunStarted { run, .. } => Some(run),
            _ => None,
        });
        self.ledger.open_runs().chain(started).filter(|run| !self.is_over(run)).cloned().collect()
    }

    /// A message that waits.
    pub(super) fn waiting(&self, place: u64) -> Option<Waiting> {
        let is_of = |fact: &&Fact| match fact {
            Fact::Waiting { offset, .. }
            | Fact::Claimed { offset }
            | Fact::Withdrawn { offset }
            | Fact::Requeued { offset }
            | Fact::Edited { offset, .. } => *offset == place,
            _ => false,
        };
        let known = self.ledger.waiting.get(&place).cloned();
        let waiting = self.facts.iter().filter(is_of).fold(known, Waiting::after);
        waiting.filter(|_| !self.is_claimed(place))
    }

    /// The place of a message that a run is given and takes.
    pub(super) fn steering_of(&self, run: &Arc<str>, claims: &Claims) -> Option<u64> {
        let mut steering = self.steering().into_iter().filter(|(_, of)| of == run).map(|(place, _)| place);
        steering.find(|place| match claims {
            Claims::At { offset, .. } => offset == place,
            Claims::First(id) => self.waiting(*place).is_some_and(|waiting| waiting.send_id == *id),
        })
    }

    /// Tells whether a message has another text than the one that was handled, or was withdrawn.
    pub(super) fn has_changed(&self, offset: u64, edited: Option<u64>) -> bool {
        match self.waiting(offset) {
            Some(waiting) => waiting.edited != edited,
            None => self.is_withdrawn(offset),
        }
    }

    pub(super) fn is_withdrawn(&self, place: u64) -> bool {
        let is_drafted = |fact: &Fact| matches!(fact, Fact::Withdrawn { offset } if *offset == place);
        self.ledger.withdrawn.contains(&place) || self.facts.iter().any(is_drafted)
    }

    /// The run as it is after what the record holds already.
    pub(super) fn run(&self, id: &str) -> Option<Run> {
        let of = |fact: &&Fact| match fact {
            Fact::RunStarted { run, .. } | Fact::RunEnded { run, .. } | Fact::CancelAccepted { run } => {
                **run == *id
            }
            _ => false,
        };
        self.facts.iter().filter(of).fold(self.ledger.runs.get(id).cloned(), Run::after)
    }

    pub(super) fn is_over(&self, run: &str) -> bool {
        self.run(run).is_some_and(|run| run.ended.is_some())
    }

    pub(super) fn approval(&self, run: &Arc<str>, id: &Arc<str>) -> Option<Approval> {
        let is_of = |fact: &&Fact| match fact {
            Fact::ApprovalRequested { run: of, approval, .. }
            | Fact::ApprovalResolved { run: of, approval, .. } => of == run && approval == id,
            _ => false,
        };
        let known = self.ledger.approvals.get(&(Arc::clone(run), Arc::clone(id))).cloned();
        self.facts.iter().filter(is_of).fold(known, Approval::after)
    }

    pub(super) fn answer(&self, subject: &Arc<str>, id: &str) -> Option<Answer> {
        let drafted = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { key, status, epoch, offset, resolution, is_message }
                if key.subject == *subject && *key.id == *id =>
            {
                let (hash, epoch, resolution) =
                    (Arc::clone(&key.hash), Arc::clone(epoch), resolution.clone());
                let (status, offset, is_message) = (*status, *offset, *is_message);
                Some(Answer { hash, status, epoch, offset, resolution, is_message })
            }
            _ => None,
        });
        drafted.or_else(|| self.ledger.answers.get(&(Arc::clone(subject), id.into())).cloned())
    }

    pub(super) fn first_waiting(&self, id: &str) -> Option<u64> {
        let known = self.ledger.waiting.iter().filter(|(_, one)| *one.send_id == *id).map(|(at, _)| *at);
        let drafted = self.facts.iter().filter_map(|fact| match fact {
            Fact::Waiting { offset, send_id, .. } if **send_id == *id => Some(*offset),
            _ => None,
        });
        known.chain(drafted).find(|offset| !self.is_claimed(*offset))
    }

    pub(super) fn is_claimed(&self, place: u64) -> bool {
        self.facts.iter().any(|fact| match fact {
            Fact::Claimed { offset } | Fact::Withdrawn { offset } => *offset == place,
            Fact::Trimmed { through } => place <= *through,
            _ => false,
        })
    }

    /// Whether somebody has to do something after this record.
    pub(super) fn is_open(&self) -> bool {
        if self.facts.is_empty() {
            return self.ledger.is_open();
        }
        let waiting = self.facts.iter().filter_map(|fact| match fact {
            Fact::Waiting { offset, .. } => Some(*offset),
            _ => None,
        });
        let places =
            |of: fn(&Fact) -> Option<u64>, known: u64| self.facts.iter().filter_map(of).fold(known, u64::max);
        let notable = places(
            |fact| if let Fact::Notable { offset } = fact { Some(*offset) } else { None },
            self.ledger.notable,
        );
        let announced = places(
            |fact| if let Fact::Announced { offset } = fact { Some(*offset) } else { None },
            self.ledger.announced,
        );
        !self.open_runs().is_empty()
            || self.ledger.waiting.keys().copied().chain(waiting).any(|at| !self.is_claimed(at))
            || notable > announced
    }

    /// The last number of a producer, and its place.
    pub(super) fn produced(&self, producer: &str) -> Option<(u64, Position)> {
        let drafted = self.facts.iter().rev().find_map(|fact| match fact {
            Fact::Produced { producer: of, seq, epoch, offset } if **of == *producer => {
                Some((*seq, Position { epoch: Arc::clone(epoch), offset: *offset }))
            }
            _ => None,
        });
        drafted.or_else(|| self.ledger.produced(producer))
    }
}
