//! Fills a log past the bridge: many events in a short time.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agentwire_bridge::log::{Append, Log, Record};
use agentwire_bridge::{SqliteLog, StreamKey};
use agentwire_crowd::stamp::{self, THREAD};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;

/// Streams of the log.
const STREAMS: u32 = 1_000;

/// Streams that are written side by side: so many records share a commit.
const LANES: u32 = 250;

/// Writes `events` in records of one event, as an agent writes them, and ends when they are durable.
#[expect(clippy::print_stdout, reason = "says how far it is")]
pub(crate) async fn fill(path: &Path, events: u64, bytes: usize) -> Result<()> {
    let log = Arc::new(SqliteLog::open(path)?);
    let each = events.div_ceil(u64::from(STREAMS));
    let mut lanes = JoinSet::new();
    let mut done = 0;
    for stream in 0..STREAMS {
        if stream >= LANES {
            done += finished(&mut lanes).await?;
            if stream % (STREAMS / 20) == 0 {
                println!("filled {done} of {events} events");
            }
        }
        lanes.spawn(fill_stream(Arc::clone(&log), stream, each, bytes));
    }
    while !lanes.is_empty() {
        done += finished(&mut lanes).await?;
    }
    println!("filled {done} of {events} events");
    Ok(())
}

async fn finished(lanes: &mut JoinSet<Result<u64>>) -> Result<u64> {
    lanes.join_next().await.context("no stream is left")?.context("a writer panicked")?
}

async fn fill_stream(log: Arc<SqliteLog>, stream: u32, events: u64, bytes: usize) -> Result<u64> {
    let key = StreamKey::new(&stamp::user(stream), THREAD)?;
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
    for seq in 1..=events {
        let event = json!({ "type": "note", "time": at_ms, "text": stamp::write(seq, bytes) });
        let record = Record {
            seq,
            first: seq,
            events: vec![event.to_string().into()],
            facts: Vec::new(),
            at_ms,
            is_open: false,
        };
        let appended = log.append(&key, seq - 1, Arc::new(record)).await?;
        ensure!(appended == Append::Appended, "{} has events already; fill a new file", key.as_str());
    }
    Ok(events)
}
