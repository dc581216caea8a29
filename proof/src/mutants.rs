//! `cargo xtask mutants`: changes the core in one place after the other, and counts which changes the tests notice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xtask::context::Context;
use xtask::run::{Outcome, Tool};
use xtask::setup::rust::installed;

use crate::interrupts::isolate;

/// The decisions of the core. Numbers, names and readers around them have vectors and fuzzing of their own.
const FILES: [&str; 22] = [
    "src/proto/backoff.rs",
    "src/proto/bucket.rs",
    "src/proto/client.rs",
    "src/proto/client/connect.rs",
    "src/proto/client/frames.rs",
    "src/proto/client/link.rs",
    "src/proto/client/lose.rs",
    "src/proto/client/repair.rs",
    "src/proto/client/replay.rs",
    "src/proto/client/sends.rs",
    "src/proto/client/subscribe.rs",
    "src/proto/client/watch.rs",
    "src/proto/outbox.rs",
    "src/proto/stream.rs",
    "src/proto/stream/answer.rs",
    "src/proto/stream/arrival.rs",
    "src/proto/stream/catch_up.rs",
    "src/proto/stream/consumer.rs",
    "src/proto/stream/sequencer.rs",
    "src/proto/stream/subscription.rs",
    "src/proto/streams.rs",
    "src/proto/timer.rs",
];

/// The version of cargo-mutants that makes the changes.
const CARGO_MUTANTS: &str = "27.1.0";

/// How many of a hundred mutants that compile the tests must kill.
const KILLED_PERCENT: usize = 85;

/// How long the tests of a mutant may take: this many times what they take without a change, and so many seconds at the
/// least. A core that spins takes memory as long as it may, so this is short.
const TIMEOUT_TIMES: &str = "10";
const TIMEOUT_MIN_S: &str = "10";

/// What all mutants may take together.
const TIME_LIMIT: Duration = Duration::from_secs(6 * 60 * 60);
/// How often the count is shown.
const PROGRESS: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tries the K-th of N equal parts of the mutants, counted from 0.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Changes only this file; may be given several times.
    #[arg(long = "file", value_name = "FILE", value_parser = FILES)]
    files: Vec<String>,
    /// How many mutants to try at once; each has a copy of the sources.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
}

/// Tries every mutant.
///
/// # Errors
/// When the tests fail without a change, or kill less of the mutants than they must.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let program = installed(ctx, "cargo-mutants", CARGO_MUTANTS)?;
    isolate()?;
    let files: Vec<&str> = match args.files.as_slice() {
        [] => FILES.to_vec(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    let mut select = vec!["mutants", "--no-config", "--package", "agentwire"];
    select.extend(files.iter().flat_map(|file| ["--file", file]));
    let folder = ctx.target.join("mutants");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} can't be removed", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let jobs = args.jobs.to_string();
    let mut tool = ctx
        .tool(&program, "mutants")
        .args(&select)
        .args(["--features", "json", "--cap-lints", "true", "--jobs", &jobs, "--colors", "never"])
        .args(["--timeout-multiplier", TIMEOUT_TIMES, "--minimum-test-timeout", TIMEOUT_MIN_S])
        .arg("--output")
        .arg(&folder);
    if let Some(shard) = &args.shard {
        tool = tool.args(["--shard", shard]);
    }
    let tool = tool
        // Unit tests, stories and the slice of the simulation. Together they take less than a second.
        .args(["--", "--tests"])
        // In the copy that cargo runs in: two copies must not share one.
        .env("CARGO_TARGET_DIR", "target")
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        // The little that optimising costs the simulation gives back.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .time_limit(TIME_LIMIT);
    let results = folder.join("mutants.out");
    let outcome = watched(tool, &results)?;
    let tally = Tally::read(&results)?;
    if tally.tried() != tally.planned || tally.viable() == 0 {
        return Err(outcome.error("the mutants could not be tried"));
    }
    report(&tally, &results);
    if !tally.suffices() {
        bail!(
            "fewer than {KILLED_PERCENT} % of the mutants are killed: a promise of the core has no test that names it"
        );
    }
    Ok(())
}

/// Runs to the end, and says now and then how far it is.
fn watched(tool: Tool, results: &Path) -> Result<Outcome> {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(tool.run()));
    loop {
        match ended.recv_timeout(PROGRESS) {
            Ok(outcome) => return outcome,
            // Before the first result there is nothing to read.
            Err(RecvTimeoutError::Timeout) => match Tally::read(results) {
                Ok(tally) if tally.tried() > 0 => println!(
                    "  {} of {} mutants tried, {} survived",
                    tally.tried(),
                    tally.planned,
                    tally.survived.len()
                ),
                Ok(_) | Err(_) => println!("  building the tests and running them without a change"),
            },
            Err(RecvTimeoutError::Disconnected) => bail!("the run of cargo-mutants could not be waited for"),
        }
    }
}

// --- What came of them ---

/// The mutants of a run, each by its file, place and change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    planned: usize,
    caught: Vec<String>,
    survived: Vec<String>,
    timed_out: Vec<String>,
    unviable: Vec<String>,
}

impl Tally {
    /// Reads what cargo-mutants has written into its folder so far.
    fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))
        };
        let lines = |name| Ok::<_, anyhow::Error>(text(name)?.lines().map(str::to_owned).collect());
        let planned: Vec<serde_json::Value> =
            serde_json::from_str(&text("mutants.json")?).context("mutants.json is no list")?;
        Ok(Self {
            planned: planned.len(),
            caught: lines("caught.txt")?,
            survived: lines("missed.txt")?,
            timed_out: lines("timeout.txt")?,
            unviable: lines("unviable.txt")?,
        })
    }

    fn tried(&self) -> usize {
        self.viable() + self.unviable.len()
    }

    fn viable(&self) -> usize {
        self.killed() + self.survived.len()
    }

    fn killed(&self) -> usize {
        self.caught.len() + self.timed_out.len()
    }

    fn suffices(&self) -> bool {
        self.killed() * 100 >= self.viable() * KILLED_PERCENT
    }

    /// Killed and survived, by file.
    fn by_file(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut files = BTreeMap::<&str, (usize, usize)>::new();
        for mutant in self.caught.iter().chain(&self.timed_out) {
            files.entry(file_of(mutant)).or_default().0 += 1;
        }
        for mutant in &self.survived {
            files.entry(file_of(mutant)).or_default().1 += 1;
        }
        files
    }

    fn summary(&self) -> String {
        // Rounded down, so that what is printed as enough is enough.
        let tenths = self.killed() * 1_000 / self.viable().max(1);
        format!(
            "mutants: {} viable, {} killed ({}.{} %), {} survived, {} timed out (counted as killed), {} unviable",
            self.viable(),
            self.killed(),
            tenths / 10,
            tenths % 10,
            self.survived.len(),
            self.timed_out.len(),
            self.unviable.len()
        )
    }
}

fn file_of(mutant: &str) -> &str {
    mutant.split_once(':').map_or(mutant, |(file, _)| file)
}

fn report(tally: &Tally, results: &Path) {
    for (file, (killed, survived)) in tally.by_file() {
        println!("  {file}: {} viable, {killed} killed, {survived} survived", killed + survived);
    }
    for mutant in &tally.survived {
        println!("  survived: {mutant}");
    }
    println!("  each change with the output of its tests is in {}", results.display());
    println!("{}", tally.summary());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("src/proto/timer.rs:{index}:1: replace x")).collect()
    }

    #[test]
    fn a_spinning_core_counts_as_killed_and_what_does_not_compile_does_not_count() {
        let tally = Tally {
            planned: 23,
            caught: named(15),
            survived: named(3),
            timed_out: named(2),
            unviable: named(3),
        };
        assert_eq!(
            tally.summary(),
            "mutants: 20 viable, 17 killed (85.0 %), 3 survived, 2 timed out (counted as killed), 3 unviable"
        );
        assert!(tally.suffices());
        assert_eq!(tally.tried(), tally.planned);
        assert_eq!(tally.by_file(), BTreeMap::from([("src/proto/timer.rs", (17, 3))]));
        assert!(!Tally { survived: named(4), ..tally }.suffices());
    }

    #[test]
    fn every_file_is_there() {
        let ctx = Context::find().unwrap();
        for file in FILES {
            assert!(ctx.root.join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn every_part_of_the_client_and_of_a_stream_is_named() {
        let ctx = Context::find().unwrap();
        for folder in ["src/proto/client", "src/proto/stream"] {
            for entry in fs::read_dir(ctx.root.join(folder)).unwrap() {
                let file = format!("{folder}/{}", entry.unwrap().file_name().display());
                assert!(FILES.contains(&file.as_str()), "{file} is not named");
            }
        }
    }
}
