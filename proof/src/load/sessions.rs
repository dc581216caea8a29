//! Row 3: sessions of the npm client with whole runs at once; see `benches/load/sessions.js`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::Bench;
use super::figures::{Bound, Figure};
use super::programs::SECRET;
use super::stand::Stand;
use crate::service::Service;

/// How long a round of runs may take.
const ROUND: Duration = Duration::from_secs(60);

/// What the sessions found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    events: u64,
    runs: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    /// The longest time from a send to the first event of its run.
    first_ms: f64,
    faults: Vec<String>,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for sessions in bench.size([25, 100], [3, 5]) {
        println!("sessions: {sessions} npm clients, whole runs at once");
        let found = one(bench, sessions).with_context(|| format!("{sessions} sessions"))?;
        figures.push(Figure {
            what: format!("{sessions} sessions of npm clients, whole runs at once: event latency p95"),
            value: found.p95_ms,
            unit: "ms",
            digits: 1,
            bound: Bound::Most,
            must: 50.0,
            aim: Some(25.0),
            note: format!(
                "p50 {:.1}, p99 {:.1}; {} events of {} runs, 0 lost, 0 foreign",
                found.p50_ms, found.p99_ms, found.events, found.runs
            ),
        });
        figures.push(Figure {
            what: format!("{sessions} runs at once: the latest first event on its page"),
            value: found.first_ms,
            unit: "ms",
            digits: 0,
            bound: Bound::Most,
            must: 1_000.0,
            aim: None,
            note: "from the send".to_owned(),
        });
    }
    Ok(figures)
}

fn one(bench: &Bench<'_>, sessions: u32) -> Result<Found> {
    let log = bench.new_log("sessions")?;
    let stand = Stand::bridge(bench, &log)?;
    let rounds: u32 = bench.size(20, 2);
    let mut command = bench.programs.script("sessions.js");
    command.args(["--server", stand.address(), "--secret", SECRET]);
    command.args(["--sessions", &sessions.to_string(), "--rounds", &rounds.to_string()]);
    let clients = Service::start("the npm clients", command, bench.ctx.log("load-sessions"))?;
    let mut before = stand.cpu()?;
    let found = loop {
        let line = clients.line(ROUND)?;
        if let Some(found) = line.strip_prefix("found ") {
            break serde_json::from_str::<Found>(found)
                .with_context(|| format!("{found:?} can't be read"))?;
        }
        if line == "warm" {
            before = stand.cpu()?;
        }
    };
    let cpu = stand.cpu()? - before;
    clients.ended(ROUND)?;
    stand.stop()?;
    bench.new_log("sessions")?;
    println!("  {found:?}; CPU {:.1} µs per event", cpu.as_secs_f64() * 1e6 / (found.events as f64).max(1.0));
    ensure!(found.faults.is_empty(), "the clients found: {}", found.faults.join("; "));
    Ok(found)
}
