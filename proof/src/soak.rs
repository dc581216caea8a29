//! `cargo xtask soak`: pages come, work, drop, resume and go, for as long as asked; the server must lose nothing meanwhile.
//!
//! Judged are the memory of the server, its descriptors, and the handles that it counts itself.

mod crowd;
mod process;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use agentwire_faults::interrupt::interrupted;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};
use xtask::context::Context;

use crate::listening::Listening;
use crate::pages::{Stand, StandPlan, Tokens};
use crowd::Crowd;
use process::{Counters, Process};

/// How much the least memory of a window may be above that of the first one that counts.
const MAX_GROWTH_KIB: i64 = 1_024;

/// Memory is sampled each second; of each window the least counts.
const WINDOW: Duration = Duration::from_secs(30);

/// How long the pages come and go before descriptors are counted for the first time.
const FIRST: Duration = Duration::from_secs(5);

/// Until then caches fill.
const WARM_UP: Duration = Duration::from_secs(120);

/// How long the server may take to come to rest when all pages have gone.
const REST: Duration = Duration::from_secs(60);

/// Events that each thread keeps; the log is trimmed while the soak runs.
const KEEP: &str = "500";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long the pages come and go. Memory is judged from 3 minutes on.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// How many pages there are at a time.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pages: u64,
    /// Makes the server lose something, which the check has to notice.
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
}

/// What the server loses with each page that says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sabotage {
    /// 1 KiB and a descriptor.
    Leak,
    /// 1 KiB.
    Memory,
    /// A descriptor.
    Descriptor,
}

impl Sabotage {
    /// The options of the server.
    fn leaks(self) -> &'static [&'static str] {
        match self {
            Self::Leak => &["--leak", "memory", "--leak", "descriptor"],
            Self::Memory => &["--leak", "memory"],
            Self::Descriptor => &["--leak", "descriptor"],
        }
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "it must be a number of minutes".to_owned())?;
    if (0.1..=10_000.0).contains(&minutes) { Ok(minutes) } else { Err("it must be 0.1 to 10000".to_owned()) }
}

/// What a soak has come to.
#[derive(Debug)]
struct Soaked {
    events: u64,
    /// In KiB; `None` when it was too short to say.
    growth: Option<i64>,
    descriptors: (usize, usize),
    /// What is there at the end though every page has gone, or does not add up.
    unbalanced: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When the server lost something, or a page found a fault.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let tokens = Tokens::new();
    let mut options: Vec<OsString> = vec!["--keep".into(), KEEP.into()];
    options.extend(args.sabotage.map_or(&[][..], Sabotage::leaks).iter().map(OsString::from));
    let stand = Stand::start(
        &StandPlan {
            name: "soak-stand",
            folder: folder.path(),
            secret: tokens.secret(),
            limits: json!({ "max_connections_per_user": 1_000, "heartbeat": 1_000 }),
            options,
            faults: false,
        },
        ctx,
    )?;
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    let crowd = Arc::new(Crowd::new(stand.websocket(), tokens));
    let runtime = tokio::runtime::Runtime::new().context("no runtime can be made")?;
    let soaked = runtime.block_on(async {
        tokio::select! {
            soaked = soak(&stand, &crowd, args.pages, length) => soaked,
            interrupted = interrupted() => Err(interrupted.into()),
        }
    })?;
    drop(runtime);
    println!("{}", soaked.line(args.minutes));
    soaked.judge()?;
    stand.stop()
}

async fn soak(stand: &Listening, crowd: &Arc<Crowd>, pages: u64, length: Duration) -> Result<Soaked> {
    let process = Process::new(stand)?;
    // What is opened at the first use is there afterwards: files, and connections of the log for reads at once.
    crowd.warm_up().await?;
    crowd.read_at_once(&stand.address).await?;
    let mut first = crowd.start(pages, Instant::now() + FIRST);
    while let Some(ended) = first.join_next().await {
        ended.context("the task of a page died")??;
    }
    // Again, now that a read takes long enough to meet others.
    crowd.read_at_once(&stand.address).await?;
    let (before, _) = at_rest(&process).await?;
    println!("  the server has {before} descriptors at rest; {pages} pages come and go");
    let started = Instant::now();
    let mut lives = crowd.start(pages, started + length);
    let mut minima: Vec<u64> = Vec::new();
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = lives.join_next() => match ended {
                Some(ended) => ended.context("the task of a page died")??,
                None => break,
            },
            _ = second.tick(), if started.elapsed() < length => {
                let window = usize::try_from(started.elapsed().as_secs() / WINDOW.as_secs())?;
                let memory = process.resident_kib()?;
                if let (true, Some(least)) = (window == minima.len(), minima.last()) {
                    println!("  {} s: {}, {least} KiB at the least", started.elapsed().as_secs(), crowd.so_far());
                }
                if window >= minima.len() && started.elapsed() < WARM_UP {
                    // The connections that the log seldom uses have caches, too.
                    crowd.read_at_once(&stand.address).await?;
                }
                // The machine may have been busy for a whole window.
                minima.resize(minima.len().max(window + 1), memory);
                minima[window] = memory.min(minima[window]);
            }
        }
    }
    println!("  all pages have gone: {}", crowd.so_far());
    let (after, counters) = at_rest(&process).await?;
    // The last window is not over.
    if !length.as_secs().is_multiple_of(WINDOW.as_secs()) {
        minima.pop();
    }
    Ok(Soaked {
        events: crowd.events(),
        growth: growth(&minima),
        descriptors: (before, after),
        unbalanced: counters.unbalanced(),
    })
}

/// Waits until nothing is there that belongs to a page. Returns the descriptors and the counters of then; those of the
/// deadline if that comes first.
async fn at_rest(process: &Process<'_>) -> Result<(usize, Counters)> {
    let deadline = Instant::now() + REST;
    // The socket of a session is closed a moment after it is counted as closed: two looks have to agree.
    let mut former = None;
    let mut tick = interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        let (counters, descriptors) = (process.counters()?, process.descriptors()?);
        let is_at_rest = counters.unbalanced().is_empty() && former == Some(descriptors);
        if is_at_rest || Instant::now() > deadline {
            return Ok((descriptors, counters));
        }
        former = Some(descriptors);
    }
}

/// How much the last window has more than the first one behind the warm-up.
fn growth(minima: &[u64]) -> Option<i64> {
    let counted = minima.get((WARM_UP.as_secs() / WINDOW.as_secs()) as usize..)?;
    let (first, last) = (counted.first()?, counted.get(1..)?.last()?);
    Some(i64::try_from(*last).ok()? - i64::try_from(*first).ok()?)
}

impl Soaked {
    fn line(&self, minutes: f64) -> String {
        let memory = match self.growth {
            Some(growth) => format!("memory {growth:+} KiB after minute 2"),
            None => "memory not judged below 3 minutes".to_owned(),
        };
        let (before, after) = self.descriptors;
        let sign = if before == after { "=" } else { "!=" };
        let handles = match &*self.unbalanced {
            [] => "handles balance".to_owned(),
            unbalanced => format!("handles do not balance ({})", unbalanced.join("; ")),
        };
        format!(
            "soak: {minutes} minutes, {} events: {memory}, descriptors {before} {sign} {after}, {handles}",
            self.events
        )
    }

    fn judge(&self) -> Result<()> {
        ensure!(
            self.growth.is_none_or(|growth| growth <= MAX_GROWTH_KIB),
            "the server keeps memory: at most {MAX_GROWTH_KIB} KiB are allowed"
        );
        ensure!(self.descriptors.0 == self.descriptors.1, "the server keeps descriptors");
        ensure!(self.unbalanced.is_empty(), "the server keeps handles");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_between_the_minima_after_the_warm_up() {
        assert_eq!(growth(&[1, 5, 9, 20, 30, 29, 31]), Some(1));
        assert_eq!(growth(&[1, 5, 9, 20, 30]), None);
        assert_eq!(growth(&[]), None);
    }

    #[test]
    fn what_is_lost_fails_the_soak() {
        let soaked = |growth, after, unbalanced: &[&str]| Soaked {
            events: 7,
            growth,
            descriptors: (12, after),
            unbalanced: unbalanced.iter().map(|&one| one.to_owned()).collect(),
        };
        let fine = soaked(Some(-40), 12, &[]);
        assert!(fine.judge().is_ok() && soaked(None, 12, &[]).judge().is_ok());
        let line = "soak: 0.5 minutes, 7 events: memory -40 KiB after minute 2, descriptors 12 = 12, handles balance";
        assert_eq!(fine.line(0.5), line);
        assert!(soaked(Some(1_025), 12, &[]).judge().is_err());
        assert!(soaked(None, 13, &[]).judge().is_err());
        assert!(soaked(None, 12, &["runs: 3 made, 1 there, 1 given back"]).judge().is_err());
    }
}
