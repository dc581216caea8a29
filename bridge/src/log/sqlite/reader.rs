//! Reads, on connections of their own and outside the async threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::schema::open_reader;
use crate::hub::take;
use crate::log::{LogError, Page, Pending, StreamState, Unfinished};
use crate::stream::StreamKey;

/// Connections that read at once; one more read waits.
const CONNECTIONS: usize = 4;

pub(super) struct Readers {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: path.into(), idle: Arc::default(), permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| LogError::Closed)?;
        let (path, idle) = (Arc::clone(&self.path), Arc::clone(&self.idle));
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match connection {
                Some(connection) => connection,
                None => open_reader(&path)?,
            };
            // One snapshot for all statements of one read.
            let transaction = connection.unchecked_transaction()?;
            let answer = work(&transaction)?;
            transaction.finish()?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok(answer)
        });
        match read.await {
            Ok(answer) => answer.map_err(|error: rusqlite::Error| LogError::Unavailable(error.to_string())),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }

    pub(super) async fn state(&self, key: String) -> Result<Option<StreamState>, LogError> {
        self.with(move |connection| {
            let row = connection
                .prepare_cached(
                    "SELECT id, epoch, epoch_number, base, oldest, head FROM streams WHERE key = ?1",
                )?
                .query_row([key], |row| {
                    let state = StreamState {
                        epoch: row.get(1)?,
                        epoch_number: row.get(2)?,
                        base: row.get(3)?,
                        oldest: row.get(4)?,
                        head: row.get(5)?,
                        open_runs: Vec::new(),
                        begun_here: false,
                    };
                    Ok((row.get(0)?, state))
                })
                .optional()?;
            let Some((stream, mut state)) = row else {
                return Ok(None);
            };
            state.open_runs = open_runs(connection, stream)?;
            Ok(Some(state))
        })
        .await
    }

    pub(super) async fn read(
        &self,
        key: String,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        self.with(move |connection| {
            let row = connection
                .prepare_cached("SELECT id, epoch_number, oldest FROM streams WHERE key = ?1")?
                .query_row([key], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, u64>(2)?)))
                .optional()?;
            let Some((stream, epoch_number, oldest)) = row else {
                return Ok(Page { epoch_number: 0, oldest: 1, first: from.max(1), bodies: Vec::new() });
            };
            let first = from.max(oldest);
            let mut statement = connection.prepare_cached(
                "SELECT body FROM events WHERE stream = ?1 AND offset >= ?2 ORDER BY offset LIMIT ?3",
            )?;
            let limit = i64::try_from(max_events).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![stream, first, limit])?;
            let mut failed = None;
            let bodies = std::iter::from_fn(|| {
                match rows.next().and_then(|row| row.map(|row| row.get(0)).transpose()) {
                    Ok(body) => body,
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                }
            });
            let bodies = take(bodies, max_events, max_bytes);
            failed.map_or_else(|| Ok(Page { epoch_number, oldest, first, bodies }), Err)
        })
        .await
    }

    pub(super) async fn pending(&self, key: String, after: u64) -> Result<Option<Pending>, LogError> {
        self.with(move |connection| {
            connection
                .prepare_cached(
                    "SELECT sends.offset, sends.id, sends.subject, events.body FROM streams
                     JOIN sends ON sends.stream = streams.id
                     JOIN events ON events.stream = streams.id AND events.offset = sends.offset
                     WHERE streams.key = ?1 AND sends.taken = 0 AND sends.offset > ?2
                     ORDER BY sends.offset LIMIT 1",
                )?
                .query_row(params![key, after], |row| {
                    Ok(Pending {
                        offset: row.get(0)?,
                        send_id: row.get(1)?,
                        subject: row.get(2)?,
                        body: row.get(3)?,
                    })
                })
                .optional()
        })
        .await
    }

    pub(super) async fn approval_run(
        &self,
        key: String,
        approval: String,
    ) -> Result<Option<Arc<str>>, LogError> {
        self.with(move |connection| {
            connection
                .prepare_cached(
                    "SELECT approvals.run FROM streams JOIN approvals ON approvals.stream = streams.id
                     WHERE streams.key = ?1 AND approvals.approval = ?2",
                )?
                .query_row(params![key, approval], |row| row.get(0))
                .optional()
        })
        .await
    }

    pub(super) async fn unfinished(&self, after: String, max: usize) -> Result<Vec<Unfinished>, LogError> {
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, key, EXISTS (SELECT 1 FROM sends WHERE stream = streams.id AND taken = 0) FROM streams
                 WHERE key > ?1 AND (id IN (SELECT stream FROM runs WHERE ended IS NULL)
                     OR id IN (SELECT stream FROM sends WHERE taken = 0))
                 ORDER BY key LIMIT ?2",
            )?;
            let limit = i64::try_from(max).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![after, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?))
            })?;
            let mut unfinished = Vec::new();
            for row in rows {
                let (stream, key, has_pending) = row?;
                let Some(key) = StreamKey::parse(&key) else { continue };
                unfinished.push(Unfinished { key, open_runs: open_runs(connection, stream)?, has_pending });
            }
            Ok(unfinished)
        })
        .await
    }

    pub(super) async fn check(&self) -> Result<(), LogError> {
        self.with(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await
    }
}

fn open_runs(connection: &Connection, stream: i64) -> rusqlite::Result<Vec<Arc<str>>> {
    connection
        .prepare_cached("SELECT run FROM runs WHERE stream = ?1 AND ended IS NULL ORDER BY started")?
        .query_map([stream], |row| row.get(0))?
        .collect()
}
