//! `cargo xtask bench`: measures the package beside other clients in a real browser.
//!
//! What is measured, and how, is in `benches/browser`: a driver, a server and the pages, all Node.js. Here the package is
//! built, packed and installed for the pages, as an application would do it.

mod install;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::run::capture;
use xtask::setup::{self, Browser, Needs};
use xtask::test::counts::{self, Counts};
use xtask::test::report::{Report, counted};

/// How long the slice of a test run may take once everything is built.
const QUICK_LIMIT: Duration = Duration::from_secs(4 * 60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs every client under every load for a moment: proves that all events arrive once and in order, and measures nothing.
    #[arg(long)]
    quick: bool,
    /// Runs only these loads.
    #[arg(long, value_name = "LOAD,…")]
    only: Option<String>,
    /// Runs only these clients; raw is always one of them.
    #[arg(long, value_name = "CLIENT,…")]
    clients: Option<String>,
    /// Rounds; in each, every client runs once under every load.
    #[arg(long, value_name = "N", default_value_t = 8)]
    rounds: u32,
    /// Seed of the order in a round and of the intervals.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
    /// Ends the benchmark, as failed, after so many minutes.
    #[arg(long, value_name = "N", default_value_t = 120)]
    minutes: u32,
    /// Also writes everything that was measured to this file; it is always in target/xtask/bench/results.json.
    #[arg(long, value_name = "FILE", conflicts_with = "quick")]
    json: Option<PathBuf>,
    /// Draws docs/images/bench.svg and writes the tables of docs/PERFORMANCE.md.
    #[arg(long, conflicts_with = "quick")]
    docs: bool,
    /// Lists the loads and clients and runs nothing.
    #[arg(long)]
    list: bool,
}

/// What the benchmark takes.
pub(crate) fn needs() -> Needs {
    Needs { bench: true, ..Needs::browsers(&[Browser::Chromium]) }
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    setup::ensure(ctx, &needs())?;
    if !args.list {
        build::package(ctx, Variant::Default, Std::Auto)?;
        install::package(ctx)?;
    }
    let status = driver(args, ctx)?
        .status()
        .context("Node.js can't be started: install version 20 or newer from https://nodejs.org")?;
    if !status.success() {
        bail!("the benchmark failed ({status}); what failed is above");
    }
    if let (Some(file), false) = (&args.json, args.list) {
        std::fs::copy(results(ctx), file).with_context(|| format!("{} can't be written", file.display()))?;
    }
    Ok(())
}

/// The driver with the arguments that are its own. Its output is the output of the command.
fn driver(args: &Args, ctx: &Context) -> Result<Command> {
    let mut node = Command::new("node");
    node.arg(ctx.bench().join("bench.js"));
    if args.list {
        node.arg("--list");
        return Ok(node);
    }
    node.env("AGENTWIRE_CHROMIUM", setup::chromium().context("Chromium is not installed")?);
    for (name, value) in [("--only", &args.only), ("--clients", &args.clients)] {
        if let Some(value) = value {
            node.args([name, value]);
        }
    }
    for (name, value) in [("--rounds", args.rounds), ("--seed", args.seed), ("--minutes", args.minutes)] {
        node.args([name, &value.to_string()]);
    }
    if args.quick {
        node.arg("--quick");
    } else {
        node.arg("--json").arg(results(ctx));
        // Figures without the commit they belong to say nothing later.
        if let Ok(commit) =
            capture("git", &["-C", &ctx.root.to_string_lossy(), "describe", "--always", "--dirty"])
        {
            node.args(["--commit", &commit]);
        }
    }
    if args.docs {
        let docs = ctx.root.join("docs");
        node.arg("--svg").arg(docs.join("images/bench.svg"));
        node.arg("--markdown").arg(docs.join("PERFORMANCE.md"));
    }
    Ok(node)
}

fn results(ctx: &Context) -> PathBuf {
    ctx.state.join("bench/results.json")
}

/// The part of a test run: the benchmark's own tests, and a slice in which only counts matter.
pub(crate) fn check(ctx: &Context) -> Result<Report> {
    let mut report = counted(ctx.npm(&ctx.bench(), "test-bench-unit").arg("test"), counts::node)?;
    // By this same program, so that its time limit ends all that it started.
    let outcome =
        ctx.tool(&ctx.program, "test-bench").args(["bench", "--quick"]).time_limit(QUICK_LIMIT).run()?;
    if !outcome.success {
        return Err(outcome.error("the slice of the benchmark failed"));
    }
    let note = outcome.output.lines().rev().find_map(|line| line.strip_prefix("bench: "));
    report.note = note.context("the benchmark did not end with its line")?.to_owned();
    report.counts.passed += Counts::ONE.passed;
    Ok(report)
}
