//! The command line: what is done here, and what is passed on to the proof.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::build;
use crate::context::Context;
use crate::demo;
use crate::docs;
use crate::handover::{self, Rest};
use crate::setup::{self, Browser, Needs, Tools};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, max_term_width = 110)]
pub struct Cli {
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
    /// Measures how soon pages are back after outages, a sleep of the machine and a hidden window.
    Alive(Rest),
    /// Measures the package beside other clients in a real browser.
    Bench(Rest),
    /// Runs the delivery check in any engine, through a network that does everything a network can.
    Chaos(Rest),
    /// Serves the chat page with an agent and fault switches; with `--check`, proves delivery headless.
    Demo(demo::Args),
    /// Builds the API reference of the crates and of the npm package, and prints where it is.
    Docs,
    /// Runs the delivery check while a browser puts the page away, freezes it, takes its network and hides it.
    Signals(Rest),
    /// Runs the core's tests in a browser in every engine, in windows and in workers.
    Engines(Rest),
    /// Runs the core against a model server under seeded faults, in virtual time, judged by what was delivered.
    Simulate(Rest),
    /// Checks that each clause of the protocol has a test that names it; `--write` puts the table into docs/TESTING.md.
    Clauses(Rest),
    /// Checks that schema, TypeScript, Python and protocol are what the table of event types makes of them; `--write` writes
    /// them. With `--schema`, writes the types of an application's own events.
    Events(Rest),
    /// Fuzzes the decoders and the whole client with libFuzzer, and the reader of the package against the one of the core.
    Fuzz(Rest),
    /// Shows how pages come back that lose their server all at once, beside the formulas of other clients.
    Herd(Rest),
    /// Attacks a server in every way we know while an honest user works beside; nothing of that user may be lost or late. Needs Linux.
    Hostile(Rest),
    /// Measures what the bridge costs per core, beside a real socket.io server; `--quick` checks only count and order.
    Load(Rest),
    /// Lets many users attack each other over real sockets while they work, and looks for events of others.
    Isolation(Rest),
    /// Changes the core in one place after the other; the tests must notice at least 85 of 100 changes.
    Mutants(Rest),
    /// Prints what a page loads, beside other clients, and holds it to the budget.
    Size(Rest),
    /// Lets backends in Python and Node.js publish through the server to pages while all of them are killed; with `--check`.
    Sidecar(Rest),
    /// Lets pages come and go on one server for a while, and counts its memory, descriptors and handles.
    Soak(Rest),
    /// Runs every check and test, and ends with one line that sums them up.
    Test(Rest),
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    exit_code(run(Cli::parse()))
}

/// Shows an error as every command does.
#[must_use]
pub fn exit_code(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
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
        }
        Command::Build(args) => build::run(&args, &ctx)?,
        Command::Demo(args) if !args.check => demo::serve(&args, &ctx)?,
        Command::Docs => docs::run(&ctx)?,
        _ => return handover::become_the_proof(&ctx),
    }
    Ok(ExitCode::SUCCESS)
}
