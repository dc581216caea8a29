//! Runs the fuzz targets under libFuzzer, makes their seeds, and replays these without it. The reader of the package is fuzzed
//! beside them (`reader.rs`).

pub(crate) mod reader;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::context::Context;
use xtask::run::{Outcome, Tool, capture, step};
use xtask::setup::rust::installed;
use xtask::test::report::Report;

use crate::interrupts::isolate;

/// The targets, as `fuzz/Cargo.toml` has them.
const TARGETS: [&str; 3] = ["decode", "client", "bridge_frames"];

/// The version of cargo-fuzz that runs them.
const CARGO_FUZZ: &str = "0.13.2";

/// Memory that one target may use, in MiB, and seconds that one input may take.
const RSS_LIMIT_MB: u64 = 2_048;
const INPUT_LIMIT_S: u64 = 10;

/// What a build with sanitizers may take.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Seeds whose name begins so are what fuzzing found; no vector makes them again, so they stay.
const FOUND: &str = "found-";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to fuzz, in seconds, all targets together.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Fuzzes only this target.
    #[arg(long, value_parser = [TARGETS[0], TARGETS[1], TARGETS[2], reader::NAME])]
    target: Option<String>,
    /// Seed of the messages that the package's reader gets.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Makes the committed seeds from tests/vectors/protocol.json instead: those of which each adds coverage.
    #[arg(long)]
    seed_corpus: bool,
}

/// What came of one target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    executions: u64,
    per_second: u64,
    /// Edges of the code that were reached.
    coverage: u64,
}

/// How a target failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Crash,
    Hang,
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let targets: Vec<&str> = match args.target.as_deref() {
        Some(reader::NAME) if args.seed_corpus => {
            bail!("{} has no seeds: it changes the frames of the vectors", reader::NAME)
        }
        Some(reader::NAME) => Vec::new(),
        Some(target) => vec![target],
        None => TARGETS.to_vec(),
    };
    let with_reader = !args.seed_corpus && args.target.as_deref().is_none_or(|target| target == reader::NAME);
    let share = (args.seconds / (targets.len() as u64 + u64::from(with_reader)).max(1)).max(1);
    if with_reader {
        println!("  {}: {share} s", reader::NAME);
        println!("    {}", reader::hunt(ctx, args.seed, share)?);
    }
    if targets.is_empty() {
        return Ok(());
    }
    let fuzz = CargoFuzz::ready(ctx)?;
    step("building the fuzz targets with the address sanitizer", || {
        fuzz.tool("fuzz-build", &["build"]).time_limit(BUILD_LIMIT).check("the fuzz targets can't be built")
    })?;
    if args.seed_corpus { make_seeds(&fuzz, &targets) } else { hunt(&fuzz, &targets, share) }
}

/// Runs the committed seeds and those of the vectors through the checks of the targets, on the toolchain in use.
pub(crate) fn replay(ctx: &Context) -> Result<Report> {
    let outcome =
        cargo(ctx, "test-fuzz", "test").args(["--", "--nocapture"]).env("RUST_BACKTRACE", "0").run()?;
    let mut report = Report::default();
    report.counts.passed = replayed(&outcome.output);
    if !outcome.success {
        report.counts.failed = 1;
        report.failures.push(outcome.error("a seed of the fuzz targets fails").to_string());
    } else if report.counts.passed == 0 {
        report.failures.push(format!("no seed was replayed; the output is in {}", outcome.log.display()));
    }
    report.note = "seeds".to_owned();
    Ok(report)
}

/// How many seeds a replay says that it ran.
fn replayed(output: &str) -> u64 {
    let numbers = output
        .lines()
        .filter_map(|line| line.strip_prefix("replayed ")?.rsplit(' ').next()?.parse::<u64>().ok());
    numbers.sum()
}

/// Cargo, on the workspace of the targets and its lock file.
fn cargo(ctx: &Context, log: &str, command: &str) -> Tool {
    ctx.cargo(log).args([command, "--locked", "--manifest-path"]).arg(ctx.root.join("fuzz/Cargo.toml"))
}

/// cargo-fuzz and the nightly toolchain that it needs.
struct CargoFuzz<'a> {
    ctx: &'a Context,
    program: PathBuf,
}

impl<'a> CargoFuzz<'a> {
    fn ready(ctx: &'a Context) -> Result<Self> {
        if capture("rustup", &["run", "nightly", "rustc", "--version"]).is_err() {
            step("installing the nightly toolchain, which libFuzzer needs", || {
                ctx.tool("rustup", "setup-nightly")
                    .args(["toolchain", "install", "nightly", "--profile", "minimal"])
                    .check(
                        "the nightly toolchain can't be installed; fuzzing needs rustup (https://rustup.rs)",
                    )
            })?;
        }
        let program = installed(ctx, "cargo-fuzz", CARGO_FUZZ)?;
        Ok(Self { ctx, program })
    }

    fn tool(&self, log: &str, args: &[&str]) -> Tool {
        let (command, rest) = args.split_first().unwrap_or((&"--help", &[]));
        self.ctx
            .tool(&self.program, log)
            .arg(command)
            .args(["--features", "libfuzzer"])
            .args(rest)
            .env("CARGO_TARGET_DIR", &self.ctx.target)
            // Cargo runs xtask with the path of its own toolchain; this asks rustup for the other one.
            .env("CARGO", "cargo")
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            // The sanitizer shows where a target crashed; where cargo-fuzz gave up only hides what it says.
            .env("RUST_BACKTRACE", "0")
    }

    /// Where a target keeps what it has found to lead further; outside of git.
    fn corpus(&self, target: &str) -> Result<PathBuf> {
        made(self.ctx.state.join("fuzz").join(target))
    }

    /// The committed seeds of a target.
    fn seeds(&self, target: &str) -> Result<PathBuf> {
        made(self.ctx.root.join("fuzz/seeds").join(target))
    }
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    Ok(folder)
}

// --- Fuzzing ---

fn hunt(fuzz: &CargoFuzz<'_>, targets: &[&str], share: u64) -> Result<()> {
    isolate()?;
    let started = Instant::now();
    let (mut executions, mut crashes, mut hangs) = (0, 0, 0);
    for target in targets {
        println!("  {target}: {share} s");
        let outcome = fuzz
            .tool(&format!("fuzz-{target}"), &["run", target])
            .args([fuzz.corpus(target)?, fuzz.seeds(target)?])
            .args(["--", "-print_final_stats=1"])
            .arg(format!("-max_total_time={share}"))
            .arg(format!("-rss_limit_mb={RSS_LIMIT_MB}"))
            .arg(format!("-timeout={INPUT_LIMIT_S}"))
            .time_limit(BUILD_LIMIT + Duration::from_secs(share))
            .run()?;
        let figures = figures(&outcome.output);
        executions += figures.executions;
        println!(
            "    {} executions, {} per second, {} edges covered",
            figures.executions, figures.per_second, figures.coverage
        );
        if outcome.success {
            continue;
        }
        let Some((failure, reproducer)) = finding(&outcome.output) else {
            return Err(outcome.error(&format!("the fuzz target {target} did not run")));
        };
        match failure {
            Failure::Crash => crashes += 1,
            Failure::Hang => hangs += 1,
        }
        tell(target, failure, &reproducer, &outcome);
    }
    println!(
        "fuzz: {} targets, {executions} executions in {} s: {crashes} crashes, {hangs} hangs",
        targets.len(),
        started.elapsed().as_secs()
    );
    if crashes + hangs > 0 {
        bail!(
            "the fuzz targets found something; mend it, and keep each reproducer as fuzz/seeds/TARGET/{FOUND}NAME"
        );
    }
    Ok(())
}

fn tell(target: &str, failure: Failure, reproducer: &str, outcome: &Outcome) {
    let what = match failure {
        Failure::Crash => "crash",
        Failure::Hang => "hang",
    };
    println!("    {what}: {}", said(&outcome.output).unwrap_or("no message"));
    println!("    reproducer: {reproducer}");
    println!("    again: cargo +nightly fuzz run --features libfuzzer {target} {reproducer}");
    println!("    full output in {}", outcome.log.display());
}

/// The figures at the end of libFuzzer's output; zeros for what it does not say.
fn figures(output: &str) -> Figures {
    let stat = |name: &str| {
        let line = output.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok()).unwrap_or(0)
    };
    let covered = output.lines().rev().find_map(|line| line.split_once(" cov: ").map(|(_, rest)| rest));
    let coverage = covered.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
    Figures {
        executions: stat("number_of_executed_units"),
        per_second: stat("average_exec_per_sec"),
        coverage,
    }
}

/// What libFuzzer found and the file it wrote it to; `None` when it found nothing.
fn finding(output: &str) -> Option<(Failure, String)> {
    let (_, file) = output.lines().rev().find_map(|line| line.split_once("Test unit written to "))?;
    let name = Path::new(file).file_name()?.to_string_lossy();
    let failure = if name.starts_with("timeout-") { Failure::Hang } else { Failure::Crash };
    Some((failure, file.trim().to_owned()))
}

/// What a panic or libFuzzer itself said.
fn said(output: &str) -> Option<&str> {
    let mut lines = output.lines();
    lines.by_ref().find(|line| line.contains(" panicked at "))?;
    lines.next().map(str::trim)
}

// --- Seeds ---

/// Makes every seed that the vectors give, lets libFuzzer pick those of which each adds coverage, and keeps these.
fn make_seeds(fuzz: &CargoFuzz<'_>, targets: &[&str]) -> Result<()> {
    let ctx = fuzz.ctx;
    let all = emptied(ctx.state.join("fuzz-seeds/all"))?;
    step("making seeds from the vectors", || {
        cargo(ctx, "fuzz-seeds", "run")
            .args(["--example", "seeds", "--"])
            .args([&ctx.root.join("tests/vectors/protocol.json"), &all])
            .check("the seeds can't be made")
    })?;
    for target in targets {
        let picked = emptied(ctx.state.join("fuzz-seeds/picked").join(target))?;
        let from = all.join(target);
        fuzz.tool(&format!("fuzz-merge-{target}"), &["run", target])
            .args([&picked, &from])
            // Edges count, and not how often each was taken.
            .args(["--", "-merge=1", "-use_counters=0"])
            .time_limit(BUILD_LIMIT)
            .check(&format!("the seeds of {target} can't be compared"))?;
        let picked: BTreeSet<Vec<u8>> = files(&picked)?.into_iter().map(|(_, bytes)| bytes).collect();
        let seeds = fuzz.seeds(target)?;
        for (name, _) in files(&seeds)?.iter().filter(|(name, _)| !name.starts_with(FOUND)) {
            let file = seeds.join(name);
            fs::remove_file(&file).with_context(|| format!("{} can't be removed", file.display()))?;
        }
        let made = files(&from)?;
        let kept: Vec<_> = made.iter().filter(|(_, bytes)| picked.contains(bytes)).collect();
        for (name, bytes) in &kept {
            let file = seeds.join(name);
            fs::write(&file, bytes).with_context(|| format!("{} can't be written", file.display()))?;
        }
        let size: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
        println!("  {target}: {} of {} seeds kept, {size} B", kept.len(), made.len());
    }
    Ok(())
}

fn emptied(folder: PathBuf) -> Result<PathBuf> {
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
    }
    made(folder)
}

/// The files of a folder by name, with what they hold.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let failed = || format!("{} can't be read", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        files.push((
            entry.file_name().to_string_lossy().into_owned(),
            fs::read(entry.path()).with_context(failed)?,
        ));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "#2\tINITED cov: 90 ft: 91 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                         #9000\tDONE   cov: 1204 ft: 4000 corp: 300/9Kb lim: 4096 exec/s: 450 rss: 90Mb\n\
                         Done 9000 runs in 20 second(s)\n\
                         stat::number_of_executed_units: 9000\n\
                         stat::average_exec_per_sec:     450\n";

    #[test]
    fn the_figures_of_a_clean_run_are_read() {
        assert_eq!(figures(CLEAN), Figures { executions: 9_000, per_second: 450, coverage: 1_204 });
        assert_eq!(finding(CLEAN), None);
        assert_eq!(figures("error: could not compile"), Figures::default());
    }

    #[test]
    fn a_crash_and_a_hang_are_reported_with_their_file() {
        let crash = "thread '<unnamed>' (7) panicked at src/client/ledger.rs:40:9:\nSlot(3) is released twice\n\
                     SUMMARY: libFuzzer: deadly signal\n\
                     artifact_prefix='fuzz/artifacts/client/'; Test unit written to fuzz/artifacts/client/crash-1f\n";
        assert_eq!(finding(crash), Some((Failure::Crash, "fuzz/artifacts/client/crash-1f".to_owned())));
        assert_eq!(said(crash), Some("Slot(3) is released twice"));
        let hang = "artifact_prefix='a/'; Test unit written to a/timeout-9\n";
        assert_eq!(finding(hang), Some((Failure::Hang, "a/timeout-9".to_owned())));
    }

    #[test]
    fn replayed_seeds_are_added_up() {
        assert_eq!(
            replayed("running 2 tests\nreplayed client: 30\ntest a ... replayed\nreplayed decode: 12\n"),
            42
        );
    }

    #[test]
    fn the_targets_are_those_of_the_manifest() {
        let ctx = Context::find().unwrap();
        let text = fs::read_to_string(ctx.root.join("fuzz/Cargo.toml")).unwrap();
        let manifest: toml::Value = toml::from_str(&text).unwrap();
        let bins = manifest["bin"].as_array().unwrap();
        let names: Vec<&str> = bins.iter().map(|bin| bin["name"].as_str().unwrap()).collect();
        assert_eq!(names, TARGETS);
    }
}
