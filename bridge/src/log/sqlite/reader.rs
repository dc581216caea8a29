//! Reads, on connections of their own and outside the async threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::row::{COLUMNS, read};
use super::schema::{Row, open_reader, row};
use crate::log::{LogError, Page, Record, Snapshot, take};
use crate::stream::StreamKey;

/// Connections that read at once; one more read waits.
const CONNECTIONS: usize = 4;

/// Which streams are listed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed {
    All,
    /// Those whose last record is open.
    Open,
}

pub(super) struct Readers {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: path.into(), idle: Arc::default(), permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// Closes the connections that are not in use, and opens no other.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| LogError::Closed)?;
        let (path, idle) = (Arc::clone(&self.path), Arc::clone(&self.idle));
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = idle.lock().pop();
            let connection = match connection {
                Some(connection) => connection,
                None => open_reader(&path)?,
            };
            // One snapshot for all statements of one read.
            let transaction = connection.unchecked_transaction()?;
            let answer = work(&transaction)?;
            transaction.finish()?;
            idle.lock().push(connection);
            Ok(answer)
        });
        match read.await {
            Ok(answer) => answer.map_err(|error: rusqlite::Error| LogError::Unavailable(error.to_string())),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }

    pub(super) async fn row(&self, key: StreamKey) -> Result<Option<Row>, LogError> {
        self.with(move |connection| row(connection, &key)).await
    }

    pub(super) async fn read(
        &self,
        key: StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        self.with(move |connection| {
            let stream = connection
                .prepare_cached("SELECT id, epoch_number, oldest FROM streams WHERE key = ?1")?
                .query_row([key.as_str()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, u64>(2)?))
                })
                .optional()?;
            let Some((stream, epoch_number, oldest)) = stream else {
                return Ok(Page { epoch_number: 1, oldest: 1, first: from.max(1), bodies: Vec::new() });
            };
            let from = from.max(oldest);
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM records WHERE stream = ?1 AND count > 0 AND first >= coalesce((
                     SELECT first FROM records WHERE stream = ?1 AND first <= ?2 AND count > 0
                     ORDER BY first DESC LIMIT 1
                 ), 0) ORDER BY first, seq"
            ))?;
            let mut rows = statement.query(params![stream, from])?;
            let (mut bodies, mut bytes, mut first) = (Vec::new(), 0, None);
            while bodies.len() < max_events && (bodies.is_empty() || bytes < max_bytes) {
                let Some(record) = rows.next()?.map(read).transpose()? else { break };
                if record.head() < from {
                    continue;
                }
                let place = record.first.max(from);
                let start = *first.get_or_insert(place);
                if place != start + bodies.len() as u64 {
                    // A hole: what is behind it is read from there on.
                    tracing::error!(stream = %key, offset = place, "records of the log are missing before this offset");
                    break;
                }
                for body in record.events.into_iter().skip((place - record.first) as usize) {
                    bytes += body.len();
                    bodies.push(body);
                }
            }
            let first = first.unwrap_or(from);
            Ok(Page { epoch_number, oldest, first, bodies: take(bodies, max_events, max_bytes) })
        })
        .await
    }

    pub(super) async fn records(
        &self,
        key: StreamKey,
        after: u64,
        max: usize,
    ) -> Result<Vec<Record>, LogError> {
        self.with(move |connection| {
            // Where a snapshot ends, no record above it has a smaller offset.
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM records
                     WHERE stream = (SELECT id FROM streams WHERE key = ?1) AND seq > ?2 AND first > coalesce((
                         SELECT offset FROM snapshots JOIN streams ON streams.id = stream
                         WHERE key = ?1 AND seq <= ?2
                     ), 0)
                     ORDER BY first, seq LIMIT ?3"
                ))?
                .query_map(params![key.as_str(), after, i64::try_from(max).unwrap_or(i64::MAX)], read)?
                .collect()
        })
        .await
    }

    pub(super) async fn snapshot(&self, key: StreamKey) -> Result<Option<Snapshot>, LogError> {
        self.with(move |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, offset, ledger FROM snapshots JOIN streams ON streams.id = stream WHERE key = ?1",
                )?
                .query_row([key.as_str()], |row| {
                    Ok(Snapshot { seq: row.get(0)?, offset: row.get(1)?, ledger: row.get(2)? })
                })
                .optional()
        })
        .await
    }

    pub(super) async fn list(
        &self,
        listed: Listed,
        after: Option<StreamKey>,
        max: usize,
    ) -> Result<Vec<StreamKey>, LogError> {
        let texts: Vec<String> = self
            .with(move |connection| {
                let after = after.as_ref().map_or("", StreamKey::as_str);
                connection
                    .prepare_cached(match listed {
                        Listed::All => "SELECT key FROM streams WHERE key > ?1 ORDER BY key LIMIT ?2",
                        Listed::Open => {
                            "SELECT key FROM streams WHERE open = 1 AND key > ?1 ORDER BY key LIMIT ?2"
                        }
                    })?
                    .query_map(params![after, i64::try_from(max).unwrap_or(i64::MAX)], |row| row.get(0))?
                    .collect()
            })
            .await?;
        texts
            .iter()
            .map(|text| StreamKey::from_text(text).map_err(|error| LogError::Unavailable(error.to_string())))
            .collect()
    }

    /// Copies the log into a new file, as it is at one moment.
    pub(super) async fn backup(&self, to: String) -> Result<(), LogError> {
        let path = Arc::clone(&self.path);
        let copy = tokio::task::spawn_blocking(move || open_reader(&path)?.execute("VACUUM INTO ?1", [to]));
        match copy.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(LogError::Unavailable(error.to_string())),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }

    pub(super) async fn check(&self) -> Result<(), LogError> {
        self.with(|connection| {
            connection.query_row("SELECT count(*) FROM (SELECT 1 FROM records LIMIT 1)", [], |_| Ok(()))
        })
        .await
    }
}
