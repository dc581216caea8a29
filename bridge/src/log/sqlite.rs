//! The embedded log: one SQLite file.
//!
//! One thread writes. It takes everything that waits into one transaction (group commit), so that many writers share
//! one `fsync`. Readers have connections of their own and, by the write-ahead log, never wait for it.

mod reader;
mod schema;
mod writer;

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use self::reader::Readers;
use self::writer::{Command, Writer};
use super::life::Life;
use super::{Append, Log, LogError, Observer, Page, Pending, StreamState, Ticket, Unfinished};
use crate::stream::StreamKey;

/// Commands that may wait for the writer; one more waits for room.
const QUEUE: usize = 1_024;

/// Why a log file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another log of this one, has it open.
    #[error("the log {0} is in use by another process; stop that one first, or use another file")]
    InUse(PathBuf),
    /// The file is something else.
    #[error("{0} is not an SQLite database; move it away, or use another file")]
    NotADatabase(PathBuf),
    /// The database belongs to another program.
    #[error("{0} is the database of another program; use another file")]
    NotALog(PathBuf),
    /// A newer version of the bridge wrote it.
    #[error("the log {path} has schema {found}, but this version reads up to {known}; use a newer version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this version reads.
        known: i64,
    },
    /// The file cannot be read or written.
    #[error("the log {path} cannot be opened: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Keeps streams in an SQLite file. What it calls durable survives the end of the process and, as far as the disk keeps
/// its word, a loss of power: write-ahead log with `synchronous=FULL`.
///
/// A file has one writer at a time, held by a lock on `<file>.lock`; other programs may read it. Dropping the log
/// commits what is queued.
pub struct SqliteLog {
    path: PathBuf,
    queue: Option<mpsc::Sender<Command>>,
    readers: Readers,
    observer: Arc<OnceLock<Observer>>,
    life: Arc<Life>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteLog {
    /// Opens the log at `path`, and creates it when there is none. The folder must exist.
    ///
    /// A file that was put back from a backup is opened by [`SqliteLog::open_restored`] the first time.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_as(path.as_ref(), false)
    }

    /// Opens a log that was put back from a backup: every stream begins a new epoch, in one transaction, before
    /// anything else is written.
    ///
    /// An operator calls this once after restoring a file, and [`SqliteLog::open`] from then on. Pages that come back
    /// then drop what they show, and get what the log has and what is written from now on. With `open` they would not
    /// where the log has grown past their position by then: recovery and agents write at once, and these pages would miss
    /// events in silence. Before the log is opened, the files `<file>-wal` and `<file>-shm` of the log that was replaced
    /// are to be removed.
    pub fn open_restored(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_as(path.as_ref(), true)
    }

    fn open_as(path: &Path, is_restored: bool) -> Result<Self, OpenError> {
        let path = path.to_owned();
        let unusable = |reason: String| OpenError::Unusable { path: path.clone(), reason };
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| unusable(error.to_string()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(unusable(error.to_string())),
        }
        let connection = schema::open(&path)?;
        let life = Arc::new(Life::default());
        if is_restored {
            let streams = schema::begin_epochs(&connection, &life.epoch())
                .map_err(|error| unusable(error.to_string()))?;
            tracing::info!(path = %path.display(), streams, "a restored log: every stream begins a new epoch");
        }
        let observer = Arc::new(OnceLock::new());
        let (queue, commands) = mpsc::channel(QUEUE);
        let writer = Writer::new(connection, Arc::clone(&observer), Arc::clone(&life));
        let writer = std::thread::Builder::new()
            .name("agentwire-log".to_owned())
            .spawn(move || {
                writer.run(commands);
                // Held until the last commit.
                drop(lock);
            })
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            readers: Readers::new(path.clone()),
            path,
            queue: Some(queue),
            observer,
            life,
            writer: Mutex::new(Some(writer)),
        })
    }

    async fn submit(&self, command: Command) -> Result<(), LogError> {
        let queue = self.queue.as_ref().ok_or(LogError::Closed)?;
        queue.send(command).await.map_err(|_| LogError::Closed)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Command,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.submit(command(reply)).await?;
        answer.await.unwrap_or(Err(LogError::Closed))
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        // Without a sender the writer commits what is queued and ends.
        self.queue = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::warn!(path = %self.path.display(), "the writer of the log had panicked");
        }
    }
}

impl Log for SqliteLog {
    fn observe(&self, observer: Observer) {
        // A second bridge on one log has no observer: the first one keeps it.
        let _ = self.observer.set(observer);
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Ticket, LogError>> {
        Box::pin(async move {
            let (reply, ticket) = Ticket::new();
            self.submit(Command::Append(append, reply)).await?;
            Ok(ticket)
        })
    }

    fn state<'a>(&'a self, key: &'a StreamKey) -> BoxFuture<'a, Result<StreamState, LogError>> {
        Box::pin(async move {
            let text = key.to_string();
            let mut state = self.readers.state(text.clone()).await?;
            if state.is_none() {
                self.ask(|reply| Command::Create(key.clone(), reply)).await?;
                state = self.readers.state(text).await?;
            }
            let missing = || LogError::Unavailable("a stream that was created is not there".to_owned());
            let state = state.ok_or_else(missing)?;
            Ok(StreamState { begun_here: self.life.began(&state.epoch), ..state })
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        Box::pin(self.readers.read(key.to_string(), from, max_events, max_bytes))
    }

    fn new_epoch<'a>(
        &'a self,
        key: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<StreamState, LogError>> {
        Box::pin(async move {
            self.ask(|reply| Command::NewEpoch(key.clone(), current.into(), reply)).await?;
            self.state(key).await
        })
    }

    fn trim<'a>(&'a self, key: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        Box::pin(self.ask(move |reply| Command::Trim(key.clone(), through, reply)))
    }

    fn redact<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        Box::pin(self.ask(move |reply| Command::Redact(key.clone(), offset, reply)))
    }

    fn pending<'a>(
        &'a self,
        key: &'a StreamKey,
        after: u64,
    ) -> BoxFuture<'a, Result<Option<Pending>, LogError>> {
        Box::pin(self.readers.pending(key.to_string(), after))
    }

    fn approval_run<'a>(
        &'a self,
        key: &'a StreamKey,
        approval: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<str>>, LogError>> {
        Box::pin(self.readers.approval_run(key.to_string(), approval.to_owned()))
    }

    fn claim<'a>(&'a self, key: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(self.ask(move |reply| Command::Claim(key.clone(), offset, reply)))
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Unfinished>, LogError>> {
        Box::pin(self.readers.unfinished(after.map(StreamKey::to_string).unwrap_or_default(), max))
    }

    fn forget_sends(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, LogError>> {
        Box::pin(self.ask(move |reply| Command::ForgetSends(before_ms, reply)))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.ask(Command::Check).await?;
            self.readers.check().await
        })
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn open_in(folder: &tempfile::TempDir) -> SqliteLog {
        SqliteLog::open(folder.path().join("log.sqlite")).unwrap()
    }

    crate::log::contract::contract_of!({
        let folder = tempfile::tempdir().unwrap();
        (open_in(&folder), folder)
    }; |log: SqliteLog, folder| {
        drop(log);
        open_in(folder)
    });

    #[test]
    fn errors_of_opening_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let log = SqliteLog::open(path("log.sqlite")).unwrap();
        let error = SqliteLog::open(path("log.sqlite")).unwrap_err();
        assert!(matches!(error, OpenError::InUse(_)), "{error}");
        drop(log);
        SqliteLog::open(path("log.sqlite")).unwrap();

        std::fs::write(
            path("text"),
            "this is no database, but a text that is long enough to be one".repeat(20),
        )
        .unwrap();
        let error = SqliteLog::open(path("text")).unwrap_err();
        assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");

        rusqlite::Connection::open(path("other")).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
        let error = SqliteLog::open(path("other")).unwrap_err();
        assert!(matches!(error, OpenError::NotALog(_)), "{error}");

        let newer = rusqlite::Connection::open(path("log.sqlite")).unwrap();
        newer.pragma_update(None, "user_version", 7).unwrap();
        drop(newer);
        let error = SqliteLog::open(path("log.sqlite")).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 7, .. }), "{error}");

        let error = SqliteLog::open(path("missing/log.sqlite")).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    }

    #[tokio::test]
    async fn dropping_the_log_commits_what_is_queued_and_reopening_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let key = StreamKey::new("ada", "t").unwrap();
        let log = SqliteLog::open(&path).unwrap();
        let before = log.state(&key).await.unwrap();
        let mut tickets = Vec::new();
        for n in 0..100 {
            let event = Event::new(serde_json::json!({"type": "note", "n": n}), 4_096).unwrap();
            tickets.push(log.append(Append::events(key.clone(), vec![event])).await.unwrap());
        }
        drop(log);
        for ticket in tickets {
            ticket.durable().await.unwrap();
        }
        let after = SqliteLog::open(&path).unwrap().state(&key).await.unwrap();
        assert_eq!((after.epoch, after.head), (before.epoch, 100));
        assert_eq!((before.begun_here, after.begun_here), (true, false));
    }

    /// Makes a file one of an older schema.
    fn make_older(path: &Path, schema: i64) {
        let old = rusqlite::Connection::open(path).unwrap();
        old.execute_batch("ALTER TABLE streams DROP COLUMN base").unwrap();
        if schema < 2 {
            old.execute_batch("ALTER TABLE runs DROP COLUMN cancelled").unwrap();
        }
        old.pragma_update(None, "user_version", schema).unwrap();
    }

    #[tokio::test]
    async fn a_log_of_an_older_schema_has_epochs_that_began_with_their_streams() {
        for schema in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.sqlite");
            let key = StreamKey::new("ada", "t").unwrap();
            let log = SqliteLog::open(&path).unwrap();
            let note = || Event::new(serde_json::json!({"type": "note"}), 4_096).unwrap();
            let append = Append::events(key.clone(), vec![note(), note()]);
            log.append(append.clone()).await.unwrap().durable().await.unwrap();
            drop(log);
            make_older(&path, schema);
            let log = SqliteLog::open(&path).unwrap();
            let state = log.state(&key).await.unwrap();
            assert_eq!((state.base, state.head), (0, 2));
            let state = log.new_epoch(&key, &state.epoch).await.unwrap();
            assert_eq!(state.base, 2);
            drop(log);
            // A backup can be older than the bridge that puts it back.
            make_older(&path, schema);
            let log = SqliteLog::open_restored(&path).unwrap();
            log.append(append).await.unwrap().durable().await.unwrap();
            let state = log.state(&key).await.unwrap();
            assert_eq!((state.base, state.head), (2, 4));
        }
    }

    #[tokio::test]
    async fn a_log_of_the_first_schema_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let key = StreamKey::new("ada", "t").unwrap();
        let event = |kind: &str| {
            Event::new(serde_json::json!({"type": kind, "runId": "r", "time": 1}), 4_096).unwrap()
        };
        let log = SqliteLog::open(&path).unwrap();
        let append = Append::events(key.clone(), vec![event("agent_started")]);
        log.append(append).await.unwrap().durable().await.unwrap();
        drop(log);
        make_older(&path, 1);
        // The second time finds it done.
        for _ in 0..2 {
            let log = SqliteLog::open(&path).unwrap();
            assert_eq!(log.state(&key).await.unwrap().open_runs, ["r".into()]);
        }
        let log = SqliteLog::open(&path).unwrap();
        let cancel = Append { cancels: Some("r".into()), ..Append::events(key.clone(), Vec::new()) };
        log.append(cancel).await.unwrap().durable().await.unwrap();
        drop(log);
        // What was cancelled is known to the next process.
        let log = SqliteLog::open(&path).unwrap();
        let end = Append::events(key.clone(), vec![event("agent_died")]);
        log.append(end).await.unwrap().durable().await.unwrap();
        let last = log.read(&key, 2, 1, 4_096).await.unwrap().bodies.remove(0);
        assert!(last.contains("agent_cancelled"), "{last}");
    }

    // PROTOCOL: LIF-4
    #[tokio::test]
    async fn a_restored_log_begins_a_new_epoch_of_every_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let keys = ["t", "u"].map(|name| StreamKey::new("ada", name).unwrap());
        let log = SqliteLog::open(&path).unwrap();
        let mut before = Vec::new();
        for (key, events) in keys.iter().zip([3, 0]) {
            let note = Event::new(serde_json::json!({"type": "note"}), 4_096).unwrap();
            log.append(Append::events(key.clone(), vec![note; events]))
                .await
                .unwrap()
                .durable()
                .await
                .unwrap();
            before.push(log.state(key).await.unwrap());
        }
        drop(log);
        let log = SqliteLog::open_restored(&path).unwrap();
        let mut epochs: Vec<_> = before.iter().map(|state| Arc::clone(&state.epoch)).collect();
        for (key, before) in keys.iter().zip(before) {
            let after = log.state(key).await.unwrap();
            // A position of one stream must not pass for one of another.
            assert!(!epochs.contains(&after.epoch) && after.epoch.len() <= 64, "{}", after.epoch);
            assert_eq!((after.epoch_number, after.begun_here), (before.epoch_number + 1, true));
            assert_eq!((after.base, after.head), (before.head, before.head));
            epochs.push(after.epoch);
        }
        // A new file has nothing to begin anew.
        drop(log);
        SqliteLog::open_restored(folder.path().join("new.sqlite")).unwrap();
    }
}
