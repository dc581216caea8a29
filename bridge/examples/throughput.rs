//! Measures how many events per second a bridge with the SQLite log makes durable, published by several tasks at once.
//!
//! `cargo run --release -p agentwire-bridge --example throughput -- FILE [TASKS] [SECONDS]`

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use agentwire_bridge::{Bridge, Hs256, SqliteLog};
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

    let authenticator = Hs256::new([0; 32])?;
    let bridge = Bridge::builder().log(SqliteLog::open(path)?).authenticator(authenticator).build().await?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let writers = (0..tasks).map(|task| {
        let thread = bridge.emitter("ada", &format!("thread-{task}"));
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let delta = json!({"type": "message_delta", "runId": "r", "messageId": "m", "text": " word"});
                let begun = Instant::now();
                thread.publish(delta).await?;
                latencies.push(begun.elapsed());
            }
            Ok::<_, agentwire_bridge::PublishError>(latencies)
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
