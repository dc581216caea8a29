//! Fills a log past the bridge: many events in a short time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agentwire_bridge::log::{Append, Log, Record};
use agentwire_bridge::{SqliteLog, StreamKey};
use agentwire_crowd::stamp::{self, THREAD};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::interval;

/// Streams of the log. All are written side by side, so that as many records share a commit.
const STREAMS: u32 = 1_000;

/// Events of a record.
const BATCH: u64 = 10;

/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Writes `events` and ends when they are durable.
#[expect(clippy::print_stdout, reason = "says how far it is")]
pub(crate) async fn fill(path: &Path, events: u64, bytes: usize) -> Result<()> {
    let each = events / u64::from(STREAMS);
    ensure!(each > 0 && each * u64::from(STREAMS) == events, "fill a multiple of {STREAMS} events");
    let log = Arc::new(SqliteLog::open(path)?);
    let done = Arc::new(AtomicU64::new(0));
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        streams.spawn(fill_stream(Arc::clone(&log), stream, each, bytes, Arc::clone(&done)));
    }
    let mut progress = interval(PROGRESS);
    loop {
        tokio::select! {
            ended = streams.join_next() => match ended {
                Some(ended) => ended.context("a writer panicked")??,
                None => break,
            },
            _ = progress.tick() => println!("filled {} of {events} events", done.load(Ordering::Relaxed)),
        }
    }
    println!("filled {events} of {events} events");
    Ok(())
}

async fn fill_stream(
    log: Arc<SqliteLog>,
    stream: u32,
    events: u64,
    bytes: usize,
    done: Arc<AtomicU64>,
) -> Result<()> {
    let key = StreamKey::new(&stamp::user(stream), THREAD)?;
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
    let event = |n| json!({ "type": "note", "time": at_ms, "text": stamp::write(n, bytes) });
    let (mut seq, mut first) = (1, 1);
    while first <= events {
        let after = (first + BATCH).min(events + 1);
        let record = Record {
            seq,
            first,
            events: (first..after).map(|n| event(n).to_string().into()).collect(),
            facts: Vec::new(),
            at_ms,
            is_open: false,
        };
        let appended = log.append(&key, seq - 1, Arc::new(record)).await?;
        ensure!(appended == Append::Appended, "{} has events already; fill a new file", key.as_str());
        done.fetch_add(after - first, Ordering::Relaxed);
        (seq, first) = (seq + 1, after);
    }
    Ok(())
}
