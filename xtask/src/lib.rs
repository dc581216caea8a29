//! `cargo xtask`: builds, tests and measures agentwire. CI calls nothing else.
//!
//! There are two programs of it. `xtask` knows what a first start needs: the set-up, the build and the demo, and is
//! compiled in half the time. It builds and becomes `xtask-checks`, the whole of it (feature `checks`), for the rest.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]
#![cfg_attr(not(feature = "checks"), allow(dead_code, unused_imports, reason = "what only the checks use"))]

#[cfg(feature = "checks")]
mod bench;
#[cfg(feature = "checks")]
mod browser;
mod build;
#[cfg(feature = "checks")]
mod chaos;
#[cfg(feature = "checks")]
mod clauses;
mod context;
mod demo;
mod fingerprint;
#[cfg(feature = "checks")]
mod fuzz;
#[cfg_attr(feature = "checks", allow(dead_code, reason = "what only the small program uses"))]
mod handover;
#[cfg(feature = "checks")]
mod mutants;
mod page;
mod progress;
mod proxy;
mod run;
mod setup;
#[cfg(feature = "checks")]
mod simulate;
#[cfg(feature = "checks")]
mod size;
#[cfg(feature = "checks")]
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::setup::{Browser, Needs, Tools};

/// The arguments of the commands that only the whole program has.
#[cfg(feature = "checks")]
mod checks {
    pub(crate) use crate::bench::Args as Bench;
    pub(crate) use crate::chaos::Args as Chaos;
    pub(crate) use crate::clauses::Args as Clauses;
    pub(crate) use crate::demo::signals::Args as Signals;
    pub(crate) use crate::fuzz::Args as Fuzz;
    pub(crate) use crate::mutants::Args as Mutants;
    pub(crate) use crate::simulate::Args as Simulate;
    pub(crate) use crate::size::Args as Size;
    pub(crate) use crate::test::Args as Test;
    pub(crate) use crate::test::engines::Args as Engines;
}

/// Here they are only passed on.
#[cfg(not(feature = "checks"))]
mod checks {
    use crate::handover::Rest;

    pub(crate) type Bench = Rest;
    pub(crate) type Chaos = Rest;
    pub(crate) type Clauses = Rest;
    pub(crate) type Engines = Rest;
    pub(crate) type Fuzz = Rest;
    pub(crate) type Mutants = Rest;
    pub(crate) type Signals = Rest;
    pub(crate) type Simulate = Rest;
    pub(crate) type Size = Rest;
    pub(crate) type Test = Rest;
}

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings what the other commands need; each of them does so by itself.
    Setup {
        /// Browsers to install with their drivers.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "chromium")]
        browsers: Vec<Browser>,
    },
    /// Builds the npm package in pkg/.
    Build(build::Args),
    /// Measures the package beside other clients in a real browser.
    Bench(checks::Bench),
    /// Runs the delivery check in any engine, through a network that does everything a network can.
    Chaos(checks::Chaos),
    /// Serves the chat page with an agent and fault switches; with `--check`, proves delivery headless.
    Demo(demo::Args),
    /// Runs the delivery check while a browser puts the page away, freezes it, takes its network and hides it.
    Signals(checks::Signals),
    /// Runs the core's tests in a browser in every engine, in windows and in workers.
    Engines(checks::Engines),
    /// Runs the core against a model server under seeded faults, in virtual time, judged by what was delivered.
    Simulate(checks::Simulate),
    /// Checks that each clause of the protocol has a test that names it; `--write` puts the table into docs/TESTING.md.
    Clauses(checks::Clauses),
    /// Fuzzes the decoders and the whole client with libFuzzer, and the reader of the package against the one of the core.
    Fuzz(checks::Fuzz),
    /// Changes the core in one place after the other; the tests must notice at least 85 of 100 changes.
    Mutants(checks::Mutants),
    /// Prints what a page loads, beside other clients, and holds it to the budget.
    Size(checks::Size),
    /// Runs every check and test, and ends with one line that sums them up.
    Test(checks::Test),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let ctx = Context::find()?;
    match cli.command {
        Command::Setup { browsers } => {
            setup::ensure(
                &ctx,
                &Needs { size: true, tools: Some(Tools::Both), ..Needs::browsers(&browsers) },
            )?;
            println!("setup: everything is here");
            Ok(ExitCode::SUCCESS)
        }
        Command::Build(args) => build::run(&args, &ctx).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) if !args.is_check() => demo::serve(&args, &ctx).map(|()| ExitCode::SUCCESS),
        checks => run_checks(checks, &ctx),
    }
}

#[cfg(not(feature = "checks"))]
fn run_checks(_: Command, ctx: &Context) -> Result<ExitCode> {
    handover::become_the_checks(ctx)
}

#[cfg(feature = "checks")]
fn run_checks(command: Command, ctx: &Context) -> Result<ExitCode> {
    match command {
        Command::Bench(args) => bench::run(&args, ctx)?,
        Command::Chaos(args) => chaos::run(&args, ctx)?,
        Command::Demo(args) => demo::run(&args, ctx)?,
        Command::Engines(args) => test::engines::run(&args, ctx)?,
        Command::Signals(args) => demo::signals::run(&args, ctx)?,
        Command::Simulate(args) => simulate::run(&args, ctx)?,
        Command::Clauses(args) => clauses::run(&args, ctx)?,
        Command::Fuzz(args) => fuzz::run(&args, ctx)?,
        Command::Mutants(args) => mutants::run(&args, ctx)?,
        Command::Size(args) => size::run(&args, ctx)?,
        Command::Test(args) => return test::run(&args, ctx),
        Command::Setup { .. } | Command::Build(_) => unreachable!("run() did these"),
    }
    Ok(ExitCode::SUCCESS)
}
