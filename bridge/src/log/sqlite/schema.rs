//! The tables of the file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::log::Head;
use crate::stream::StreamKey;

/// How long a statement waits for another program that holds the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Records are in the order of their commits, whatever stream they are of: a commit writes to the end of one table.
/// `events` is a view for people and scripts.
pub(super) const TABLES: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    epoch_number INTEGER NOT NULL,
    base INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    open INTEGER NOT NULL
);
CREATE INDEX streams_open ON streams (key) WHERE open = 1;
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    open INTEGER NOT NULL,
    events TEXT NOT NULL,
    facts TEXT NOT NULL,
    sum INTEGER NOT NULL
);
CREATE UNIQUE INDEX records_place ON records (stream, first, seq);
CREATE TABLE snapshots (
    stream INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    ledger TEXT NOT NULL
);
CREATE VIEW events AS
    SELECT records.stream AS stream, records.first + event.key AS offset, event.value AS body
    FROM records JOIN streams ON streams.id = records.stream, json_each(records.events) AS event
    WHERE records.first + event.key >= streams.oldest;
";

pub(super) fn put(connection: &Connection, name: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute(params![name, value])
        .map(drop)
}

pub(super) fn get<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
}

/// Writes something, to see whether it can be written.
pub(super) fn touch(connection: &Connection, now_ms: u64) -> rusqlite::Result<()> {
    put(connection, "checked_ms", now_ms)
}

/// What the file says of a stream.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) head: Head,
    pub(super) is_open: bool,
}

/// The row of a stream and where it stands.
pub(super) fn row(connection: &Connection, key: &StreamKey) -> rusqlite::Result<Option<Row>> {
    let row = connection
        .prepare_cached("SELECT id, epoch, epoch_number, base, oldest, open FROM streams WHERE key = ?1")?
        .query_row([key.as_str()], |row| {
            let head = Head {
                epoch: row.get(1)?,
                epoch_number: row.get(2)?,
                base: row.get(3)?,
                oldest: row.get(4)?,
                offset: 0,
                seq: 0,
            };
            Ok(Row { id: row.get(0)?, head, is_open: row.get(5)? })
        })
        .optional()?;
    let Some(mut row) = row else { return Ok(None) };
    (row.head.seq, row.head.offset) = last(connection, row.id)?;
    Ok(Some(row))
}

/// Number and head of the last record of a stream, which may be trimmed.
pub(super) fn last(connection: &Connection, stream: i64) -> rusqlite::Result<(u64, u64)> {
    let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let record = connection
        .prepare_cached(
            "SELECT seq, first + count - 1 FROM records WHERE stream = ?1 ORDER BY first DESC, seq DESC LIMIT 1",
        )?
        .query_row([stream], pair)
        .optional()?;
    let snapshot = connection
        .prepare_cached("SELECT seq, offset FROM snapshots WHERE stream = ?1")?
        .query_row([stream], pair)
        .optional()?;
    Ok(record.max(snapshot).unwrap_or((0, 0)))
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}
