//! A record as a row, with a checksum: what a disk returns is not always what it was given.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use crate::log::{Fact, Record, VOID, facts_to_json, join, split};

/// The columns that [`read`] expects, in this order.
pub(super) const COLUMNS: &str = "seq, first, count, at_ms, open, events, facts, sum";

/// Writes a record as the last row.
pub(super) fn insert(connection: &Connection, stream: i64, record: &Record) -> rusqlite::Result<()> {
    let (events, facts) = (join(&record.events), facts_to_json(&record.facts));
    let sum = checksum(record.seq, record.first, record.events.len(), &events, &facts);
    connection
        .prepare_cached(
            "INSERT INTO records (stream, seq, first, count, at_ms, open, events, facts, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            stream,
            record.seq,
            record.first,
            record.events.len(),
            record.at_ms,
            record.is_open,
            events,
            facts,
            sum
        ])
        .map(drop)
}

/// Writes other events into the row of a record.
pub(super) fn replace_events(connection: &Connection, stream: i64, record: &Record) -> rusqlite::Result<()> {
    let (events, facts) = (join(&record.events), facts_to_json(&record.facts));
    let sum = checksum(record.seq, record.first, record.events.len(), &events, &facts);
    connection
        .prepare_cached(
            "UPDATE records SET events = ?4, sum = ?5 WHERE stream = ?1 AND first = ?2 AND seq = ?3",
        )?
        .execute(params![stream, record.first, record.seq, events, sum])
        .map(drop)
}

/// Reads a row of [`COLUMNS`]. Events that were damaged are void, and raise an alarm; so do facts, which are an error.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let (seq, first, count) = (row.get(0)?, row.get(1)?, row.get(2)?);
    // A damaged text may be no UTF-8 any more.
    let text =
        |index| row.get_ref(index).map(|value| String::from_utf8_lossy(value.as_bytes().unwrap_or(b"")));
    let (events, facts) = (text(5)?, text(6)?);
    let sum: u32 = row.get(7)?;
    let is_whole = sum == checksum(seq, first, count, &events, &facts);
    let bodies: Vec<Arc<str>> = if is_whole {
        split(&events).map(Arc::from).collect()
    } else {
        tracing::error!(seq, first, count, "a record of the log is damaged: its events are sent as void");
        vec![VOID.into(); count]
    };
    let facts: Vec<Fact> = serde_json::from_str(&facts).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Record { seq, first, events: bodies, facts, at_ms: row.get(3)?, is_open: row.get(4)? })
}

fn checksum(seq: u64, first: u64, count: usize, events: &str, facts: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for number in [seq, first, count as u64] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(events.as_bytes());
    hasher.update(facts.as_bytes());
    hasher.finalize()
}
