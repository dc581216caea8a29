//! Row 5: a long stream to one page.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Bench;
use super::crowd::{Crowd, Dialect};
use super::durable::TEXT_BYTES;
use super::figures::{Bound, Figure, percentile, spread};
use super::stand::{Plan, Stand, published};

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let events = bench.size(100_000, 2_000);
    println!("replay: {events} events to one page");
    let log = bench.new_log("replay")?;
    let stand = Stand::bridge(bench, &log)?;
    published(stand.publish(Plan { streams: 1, events, per_second: None, batch: 50, bytes: TEXT_BYTES }))?;
    let mut costs = Vec::new();
    for round in 0..bench.size(5, 1) {
        let (before, began) = (stand.cpu()?, Instant::now());
        let mut crowd = Crowd::start(bench, &stand, Dialect::Bridge, 1, 1)?;
        crowd.until(events).context("replay")?;
        let (cpu, wall, mark): (Duration, _, _) = (stand.cpu()? - before, began.elapsed(), crowd.mark()?);
        println!(
            "  {}: CPU {:.2} s in {:.2} s, {} frames, {} bytes, {} acks",
            round + 1,
            cpu.as_secs_f64(),
            wall.as_secs_f64(),
            mark.frames,
            mark.bytes,
            mark.acks
        );
        costs.push(cpu.as_secs_f64());
    }
    stand.stop()?;
    bench.new_log("replay")?;
    Ok(vec![Figure {
        what: format!("replay of {events} events to one page, CPU of the bridge"),
        value: percentile(&mut costs, 0.5),
        unit: "s",
        digits: 2,
        bound: Bound::Most,
        must: 0.5,
        aim: Some(0.3),
        note: format!("median of {}, all within {:.0} %", costs.len(), spread(&costs)),
    }])
}
