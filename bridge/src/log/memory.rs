//! A log in memory, for tests and for streams that may be lost with the process.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::future::BoxFuture;

use super::life::Life;
use super::{
    Append, Change, Commit, Guard, Log, LogError, Observer, Outcome, Page, Pending, Receipt, Status,
    StreamState, Ticket, Unfinished, announcement,
};
use crate::clock::now_ms;
use crate::event::{Claims, Effect, Event, VOID};
use crate::hub::take;
use crate::stream::{Position, StreamKey};

/// Keeps streams in memory: durable as long as the process lives. Bounded only by trimming.
#[derive(Default)]
pub struct MemoryLog {
    streams: Mutex<BTreeMap<String, Stream>>,
    life: Life,
    observer: OnceLock<Observer>,
}

struct Stream {
    key: StreamKey,
    epoch: Arc<str>,
    epoch_number: u64,
    base: u64,
    oldest: u64,
    bodies: Vec<Arc<str>>,
    runs: HashMap<Arc<str>, RunRow>,
    approvals: HashMap<Arc<str>, ApprovalRow>,
    sends: HashMap<(Arc<str>, Arc<str>), SendRow>,
}

struct RunRow {
    started: u64,
    ended: bool,
    cancelled: bool,
}

struct ApprovalRow {
    run: Arc<str>,
    resolved: bool,
}

struct SendRow {
    hash: [u8; 32],
    at_ms: u64,
    status: Status,
    position: Position,
    taken: bool,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, key: &StreamKey, work: impl FnOnce(&mut Stream) -> T) -> T {
        let mut streams = self.lock();
        work(self.stream(&mut streams, key))
    }

    fn stream<'a>(&self, streams: &'a mut BTreeMap<String, Stream>, key: &StreamKey) -> &'a mut Stream {
        streams.entry(key.to_string()).or_insert_with(|| Stream {
            key: key.clone(),
            epoch: self.life.epoch(),
            epoch_number: 1,
            base: 0,
            oldest: 1,
            bodies: Vec::new(),
            runs: HashMap::new(),
            approvals: HashMap::new(),
            sends: HashMap::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        // No method leaves a stream half changed, so a panic elsewhere leaves it usable.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, commit: &Commit) {
        if let Some(observer) = self.observer.get() {
            observer(commit);
        }
    }

    fn append_now(&self, append: Append) -> Outcome {
        // Held while the observer is notified, so that it hears of commits in their order.
        let mut streams = self.lock();
        let (outcome, change) = self.stream(&mut streams, &append.key).append(&append);
        let Some(commit) = change else { return outcome };
        self.notify(&commit);
        if let Some(inbox) = &append.announce
            && let Some(event) = announcement(&append, &commit)
        {
            let append = Append::events(inbox.clone(), vec![event]);
            if let (_, Some(commit)) = self.stream(&mut streams, inbox).append(&append) {
                self.notify(&commit);
            }
        }
        outcome
    }
}

impl Stream {
    fn head(&self) -> u64 {
        self.oldest + self.bodies.len() as u64 - 1
    }

    fn state(&self) -> StreamState {
        let mut open: Vec<_> = self.runs.iter().filter(|(_, row)| !row.ended).collect();
        open.sort_by_key(|(_, row)| row.started);
        StreamState {
            epoch: Arc::clone(&self.epoch),
            epoch_number: self.epoch_number,
            base: self.base,
            oldest: self.oldest,
            head: self.head(),
            open_runs: open.into_iter().map(|(run, _)| Arc::clone(run)).collect(),
            // Memory begins and ends with the log.
            begun_here: true,
        }
    }

    fn append(&mut self, append: &Append) -> (Outcome, Option<Commit>) {
        if let Some(once) = &append.once
            && let Some(row) = self.sends.get(&(Arc::clone(&once.id), Arc::clone(&once.subject)))
        {
            if row.hash != once.hash {
                return (Outcome::Conflict, None);
            }
            let receipt = Receipt { status: row.status, position: row.position.clone(), repeated: true };
            return (Outcome::Durable(receipt), None);
        }
        if let Some(once) = &append.once
            && let Some(after) = &append.after
            && !self.sends.contains_key(&(Arc::clone(after), Arc::clone(&once.subject)))
        {
            return (Outcome::TooEarly, None);
        }
        let status = self.guard(&append.guard);
        let first = self.head() + 1;
        let mut change = None;
        if status == Status::Accepted
            && let Some(run) = &append.cancels
            && let Some(row) = self.runs.get_mut(run)
        {
            row.cancelled = true;
        }
        if status == Status::Accepted && !append.events.is_empty() {
            let mut bodies = Vec::with_capacity(append.events.len());
            for event in &append.events {
                let event = self.as_it_is_written(event);
                bodies.push(Arc::clone(event.body()));
                self.bodies.push(Arc::clone(event.body()));
                self.note(&event);
            }
            change = Some(Commit {
                key: self.key.clone(),
                epoch_number: self.epoch_number,
                change: Change::Appended { first, bodies },
            });
        }
        let position = Position { epoch: Arc::clone(&self.epoch), offset: self.head() };
        if let Some(once) = &append.once {
            let row = SendRow {
                hash: once.hash,
                at_ms: once.at_ms.max(now_ms()),
                status,
                position: position.clone(),
                taken: !once.dispatch || status != Status::Accepted,
            };
            self.sends.insert((Arc::clone(&once.id), Arc::clone(&once.subject)), row);
        }
        (Outcome::Durable(Receipt { status, position, repeated: false }), change)
    }

    fn guard(&self, guard: &Guard) -> Status {
        match guard {
            Guard::None => Status::Accepted,
            Guard::RunOpen(run) => match self.runs.get(run) {
                None => Status::UnknownRun,
                Some(row) if row.ended => Status::AlreadyFinished,
                Some(_) => Status::Accepted,
            },
            Guard::ApprovalOpen(approval) => match self.approvals.get(approval) {
                None => Status::UnknownApproval,
                Some(row) if row.resolved => Status::AlreadyResolved,
                Some(_) => Status::Accepted,
            },
        }
    }

    /// The end of a run that was cancelled says so (SND-7).
    fn as_it_is_written<'a>(&self, event: &'a Event) -> Cow<'a, Event> {
        match event.effect() {
            Effect::RunEnded { run } if self.runs.get(run).is_some_and(|row| row.cancelled && !row.ended) => {
                Cow::Owned(event.cancelled())
            }
            _ => Cow::Borrowed(event),
        }
    }

    /// Notes what the event that was appended last does beside the events.
    fn note(&mut self, event: &Event) {
        let offset = self.head();
        match event.effect() {
            Effect::None => {}
            Effect::Run { run, claims } => {
                self.touch(run, offset);
                let message = match claims {
                    None => None,
                    Some(Claims::At(offset)) => Some(*offset),
                    Some(Claims::First(send_id)) => {
                        let waiting = self.sends.iter().filter(|((id, _), row)| id == send_id && !row.taken);
                        waiting.map(|(_, row)| row.position.offset).min()
                    }
                };
                if let Some(message) = message {
                    self.claim(|place| place == message);
                }
            }
            Effect::RunEnded { run } => {
                self.touch(run, offset).ended = true;
                for row in self.approvals.values_mut() {
                    row.resolved |= row.run == *run;
                }
            }
            Effect::ApprovalRequested { run, approval } => {
                self.touch(run, offset);
                let row = ApprovalRow { run: Arc::clone(run), resolved: false };
                self.approvals.entry(Arc::clone(approval)).or_insert(row);
            }
            Effect::ApprovalResolved { approval } => {
                if let Some(row) = self.approvals.get_mut(approval) {
                    row.resolved = true;
                }
            }
        }
    }

    fn touch(&mut self, run: &Arc<str>, offset: u64) -> &mut RunRow {
        self.runs.entry(Arc::clone(run)).or_insert(RunRow { started: offset, ended: false, cancelled: false })
    }

    fn read(&self, from: u64, max_events: usize, max_bytes: usize) -> Page {
        let first = from.max(self.oldest);
        let skip = usize::try_from(first - self.oldest).unwrap_or(usize::MAX);
        let bodies = take(self.bodies.iter().skip(skip).cloned(), max_events, max_bytes);
        Page { epoch_number: self.epoch_number, oldest: self.oldest, first, bodies }
    }

    fn pending(&self, after: u64) -> Option<Pending> {
        self.sends
            .iter()
            .filter(|(_, row)| {
                !row.taken && row.position.offset > after && row.position.offset >= self.oldest
            })
            .min_by_key(|(_, row)| row.position.offset)
            .map(|((id, subject), row)| Pending {
                offset: row.position.offset,
                send_id: Arc::clone(id),
                subject: Arc::clone(subject),
                body: Arc::clone(&self.bodies[(row.position.offset - self.oldest) as usize]),
            })
    }

    fn claim(&mut self, through: impl Fn(u64) -> bool) {
        for row in self.sends.values_mut() {
            row.taken |= through(row.position.offset);
        }
    }
}

impl Log for MemoryLog {
    fn observe(&self, observer: Observer) {
        // A second bridge on one log has no observer: the first one keeps it.
        let _ = self.observer.set(observer);
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Ticket, LogError>> {
        Box::pin(async move {
            let (reply, ticket) = Ticket::new();
            // The receiver is in this scope.
            let _ = reply.send(Ok(self.append_now(append)));
            Ok(ticket)
        })
    }

    fn state<'a>(&'a self, key: &'a StreamKey) -> BoxFuture<'a, Result<StreamState, LogError>> {
        Box::pin(async move { Ok(self.with(key, |stream| stream.state())) })
    }

    fn read<'a>(
        &'a self,
        key: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        Box::pin(async move { Ok(self.with(key, |stream| stream.read(from, max_events, max_bytes))) })
    }

    fn new_epoch<'a>(
        &'a self,
        key: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<StreamState, LogError>> {
        Box::pin(async move {
            let mut streams = self.lock();
            let stream = self.stream(&mut streams, key);
            if &*stream.epoch == current {
                stream.epoch = self.life.epoch();
                stream.epoch_number += 1;
                stream.base = stream.head();
                let change = Change::NewEpoch { epoch: Arc::clone(&stream.epoch) };
                self.notify(&Commit { key: key.clone(), epoch_number: stream.epoch_number, change });
            }
            Ok(stream.state())
        })
    }

    fn trim<'a>(&'a self, key: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        Box::pin(async move {
            let mut streams = self.lock();
            let stream = self.stream(&mut streams, key);
            let oldest = through.min(stream.head()) + 1;
            if oldest > stream.oldest {
                stream.bodies.drain(..(oldest - stream.oldest) as usize);
                stream.oldest = oldest;
                stream.claim(|offset| offset < oldest);
                let change = Change::Trimmed { oldest };
                self.notify(&Commit { key: key.clone(), epoch_number: stream.epoch_number, change });
            }
            Ok(stream.oldest)
        })
    }

    fn redact<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        Box::pin(async move {
            let mut streams = self.lock();
            let stream = self.stream(&mut streams, key);
            let index = offset.checked_sub(stream.oldest).and_then(|index| usize::try_from(index).ok());
            let Some(body) = index.and_then(|index| stream.bodies.get_mut(index)) else {
                return Ok(false);
            };
            *body = VOID.into();
            stream.claim(|place| place == offset);
            let change = Change::Redacted { offset };
            self.notify(&Commit { key: key.clone(), epoch_number: stream.epoch_number, change });
            Ok(true)
        })
    }

    fn pending<'a>(
        &'a self,
        key: &'a StreamKey,
        after: u64,
    ) -> BoxFuture<'a, Result<Option<Pending>, LogError>> {
        Box::pin(async move { Ok(self.with(key, |stream| stream.pending(after))) })
    }

    fn approval_run<'a>(
        &'a self,
        key: &'a StreamKey,
        approval: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<str>>, LogError>> {
        Box::pin(async move {
            Ok(self.with(key, |stream| stream.approvals.get(approval).map(|row| Arc::clone(&row.run))))
        })
    }

    fn claim<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            self.with(key, |stream| stream.claim(|place| place == offset));
            Ok(())
        })
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Unfinished>, LogError>> {
        Box::pin(async move {
            let after = after.map(StreamKey::to_string).unwrap_or_default();
            let streams = self.lock();
            let unfinished = streams.range(after.clone()..).filter(|(text, _)| **text != after);
            let unfinished = unfinished.map(|(_, stream)| Unfinished {
                key: stream.key.clone(),
                open_runs: stream.state().open_runs,
                has_pending: stream.pending(0).is_some(),
            });
            Ok(unfinished.filter(|one| one.has_pending || !one.open_runs.is_empty()).take(max).collect())
        })
    }

    fn forget_sends(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, LogError>> {
        Box::pin(async move {
            let mut forgotten = 0;
            for stream in self.lock().values_mut() {
                let before = stream.sends.len();
                stream.sends.retain(|_, row| !row.taken || row.at_ms >= before_ms);
                forgotten += (before - stream.sends.len()) as u64;
            }
            Ok(forgotten)
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("streams", &self.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    crate::log::contract::contract_of!((super::MemoryLog::new(), ()));
}
