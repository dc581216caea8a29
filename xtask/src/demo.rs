//! `cargo xtask demo`: builds the chat page and its server and serves them, with switches that break the connection between
//! them. With `--check` the same is checked without a window, by the proof.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use agentwire_faults::server::{Plan, free_address};
use agentwire_faults::switches;
use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;

use crate::build;
use crate::context::Context;
use crate::page;
use crate::run::{both, step};
use crate::setup::{self, Browser, Needs};

/// The name of the chat server's package and program.
const CHAT_SERVER: &str = "agent-chat";

/// The arguments of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Prove headless that nothing is lost, repeated or reordered under faults.
    #[arg(long)]
    pub check: bool,
    /// The browser that runs the page.
    #[arg(long, value_enum, default_value_t = Browser::Chromium, requires = "check")]
    pub engine: Browser,
    /// The least number of events that the log must hold in the end.
    #[arg(long, default_value_t = 2000, requires = "check")]
    pub events: u64,
    /// How often the connection is cut.
    #[arg(long, default_value_t = 50, requires = "check")]
    pub cuts: usize,
    /// How often the server is killed (SIGKILL) and started again while an agent answers.
    #[arg(long, default_value_t = 5, requires = "check")]
    pub kills: usize,
    /// How often the page is loaded again while events stream.
    #[arg(long, default_value_t = 10, requires = "check")]
    pub reloads: usize,
    /// How often the wasm core traps while events stream; more than 0 checks the package's copy that can.
    #[arg(long, default_value_t = 0, requires = "check")]
    pub traps: usize,
    /// Seed of the fault plan; drawn and printed when absent.
    #[arg(long, requires = "check")]
    pub seed: Option<u64>,
    /// Make the server break its promise in this way; the check must find it and fail.
    #[arg(long, value_enum, requires = "check")]
    pub sabotage: Option<Sabotage>,
    /// Keep the log, the recordings and the output of all processes also when there is nothing to look for.
    #[arg(long, requires = "check")]
    pub keep: bool,
    /// The loopback port of the page; 0 takes a free one.
    #[arg(long, default_value_t = 8787, conflicts_with = "check")]
    port: u16,
    /// What the agent answers questions about. Defaults to this checkout.
    #[arg(long, conflicts_with = "check")]
    folder: Option<PathBuf>,
    /// The SQLite log. Defaults to `.agentwire/demo.sqlite` in this checkout.
    #[arg(long, conflicts_with = "check")]
    log: Option<PathBuf>,
    /// The pause between two pieces of an answer, in milliseconds.
    #[arg(long, default_value_t = 12, conflicts_with = "check", value_parser = clap::value_parser!(u64).range(..=1000))]
    pace_ms: u64,
}

/// Faults of the server itself (its feature `faults`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// Sends the body of the following event in place of some.
    Skip,
    /// Sends the body of the previous event in place of some.
    Repeat,
    /// Exchanges the bodies of some neighbours.
    Swap,
    /// Sends events before they are durable.
    Early,
}

impl Sabotage {
    /// Its name, as the command line and the server take it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Repeat => "repeat",
            Self::Swap => "swap",
            Self::Early => "early",
        }
    }
}

/// Builds everything and serves the page until Ctrl-C.
///
/// # Errors
/// When something can't be built or started, and when the chat server ends by itself.
pub fn serve(args: &Args, ctx: &Context) -> Result<()> {
    // Before anything that takes long: a port that is taken is the most likely thing to go wrong.
    setup::node()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).map_err(|error| {
        anyhow!("{address} can't be used ({error}); stop what listens there, or choose with --port")
    })?;
    let folder = ctx.root.join(".agentwire");
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    // A program of this run's own: another demo may be running the last one.
    let own = tempfile::Builder::new()
        .prefix("agentwire-demo-")
        .tempdir()
        .context("no temporary folder can be made")?;
    let built_page = || {
        setup::ensure(ctx, &Needs::page())?;
        build::package(ctx, build::Variant::Default, build::Std::Auto)?;
        page::build(ctx)
    };
    let (program, page) = both(|| chat_server(ctx, false, own.path()), built_page)?;
    let plan = Plan {
        program,
        address: free_address()?,
        log: args.log.clone().unwrap_or_else(|| folder.join("demo.sqlite")),
        folder: args.folder.clone().unwrap_or_else(|| ctx.root.clone()),
        page,
        pace_ms: args.pace_ms,
        sabotage: None,
        stderr: folder.join("agent-chat.log"),
    };
    switches::serve(listener, plan)
}

/// Builds the chat server and puts its program into `folder`: whoever builds it again, with or without its fault
/// switches, does not change what a check starts after a kill.
///
/// # Errors
/// When it can't be built or copied.
pub fn chat_server(ctx: &Context, faults: bool, folder: &Path) -> Result<PathBuf> {
    step("compiling the chat server (the longest step, about a minute)", || {
        let features: &[&str] = if faults { &["--features", "faults"] } else { &[] };
        ctx.cargo("demo-agent-chat")
            .args(["build", "--locked", "--package", CHAT_SERVER])
            .args(features)
            .check("the chat server can't be built")
    })?;
    let name = format!("{CHAT_SERVER}{}", std::env::consts::EXE_SUFFIX);
    let built = ctx.target.join("debug").join(&name);
    let program = folder.join(&name);
    fs::copy(&built, &program).with_context(|| format!("{} can't be copied", built.display()))?;
    Ok(program)
}
