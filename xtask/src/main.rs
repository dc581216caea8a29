//! `cargo xtask`: builds, tests and measures agentwire. CI calls nothing else.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

mod browser;
mod build;
mod chaos;
mod clauses;
mod context;
mod demo;
mod fingerprint;
mod fuzz;
mod mutants;
mod page;
mod proxy;
mod run;
mod setup;
mod simulate;
mod size;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::setup::{Browser, Needs};

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
    /// Runs the delivery check in any engine, through a network that does everything a network can.
    Chaos(chaos::Args),
    /// Serves the chat page with an agent and fault switches; with `--check`, proves delivery headless.
    Demo(demo::Args),
    /// Runs the delivery check while a browser puts the page away, freezes it, takes its network and hides it.
    Signals(demo::signals::Args),
    /// Runs the core's tests in a browser in every engine, in windows and in workers.
    Engines(test::engines::Args),
    /// Runs the core against a model server under seeded faults, in virtual time, judged by what was delivered.
    Simulate(simulate::Args),
    /// Checks that each clause of the protocol has a test that names it; `--write` puts the table into docs/TESTING.md.
    Clauses(clauses::Args),
    /// Fuzzes the decoders and the whole client with libFuzzer.
    Fuzz(fuzz::Args),
    /// Changes the core in one place after the other; the tests must notice at least 85 of 100 changes.
    Mutants(mutants::Args),
    /// Prints what a page loads, beside other clients, and holds it to the budget.
    Size(size::Args),
    /// Runs every check and test, and ends with one line that sums them up.
    Test(test::Args),
}

fn main() -> ExitCode {
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
            setup::ensure(&ctx, &Needs { size: true, ..Needs::browsers(&browsers) })?;
            println!("setup: everything is here");
        }
        Command::Build(args) => build::run(&args, &ctx)?,
        Command::Chaos(args) => chaos::run(&args, &ctx)?,
        Command::Demo(args) => demo::run(&args, &ctx)?,
        Command::Engines(args) => test::engines::run(&args, &ctx)?,
        Command::Signals(args) => demo::signals::run(&args, &ctx)?,
        Command::Simulate(args) => simulate::run(&args, &ctx)?,
        Command::Clauses(args) => clauses::run(&args, &ctx)?,
        Command::Fuzz(args) => fuzz::run(&args, &ctx)?,
        Command::Mutants(args) => mutants::run(&args, &ctx)?,
        Command::Size(args) => size::run(&args, &ctx)?,
        Command::Test(args) => return test::run(&args, &ctx),
    }
    Ok(ExitCode::SUCCESS)
}
