//! `cargo xtask sidecar --check`: backends in Python and Node.js publish through the server to pages, while all of them are killed.
//!
//! `tests/sidecar` does it: programs in the languages of the libraries, started and killed by `check.js`. This builds what they need.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::setup::{self, Needs, python};

use crate::interrupts;
use crate::parts::server;
use crate::service::Service;

/// How long the check may say nothing: its own patience ends before.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long the check may take to end what it started.
const STOP: Duration = Duration::from_secs(20);

/// What its last line begins with.
const LAST: &str = "sidecar: ";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs the check. There is nothing else to do yet, but a server to look at is `agentwire-bridge dev`.
    #[arg(long, required = true)]
    check: bool,
    /// How often the server, a backend or a page is killed.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    kills: u64,
    /// How many pages there are at a time, each of a user of its own.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    pages: u64,
    /// What is killed and cut.
    #[arg(long, value_enum, default_value_t = Victims::All)]
    only: Victims,
    /// Begins the random numbers, so that a run can be repeated as far as the machine allows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Breaks the promise between backends and server, which the check has to notice.
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
}

/// What is killed and cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Victims {
    /// Server, backends, pages and the network.
    All,
    /// The server alone.
    Server,
}

/// What a proxy does to the batches of the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sabotage {
    /// It answers one now and then without passing it on.
    Drop,
    /// It passes one on twice now and then.
    Twice,
}

pub(crate) fn needs() -> Needs {
    Needs { node_library: true, python: true, ..Needs::build() }
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    interrupts::isolate()?;
    setup::ensure(ctx, &needs())?;
    build::package(ctx, Variant::Default, Std::Auto)?;
    ctx.npm(&ctx.root.join("clients/node"), "sidecar-node")
        .args(["run", "build"])
        .check("clients/node can't be built")?;
    let server = server(ctx)?;
    let folder = ctx.state.join("sidecar");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let mut check = Command::new("node");
    check
        .arg(ctx.root.join("tests/sidecar/check.js"))
        .args(["--kills", &args.kills.to_string(), "--pages", &args.pages.to_string()])
        .args(["--seed", &args.seed.to_string(), "--only", &name(args.only)])
        .env("AGENTWIRE_BRIDGE_BIN", server)
        .env("AGENTWIRE_PYTHON", python::program(ctx, "python"))
        .env("SIDECAR_FOLDER", &folder);
    if let Some(sabotage) = args.sabotage {
        check.args(["--sabotage", &name(sabotage)]);
    }
    println!("backends in Python and Node.js, {} pages, {} kills", args.pages, args.kills);
    let check = Service::start("the check", check, ctx.state.join("logs/sidecar.log"))?;
    loop {
        let line = check.line(PATIENCE)?;
        println!("{line}");
        if line.starts_with(LAST) {
            break;
        }
    }
    check.ended(STOP).context("the check found something")
}

/// The name of an option's value.
fn name(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
