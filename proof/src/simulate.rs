//! `cargo xtask simulate`: the deterministic simulation, built fast and run on several threads.

mod planted;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask::context::Context;
use xtask::run::Tool;
use xtask::test::report::Report;

/// Seeds that failed once.
const KEPT: &str = "tests/seeds.txt";
/// The profile that is fast and keeps the checks of a debug build.
const PROFILE: &str = "simulate";
/// The simulation of the core against a model server, and that of bridge and core.
const OF_THE_CORE: Program = Program { package: "agentwire-sim", folder: "simulate-clean" };
const WITH_BRIDGE: Program = Program { package: "agentwire-sim-bridge", folder: "simulate-bridge" };
/// The first one with its planted bugs.
const PLANTED: Program = Program { folder: "simulate-planted", ..OF_THE_CORE };

/// A program and the folder that it is built in, so that none rebuilds another.
#[derive(Clone, Copy)]
struct Program {
    package: &'static str,
    folder: &'static str,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run, after those that failed once.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    from: u64,
    /// Runs one seed and prints everything that happens in it.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from", "trial"])]
    seed: Option<u64>,
    /// How many threads run seeds.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// The real bridge with the core, in place of the model server. Prints one hash of everything that went over the wire.
    #[arg(long, conflicts_with = "trial")]
    bridge: bool,
    /// Tries the oracle: it must find each bug of sim/planted.toml within 2,000 seeds.
    #[arg(long, conflicts_with = "seeds")]
    trial: bool,
    /// Plants all, but looks for this bug only; may be given several times.
    #[arg(long = "bug", value_name = "NAME", requires = "trial")]
    bugs: Vec<String>,
}

/// Builds the simulation and runs it.
///
/// # Errors
/// When it can't be built, or when it finds a broken promise (or, with `--trial`, does not find a bug).
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let program = match args {
        Args { bridge: true, .. } => built(ctx.cargo("simulate-build"), ctx, WITH_BRIDGE, &["--locked"])?,
        Args { trial: true, .. } => build_planted(ctx)?,
        _ => build(ctx)?,
    };
    let mut command = Command::new(&program);
    command.arg("--threads").arg(args.threads.to_string()).arg("--from").arg(args.from.to_string());
    if let Some(seed) = args.seed {
        command.arg("--seed").arg(seed.to_string());
    } else if args.trial {
        command.arg("--trial").args(args.bugs.iter().flat_map(|bug| ["--bug", bug]));
    } else {
        command.arg("--seeds").arg(args.seeds.to_string());
        if !args.bridge {
            command.arg("--kept").arg(ctx.root.join(KEPT));
        }
    }
    let status = command.status().with_context(|| format!("{} can't be started", program.display()))?;
    if status.success() {
        return Ok(());
    }
    if args.trial {
        bail!(
            "the trial failed, for what is above; a bug that is never found needs a sharper rule of the oracle or \
             another fault in the plan"
        );
    }
    bail!("the simulation failed ({status}); what it found is above");
}

/// The trial as a part of a test run, so that neither planting nor the oracle can stop working unnoticed.
pub(crate) fn trial(ctx: &Context) -> Result<Report> {
    let outcome = ctx.tool(build_planted(ctx)?, "test-trial").arg("--trial").run()?;
    let note = outcome.output.lines().rev().find_map(|line| line.strip_prefix("trial: "));
    let (Some(note), true) = (note, outcome.success) else {
        return Err(outcome.error("the oracle does not find a planted bug"));
    };
    let mut report = Report { note: note.to_owned(), ..Report::default() };
    report.counts.passed = note.split(' ').next().and_then(|found| found.parse().ok()).unwrap_or(0);
    Ok(report)
}

/// The program without bugs.
pub(crate) fn build(ctx: &Context) -> Result<PathBuf> {
    built(ctx.cargo("simulate-build"), ctx, OF_THE_CORE, &["--locked"])
}

/// The other side of the fuzzing of the package's reader, which is built beside the simulation.
pub(crate) fn frame_reader(ctx: &Context) -> Result<PathBuf> {
    Ok(build(ctx)?.with_file_name(format!("read_frames{}", std::env::consts::EXE_SUFFIX)))
}

/// The program with every bug of the list, from a copy of its sources.
fn build_planted(ctx: &Context) -> Result<PathBuf> {
    let list = planted::text_of(&ctx.root.join(planted::LIST))?;
    let copy = ctx.state.join("planted");
    planted::copy(&ctx.root, &copy, &planted::read(&list)?)?;
    // Cargo drops from the copied lock file what the copy does not need. Nobody reads a warning about a planted bug.
    let cargo = ctx.cargo("planted-build").dir(&copy).env("RUSTFLAGS", "--cap-lints=allow");
    built(cargo, ctx, PLANTED, &[])
}

fn built(cargo: Tool, ctx: &Context, program: Program, args: &[&str]) -> Result<PathBuf> {
    let Program { package, folder } = program;
    let folder = ctx.target.join(folder);
    cargo
        .args(["build", "--package", package, "--profile", PROFILE])
        .args(args)
        .arg("--target-dir")
        .arg(&folder)
        .check("the simulation could not be built")?;
    Ok(folder.join(PROFILE).join(format!("{package}{}", std::env::consts::EXE_SUFFIX)))
}
