//! The schemas, and the records that go into them.

use std::sync::Arc;

use agentwire_bridge::log::{Record, facts_to_json, join};
use rusqlite::{Connection, params};

use super::{Result, STREAMS};

#[derive(Clone, Copy)]
pub(crate) enum Schema {
    /// A row per event, and the head in the row of the stream.
    Events,
    /// A row per record in the order of the commits, and an index.
    Records,
    /// A row per commit with all its records, and the place of each stream in it.
    Commits,
    /// A row per record, in the order of the streams.
    Clustered,
}

const RECORD: &str =
    "stream INTEGER NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, open INTEGER NOT NULL, events TEXT NOT NULL, facts TEXT NOT NULL, sum INTEGER NOT NULL";

impl Schema {
    pub(crate) fn tables(self) -> String {
        match self {
            Self::Events => "CREATE TABLE streams (id INTEGER PRIMARY KEY, head INTEGER NOT NULL);
                CREATE TABLE events (stream INTEGER NOT NULL, offset INTEGER NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (stream, offset)) WITHOUT ROWID;
                WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 255)
                INSERT INTO streams SELECT id, 0 FROM n"
                .to_owned(),
            Self::Records => format!(
                "CREATE TABLE records (id INTEGER PRIMARY KEY, {RECORD});
                CREATE UNIQUE INDEX records_place ON records (stream, first, seq)"
            ),
            Self::Commits => {
                "CREATE TABLE commits (id INTEGER PRIMARY KEY, records TEXT NOT NULL, sum INTEGER NOT NULL);
                CREATE TABLE places (stream INTEGER NOT NULL, first INTEGER NOT NULL, seq INTEGER NOT NULL,
                id INTEGER NOT NULL, PRIMARY KEY (stream, first, seq)) WITHOUT ROWID"
                    .to_owned()
            }
            Self::Clustered => {
                format!("CREATE TABLE records ({RECORD}, PRIMARY KEY (stream, first, seq)) WITHOUT ROWID")
            }
        }
    }

    /// Writes a group, whose streams come in turn: `streams` of them.
    pub(crate) fn write(self, to: &Connection, group: &[(usize, Record)], streams: usize) -> Result<()> {
        let ends = &group[group.len() - streams..];
        match self {
            Self::Events => {
                let mut row = to.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3)")?;
                for (stream, record) in group {
                    row.execute(params![stream, record.first, record.events[0]])?;
                }
                let mut head = to.prepare_cached("UPDATE streams SET head = ?2 WHERE id = ?1")?;
                for (stream, record) in ends {
                    head.execute(params![stream, record.head()])?;
                }
            }
            Self::Records | Self::Clustered => {
                let mut row = to.prepare_cached(
                    "INSERT INTO records (stream, seq, first, count, at_ms, open, events, facts, sum)
                     VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
                )?;
                for (stream, Record { seq, first, at_ms, is_open, events, facts }) in group {
                    let (events, facts) = (join(events), facts_to_json(facts));
                    let sum = crc32fast::hash(events.as_bytes()) ^ crc32fast::hash(facts.as_bytes());
                    row.execute(params![stream, seq, first, at_ms, is_open, events, facts, sum])?;
                }
            }
            Self::Commits => {
                let lines = group.iter().map(|(stream, record)| format!("{stream} {}\n", record.to_json()));
                let text = lines.collect::<String>();
                to.prepare_cached("INSERT INTO commits (records, sum) VALUES (?1, ?2)")?
                    .execute(params![text, crc32fast::hash(text.as_bytes())])?;
                let id = to.last_insert_rowid();
                let mut place = to.prepare_cached("INSERT INTO places VALUES (?1, ?2, ?3, ?4)")?;
                for (stream, record) in &group[..streams] {
                    place.execute(params![stream, record.first, record.seq, id])?;
                }
            }
        }
        Ok(())
    }

    /// Reads the events of one stream. Returns how many bytes there are of them, so that none is left unread.
    pub(crate) fn read(self, from: &Connection, stream: usize) -> Result<usize> {
        let sql = match self {
            Self::Events => "SELECT body FROM events WHERE stream = ?1 ORDER BY offset",
            Self::Records | Self::Clustered => {
                "SELECT events FROM records WHERE stream = ?1 ORDER BY first, seq"
            }
            Self::Commits => {
                "SELECT records FROM places JOIN commits USING (id) WHERE stream = ?1 ORDER BY first"
            }
        };
        let mut rows = from.prepare_cached(sql)?;
        let mut rows = rows.query([stream])?;
        let (own, mut bytes) = (format!("{stream} "), 0);
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str()?;
            bytes += match self {
                Self::Commits => text.lines().filter(|line| line.starts_with(&own)).map(str::len).sum(),
                _ => text.len(),
            };
        }
        Ok(bytes)
    }
}

/// The next records of some streams.
pub(crate) fn group(seqs: &mut [u64], number: usize, records: usize, streams: usize) -> Vec<(usize, Record)> {
    let record = |index: usize| {
        let stream = (number * streams + index % streams) % STREAMS;
        seqs[stream] += 1;
        let seq = seqs[stream];
        let body = format!(
            "{{\"type\":\"message_delta\",\"runId\":\"{:032x}\",\"messageId\":\"{seq:08x}\",\"text\":\" some words\"}}",
            stream * 7_919
        );
        let events = vec![Arc::from(body)];
        (
            stream,
            Record {
                seq,
                first: seq,
                events,
                facts: Vec::new(),
                at_ms: 1_790_000_000_000 + seq,
                is_open: true,
            },
        )
    };
    (0..records).map(record).collect()
}
