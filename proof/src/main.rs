//! Proves and measures agentwire: the commands of `cargo xtask` that a first start does not need. `xtask` becomes this program.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

mod alive;
mod bench;
mod browser;
mod chaos;
mod clauses;
mod delivery;
mod engines;
mod events;
mod fuzz;
mod herd;
#[cfg(target_os = "linux")]
mod hostile;
mod interrupts;
mod isolation;
mod listening;
#[cfg(unix)]
mod load;
mod mutants;
mod pages;
mod parts;
mod section;
mod server;
mod service;
mod sidecar;
mod signals;
mod simulate;
mod size;
mod soak;
mod tarball;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use xtask::context::Context;
use xtask::{cli, demo, test};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
enum Cli {
    Alive(alive::Args),
    Bench(bench::Args),
    Chaos(chaos::Args),
    Clauses(clauses::Args),
    Demo(demo::Args),
    Engines(engines::Args),
    Events(events::Args),
    Fuzz(fuzz::Args),
    Herd(herd::Args),
    #[cfg(target_os = "linux")]
    Hostile(hostile::Args),
    #[cfg(unix)]
    Load(load::Args),
    Isolation(isolation::Args),
    Mutants(mutants::Args),
    Sidecar(sidecar::Args),
    Signals(signals::Args),
    Simulate(simulate::Args),
    Size(size::Args),
    Soak(soak::Args),
    Test(test::Args),
}

fn main() -> ExitCode {
    let matches = described(Cli::command()).get_matches();
    cli::exit_code(Cli::from_arg_matches(&matches).map_err(Into::into).and_then(run))
}

/// The commands under the descriptions that xtask lists them with.
fn described(command: clap::Command) -> clap::Command {
    let listed = cli::Cli::command();
    command.mut_subcommands(|own| {
        match listed.find_subcommand(own.get_name()).and_then(clap::Command::get_about) {
            Some(about) => own.about(about.clone()),
            None => own,
        }
    })
}

fn run(cli: Cli) -> Result<ExitCode> {
    let ctx = &Context::find()?;
    match cli {
        Cli::Alive(args) => alive::run(&args, ctx)?,
        Cli::Bench(args) => bench::run(&args, ctx)?,
        Cli::Chaos(args) => chaos::run(&args, ctx)?,
        Cli::Clauses(args) => clauses::run(&args, ctx)?,
        Cli::Demo(args) if args.check => delivery::run(&args, ctx)?,
        // The tests of the page start the demo by this same program.
        Cli::Demo(args) => demo::serve(&args, ctx)?,
        Cli::Engines(args) => engines::run(&args, ctx)?,
        Cli::Events(args) => events::run(&args, ctx)?,
        Cli::Fuzz(args) => fuzz::run(&args, ctx)?,
        Cli::Herd(args) => herd::run(&args, ctx)?,
        #[cfg(target_os = "linux")]
        Cli::Hostile(args) => return hostile::run(&args, ctx),
        #[cfg(unix)]
        Cli::Load(args) => load::run(&args, ctx)?,
        Cli::Isolation(args) => isolation::run(&args, ctx)?,
        Cli::Mutants(args) => mutants::run(&args, ctx)?,
        Cli::Sidecar(args) => sidecar::run(&args, ctx)?,
        Cli::Signals(args) => signals::run(&args, ctx)?,
        Cli::Simulate(args) => simulate::run(&args, ctx)?,
        Cli::Size(args) => size::run(&args, ctx)?,
        Cli::Soak(args) => soak::run(&args, ctx)?,
        Cli::Test(args) => {
            interrupts::isolate()?;
            return test::run(&args, parts::PARTS, ctx);
        }
    }
    Ok(ExitCode::SUCCESS)
}
