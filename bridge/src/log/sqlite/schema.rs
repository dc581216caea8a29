//! The file: its settings, its tables, and whether it is ours.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::OpenError;

/// Marks a file as ours: "agwr".
const APPLICATION_ID: i64 = 0x6167_7772;

/// The newest schema that this version reads and writes.
const SCHEMA: i64 = 3;

/// How long a statement waits for another program that holds the file.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    epoch_number INTEGER NOT NULL,
    base INTEGER NOT NULL DEFAULT 0,
    oldest INTEGER NOT NULL,
    head INTEGER NOT NULL
);
CREATE TABLE events (
    stream INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (stream, offset)
) WITHOUT ROWID;
CREATE TABLE runs (
    stream INTEGER NOT NULL,
    run TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    cancelled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, run)
) WITHOUT ROWID;
CREATE INDEX runs_open ON runs (stream, started) WHERE ended IS NULL;
CREATE TABLE approvals (
    stream INTEGER NOT NULL,
    approval TEXT NOT NULL,
    run TEXT NOT NULL,
    resolved INTEGER NOT NULL,
    PRIMARY KEY (stream, approval)
) WITHOUT ROWID;
CREATE INDEX approvals_open ON approvals (stream, run) WHERE resolved = 0;
CREATE TABLE sends (
    stream INTEGER NOT NULL,
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    status INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    offset INTEGER NOT NULL,
    taken INTEGER NOT NULL,
    PRIMARY KEY (stream, id, subject)
) WITHOUT ROWID;
CREATE INDEX sends_waiting ON sends (stream, offset) WHERE taken = 0;
CREATE INDEX sends_taken ON sends (at_ms) WHERE taken = 1;
";

/// What makes a file of each schema one of the next, beginning with schema 1.
///
/// Schema 2 notes the cancels of open runs; schema 3 notes the head at which the epoch of a stream began, which no older
/// file knows.
const STEPS: [&str; 2] = [
    "ALTER TABLE runs ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE streams ADD COLUMN base INTEGER NOT NULL DEFAULT 0",
];

/// Opens the file for writing, makes the tables when it is new, and brings those of an older version up to date.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
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
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(64);
    if is_empty || schema < SCHEMA {
        let transaction = connection.transaction().map_err(fail)?;
        if is_empty {
            transaction.execute_batch(TABLES).map_err(fail)?;
        } else {
            let done = usize::try_from(schema - 1).unwrap_or(0);
            for step in &STEPS[done..] {
                transaction.execute_batch(step).map_err(fail)?;
            }
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        transaction.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
        transaction.commit().map_err(fail)?;
    }
    Ok(connection)
}

/// Gives every stream a new epoch of its own above its head, in one transaction. Returns how many streams there are.
///
/// The names begin with `prefix`, which is no epoch of the file and has at most 44 bytes: the id of a row adds 20, so
/// that a name has at most 64 (GEN-6).
pub(super) fn begin_epochs(connection: &Connection, prefix: &str) -> rusqlite::Result<usize> {
    let statement =
        "UPDATE streams SET epoch = ?1 || '-' || id, epoch_number = epoch_number + 1, base = head";
    connection.execute(statement, [prefix])
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
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
