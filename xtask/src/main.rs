//! `cargo xtask`: builds, tests and measures agentwire. CI calls nothing else.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

mod browser;
mod build;
mod context;
mod demo;
mod fingerprint;
mod page;
mod proxy;
mod run;
mod setup;
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
    /// Serves the chat page with an agent and fault switches; with `--check`, proves delivery headless.
    Demo(demo::Args),
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
        Command::Demo(args) => demo::run(&args, &ctx)?,
        Command::Size(args) => size::run(&args, &ctx)?,
        Command::Test(args) => return test::run(&args, &ctx),
    }
    Ok(ExitCode::SUCCESS)
}
