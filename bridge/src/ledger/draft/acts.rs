//! What users do to runs and to messages that wait: cancel, withdraw, edit.

use std::sync::Arc;

use serde_json::json;

use super::Draft;
use crate::event::Event;
use crate::ledger::Waiting;
use crate::log::{Fact, Status};

/// What a user wants to happen. The ledger says whether it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// End a run.
    Cancel(Arc<str>),
    /// End what a message began: the run that claimed it, or its waiting.
    CancelSend(Arc<str>),
    /// Replace a message that waits by the event of the append.
    Edit(Arc<str>),
    /// Take back a message that waits.
    Withdraw(Arc<str>),
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) subject: Arc<str>,
    /// Whether it may act on the messages and runs of others.
    pub(crate) manages: bool,
}

/// What became of a message that somebody sent.
enum Fate {
    Waits(u64, Waiting),
    Withdrawn,
    /// A run claimed it, or it was passed by.
    Claimed,
    Unknown,
}

impl Actor {
    /// Whether it may act on what belongs to a user; what belongs to nobody is everybody's.
    pub(super) fn may(&self, owner: Option<&Arc<str>>) -> bool {
        self.manages || owner.is_none_or(|owner| *owner == self.subject)
    }
}

impl Draft<'_> {
    /// Does what a user wants, or says why not. `event` is the new text of an edit.
    pub(super) fn act(&mut self, act: &Act, by: &Actor, event: Option<&Event>) -> Status {
        match act {
            Act::Cancel(run) => self.cancel(run, by),
            Act::CancelSend(send_id) => self.cancel_send(send_id, by),
            Act::Edit(send_id) => match (self.fate(send_id, by), event) {
                (Fate::Waits(offset, _), Some(event)) => {
                    self.write(event);
                    self.facts.push(Fact::Edited { offset, body: self.offset() });
                    Status::Accepted
                }
                (fate, _) => fate.status(),
            },
            Act::Withdraw(send_id) => match self.fate(send_id, by) {
                Fate::Waits(offset, waiting) => self.withdraw(offset, &waiting, "withdrawn"),
                fate => fate.status(),
            },
        }
    }

    fn cancel(&mut self, id: &Arc<str>, by: &Actor) -> Status {
        match self.run(id) {
            None => Status::UnknownRun,
            Some(run) if !by.may(run.origin.subject.as_ref()) => Status::Forbidden,
            Some(run) if run.ended.is_some() => Status::AlreadyFinished,
            Some(_) => {
                self.facts.push(Fact::CancelAccepted { run: Arc::clone(id) });
                Status::Accepted
            }
        }
    }

    fn cancel_send(&mut self, send_id: &Arc<str>, by: &Actor) -> Status {
        let fate = self.fate(send_id, by);
        if let Fate::Waits(offset, waiting) = &fate {
            return self.withdraw(*offset, waiting, "cancelled");
        }
        let mut runs = Vec::new();
        for run in self.open_runs() {
            let Some(row) = self.run(&run) else { continue };
            if row.origin.send_id.as_ref() == Some(send_id) && by.may(row.origin.subject.as_ref()) {
                runs.push((row.origin.subject.as_ref() == Some(&by.subject), run));
            }
        }
        // The id can be one of another user, too: their own message comes first.
        let has_own = runs.iter().any(|(is_own, _)| *is_own);
        runs.retain(|(is_own, _)| *is_own == has_own);
        if runs.is_empty() {
            return match fate {
                Fate::Unknown => Status::UnknownSend,
                Fate::Waits(..) | Fate::Withdrawn | Fate::Claimed => Status::AlreadyFinished,
            };
        }
        self.facts.extend(runs.into_iter().map(|(_, run)| Fact::CancelAccepted { run }));
        Status::Accepted
    }

    fn withdraw(&mut self, offset: u64, waiting: &Waiting, reason: &str) -> Status {
        self.facts.push(Fact::Withdrawn { offset });
        let send_id = &*waiting.send_id;
        self.write(&Event::made(json!({ "type": "message_dequeued", "sendId": send_id, "reason": reason })));
        Status::Accepted
    }

    /// What became of the message of the user with this id, or of one that waits of another user who may be acted on.
    fn fate(&self, send_id: &Arc<str>, by: &Actor) -> Fate {
        if let Some(answer) = self.answer(&by.subject, send_id).filter(|answer| answer.is_message) {
            return match self.waiting(answer.offset) {
                Some(waiting) => Fate::Waits(answer.offset, waiting),
                None if self.is_withdrawn(answer.offset) => Fate::Withdrawn,
                None => Fate::Claimed,
            };
        }
        if !by.manages {
            return Fate::Unknown;
        }
        let other = self.first_waiting(send_id).and_then(|offset| Some((offset, self.waiting(offset)?)));
        other.map_or(Fate::Unknown, |(offset, waiting)| Fate::Waits(offset, waiting))
    }
}

impl Fate {
    /// Why a message can't be taken back or changed.
    fn status(&self) -> Status {
        match self {
            Self::Withdrawn => Status::Withdrawn,
            Self::Unknown => Status::UnknownSend,
            Self::Claimed | Self::Waits(..) => Status::AlreadyClaimed,
        }
    }
}
