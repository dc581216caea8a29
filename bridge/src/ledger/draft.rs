//! What may be written next to a stream, and the record that does it.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Answer, Approval, Ledger, Run};
use crate::event::{Claims, Effect, Event};
use crate::log::{Fact, Head, IdempotencyKey, Record, Resolution, Status, Terms};
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
    /// Whether its first event is a message that waits for an agent. Goes with `key`.
    pub(crate) is_message: bool,
    /// A send of the same subject that must be in the log for this one to be applied (SND-4). Goes with `key`; a
    /// repeated append gets its receipt all the same.
    pub(crate) after: Option<Arc<str>>,
    /// What must hold for anything to be written but the answer.
    pub(crate) precondition: Precondition,
    /// Whether inboxes are notified of what is notable in it.
    pub(crate) is_announced: bool,
}

impl Append {
    /// Appends events without any condition. Events of a run that is over are refused in any case (RUN-1).
    pub(crate) fn events(stream: StreamKey, events: Vec<Event>) -> Self {
        Self {
            stream,
            events,
            facts: Vec::new(),
            key: None,
            is_message: false,
            after: None,
            precondition: Precondition::None,
            is_announced: false,
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
    /// The send that must come first is not in the log; nothing was written.
    TooEarly,
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
    /// Of an answer to an approval: what counts.
    pub(crate) resolution: Option<Resolution>,
}

/// A record in the making: appends are decided on the ledger and on what the record holds already.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    ledger: &'a Ledger,
    head: &'a Head,
    now_ms: u64,
    events: Vec<Arc<str>>,
    facts: Vec<Fact>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(ledger: &'a Ledger, head: &'a Head, now_ms: u64) -> Self {
        Self { ledger, head, now_ms, events: Vec::new(), facts: Vec::new() }
    }

    /// Adds an append, or says why not. The outcome is true once the record is durable.
    pub(crate) fn add(&mut self, append: &Append) -> Outcome {
        if let Some(key) = &append.key {
            if let Some(answer) = self.answer(&key.subject, &key.id) {
                if answer.hash != key.hash {
                    return Outcome::Conflict;
                }
                let Answer { status, epoch, offset, resolution, .. } = answer;
                let position = Position { epoch, offset };
                return Outcome::Durable(Receipt { status, position, is_repeated: true, resolution });
            }
            let is_missing = |after| self.answer(&key.subject, after).is_none();
            if append.after.as_deref().is_some_and(is_missing) {
                return Outcome::TooEarly;
            }
        }
        let mut status = self.check(append);
        if let (Status::Expired, Precondition::ApprovalOpen { run, approval }) =
            (status, &append.precondition)
        {
            // The clock decides, not what comes first.
            self.write(&Event::expiry(run, approval));
            status = Status::AlreadyResolved;
        }
        if status == Status::Accepted {
            let first = self.offset() + 1;
            self.facts.extend(append.facts.iter().cloned());
            for event in &append.events {
                self.write(event);
            }
            if append.is_announced
                && let Some(index) = append.events.iter().rposition(Event::is_notable)
            {
                self.facts.push(Fact::Notable { offset: first + index as u64 });
            }
            if append.is_message
                && let Some(key) = &append.key
            {
                let (send_id, subject) = (Arc::clone(&key.id), Arc::clone(&key.subject));
                self.facts.push(Fact::Waiting { offset: first, send_id, subject });
            }
        }
        let (epoch, offset) = (Arc::clone(&self.head.epoch), self.offset());
        let resolution = self.resolution(&append.precondition);
        if let Some(key) = append.key.clone() {
            let (epoch, resolution) = (Arc::clone(&epoch), resolution.clone());
            self.facts.push(Fact::Answered { key, status, epoch, offset, resolution });
        }
        let position = Position { epoch, offset };
        Outcome::Durable(Receipt { status, position, is_repeated: false, resolution })
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

    /// The offset of the last event so far.
    fn offset(&self) -> u64 {
        self.head.offset + self.events.len() as u64
    }

    fn check(&self, append: &Append) -> Status {
        let status = match &append.precondition {
            Precondition::None => Status::Accepted,
            Precondition::RunOpen(run) => match self.run(run) {
                None => Status::UnknownRun,
                Some(run) if run.ended.is_some() => Status::AlreadyFinished,
                Some(_) => Status::Accepted,
            },
            Precondition::ApprovalOpen { run, approval } => self.check_approval(run, approval),
            Precondition::NotAnnounced(stream, offset) => {
                let mut lines = self.ledger.announcements.iter();
                let is_known = lines.any(|(of, at)| of == stream && at >= offset);
                let is_drafted = self.facts.iter().any(|fact| {
                    matches!(fact, Fact::Announcement { stream: of, offset: at } if of == stream && at >= offset)
                });
                if is_known || is_drafted { Status::AlreadyFinished } else { Status::Accepted }
            }
        };
        if status == Status::Accepted { self.check_events(&append.events) } else { status }
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
        let event = self.as_it_is_written(event);
        self.events.push(Arc::clone(event.body()));
        let offset = self.offset();
        if let Some(run) = event.effect().run()
            && self.run(run).is_none()
        {
            self.facts.push(Fact::RunStarted { run: Arc::clone(run), offset });
        }
        match event.effect() {
            Effect::None | Effect::Run { claims: None, .. } => {}
            Effect::Run { claims: Some(Claims::At(message)), .. } => self.claim(*message),
            Effect::Run { claims: Some(Claims::First(send_id)), .. } => {
                if let Some(message) = self.first_waiting(send_id) {
                    self.claim(message);
                }
            }
            Effect::RunEnded { run } => self.facts.push(Fact::RunEnded { run: Arc::clone(run), offset }),
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

    fn claim(&mut self, offset: u64) {
        self.facts.push(Fact::Claimed { offset });
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

    /// The run as it is after what the record holds already.
    fn run(&self, id: &str) -> Option<Run> {
        let of = |fact: &&Fact| match fact {
            Fact::RunStarted { run, .. } | Fact::RunEnded { run, .. } | Fact::CancelAccepted { run } => {
                **run == *id
            }
            _ => false,
        };
        self.facts.iter().filter(of).fold(self.ledger.runs.get(id).cloned(), Run::after)
    }

    fn is_over(&self, run: &str) -> bool {
        self.run(run).is_some_and(|run| run.ended.is_some())
    }

    fn approval(&self, run: &Arc<str>, id: &Arc<str>) -> Option<Approval> {
        let is_of = |fact: &&Fact| match fact {
            Fact::ApprovalRequested { run: of, approval, .. }
            | Fact::ApprovalResolved { run: of, approval, .. } => of == run && approval == id,
            _ => false,
        };
        let known = self.ledger.approvals.get(&(Arc::clone(run), Arc::clone(id))).cloned();
        self.facts.iter().filter(is_of).fold(known, Approval::after)
    }

    fn answer(&self, subject: &Arc<str>, id: &str) -> Option<Answer> {
        let drafted = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { key, status, epoch, offset, resolution }
                if key.subject == *subject && *key.id == *id =>
            {
                let (hash, epoch, resolution) =
                    (Arc::clone(&key.hash), Arc::clone(epoch), resolution.clone());
                Some(Answer { hash, status: *status, epoch, offset: *offset, resolution })
            }
            _ => None,
        });
        drafted.or_else(|| self.ledger.answers.get(&(Arc::clone(subject), id.into())).cloned())
    }

    fn first_waiting(&self, id: &str) -> Option<u64> {
        let known = self.ledger.waiting.iter().filter(|(_, one)| *one.send_id == *id).map(|(at, _)| *at);
        let drafted = self.facts.iter().filter_map(|fact| match fact {
            Fact::Waiting { offset, send_id, .. } if **send_id == *id => Some(*offset),
            _ => None,
        });
        known.chain(drafted).find(|offset| !self.is_claimed(*offset))
    }

    fn is_claimed(&self, place: u64) -> bool {
        self.facts.iter().any(|fact| match fact {
            Fact::Claimed { offset } => *offset == place,
            Fact::Trimmed { through } => place <= *through,
            _ => false,
        })
    }

    /// Whether somebody has to do something after this record.
    fn is_open(&self) -> bool {
        if self.facts.is_empty() {
            return self.ledger.is_open();
        }
        let started = self.facts.iter().filter_map(|fact| match fact {
            Fact::RunStarted { run, .. } => Some(run),
            _ => None,
        });
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
        self.ledger.open_runs().chain(started).any(|run| !self.is_over(run))
            || self.ledger.waiting.keys().copied().chain(waiting).any(|at| !self.is_claimed(at))
            || notable > announced
    }
}
