//! The embedded log: one SQLite file.
//!
//! One thread writes. It takes everything that waits into one transaction (group commit), so that many writers share
//! one `fsync`. Readers have connections of their own and, by the write-ahead log, never wait for it.

mod file;
mod migrate;
mod open;
mod reader;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use self::open::OpenError;
use self::reader::{Listed, Readers};
use self::writer::{Command, Done, Work, Writer};
use super::incarnation::Incarnation;
use super::{Append, Head, Log, LogError, Observer, Page, Record, Snapshot};
use crate::stream::StreamKey;

/// Commands that may wait for the writer; one more waits for room.
const QUEUE: usize = 1_024;

/// Keeps streams in an SQLite file. What it calls durable survives the end of the process and, as far as the disk keeps
/// its word, a loss of power: write-ahead log with `synchronous=FULL`.
///
/// A file has one writer at a time, held by a lock on the file itself; other programs may read it: the view `events` has
/// the columns `stream`, `offset` and `body`. Dropping the log commits what is queued and leaves everything in the one
/// file. The texts of events that are trimmed or redacted are overwritten; they are gone from the disk when the log is
/// closed, or when SQLite has checkpointed its write-ahead log. While the log is open, the file alone is not a backup; [`SqliteLog::backup`] makes one.
///
/// ```
/// # async fn example(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
/// use agentwire_bridge::SqliteLog;
///
/// let log = SqliteLog::open(folder.join("chat.sqlite"))?;
/// // While it is in use:
/// log.backup(folder.join("backup.sqlite")).await?;
/// // Once, when a backup is put back:
/// let restored = SqliteLog::open_restored(folder.join("backup.sqlite"))?;
/// # Ok(())
/// # }
/// ```
pub struct SqliteLog {
    path: PathBuf,
    queue: Option<mpsc::Sender<Command>>,
    readers: Readers,
    observer: Arc<OnceLock<Observer>>,
    incarnation: Arc<Incarnation>,
    secret: [u8; 32],
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteLog {
    /// Opens the log at `path`, and creates it when there is none. The folder must exist: one that is missing is rather a
    /// disk that is not mounted. Only the user of this process may read what is created. A file of an older version is
    /// brought up to date, in one transaction.
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

    /// Copies the log into a new file at `to`, as it is at one moment, while it is in use. From the command line,
    /// `sqlite3 LOG "VACUUM INTO 'COPY'"` does the same. Fails when `to` exists.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), LogError> {
        let to = to.as_ref();
        let text =
            to.to_str().ok_or_else(|| LogError::Unavailable(format!("{} is no UTF-8", to.display())))?;
        file::create(to).map_err(|error| LogError::Unavailable(format!("{}: {error}", to.display())))?;
        self.readers.backup(text.to_owned()).await
    }

    fn open_as(path: &Path, is_restored: bool) -> Result<Self, OpenError> {
        let path = path.to_owned();
        let unusable = |reason: String| OpenError::Unusable { path: path.clone(), reason };
        let lock = file::lock(&path)?;
        let opened = open::open(&path, is_restored)?;
        let incarnation = Arc::new(opened.incarnation);
        let observer = Arc::new(OnceLock::new());
        let (queue, commands) = mpsc::channel(QUEUE);
        let writer = Writer::new(opened.connection, Arc::clone(&observer), Arc::clone(&incarnation));
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
            incarnation,
            secret: opened.secret,
            writer: Mutex::new(Some(writer)),
        })
    }

    async fn ask(&self, work: Work) -> Result<Done, LogError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(LogError::Closed)?;
        queue.send(Command { work, reply }).await.map_err(|_| LogError::Closed)?;
        answer.await.unwrap_or(Err(LogError::Closed))
    }
}

/// The answer that its work has.
macro_rules! answer {
    ($log:ident, $work:expr, $done:pat => $answer:expr) => {
        Box::pin(async move {
            match $log.ask($work).await? {
                $done => Ok($answer),
                _ => Err(LogError::Unavailable("the writer answered something else".to_owned())),
            }
        })
    };
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        // The last connection that closes leaves one file.
        self.readers.close();
        // Without a sender the writer commits what is queued and ends.
        self.queue = None;
        let writer = self.writer.lock().take();
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

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<Append, LogError>> {
        answer!(self, Work::Append(stream.clone(), expected, record), Done::Append(append) => append)
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        Box::pin(async move {
            let row = self.readers.row(stream.clone()).await?;
            Ok(row.map_or_else(
                || Head {
                    epoch: self.incarnation.first_epoch(stream),
                    epoch_number: 1,
                    base: 0,
                    oldest: 1,
                    offset: 0,
                    seq: 0,
                },
                |row| row.head,
            ))
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        Box::pin(self.readers.read(stream.clone(), from, max_events, max_bytes))
    }

    fn records<'a>(
        &'a self,
        stream: &'a StreamKey,
        after: u64,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
        Box::pin(self.readers.records(stream.clone(), after, max))
    }

    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>> {
        Box::pin(self.readers.snapshot(stream.clone()))
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamKey,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        answer!(self, Work::PutSnapshot(stream.clone(), snapshot), Done::Nothing => ())
    }

    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
        answer!(self, Work::Trim(stream.clone(), through), Done::Trimmed(oldest) => oldest)
    }

    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
        answer!(self, Work::Redact(stream.clone(), offset), Done::Redacted(redacted) => redacted)
    }

    fn new_epoch<'a>(
        &'a self,
        stream: &'a StreamKey,
        current: &'a str,
    ) -> BoxFuture<'a, Result<Head, LogError>> {
        answer!(self, Work::NewEpoch(stream.clone(), current.into()), Done::Head(head) => head)
    }

    fn unfinished<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        Box::pin(self.readers.list(Listed::Open, after.cloned(), max))
    }

    fn streams<'a>(
        &'a self,
        after: Option<&'a StreamKey>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
        Box::pin(self.readers.list(Listed::All, after.cloned(), max))
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.ask(Work::Check).await?;
            self.readers.check().await
        })
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog").field("path", &self.path).finish_non_exhaustive()
    }
}
