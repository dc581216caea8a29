//! Brings files of older versions up to date.
//!
//! Schemas 1 to 3 had a row per event, and tables of runs, approvals and sends. Schema 4 has records: the events in
//! their order, and behind them facts that say what the tables said.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{row, schema};
use crate::log::{Fact, IdempotencyKey, Origin, Record, Status, Terms};

/// What makes a file of each of the first schemas one of the next.
///
/// Schema 2 noted the cancels of open runs; schema 3 the head at which the epoch of a stream began, which no older file
/// knows.
const STEPS: [&str; 2] = [
    "ALTER TABLE runs ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE streams ADD COLUMN base INTEGER NOT NULL DEFAULT 0",
];

/// Events of one record.
const EVENTS: usize = 256;

/// Makes a file of `from` one of the newest schema.
pub(super) fn run(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    for step in STEPS.iter().skip(usize::try_from(from - 1).unwrap_or(0)) {
        connection.execute_batch(step)?;
    }
    connection.execute_batch(
        "ALTER TABLE streams RENAME TO old_streams;
         ALTER TABLE events RENAME TO old_events;",
    )?;
    connection.execute_batch(schema::TABLES)?;
    connection.execute_batch(
        "INSERT INTO streams (id, key, epoch, epoch_number, base, oldest, open)
         SELECT id, key, epoch, epoch_number, base, oldest, 0 FROM old_streams",
    )?;
    let mut streams = connection.prepare("SELECT id, head FROM old_streams ORDER BY id")?;
    let streams: Vec<(i64, u64)> =
        streams.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (index, (stream, head)) in streams.iter().enumerate() {
        if index % 1_000 == 0 {
            tracing::info!(
                done = index,
                of = streams.len(),
                "the log of an older version is brought up to date"
            );
        }
        move_stream(connection, *stream, *head)?;
    }
    connection.execute_batch(
        "DROP TABLE old_events; DROP TABLE old_streams; DROP TABLE runs; DROP TABLE approvals; DROP TABLE sends",
    )
}

fn move_stream(connection: &Connection, stream: i64, head: u64) -> rusqlite::Result<()> {
    let last = move_events(connection, stream)?;
    let mut facts = vec![(0, run_facts(connection, stream)?)];
    facts.extend(send_facts(connection, stream)?);
    facts.retain(|(_, facts)| !facts.is_empty());
    let is_open = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE stream = ?1 AND ended IS NULL)
             OR EXISTS (SELECT 1 FROM sends WHERE stream = ?1 AND taken = 0)",
        [stream],
        |row| row.get(0),
    )?;
    // Without an event and a fact there is nothing that says where the stream stands.
    if facts.is_empty() && head > 0 {
        facts.push((0, Vec::new()));
    }
    for (seq, (at_ms, facts)) in (last + 1..).zip(facts) {
        let record = Record { seq, first: head + 1, events: Vec::new(), facts, at_ms, is_open };
        row::insert(connection, stream, &record)?;
    }
    connection.execute("UPDATE streams SET open = ?2 WHERE id = ?1", params![stream, is_open])?;
    Ok(())
}

/// Returns the number of the last record.
fn move_events(connection: &Connection, stream: i64) -> rusqlite::Result<u64> {
    let mut events =
        connection.prepare_cached("SELECT offset, body FROM old_events WHERE stream = ?1 ORDER BY offset")?;
    let mut events = events.query([stream])?;
    let mut record =
        Record { seq: 0, first: 0, events: Vec::new(), facts: Vec::new(), at_ms: 0, is_open: false };
    while let Some(event) = events.next()? {
        let (offset, body): (u64, Arc<str>) = (event.get(0)?, event.get(1)?);
        let is_next = offset == record.first + record.events.len() as u64;
        if record.events.len() == EVENTS || !is_next {
            if !record.events.is_empty() {
                row::insert(connection, stream, &record)?;
            }
            record = Record { seq: record.seq + 1, first: offset, events: Vec::new(), ..record };
        }
        record.events.push(body);
    }
    if !record.events.is_empty() {
        row::insert(connection, stream, &record)?;
    }
    Ok(record.seq)
}

fn run_facts(connection: &Connection, stream: i64) -> rusqlite::Result<Vec<Fact>> {
    let mut facts = Vec::new();
    let mut runs = connection.prepare_cached(
        "SELECT run, started, ended, cancelled FROM runs WHERE stream = ?1 ORDER BY started",
    )?;
    let mut runs = runs.query([stream])?;
    let mut ends = Vec::new();
    while let Some(row) = runs.next()? {
        let run: Arc<str> = row.get(0)?;
        facts.push(Fact::RunStarted {
            run: Arc::clone(&run),
            offset: row.get(1)?,
            origin: Origin::default(),
        });
        if row.get(3)? {
            facts.push(Fact::CancelAccepted { run: Arc::clone(&run) });
        }
        if let Some(offset) = row.get(2)? {
            ends.push(Fact::RunEnded { run, offset });
        }
    }
    let mut approvals =
        connection.prepare_cached("SELECT approval, run, resolved FROM approvals WHERE stream = ?1")?;
    let mut approvals = approvals.query([stream])?;
    while let Some(row) = approvals.next()? {
        let (approval, run): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(1)?);
        let (of, id) = (Arc::clone(&run), Arc::clone(&approval));
        facts.push(Fact::ApprovalRequested { run: of, approval: id, terms: Terms::default() });
        if row.get(2)? {
            facts.push(Fact::ApprovalResolved { run, approval, offset: 0, resolution: None });
        }
    }
    facts.extend(ends);
    Ok(facts)
}

/// The answers to sends, by when they were given.
fn send_facts(connection: &Connection, stream: i64) -> rusqlite::Result<Vec<(u64, Vec<Fact>)>> {
    let mut facts = Vec::new();
    let mut sends = connection.prepare_cached(
        "SELECT subject, id, hash, status, epoch, offset, taken, at_ms FROM sends WHERE stream = ?1
         ORDER BY at_ms, offset",
    )?;
    let mut sends = sends.query([stream])?;
    while let Some(row) = sends.next()? {
        let (subject, id, hash): (Arc<str>, Arc<str>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let status = match row.get::<_, i64>(3)? {
            1 => Status::AlreadyFinished,
            2 => Status::UnknownRun,
            3 => Status::AlreadyResolved,
            4 => Status::UnknownApproval,
            _ => Status::Accepted,
        };
        let key = IdempotencyKey { subject: Arc::clone(&subject), id: Arc::clone(&id), hash: hash.into() };
        let offset: u64 = row.get(5)?;
        let of_epoch: Arc<str> = row.get(4)?;
        // Which of the others were messages was not noted.
        let is_message = !row.get::<_, bool>(6)?;
        let mut of_send =
            vec![Fact::Answered { key, status, epoch: of_epoch, offset, resolution: None, is_message }];
        if is_message {
            of_send.push(Fact::Waiting { offset, send_id: id, subject, is_queued: false, is_front: false });
        }
        facts.push((row.get(7)?, of_send));
    }
    Ok(facts)
}
