//! Opens the file: its settings, whether it is ours, and what it says of its log.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, params};

use super::migrate;
use super::schema::{BUSY, TABLES, get, last, put};
use crate::log::incarnation::{Incarnation, random_id};
use crate::log::memory;

/// Marks a file as ours: "agwr".
const APPLICATION_ID: i64 = 0x6167_7772;

/// The newest schema that this version reads and writes.
const SCHEMA: i64 = 4;

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

/// A file that is open for writing, and what it says of its log.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) incarnation: Incarnation,
    pub(super) secret: [u8; 32],
}

/// Opens the file for writing, makes the tables when it is new, and brings those of an older version up to date.
///
/// `is_restored`: every stream begins a new epoch above its head, in one transaction.
pub(super) fn open(path: &Path, is_restored: bool) -> Result<Opened, OpenError> {
    let fail = |error| explain(path, &error);
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    let application: i64 = pragma(&connection, "application_id").map_err(fail)?;
    let schema: i64 = pragma(&connection, "user_version").map_err(fail)?;
    let is_empty: bool = connection
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
        .map_err(fail)?;
    if application != APPLICATION_ID && !is_empty {
        return Err(OpenError::NotALog(path.to_owned()));
    }
    if schema > SCHEMA {
        return Err(OpenError::Newer { path: path.to_owned(), found: schema, known: SCHEMA });
    }
    let journal: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(fail)?;
    if journal != "wal" {
        let reason = format!("its file system allows no write-ahead log (journal mode {journal})");
        return Err(OpenError::Unusable { path: path.to_owned(), reason });
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    // What is trimmed or redacted is overwritten in the file, at the next checkpoint.
    connection.pragma_update(None, "secure_delete", "ON").map_err(fail)?;
    // Commits write the same pages of the index again and again. A checkpoint writes each of them once.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000).map_err(fail)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(64);
    let transaction = connection.transaction().map_err(fail)?;
    if is_empty {
        transaction.execute_batch(TABLES).map_err(fail)?;
    } else if schema < SCHEMA {
        migrate::run(&transaction, schema).map_err(fail)?;
    }
    if is_empty || schema < SCHEMA {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        transaction.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
        put(&transaction, "secret", memory::secret()).map_err(fail)?;
    }
    if is_empty || schema < SCHEMA || is_restored {
        put(&transaction, "log", random_id()).map_err(fail)?;
    }
    let log: String = get(&transaction, "log").map_err(fail)?;
    let secret = get(&transaction, "secret").map_err(fail)?;
    let incarnation = Incarnation::new(&log);
    if is_restored {
        let streams = begin_epochs(&transaction, &incarnation).map_err(fail)?;
        tracing::info!(path = %path.display(), streams, "a restored log: every stream begins a new epoch");
    }
    transaction.commit().map_err(fail)?;
    Ok(Opened { connection, incarnation, secret })
}

fn begin_epochs(connection: &Connection, incarnation: &Incarnation) -> rusqlite::Result<usize> {
    let mut streams = connection.prepare("SELECT id FROM streams")?;
    let streams: Vec<i64> = streams.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut update = connection
        .prepare("UPDATE streams SET epoch = ?2, epoch_number = epoch_number + 1, base = ?3 WHERE id = ?1")?;
    for id in &streams {
        let (_, head) = last(connection, *id)?;
        update.execute(params![id, incarnation.next_epoch(), head])?;
    }
    Ok(streams.len())
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path),
        _ => OpenError::Unusable { path, reason: error.to_string() },
    }
}
