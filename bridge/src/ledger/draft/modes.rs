//! How a message reaches a run: behind the others, before them, or as a hint for a run that is open.

use std::sync::Arc;

use serde_json::json;

use super::Draft;
use super::acts::Actor;
use crate::event::Event;
use crate::log::{Fact, IdempotencyKey, Status};

/// What a page asks of a message (SND-18).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It waits behind the others.
    #[default]
    Queue,
    /// It ends the runs of its subject, and waits before the others.
    Interrupt,
    /// It is for a run that is open: the one that is named, or the only one.
    Steer(Option<Arc<str>>),
}

impl Draft<'_> {
    /// The run that a message is for; `None` when it waits for one of its own. Fails when that cannot be said.
    pub(super) fn steered(&self, mode: &Mode, by: &Actor) -> Result<Option<Arc<str>>, Status> {
        let Mode::Steer(named) = mode else { return Ok(None) };
        if let Some(id) = named {
            return match self.run(id) {
                None => Err(Status::UnknownRun),
                Some(run) if !by.may(run.origin.subject.as_ref()) => Err(Status::Forbidden),
                Some(run) => Ok(run.ended.is_none().then(|| Arc::clone(id))),
            };
        }
        let mut runs = self.roots(|owner| by.may(owner)).into_iter();
        match (runs.next(), runs.next()) {
            (run, None) => Ok(run),
            _ => Err(Status::AmbiguousRun),
        }
    }

    /// Lets a message that was written at this place wait.
    pub(super) fn wait(
        &mut self,
        place: u64,
        key: &IdempotencyKey,
        mode: &Mode,
        run: Option<Arc<str>>,
        has_queue: bool,
    ) {
        let (send_id, subject) = (&key.id, &key.subject);
        let is_front = *mode == Mode::Interrupt;
        if is_front {
            let own = self.roots(|owner| owner == Some(subject));
            self.facts.extend(own.into_iter().map(|run| Fact::CancelAccepted { run }));
        }
        let ahead = if has_queue && run.is_none() { self.ahead(is_front) } else { 0 };
        let (of, by) = (Arc::clone(send_id), Arc::clone(subject));
        self.facts.push(Fact::Waiting {
            offset: place,
            send_id: of,
            subject: by,
            is_queued: ahead > 0,
            is_front,
        });
        if let Some(run) = run {
            let event = json!({ "type": "steering_requested", "runId": &*run, "sendId": &**send_id });
            self.facts.push(Fact::Steers { offset: place, run });
            self.write(&Event::made(event));
        }
        if ahead > 0 {
            self.say_queued(send_id, ahead);
        }
    }

    /// A run is over: what it was to be steered by waits for a run of its own, at its own place.
    pub(super) fn requeue(&mut self, run: &Arc<str>) {
        let left: Vec<_> =
            self.steering().into_iter().filter(|(_, of)| of == run).map(|(place, _)| place).collect();
        for place in left {
            let Some(waiting) = self.waiting(place) else { continue };
            let ahead = self.ahead(false).saturating_sub(self.behind(place));
            self.facts.push(Fact::Requeued { offset: place });
            self.say_queued(&waiting.send_id, ahead);
        }
    }

    fn say_queued(&mut self, send_id: &Arc<str>, ahead: usize) {
        self.write(&Event::made(json!({ "type": "message_queued", "sendId": &**send_id, "ahead": ahead })));
    }

    /// Open runs that are no part of another one and belong to such a user, in the order in which they began.
    fn roots(&self, is_of: impl Fn(Option<&Arc<str>>) -> bool) -> Vec<Arc<str>> {
        let is_root = |run: &Arc<str>| {
            self.run(run).is_some_and(|run| run.origin.parent.is_none() && is_of(run.origin.subject.as_ref()))
        };
        self.open_runs().into_iter().filter(is_root).collect()
    }

    /// Messages that are for a run and that it has not taken, by their place.
    pub(super) fn steering(&self) -> Vec<(u64, Arc<str>)> {
        let known = self.ledger.steering.iter().map(|(place, run)| (*place, Arc::clone(run)));
        let drafted = self.facts.iter().filter_map(|fact| match fact {
            Fact::Steers { offset, run } => Some((*offset, Arc::clone(run))),
            _ => None,
        });
        let is_requeued = |place: u64| {
            self.facts.iter().any(|fact| matches!(fact, Fact::Requeued { offset } if *offset == place))
        };
        known.chain(drafted).filter(|(place, _)| !self.is_claimed(*place) && !is_requeued(*place)).collect()
    }

    /// How many wait for a run of their own behind a place.
    fn behind(&self, place: u64) -> usize {
        let steering = self.steering();
        let known = self.ledger.waiting.range(place + 1..).map(|(at, _)| *at);
        let known = known.filter(|at| !self.ledger.front.contains(at));
        let drafted = self.facts.iter().filter_map(|fact| match fact {
            Fact::Waiting { offset, is_front: false, .. } if *offset > place => Some(*offset),
            _ => None,
        });
        let waits = |at: &u64| !self.is_claimed(*at) && !steering.iter().any(|(of, _)| of == at);
        known.chain(drafted).filter(waits).count()
    }

    /// How many come before a message that waits from now on: those that wait for a run of their own, and those that a
    /// run answers.
    fn ahead(&self, is_front: bool) -> usize {
        let drafted = self.facts.iter().filter_map(|fact| match fact {
            Fact::Waiting { offset, is_front, .. } => Some((*offset, *is_front)),
            _ => None,
        });
        let drafted: Vec<_> = drafted.filter(|(place, _)| !self.is_claimed(*place)).collect();
        let is_answer = |run: &Arc<str>| self.run(run).is_some_and(|run| run.origin.send_id.is_some());
        let answered = self.open_runs().iter().filter(|run| is_answer(run)).count();
        if is_front {
            let known = self.ledger.front.iter().filter(|place| !self.is_claimed(**place)).count();
            return known + drafted.iter().filter(|(_, is_front)| *is_front).count() + answered;
        }
        let gone =
            self.facts.iter().filter_map(removed).filter(|place| self.ledger.waiting.contains_key(place));
        let gone = gone.collect::<std::collections::BTreeSet<_>>().len();
        (self.ledger.waiting.len() - gone + drafted.len()).saturating_sub(self.steering().len()) + answered
    }
}

/// The place of a message that a fact ends the waiting of.
fn removed(fact: &Fact) -> Option<u64> {
    match fact {
        Fact::Claimed { offset } | Fact::Withdrawn { offset } => Some(*offset),
        _ => None,
    }
}
