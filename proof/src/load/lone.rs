//! Row 2: how long a lone event is on its way from the publish to the page.

use anyhow::{Context as _, Result};

use super::Bench;
use super::crowd::{Crowd, Dialect};
use super::disk::fdatasyncs;
use super::durable::TEXT_BYTES;
use super::figures::{Bound, Figure, percentile};
use super::stand::{Plan, Stand, published};

/// Every 20 ms an event: none waits for another.
const PER_SECOND: f64 = 50.0;

/// A record of one event, with what the log keeps beside it.
const RECORD_BYTES: usize = 400;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let sockets = bench.size(100, 10);
    let blocks: u64 = bench.size(10, 1);
    println!(
        "lone: {sockets} sockets, {PER_SECOND} events/s in all, in turn with fdatasyncs of the same disk"
    );
    let log = bench.new_log("lone")?;
    let stand = Stand::bridge(bench, &log)?;
    let mut crowd = Crowd::start(bench, &stand, Dialect::Bridge, sockets, sockets)?;
    let each = |events| Plan {
        streams: sockets,
        events,
        per_second: Some(PER_SECOND / f64::from(sockets)),
        batch: 1,
        bytes: TEXT_BYTES,
    };
    // The first event of a stream begins it.
    published(stand.publish(each(1)))?;
    crowd.until(1)?;
    crowd.mark()?;
    let mut disk = Vec::new();
    for block in 0..blocks {
        published(stand.publish(each(2)))?;
        crowd.until(1 + 2 * (block + 1)).context("lone")?;
        // The disk works for one of them at a time.
        disk.extend(fdatasyncs(&bench.folder, bench.size(200, 20), RECORD_BYTES)?);
    }
    let mark = crowd.mark()?;
    drop(crowd);
    stand.stop()?;
    bench.new_log("lone")?;
    let figure = |name: &str, us: u32, share: f64, must: f64, aim: f64, disk: &mut [f64]| {
        let (total, sync) = (f64::from(us) / 1e3, percentile(disk, share));
        Figure {
            what: format!("publish to page, lone event, {sockets} sockets, {name} over fdatasync's {name}"),
            value: total - sync,
            unit: "ms",
            digits: 2,
            bound: Bound::Most,
            must,
            aim: Some(aim),
            note: format!(
                "{total:.2} ms of {} events, fdatasync {sync:.2} ms of {}",
                mark.events,
                disk.len()
            ),
        }
    };
    Ok(vec![
        figure("p50", mark.p50_us, 0.5, 1.5, 0.5, &mut disk),
        figure("p99", mark.p99_us, 0.99, 6.0, 3.0, &mut disk),
    ])
}
