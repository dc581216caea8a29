//! Measures how many events per second the SQLite log makes durable, written by several tasks at once.
//!
//! `cargo run --release -p agentwire-bridge --example throughput -- FILE [TASKS] [SECONDS]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Append, Event, Log, SqliteLog, StreamKey};
use serde_json::json;
use tokio::time::Instant;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the result is what the example is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("name a file for the log")?;
    let tasks: u64 = args.next().map_or(Ok(8), |tasks| tasks.parse())?;
    let seconds: u64 = args.next().map_or(Ok(5), |seconds| seconds.parse())?;

    let mut fsyncs = 0_u32;
    let probe = Path::new(&path).with_extension("fsync");
    let file = std::fs::File::create(&probe)?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        std::io::Write::write_all(&mut &file, &[0; 4096])?;
        file.sync_data()?;
        fsyncs += 1;
    }
    std::fs::remove_file(probe)?;
    println!("fsync: {fsyncs} per second, {:.2} ms each", 1_000.0 / f64::from(fsyncs));

    let log = Arc::new(SqliteLog::open(path)?);
    let until = Instant::now() + Duration::from_secs(seconds);
    let writers = (0..tasks).map(|task| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let key = StreamKey::new("ada", &format!("thread-{task}")).map_err(|error| error.to_string())?;
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let delta = json!({"type": "message_delta", "runId": "r", "messageId": "m", "text": " word"});
                let event = Event::new(delta, 1 << 20).map_err(|error| error.to_string())?;
                let begun = Instant::now();
                let ticket = log.append(Append::events(key.clone(), vec![event])).await;
                let durable = ticket.map_err(|error| error.to_string())?.durable().await;
                durable.map_err(|error| error.to_string())?;
                latencies.push(begun.elapsed());
            }
            Ok::<_, String>(latencies)
        })
    });
    let mut latencies = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        latencies.extend(writer.await??);
    }
    latencies.sort();
    let at = |part: usize| {
        latencies[(latencies.len() * part / 100).min(latencies.len() - 1)].as_secs_f64() * 1_000.0
    };
    println!(
        "{tasks} tasks: {} events per second; durable after {:.2} ms (p50), {:.2} ms (p95), {:.2} ms (p99)",
        latencies.len() as u64 / seconds,
        at(50),
        at(95),
        at(99)
    );
    Ok(())
}
