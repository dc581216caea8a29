//! Row 6: how soon a bridge with a large log listens.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Advice, fadvise};

use super::figures::{Bound, Figure, percentile, spread};
use super::stand::Stand;
use super::{Bench, remove_log};
use crate::service::Service;

/// Bytes of the text of an event.
const TEXT_BYTES: usize = 100;

/// What the log takes on the disk per event, with what SQLite needs on the way.
const DISK_BYTES: u64 = 300;

/// How long the writer may say nothing, and how long it may take to end: it closes the log then.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let events: u64 = bench.size(10_000_000, 10_000);
    let log = bench.folder.join(format!("start-{events}.sqlite"));
    let filled = log.with_extension("filled");
    println!("start: a log of {events} events");
    if !filled.is_file() {
        fill(bench, &log, events)?;
        // A first start brings the file up to date if that is needed, and is not measured.
        File::create(&filled).with_context(|| format!("{} can't be written", filled.display()))?;
    }
    Stand::bridge(bench, &log)?.stop()?;
    let mut times = Vec::new();
    for round in 0..bench.size(5, 1) {
        forget(&log)?;
        let began = Instant::now();
        let stand = Stand::bridge(bench, &log)?;
        times.push(began.elapsed().as_secs_f64());
        println!("  {}: {:.3} s, CPU {:.2} s", round + 1, times[times.len() - 1], stand.cpu()?.as_secs_f64());
        stand.stop()?;
    }
    if bench.quick {
        remove_log(&log)?;
        fs::remove_file(&filled).with_context(|| format!("{} can't be removed", filled.display()))?;
    } else {
        println!("  the log is kept for the next time: {}", log.display());
    }
    Ok(vec![Figure {
        what: format!("start with a log of {events} events, until it listens"),
        value: percentile(&mut times, 0.5),
        unit: "s",
        digits: 3,
        bound: Bound::Most,
        must: 1.0,
        aim: None,
        note: format!(
            "median of {}, none of the file in memory, all within {:.0} %",
            times.len(),
            spread(&times)
        ),
    }])
}

fn fill(bench: &Bench<'_>, log: &Path, events: u64) -> Result<()> {
    let needed = events * DISK_BYTES;
    let disk = rustix::fs::statvfs(&bench.folder)
        .with_context(|| format!("the disk of {} can't be asked", bench.folder.display()))?;
    let free = disk.f_bavail * disk.f_frsize;
    ensure!(
        free > needed,
        "{} has {} MB free, but a log of {events} events takes up to {} MB; leave this row out with `--only`",
        bench.folder.display(),
        free >> 20,
        needed >> 20
    );
    remove_log(log)?;
    println!("  writing it, up to {} MB; this takes minutes, once", needed >> 20);
    let mut command = bench.programs.built("agentwire-stand");
    command.args(["--secret", super::programs::SECRET, "--log"]).arg(log);
    command.args(["--fill", &events.to_string(), "--fill-bytes", &TEXT_BYTES.to_string()]);
    let service = Service::start("the writer of the log", command, bench.ctx.log("load-fill"))?;
    loop {
        let line = service.line(PATIENCE)?;
        println!("  {line}");
        if line == format!("filled {events} of {events} events") {
            break;
        }
    }
    // It closes the log, which brings everything into the one file, and ends by itself.
    service.ended(PATIENCE)
}

/// Drops the pages of the file from memory, so that a start reads what it needs from the disk.
fn forget(log: &Path) -> Result<()> {
    let file = File::open(log).with_context(|| format!("{} can't be read", log.display()))?;
    // What is not on the disk yet can't be dropped.
    file.sync_all().with_context(|| format!("{} can't be synchronised", log.display()))?;
    fadvise(&file, 0, None, Advice::DontNeed).context("the system can't drop a file from memory")?;
    let size = fs::metadata(log).map_or(0, |metadata| metadata.len());
    ensure!(size > 0, "{} is empty; remove it", log.display());
    Ok(())
}
