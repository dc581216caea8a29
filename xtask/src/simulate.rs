//! `cargo xtask simulate`: the deterministic simulation, built fast and run on several threads.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;

/// Seeds that failed once.
const KEPT: &str = "tests/seeds.txt";
/// The profile that is fast and keeps the checks of a debug build.
const PROFILE: &str = "simulate";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run, after those that failed once.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    from: u64,
    /// Runs one seed and prints everything that happens in it.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from", "mutants"])]
    seed: Option<u64>,
    /// How many threads run seeds.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Puts the oracle on trial: each named bug of the core must be found within 2,000 seeds.
    #[arg(long, conflicts_with = "seeds")]
    mutants: bool,
}

/// Builds the simulation and runs it.
///
/// # Errors
/// When it can't be built, or when it finds a broken promise (or, with `--mutants`, does not find a bug).
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let program = build(args.mutants, ctx)?;
    let mut command = Command::new(&program);
    command.arg("--threads").arg(args.threads.to_string()).arg("--from").arg(args.from.to_string());
    if let Some(seed) = args.seed {
        command.arg("--seed").arg(seed.to_string());
    } else if args.mutants {
        command.arg("--mutants");
    } else {
        command.arg("--seeds").arg(args.seeds.to_string()).arg("--kept").arg(ctx.root.join(KEPT));
    }
    let status = command.status().with_context(|| format!("{} can't be started", program.display()))?;
    if status.success() {
        return Ok(());
    }
    if args.mutants {
        bail!(
            "a bug of the list above was not found: the oracle needs a sharper rule or the plan another fault"
        );
    }
    bail!("the simulation failed ({status}); what it found is above");
}

/// The program, with or without the bugs; each in a target folder of its own, so that neither rebuilds the other.
fn build(mutants: bool, ctx: &Context) -> Result<PathBuf> {
    let folder = ctx.target.join(if mutants { "simulate-mutants" } else { "simulate-clean" });
    let mut cargo = ctx.cargo("simulate-build").args([
        "build",
        "--locked",
        "--package",
        "agentwire-sim",
        "--profile",
        PROFILE,
    ]);
    if mutants {
        cargo = cargo.args(["--features", "mutants"]);
    }
    cargo.arg("--target-dir").arg(&folder).check("the simulation could not be built")?;
    Ok(folder.join(PROFILE).join(format!("agentwire-sim{}", std::env::consts::EXE_SUFFIX)))
}
