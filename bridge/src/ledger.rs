//! What the records of a stream have come to: sends, runs, approvals, waiting messages and producers.
//!
//! The ledger is a pure fold of [`Fact`]s: two bridges that read the same records have the same ledger. What may be
//! written next is decided on it in [`draft`].

pub(crate) mod draft;
mod producers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::producers::Producers;
use crate::log::{Fact, IdempotencyKey, Origin, Record, Resolution, Status, Terms};
use crate::stream::{Position, StreamKey};

/// Lines of an inbox that are remembered, so that none is written twice after a crash. One that is older than so many
/// others was announced long ago.
const MAX_ANNOUNCEMENTS: usize = 1_024;

/// The ledger of one stream, as it is after one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ledger {
    #[serde(with = "pairs")]
    runs: HashMap<Arc<str>, Run>,
    /// Runs that are not over, by where they began.
    open_runs: BTreeMap<u64, Arc<str>>,
    /// Approvals, by run and id. Under a name that no snapshot of an older version has: the runs of its approvals are over.
    #[serde(with = "pairs", rename = "questions", default)]
    approvals: HashMap<(Arc<str>, Arc<str>), Approval>,
    /// Answers to sends, by subject and id.
    #[serde(with = "pairs")]
    answers: HashMap<(Arc<str>, Arc<str>), Answer>,
    /// The keys of the answers, in the order of the records.
    answered: VecDeque<(u64, Arc<str>, Arc<str>)>,
    /// Messages that wait for an agent, by their place.
    waiting: BTreeMap<u64, Waiting>,
    /// Of these, those that come before the others.
    #[serde(default)]
    front: BTreeSet<u64>,
    /// Of these, those that are for a run that is open.
    #[serde(default)]
    steering: BTreeMap<u64, Arc<str>>,
    /// Messages that were taken back, by their place.
    #[serde(default)]
    withdrawn: BTreeSet<u64>,
    /// The last place that inboxes are to know, and the last one that they know.
    notable: u64,
    announced: u64,
    /// In an inbox: its last lines.
    announcements: VecDeque<(StreamKey, u64)>,
    /// How far each producer is.
    #[serde(default, skip_serializing_if = "Producers::is_empty")]
    producers: Producers,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    started: u64,
    ended: Option<u64>,
    is_cancelled: bool,
    #[serde(default)]
    origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Approval {
    terms: Terms,
    is_resolved: bool,
    /// `None` also when it was resolved by an older version.
    resolution: Option<Resolution>,
    /// The place of the answer; `None` also in the log of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answered: Option<u64>,
}

/// The answer to a send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) hash: Arc<str>,
    pub(crate) status: Status,
    pub(crate) epoch: Arc<str>,
    pub(crate) offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resolution: Option<Resolution>,
    #[serde(default)]
    pub(crate) is_message: bool,
}

/// A message that waits for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) send_id: Arc<str>,
    pub(crate) subject: Arc<str>,
    /// Whether an event says that it waits.
    #[serde(default)]
    pub(crate) is_queued: bool,
    /// The place of its text, if that was edited.
    #[serde(default)]
    pub(crate) edited: Option<u64>,
}

/// What became of a message that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It still does.
    Waits {
        /// The place of its text, if that was edited.
        edited: Option<u64>,
    },
    /// A user took it back.
    Withdrawn,
    /// A run claimed it, or it was passed by.
    Claimed,
}

/// What the agent of a run is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunSignals {
    pub(crate) is_cancelled: bool,
    pub(crate) is_over: bool,
    pub(crate) parent: Option<Arc<str>>,
    pub(crate) lease_ms: Option<u64>,
    /// Answers to its approvals, by their place.
    pub(crate) answers: Vec<(u64, Arc<str>)>,
    /// Messages for it that it has not taken, by their place.
    pub(crate) steering: Vec<(u64, Waiting)>,
}

impl Ledger {
    /// Folds one record. Answers that are older than `horizon` at that time are forgotten.
    pub(crate) fn apply(&mut self, record: &Record, horizon: Duration) {
        for fact in &record.facts {
            self.note(fact, record.at_ms);
        }
        self.forget_answers(record.at_ms, horizon);
        self.producers.forget(record.at_ms, horizon);
    }

    fn note(&mut self, fact: &Fact, at_ms: u64) {
        match fact {
            Fact::Answered {
                key: IdempotencyKey { subject, id, hash },
                status,
                epoch,
                offset,
                resolution,
                is_message,
            } => {
                let answer = Answer {
                    hash: Arc::clone(hash),
                    status: *status,
                    epoch: Arc::clone(epoch),
                    offset: *offset,
                    resolution: resolution.clone(),
                    is_message: *is_message,
                };
                self.answers.insert((Arc::clone(subject), Arc::clone(id)), answer);
                self.answered.push_back((at_ms, Arc::clone(subject), Arc::clone(id)));
            }
            Fact::Waiting { offset, is_front, .. } => {
                if *is_front {
                    self.front.insert(*offset);
                }
                self.waiting.extend(Waiting::after(None, fact).map(|one| (*offset, one)));
            }
            Fact::Claimed { offset } => self.waits_no_more(*offset),
            Fact::Withdrawn { offset } => {
                self.waits_no_more(*offset);
                self.withdrawn.insert(*offset);
            }
            Fact::Steers { offset, run } => drop(self.steering.insert(*offset, Arc::clone(run))),
            Fact::Edited { offset, .. } | Fact::Requeued { offset } => {
                if matches!(fact, Fact::Requeued { .. }) {
                    self.steering.remove(offset);
                }
                if let Some(waiting) = Waiting::after(self.waiting.remove(offset), fact) {
                    self.waiting.insert(*offset, waiting);
                }
            }
            Fact::RunStarted { run, .. } | Fact::RunEnded { run, .. } | Fact::CancelAccepted { run } => {
                if let Some(row) = Run::after(self.runs.remove(run), fact) {
                    match row.ended {
                        None => drop(self.open_runs.insert(row.started, Arc::clone(run))),
                        Some(_) => drop(self.open_runs.remove(&row.started)),
                    }
                    self.runs.insert(Arc::clone(run), row);
                }
            }
            Fact::ApprovalRequested { run, approval, .. } | Fact::ApprovalResolved { run, approval, .. } => {
                let key = (Arc::clone(run), Arc::clone(approval));
                if let Some(row) = Approval::after(self.approvals.remove(&key), fact) {
                    self.approvals.insert(key, row);
                }
            }
            Fact::Notable { offset } => self.notable = self.notable.max(*offset),
            Fact::Announced { offset } => self.announced = self.announced.max(*offset),
            Fact::Announcement { stream, offset } => {
                self.announcements.push_back((stream.clone(), *offset));
                if self.announcements.len() > MAX_ANNOUNCEMENTS {
                    self.announcements.pop_front();
                }
            }
            Fact::Produced { producer, seq, epoch, offset } => {
                self.producers.note(
                    producer,
                    *seq,
                    &Position { epoch: Arc::clone(epoch), offset: *offset },
                    at_ms,
                );
            }
            Fact::Trimmed { through } => self.trim(*through),
        }
    }

    /// Forgets what is over below a place. A message that can't be read any more can't be answered either.
    fn trim(&mut self, through: u64) {
        self.runs.retain(|_, run| run.ended.is_none_or(|ended| ended > through));
        self.approvals.retain(|(run, _), _| self.runs.contains_key(run));
        let left = through.saturating_add(1);
        self.waiting = self.waiting.split_off(&left);
        self.withdrawn = self.withdrawn.split_off(&left);
        self.front = self.front.split_off(&left);
        self.steering = self.steering.split_off(&left);
    }

    fn waits_no_more(&mut self, place: u64) {
        self.waiting.remove(&place);
        self.front.remove(&place);
        self.steering.remove(&place);
    }

    fn forget_answers(&mut self, now_ms: u64, horizon: Duration) {
        let horizon_ms = u64::try_from(horizon.as_millis()).unwrap_or(u64::MAX);
        let before = now_ms.saturating_sub(horizon_ms);
        let mut kept = Vec::new();
        while let Some((at_ms, subject, id)) = self.answered.pop_front() {
            if at_ms >= before {
                self.answered.push_front((at_ms, subject, id));
                break;
            }
            let key = (Arc::clone(&subject), Arc::clone(&id));
            // One that waits for an agent stays, however old it is.
            if self.answers.get(&key).is_some_and(|answer| self.waiting.contains_key(&answer.offset)) {
                kept.push((at_ms, subject, id));
            } else {
                self.answers.remove(&key);
            }
        }
        for one in kept.into_iter().rev() {
            self.answered.push_front(one);
        }
    }

    /// Runs that are not over, in the order they started.
    pub(crate) fn open_runs(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.open_runs.values()
    }

    /// The lease of a run that is open, if its agent is in another process.
    pub(crate) fn lease_ms(&self, run: &str) -> Option<u64> {
        self.runs.get(run).filter(|run| run.ended.is_none())?.origin.lease_ms
    }

    /// The first place that somebody still needs: of a run that is open, or of a message that waits.
    pub(crate) fn first_needed(&self) -> Option<u64> {
        let run = self.open_runs.first_key_value().map(|(place, _)| *place);
        let message = self.waiting.first_key_value().map(|(place, _)| *place);
        run.into_iter().chain(message).min()
    }

    /// Whether the agent of another process works on a message.
    pub(crate) fn is_answered_outside(&self) -> bool {
        let mut open = self.open_runs.values().filter_map(|run| self.runs.get(run));
        open.any(|run| run.origin.lease_ms.is_some() && run.origin.send_id.is_some())
    }

    /// What a run is to know that its agent does not know from its own events; `None` if there is no such run.
    pub(crate) fn signals(&self, run: &str) -> Option<RunSignals> {
        let row = self.runs.get(run)?;
        let mut answers: Vec<_> = self
            .approvals
            .iter()
            .filter(|((of, _), _)| **of == *run)
            .filter_map(|((_, approval), row)| Some((row.answered?, Arc::clone(approval))))
            .collect();
        answers.sort_unstable();
        let steering = self.steering.iter().filter(|(_, of)| ***of == *run);
        let steering = steering.filter_map(|(place, _)| Some((*place, self.waiting.get(place)?.clone())));
        Some(RunSignals {
            is_cancelled: row.is_cancelled,
            is_over: row.ended.is_some(),
            parent: row.origin.parent.clone(),
            lease_ms: row.origin.lease_ms,
            answers,
            steering: steering.collect(),
        })
    }

    /// What became of the message at a place that an agent was given.
    pub(crate) fn fate(&self, place: u64) -> Fate {
        match self.waiting.get(&place) {
            Some(waiting) => Fate::Waits { edited: waiting.edited },
            None if self.withdrawn.contains(&place) => Fate::Withdrawn,
            None => Fate::Claimed,
        }
    }

    /// The last number of a producer, and its place.
    pub(crate) fn produced(&self, producer: &str) -> Option<(u64, Position)> {
        self.producers.last(producer)
    }

    /// The next message that waits for a run of its own, and is not one of `passed`.
    pub(crate) fn next_waiting(&self, passed: &BTreeSet<u64>) -> Option<(u64, &Waiting)> {
        let mut places = self.front.iter().chain(self.waiting.keys());
        let place = places.find(|place| !passed.contains(place) && !self.steering.contains_key(place))?;
        self.waiting.get(place).map(|waiting| (*place, waiting))
    }

    /// The next message that is for a run, if there is one; `None` if the run is not open.
    pub(crate) fn next_steering(&self, run: &str) -> Option<Option<(u64, &Waiting)>> {
        self.runs.get(run).filter(|run| run.ended.is_none())?;
        let place = self.steering.iter().find(|(_, of)| ***of == *run).map(|(place, _)| place);
        Some(place.and_then(|place| self.waiting.get(place).map(|waiting| (*place, waiting))))
    }

    /// The message that waits with the text at this place.
    pub(crate) fn message_with_text(&self, place: u64) -> Option<u64> {
        self.waiting.iter().find(|(_, waiting)| waiting.edited == Some(place)).map(|(message, _)| *message)
    }

    /// How many messages wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a message waits.
    pub(crate) fn is_waiting(&self, place: u64) -> bool {
        self.waiting.contains_key(&place)
    }

    /// What an answer to an approval is bound to, if it is open.
    pub(crate) fn terms(&self, run: &Arc<str>, approval: &Arc<str>) -> Option<&Terms> {
        let row = self.approvals.get(&(Arc::clone(run), Arc::clone(approval)))?;
        self.is_asked(run, row).then_some(&row.terms)
    }

    /// The open approval that expires first: when, its run and its id.
    pub(crate) fn next_expiry(&self) -> Option<(u64, &Arc<str>, &Arc<str>)> {
        let open = self.approvals.iter().filter(|((run, _), row)| self.is_asked(run, row));
        open.filter_map(|((run, approval), row)| Some((row.terms.expires_at_ms?, run, approval))).min()
    }

    fn is_asked(&self, run: &Arc<str>, row: &Approval) -> bool {
        !row.is_resolved && self.runs.get(run).is_some_and(|run| run.ended.is_none())
    }

    /// The last place that inboxes do not know yet.
    pub(crate) fn unannounced(&self) -> Option<u64> {
        (self.notable > self.announced).then_some(self.notable)
    }

    /// Whether somebody has to do something: end a run, answer a message, or notify an inbox.
    pub(crate) fn is_open(&self) -> bool {
        !self.open_runs.is_empty() || !self.waiting.is_empty() || self.unannounced().is_some()
    }

    /// How many things it remembers: the size of a snapshot follows it.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
            + self.approvals.len()
            + self.answers.len()
            + self.waiting.len()
            + self.withdrawn.len()
            + self.announcements.len()
            + self.producers.len()
    }
}

impl Run {
    /// What a fact makes of a run.
    fn after(row: Option<Self>, fact: &Fact) -> Option<Self> {
        match (row, fact) {
            (None, Fact::RunStarted { offset, origin, .. }) => {
                Some(Self { started: *offset, ended: None, is_cancelled: false, origin: origin.clone() })
            }
            (None, Fact::RunEnded { offset, .. }) => {
                let origin = Origin::default();
                Some(Self { started: *offset, ended: Some(*offset), is_cancelled: false, origin })
            }
            (Some(row), Fact::RunEnded { offset, .. }) => {
                Some(Self { ended: row.ended.or(Some(*offset)), ..row })
            }
            (Some(row), Fact::CancelAccepted { .. }) => Some(Self { is_cancelled: true, ..row }),
            (row, _) => row,
        }
    }
}

impl Waiting {
    /// What a fact makes of a message that waits; `None` when it waits no more.
    fn after(row: Option<Self>, fact: &Fact) -> Option<Self> {
        match (row, fact) {
            (_, Fact::Waiting { send_id, subject, is_queued, .. }) => {
                let (send_id, subject) = (Arc::clone(send_id), Arc::clone(subject));
                Some(Self { send_id, subject, is_queued: *is_queued, edited: None })
            }
            (_, Fact::Claimed { .. } | Fact::Withdrawn { .. }) => None,
            (Some(row), Fact::Edited { body, .. }) => Some(Self { edited: Some(*body), ..row }),
            (Some(row), Fact::Requeued { .. }) => Some(Self { is_queued: true, ..row }),
            (row, _) => row,
        }
    }
}

impl Approval {
    /// What a fact makes of an approval.
    fn after(row: Option<Self>, fact: &Fact) -> Option<Self> {
        match (row, fact) {
            (None, Fact::ApprovalRequested { terms, .. }) => {
                Some(Self { terms: terms.clone(), is_resolved: false, resolution: None, answered: None })
            }
            (Some(row), Fact::ApprovalResolved { resolution, offset, .. }) if !row.is_resolved => {
                let answered = (*offset > 0).then_some(*offset);
                Some(Self { is_resolved: true, resolution: resolution.clone(), answered, ..row })
            }
            (row, _) => row,
        }
    }
}

/// Maps with keys of any type as lists of pairs, in a fixed order: one ledger has one text.
mod pairs {
    use std::collections::HashMap;
    use std::hash::Hash;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize + Ord, V: Serialize, S: Serializer>(
        map: &HashMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut pairs: Vec<_> = map.iter().collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        serializer.collect_seq(pairs)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<HashMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Eq + Hash,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}
