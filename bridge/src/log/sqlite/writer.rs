//! The one thread that writes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use crate::clock::now_ms;
use crate::event::{Claims, Effect, Event, VOID};
use crate::log::life::Life;
use crate::log::{Append, Change, Commit, Guard, LogError, Observer, Outcome, Receipt, Status, announcement};
use crate::stream::{Position, StreamKey};

/// Most commands of one transaction.
const MAX_GROUP: usize = 1_024;

/// Bytes of events at which a transaction takes no further command.
const MAX_GROUP_BYTES: usize = 4 << 20;

/// Streams whose heads are kept in memory between transactions.
const MAX_CACHED_STREAMS: usize = 10_000;

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

pub(super) enum Command {
    Append(Append, Reply<Outcome>),
    Check(Reply<()>),
    Create(StreamKey, Reply<()>),
    ForgetSends(u64, Reply<u64>),
    NewEpoch(StreamKey, Arc<str>, Reply<()>),
    Redact(StreamKey, u64, Reply<bool>),
    Claim(StreamKey, u64, Reply<()>),
    Trim(StreamKey, u64, Reply<u64>),
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(append, _) => append.events.iter().map(|event| event.body().len()).sum(),
            _ => 0,
        }
    }
}

/// What to answer when the transaction is over: durable, or failed for the given reason.
type Settle = Box<dyn FnOnce(Option<&LogError>) + Send>;

pub(super) struct Writer {
    connection: Connection,
    streams: HashMap<StreamKey, StreamRow>,
    observer: Arc<OnceLock<Observer>>,
    life: Arc<Life>,
}

/// The row of a stream as the running transaction sees it.
#[derive(Clone)]
struct StreamRow {
    id: i64,
    epoch: Arc<str>,
    epoch_number: u64,
    oldest: u64,
    head: u64,
    /// Whether the table has an older head.
    changed: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection, observer: Arc<OnceLock<Observer>>, life: Arc<Life>) -> Self {
        Self { connection, streams: HashMap::new(), observer, life }
    }

    /// Writes until every sender is gone and the queue is empty.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut bytes = first.bytes();
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && bytes < MAX_GROUP_BYTES
                && let Ok(command) = commands.try_recv()
            {
                bytes += command.bytes();
                group.push(command);
            }
            self.commit(group);
        }
    }

    /// Applies a group in one transaction. Observers and writers hear of it after the commit only.
    fn commit(&mut self, group: Vec<Command>) {
        if self.streams.len() > MAX_CACHED_STREAMS {
            self.streams.clear();
        }
        let mut settles = Vec::with_capacity(group.len());
        let done = transact(&mut self.connection, &mut self.streams, &self.life, group, &mut settles);
        let failed = match done {
            Ok(commits) => {
                if let Some(observer) = self.observer.get() {
                    commits.iter().for_each(|commit| observer(commit));
                }
                None
            }
            Err(error) => {
                // What the rolled-back transaction put there is not true.
                self.streams.clear();
                tracing::warn!(%error, "a transaction of the log failed");
                Some(LogError::Unavailable(error.to_string()))
            }
        };
        for settle in settles {
            settle(failed.as_ref());
        }
    }
}

/// Runs the transaction. Every command leaves its answer in `settles`, also when the transaction fails.
fn transact(
    connection: &mut Connection,
    streams: &mut HashMap<StreamKey, StreamRow>,
    life: &Life,
    group: Vec<Command>,
    settles: &mut Vec<Settle>,
) -> rusqlite::Result<Vec<Commit>> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let (transaction, mut result) = match begun {
        Ok(transaction) => (Some(transaction), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let mut commits = Vec::new();
    for command in group {
        let mut tables = transaction.as_ref().filter(|_| result.is_ok()).map(|transaction| Tables {
            connection: transaction,
            streams,
            life,
            commits: &mut commits,
        });
        let tables = tables.as_mut();
        let applied = match command {
            Command::Append(append, reply) => settle(settles, reply, tables, |tables| tables.append(append)),
            Command::Check(reply) => settle(settles, reply, tables, |_| Ok(())),
            Command::Create(key, reply) => {
                settle(settles, reply, tables, |tables| tables.stream(&key).map(drop))
            }
            Command::ForgetSends(before, reply) => {
                settle(settles, reply, tables, |tables| tables.forget_sends(before))
            }
            Command::NewEpoch(key, current, reply) => {
                settle(settles, reply, tables, |tables| tables.new_epoch(&key, &current))
            }
            Command::Redact(key, offset, reply) => {
                settle(settles, reply, tables, |tables| tables.redact(&key, offset))
            }
            Command::Claim(key, offset, reply) => {
                settle(settles, reply, tables, |tables| tables.claim(&key, offset))
            }
            Command::Trim(key, through, reply) => {
                settle(settles, reply, tables, |tables| tables.trim(&key, through))
            }
        };
        if result.is_ok() {
            result = applied;
        }
    }
    result?;
    let Some(transaction) = transaction else {
        return Ok(commits);
    };
    {
        let mut update = transaction.prepare_cached("UPDATE streams SET head = ?2 WHERE id = ?1")?;
        for row in streams.values_mut().filter(|row| row.changed) {
            update.execute(params![row.id, row.head])?;
            row.changed = false;
        }
    }
    transaction.commit()?;
    Ok(commits)
}

/// Applies one command and keeps its answer for the end of the transaction.
fn settle<T: Send + 'static>(
    settles: &mut Vec<Settle>,
    reply: Reply<T>,
    tables: Option<&mut Tables<'_>>,
    apply: impl FnOnce(&mut Tables<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<()> {
    let (value, result) = match tables.map(apply) {
        Some(Ok(value)) => (Some(value), Ok(())),
        Some(Err(error)) => (None, Err(error)),
        None => (None, Ok(())),
    };
    settles.push(Box::new(move |failed| {
        let answer = match (failed, value) {
            (None, Some(value)) => Ok(value),
            (Some(error), _) => Err(error.clone()),
            (None, None) => Err(LogError::Unavailable("the transaction ended early".to_owned())),
        };
        // Whoever asked may have stopped waiting.
        let _ = reply.send(answer);
    }));
    result
}

/// The tables inside a transaction.
struct Tables<'a> {
    connection: &'a Connection,
    streams: &'a mut HashMap<StreamKey, StreamRow>,
    life: &'a Life,
    commits: &'a mut Vec<Commit>,
}

impl Tables<'_> {
    /// The row of a stream, which is made when there is none.
    fn stream(&mut self, key: &StreamKey) -> rusqlite::Result<&mut StreamRow> {
        if !self.streams.contains_key(key) {
            let row = self.load(key)?;
            self.streams.insert(key.clone(), row);
        }
        // Inserted just above when it was missing.
        self.streams.get_mut(key).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn load(&self, key: &StreamKey) -> rusqlite::Result<StreamRow> {
        let text = key.to_string();
        let row = self
            .connection
            .prepare_cached("SELECT id, epoch, epoch_number, oldest, head FROM streams WHERE key = ?1")?
            .query_row([&text], |row| {
                Ok(StreamRow {
                    id: row.get(0)?,
                    epoch: row.get(1)?,
                    epoch_number: row.get(2)?,
                    oldest: row.get(3)?,
                    head: row.get(4)?,
                    changed: false,
                })
            })
            .optional()?;
        if let Some(row) = row {
            return Ok(row);
        }
        let epoch = self.life.epoch();
        self.connection
            .prepare_cached(
                "INSERT INTO streams (key, epoch, epoch_number, base, oldest, head) VALUES (?1, ?2, 1, 0, 1, 0)",
            )?
            .execute(params![text, epoch])?;
        let id = self.connection.last_insert_rowid();
        Ok(StreamRow { id, epoch, epoch_number: 1, oldest: 1, head: 0, changed: false })
    }

    fn append(&mut self, append: Append) -> rusqlite::Result<Outcome> {
        let row = self.stream(&append.key)?.clone();
        if let Some(once) = &append.once {
            let known = self
                .connection
                .prepare_cached(
                    "SELECT hash, status, epoch, offset FROM sends WHERE stream = ?1 AND id = ?2 AND subject = ?3",
                )?
                .query_row(params![row.id, once.id, once.subject], |row| {
                    let position = Position { epoch: row.get(2)?, offset: row.get(3)? };
                    let receipt = Receipt { status: Status::from_code(row.get(1)?), position, repeated: true };
                    Ok((row.get::<_, [u8; 32]>(0)?, receipt))
                })
                .optional()?;
            if let Some((hash, receipt)) = known {
                return Ok(if hash == once.hash { Outcome::Durable(receipt) } else { Outcome::Conflict });
            }
        }
        if let Some(once) = &append.once
            && let Some(after) = &append.after
            && !self.is_known(row.id, after, &once.subject)?
        {
            return Ok(Outcome::TooEarly);
        }
        let status = self.guard(row.id, &append.guard)?;
        let mut head = row.head;
        if status == Status::Accepted
            && let Some(run) = &append.cancels
        {
            self.connection
                .prepare_cached("UPDATE runs SET cancelled = 1 WHERE stream = ?1 AND run = ?2")?
                .execute(params![row.id, run])?;
        }
        if status == Status::Accepted && !append.events.is_empty() {
            head = self.insert(&append.key, &append)?;
            if let Some(inbox) = &append.announce
                && let Some(commit) = self.commits.last()
                && let Some(event) = announcement(&append, commit)
            {
                self.insert(inbox, &Append::events(inbox.clone(), vec![event]))?;
            }
        }
        if let Some(once) = &append.once {
            let taken = !once.dispatch || status != Status::Accepted;
            self.connection
                .prepare_cached(
                    "INSERT INTO sends (stream, id, subject, hash, at_ms, status, epoch, offset, taken)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    row.id,
                    once.id,
                    once.subject,
                    once.hash,
                    once.at_ms.max(now_ms()),
                    status.code(),
                    row.epoch,
                    head,
                    taken
                ])?;
        }
        let position = Position { epoch: row.epoch, offset: head };
        Ok(Outcome::Durable(Receipt { status, position, repeated: false }))
    }

    /// Writes the events and what they do; returns the new head.
    fn insert(&mut self, key: &StreamKey, append: &Append) -> rusqlite::Result<u64> {
        let row = self.stream(key)?;
        let (stream, epoch_number, first) = (row.id, row.epoch_number, row.head + 1);
        row.head += append.events.len() as u64;
        row.changed = true;
        let head = row.head;
        let mut bodies = Vec::with_capacity(append.events.len());
        for (offset, event) in (first..).zip(&append.events) {
            let event = self.as_it_is_written(stream, event)?;
            self.connection
                .prepare_cached("INSERT INTO events (stream, offset, body) VALUES (?1, ?2, ?3)")?
                .execute(params![stream, offset, event.body()])?;
            self.note(stream, offset, event.effect())?;
            bodies.push(Arc::clone(event.body()));
        }
        self.commits.push(Commit {
            key: key.clone(),
            epoch_number,
            change: Change::Appended { first, bodies },
        });
        Ok(head)
    }

    /// The end of a run that was cancelled says so (SND-7).
    fn as_it_is_written<'a>(&self, stream: i64, event: &'a Event) -> rusqlite::Result<Cow<'a, Event>> {
        let Effect::RunEnded { run } = event.effect() else { return Ok(Cow::Borrowed(event)) };
        let is_cancelled = self
            .connection
            .prepare_cached(
                "SELECT 1 FROM runs WHERE stream = ?1 AND run = ?2 AND cancelled = 1 AND ended IS NULL",
            )?
            .exists(params![stream, run])?;
        Ok(if is_cancelled { Cow::Owned(event.cancelled()) } else { Cow::Borrowed(event) })
    }

    fn is_known(&self, stream: i64, id: &str, subject: &str) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT 1 FROM sends WHERE stream = ?1 AND id = ?2 AND subject = ?3")?
            .exists(params![stream, id, subject])
    }

    fn guard(&self, stream: i64, guard: &Guard) -> rusqlite::Result<Status> {
        let (sql, id, over, unknown) = match guard {
            Guard::None => return Ok(Status::Accepted),
            Guard::RunOpen(run) => (
                "SELECT ended IS NOT NULL FROM runs WHERE stream = ?1 AND run = ?2",
                run,
                Status::AlreadyFinished,
                Status::UnknownRun,
            ),
            Guard::ApprovalOpen(approval) => (
                "SELECT resolved FROM approvals WHERE stream = ?1 AND approval = ?2",
                approval,
                Status::AlreadyResolved,
                Status::UnknownApproval,
            ),
        };
        let is_over = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![stream, id], |row| row.get(0))
            .optional()?;
        Ok(match is_over {
            None => unknown,
            Some(true) => over,
            Some(false) => Status::Accepted,
        })
    }

    /// Notes what an event does beside the events.
    fn note(&self, stream: i64, offset: u64, effect: &Effect) -> rusqlite::Result<()> {
        match effect {
            Effect::None => Ok(()),
            Effect::Run { run, claims } => {
                self.touch(stream, run, offset)?;
                match claims {
                    None => Ok(()),
                    Some(Claims::At(message)) => self.claim_at(stream, *message),
                    Some(Claims::First(send_id)) => self
                        .connection
                        .prepare_cached(
                            "UPDATE sends SET taken = 1 WHERE stream = ?1 AND taken = 0 AND offset =
                             (SELECT MIN(offset) FROM sends WHERE stream = ?1 AND id = ?2 AND taken = 0)",
                        )?
                        .execute(params![stream, send_id])
                        .map(drop),
                }
            }
            Effect::RunEnded { run } => {
                self.touch(stream, run, offset)?;
                self.connection
                    .prepare_cached(
                        "UPDATE runs SET ended = ?3 WHERE stream = ?1 AND run = ?2 AND ended IS NULL",
                    )?
                    .execute(params![stream, run, offset])?;
                self.connection
                    .prepare_cached(
                        "UPDATE approvals SET resolved = 1 WHERE stream = ?1 AND run = ?2 AND resolved = 0",
                    )?
                    .execute(params![stream, run])
                    .map(drop)
            }
            Effect::ApprovalRequested { run, approval } => {
                self.touch(stream, run, offset)?;
                self.connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO approvals (stream, approval, run, resolved) VALUES (?1, ?2, ?3, 0)",
                    )?
                    .execute(params![stream, approval, run])
                    .map(drop)
            }
            Effect::ApprovalResolved { approval } => self
                .connection
                .prepare_cached("UPDATE approvals SET resolved = 1 WHERE stream = ?1 AND approval = ?2")?
                .execute(params![stream, approval])
                .map(drop),
        }
    }

    fn touch(&self, stream: i64, run: &str, offset: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO runs (stream, run, started) VALUES (?1, ?2, ?3)")?
            .execute(params![stream, run, offset])
            .map(drop)
    }

    fn new_epoch(&mut self, key: &StreamKey, current: &str) -> rusqlite::Result<()> {
        let life = self.life;
        let row = self.stream(key)?;
        if &*row.epoch != current {
            return Ok(());
        }
        row.epoch = life.epoch();
        row.epoch_number += 1;
        let row = row.clone();
        self.connection
            .prepare_cached("UPDATE streams SET epoch = ?2, epoch_number = ?3, base = ?4 WHERE id = ?1")?
            .execute(params![row.id, row.epoch, row.epoch_number, row.head])?;
        let change = Change::NewEpoch { epoch: row.epoch };
        self.commits.push(Commit { key: key.clone(), epoch_number: row.epoch_number, change });
        Ok(())
    }

    fn trim(&mut self, key: &StreamKey, through: u64) -> rusqlite::Result<u64> {
        let row = self.stream(key)?;
        let oldest = through.min(row.head) + 1;
        if oldest <= row.oldest {
            return Ok(row.oldest);
        }
        row.oldest = oldest;
        let (stream, epoch_number) = (row.id, row.epoch_number);
        for sql in [
            "UPDATE streams SET oldest = ?2 WHERE id = ?1",
            "DELETE FROM events WHERE stream = ?1 AND offset < ?2",
            "DELETE FROM approvals WHERE stream = ?1 AND resolved = 1
             AND run IN (SELECT run FROM runs WHERE stream = ?1 AND ended < ?2)",
            "DELETE FROM runs WHERE stream = ?1 AND ended < ?2",
            "UPDATE sends SET taken = 1 WHERE stream = ?1 AND offset < ?2 AND taken = 0",
        ] {
            self.connection.prepare_cached(sql)?.execute(params![stream, oldest])?;
        }
        self.commits.push(Commit { key: key.clone(), epoch_number, change: Change::Trimmed { oldest } });
        Ok(oldest)
    }

    fn redact(&mut self, key: &StreamKey, offset: u64) -> rusqlite::Result<bool> {
        let row = self.stream(key)?;
        if offset > row.head {
            return Ok(false);
        }
        let (stream, epoch_number) = (row.id, row.epoch_number);
        let changed = self
            .connection
            .prepare_cached("UPDATE events SET body = ?3 WHERE stream = ?1 AND offset = ?2")?
            .execute(params![stream, offset, VOID])?;
        if changed == 0 {
            return Ok(false);
        }
        self.claim(key, offset)?;
        self.commits.push(Commit { key: key.clone(), epoch_number, change: Change::Redacted { offset } });
        Ok(true)
    }

    fn claim(&mut self, key: &StreamKey, offset: u64) -> rusqlite::Result<()> {
        let stream = self.stream(key)?.id;
        self.claim_at(stream, offset)
    }

    fn claim_at(&self, stream: i64, offset: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE sends SET taken = 1 WHERE stream = ?1 AND offset = ?2 AND taken = 0")?
            .execute(params![stream, offset])
            .map(drop)
    }

    fn forget_sends(&self, before_ms: u64) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached("DELETE FROM sends WHERE at_ms < ?1 AND taken = 1")?
            .execute([before_ms])
            .map(|forgotten| forgotten as u64)
    }
}
