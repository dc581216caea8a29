//! What may be written next to a stream, and the record that does it.

pub(crate) mod acts;
mod known;
pub(crate) mod modes;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::json;

use self::acts::{Act, Actor};
use self::modes::Mode;
use super::{Answer, Approval, Ledger, Waiting};
use crate::event::{Claims, Effect, Event};
use crate::log::{Fact, Head, IdempotencyKey, Origin, Record, Resolution, Status, Terms};
use crate::stream::{Position, StreamKey};

/// What to append to one stream: all of it or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    /// The stream.
    pub(crate) stream: StreamKey,
    /// Events that get the next offsets, in this order.
    pub(crate) events: Vec<Event>,
    /// What else is written if the precondition holds.
    pub(crate) facts: Vec<Fact>,
    /// Makes the append happen once, however often it is tried.
    pub(crate) key: Option<IdempotencyKey>,
    /// Whether it was tried first so long ago that its key may have been forgotten (SND-5). Goes with `key`.
    pub(crate) is_expired: bool,
    /// Whether its first event is a message that waits for an agent. Goes with `key`.
    pub(crate) is_message: bool,
    /// Messages that may wait: with as many, it is not written.
    pub(crate) max_waiting: usize,
    /// How the message reaches a run.
    pub(crate) mode: Mode,
    /// Whether it may steer runs of others.
    pub(crate) manages: bool,
    /// Whether an event says so when something is before the message.
    pub(crate) has_queue: bool,
    /// What a user does with it. Its events are written only where the act says so.
    pub(crate) act: Option<(Act, Actor)>,
    /// A send of the same subject that must be in the log for this one to be applied (SND-4). Goes with `key`; a
    /// repeated append gets its receipt all the same.
    pub(crate) after: Option<Arc<str>>,
    /// What must hold for anything to be written but the answer.
    pub(crate) precondition: Precondition,
    /// Whether inboxes are notified of what is notable in it.
    pub(crate) is_announced: bool,
    /// Who produced the events, and the number of the first one: those that are written already are passed by.
    pub(crate) producer: Option<(Arc<str>, u64)>,
    /// The lease of runs that begin in it.
    pub(crate) lease_ms: Option<u64>,
}

impl Append {
    /// Appends events without any condition. Events of a run that is over are refused in any case (RUN-1).
    pub(crate) fn events(stream: StreamKey, events: Vec<Event>) -> Self {
        Self {
            stream,
            events,
            facts: Vec::new(),
            key: None,
            is_expired: false,
            is_message: false,
            max_waiting: usize::MAX,
            mode: Mode::Queue,
            manages: false,
            has_queue: false,
            act: None,
            after: None,
            precondition: Precondition::None,
            is_announced: false,
            producer: None,
            lease_ms: None,
        }
    }

    /// Writes a fact alone.
    pub(crate) fn fact(stream: StreamKey, fact: Fact) -> Self {
        Self { facts: vec![fact], ..Self::events(stream, Vec::new()) }
    }

    /// Bytes of its events.
    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.body().len()).sum()
    }
}

/// What must hold for an append to be written; the answer is part of the [`Receipt`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// The run is open. Otherwise the status is `AlreadyFinished` or `UnknownRun`.
    RunOpen(Arc<str>),
    /// The approval is open. Otherwise the status is `AlreadyResolved`, `RunOver` or `UnknownApproval`.
    ApprovalOpen {
        /// The run.
        run: Arc<str>,
        /// The approval.
        approval: Arc<str>,
    },
    /// The message at this place still has the text that was handled, or waits no more. Otherwise the append is refused as
    /// `Outdated`.
    SameText {
        /// The place of the message.
        offset: u64,
        /// The place of the text that was handled, if it was edited.
        edited: Option<u64>,
    },
    /// The inbox has no line about this place of a thread. Otherwise nothing is to be done.
    NotAnnounced(StreamKey, u64),
}

/// What an append has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is durable, by this append or by an earlier one with the same key and body.
    Durable(Receipt),
    /// The key was used for another body; nothing was written.
    Conflict,
    /// Its key is not known, and may have been; nothing was written.
    Expired,
    /// The send that must come first is not in the log; nothing was written.
    TooEarly,
    /// Too many messages wait; nothing was written.
    QueueFull,
    /// Events of its producer are missing before it, from this number on; nothing was written.
    Missing(u64),
    /// It may not be done, or not any more; nothing was written.
    Refused(Status),
}

/// The place and the status of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// How it ended.
    pub(crate) status: Status,
    /// Position of the last event it wrote, or the head if it wrote none.
    pub(crate) position: Position,
    /// Whether an earlier append did it.
    pub(crate) is_repeated: bool,
    /// Of a producer's events: how many were written before it.
    pub(crate) passed: usize,
    /// Of an answer to an approval: what counts.
    pub(crate) resolution: Option<Resolution>,
}

/// A send: who sent it, and its id.
pub(crate) type SendId = (Arc<str>, Arc<str>);

/// A record in the making: appends are decided on the ledger and on what the record holds already.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    ledger: &'a Ledger,
    head: &'a Head,
    now_ms: u64,
    events: Vec<Arc<str>>,
    facts: Vec<Fact>,
    /// Sends that were refused for good before, and those that this draft refuses.
    refused: [Vec<SendId>; 2],
}

impl<'a> Draft<'a> {
    pub(crate) fn new(ledger: &'a Ledger, head: &'a Head, now_ms: u64) -> Self {
        Self { ledger, head, now_ms, events: Vec::new(), facts: Vec::new(), refused: Default::default() }
    }

    /// These sends were refused for good: what follows them does not wait for them (SND-4).
    pub(crate) fn after_refused(mut self, refused: Vec<SendId>) -> Self {
        self.refused[0] = refused;
        self
    }

    /// The sends that this draft refuses for good.
    pub(crate) fn take_refused(&mut self) -> Vec<SendId> {
        std::mem::take(&mut self.refused[1])
    }

    /// Adds an append, or says why not. The outcome is true once the record is durable.
    pub(crate) fn add(&mut self, append: &Append) -> Outcome {
        let outcome = self.decide(append);
        if let (Outcome::Expired | Outcome::QueueFull | Outcome::Refused(_), Some(key)) =
            (&outcome, &append.key)
        {
            self.refused[1].push((Arc::clone(&key.subject), Arc::clone(&key.id)));
        }
        outcome
    }

    fn decide(&mut self, append: &Append) -> Outcome {
        if let Some(key) = &append.key {
            if let Some(answer) = self.answer(&key.subject, &key.id) {
                if answer.hash != key.hash {
                    return Outcome::Conflict;
                }
                let Answer { status, epoch, offset, resolution, .. } = answer;
                let position = Position { epoch, offset };
                return Outcome::Durable(Receipt {
                    status,
                    position,
                    is_repeated: true,
                    passed: 0,
                    resolution,
                });
            }
            if append.is_expired {
                return Outcome::Expired;
            }
            let is_refused = |after: &str| {
                let mut refused = self.refused.iter().flatten();
                refused.any(|(subject, id)| *subject == key.subject && **id == *after)
            };
            let is_missing = |after| self.answer(&key.subject, after).is_none() && !is_refused(after);
            if append.after.as_deref().is_some_and(is_missing) {
                return Outcome::TooEarly;
            }
        }
        let passed = match self.passed(append) {
            Ok(passed) => passed,
            Err(outcome) => return outcome,
        };
        let events = &append.events[passed..];
        if append.is_message && self.count_waiting() >= append.max_waiting {
            return Outcome::QueueFull;
        }
        let by = append
            .key
            .as_ref()
            .filter(|_| append.is_message)
            .map(|key| Actor { subject: Arc::clone(&key.subject), manages: append.manages });
        let steered = match by.as_ref().map(|by| self.steered(&append.mode, by)).transpose() {
            Ok(run) => run.flatten(),
            Err(status) => return Outcome::Refused(status),
        };
        let first = self.offset() + 1;
        let mut status = match &append.act {
            Some((act, by)) => self.act(act, by, append.events.first()),
            None => self.check(&append.precondition, events),
        };
        if matches!(status, Status::Forbidden | Status::Outdated) {
            return Outcome::Refused(status);
        }
        if let (Status::Expired, Precondition::ApprovalOpen { run, approval }) =
            (status, &append.precondition)
        {
            // The clock decides, not what comes first.
            self.write(&Event::expiry(run, approval));
            status = Status::AlreadyResolved;
        }
        if status == Status::Accepted && append.act.is_none() {
            for fact in &append.facts {
                match fact {
                    Fact::Claimed { offset } => self.claim(*offset, false),
                    fact => self.facts.push(fact.clone()),
                }
            }
            let mut notable = None;
            for event in events {
                if let Effect::RunEnded { run } = event.effect() {
                    self.expire(run);
                }
                // The place of the event itself: others can follow from it.
                let offset = self.offset() + 1;
                self.write_with(event, append.lease_ms);
                notable = if event.is_notable() { Some(offset) } else { notable };
            }
            if let (true, Some(offset)) = (append.is_announced, notable) {
                self.facts.push(Fact::Notable { offset });
            }
            if let Some((producer, first)) = &append.producer {
                self.facts.push(Fact::Produced {
                    producer: Arc::clone(producer),
                    seq: first + append.events.len() as u64 - 1,
                    epoch: Arc::clone(&self.head.epoch),
                    offset: self.offset(),
                });
            }
            if append.is_message
                && let Some(key) = &append.key
            {
                self.wait(first, key, &append.mode, steered, append.has_queue);
            }
        }
        let epoch = Arc::clone(&self.head.epoch);
        let offset = if append.is_message { first } else { self.offset() };
        let resolution = self.resolution(&append.precondition);
        if let Some(key) = append.key.clone() {
            let (epoch, resolution) = (Arc::clone(&epoch), resolution.clone());
            let is_message = append.is_message;
            self.facts.push(Fact::Answered { key, status, epoch, offset, resolution, is_message });
        }
        let position = Position { epoch, offset };
        Outcome::Durable(Receipt { status, position, is_repeated: false, passed, resolution })
    }

    /// How many events of a producer's batch are written already, or what its end is.
    fn passed(&self, append: &Append) -> Result<usize, Outcome> {
        let Some((producer, first)) = &append.producer else { return Ok(0) };
        let (last, position) = self.produced(producer).unzip();
        let next = last.unwrap_or(0) + 1;
        let Some(passed) = next.checked_sub(*first) else { return Err(Outcome::Missing(next)) };
        match usize::try_from(passed) {
            Ok(passed) if passed < append.events.len() => Ok(passed),
            _ => {
                let position = position.unwrap_or_else(|| self.position());
                let status = Status::Accepted;
                let receipt = Receipt { status, position, is_repeated: true, passed: 0, resolution: None };
                Err(Outcome::Durable(receipt))
            }
        }
    }

    fn position(&self) -> Position {
        Position { epoch: Arc::clone(&self.head.epoch), offset: self.offset() }
    }

    /// The record; `None` when there is nothing to write.
    pub(crate) fn finish(self) -> Option<Record> {
        if self.events.is_empty() && self.facts.is_empty() {
            return None;
        }
        Some(Record {
            seq: self.head.seq + 1,
            first: self.head.offset + 1,
            is_open: self.is_open(),
            events: self.events,
            facts: self.facts,
            at_ms: self.now_ms,
        })
    }

    /// How many messages wait. Those that this record claims count as well: an agent has just got them.
    fn count_waiting(&self) -> usize {
        let drafted = self.facts.iter().filter(|fact| matches!(fact, Fact::Waiting { .. }));
        self.ledger.waiting() + drafted.count()
    }

    /// The offset of the last event so far.
    fn offset(&self) -> u64 {
        self.head.offset + self.events.len() as u64
    }

    fn check(&self, precondition: &Precondition, events: &[Event]) -> Status {
        let status = match precondition {
            Precondition::None => Status::Accepted,
            Precondition::RunOpen(run) => match self.run(run) {
                None => Status::UnknownRun,
                Some(run) if run.ended.is_some() => Status::AlreadyFinished,
                Some(_) => Status::Accepted,
            },
            Precondition::ApprovalOpen { run, approval } => self.check_approval(run, approval),
            Precondition::SameText { offset, edited } if self.has_changed(*offset, *edited) => {
                Status::Outdated
            }
            Precondition::SameText { .. } => Status::Accepted,
            Precondition::NotAnnounced(stream, offset) => {
                let mut lines = self.ledger.announcements.iter();
                let is_known = lines.any(|(of, at)| of == stream && at >= offset);
                let is_drafted = self.facts.iter().any(|fact| {
                    matches!(fact, Fact::Announcement { stream: of, offset: at } if of == stream && at >= offset)
                });
                if is_known || is_drafted { Status::AlreadyFinished } else { Status::Accepted }
            }
        };
        if status == Status::Accepted { self.check_events(events) } else { status }
    }

    fn check_approval(&self, run: &Arc<str>, approval: &Arc<str>) -> Status {
        match self.approval(run, approval) {
            None => Status::UnknownApproval,
            Some(row) if row.resolution.is_some() => Status::AlreadyResolved,
            Some(row) if row.is_resolved || self.is_over(run) => Status::RunOver,
            Some(row) if row.terms.expires_at_ms.is_some_and(|at| at <= self.now_ms) => Status::Expired,
            Some(_) => Status::Accepted,
        }
    }

    /// Nothing of a run follows its end, whoever publishes it, and each of its approvals is asked for once and resolved
    /// once. In one append, the end can be before the last event.
    fn check_events(&self, events: &[Event]) -> Status {
        let (mut ended, mut asked): (Vec<&Arc<str>>, Vec<_>) = (Vec::new(), Vec::new());
        for event in events {
            let Some(run) = event.effect().run() else { continue };
            if ended.contains(&run) || self.is_over(run) {
                return Status::AlreadyFinished;
            }
            match event.effect() {
                Effect::RunEnded { .. } => ended.push(run),
                Effect::ApprovalRequested { approval, .. } => {
                    if asked.contains(&(run, approval)) || self.approval(run, approval).is_some() {
                        return Status::AlreadyResolved;
                    }
                    asked.push((run, approval));
                }
                Effect::ApprovalResolved { approval, .. } if !asked.contains(&(run, approval)) => {
                    match self.check_approval(run, approval) {
                        Status::Accepted => {}
                        status => return status,
                    }
                }
                Effect::Run { run, claims: Some(Claims::At { offset, edited, is_exclusive }), .. } => {
                    let is_taken =
                        || *is_exclusive && self.waiting(*offset).is_none() && self.run(run).is_none();
                    if self.has_changed(*offset, *edited) || is_taken() {
                        return Status::Outdated;
                    }
                }
                Effect::SteeringTaken { run, claims } => {
                    let place = self.steering_of(run, claims);
                    let is_same = |waiting: &Waiting| match claims {
                        Claims::At { edited, .. } => waiting.edited == *edited,
                        Claims::First(_) => true,
                    };
                    if !place.and_then(|place| self.waiting(place)).is_some_and(|waiting| is_same(&waiting)) {
                        return Status::Outdated;
                    }
                }
                Effect::None | Effect::Run { .. } | Effect::ApprovalResolved { .. } => {}
            }
        }
        Status::Accepted
    }

    /// What counts as the answer to the approval that an append is about.
    fn resolution(&self, precondition: &Precondition) -> Option<Resolution> {
        let Precondition::ApprovalOpen { run, approval } = precondition else { return None };
        self.approval(run, approval)?.resolution
    }

    fn write(&mut self, event: &Event) {
        self.write_with(event, None);
    }

    /// As [`Draft::write`]; a run that begins with the event has this lease.
    fn write_with(&mut self, event: &Event, lease_ms: Option<u64>) {
        let event = self.as_it_is_written(event);
        self.events.push(Arc::clone(event.body()));
        let offset = self.offset();
        let claimed = match event.effect() {
            Effect::Run { claims: Some(Claims::At { offset, .. }), .. } => Some(*offset),
            Effect::Run { claims: Some(Claims::First(send_id)), .. } => self.first_waiting(send_id),
            _ => None,
        };
        if let Some(run) = event.effect().run()
            && self.run(run).is_none()
        {
            let origin = Origin { lease_ms, ..self.origin(event.effect(), claimed) };
            self.facts.push(Fact::RunStarted { run: Arc::clone(run), offset, origin });
        }
        match event.effect() {
            Effect::None => {}
            Effect::Run { .. } => {
                if let Some(message) = claimed {
                    self.claim(message, true);
                }
            }
            Effect::RunEnded { run } => {
                self.facts.push(Fact::RunEnded { run: Arc::clone(run), offset });
                self.requeue(run);
            }
            Effect::SteeringTaken { run, claims } => {
                if let Some(place) = self.steering_of(run, claims) {
                    self.claim(place, true);
                }
            }
            Effect::ApprovalRequested { run, approval, terms } => {
                let (run, approval) = (Arc::clone(run), Arc::clone(approval));
                let terms = Terms { offset, ..terms.clone() };
                self.facts.push(Fact::ApprovalRequested { run, approval, terms });
            }
            Effect::ApprovalResolved { run, approval, resolution } => {
                let (run, approval) = (Arc::clone(run), Arc::clone(approval));
                let resolution = Some(resolution.clone());
                self.facts.push(Fact::ApprovalResolved { run, approval, offset, resolution });
            }
        }
    }

    /// Lets expire what a run asked and is due, before the end of the run is written: the clock decides, not what comes
    /// first.
    fn expire(&mut self, run: &Arc<str>) {
        let known = self.ledger.approvals.keys().map(|(of, id)| (of, id));
        let drafted = self.facts.iter().filter_map(|fact| match fact {
            Fact::ApprovalRequested { run, approval, .. } => Some((run, approval)),
            _ => None,
        });
        let of_run = known.chain(drafted).filter(|(of, _)| *of == run);
        let due = of_run.filter_map(|(_, id)| {
            let Approval { terms, is_resolved, .. } = self.approval(run, id)?;
            let is_due = !is_resolved && terms.expires_at_ms.is_some_and(|at| at <= self.now_ms);
            is_due.then(|| (terms.offset, Arc::clone(id)))
        });
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        for (_, approval) in due {
            self.write(&Event::expiry(run, &approval));
        }
    }

    /// A message waits no more. An event says so if one said that it waits.
    fn claim(&mut self, offset: u64, is_run: bool) {
        let waiting = self.waiting(offset);
        self.facts.push(Fact::Claimed { offset });
        if let Some(Waiting { send_id, is_queued: true, .. }) = waiting {
            let reason = if is_run { "claimed" } else { "passed" };
            self.write(&Event::made(
                json!({ "type": "message_dequeued", "sendId": &*send_id, "reason": reason }),
            ));
        }
    }

    /// What a run belongs to that begins with this effect and answers the message at this place.
    fn origin(&self, effect: &Effect, place: Option<u64>) -> Origin {
        let parent = if let Effect::Run { parent, .. } = effect { parent.clone() } else { None };
        let of_parent = parent.as_ref().and_then(|parent| self.run(parent)?.origin.subject);
        let (subject, send_id) = place.and_then(|place| self.sender(place)).unzip();
        Origin { parent, subject: subject.or(of_parent), send_id, lease_ms: None }
    }

    /// The end of a run that was cancelled says so (SND-7).
    fn as_it_is_written<'e>(&self, event: &'e Event) -> Cow<'e, Event> {
        match event.effect() {
            Effect::RunEnded { run } if self.run(run).is_some_and(|run| run.is_cancelled) => {
                Cow::Owned(event.cancelled())
            }
            _ => Cow::Borrowed(event),
        }
    }
}
