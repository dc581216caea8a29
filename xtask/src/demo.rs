//! `cargo xtask demo`: the chat page to play with ([`serve`]), and with `--check` the proof ([`proof`]): the whole path under
//! faults, in a real browser, judged by the log alone.
//!
//! For the proof a headless browser loads a page that follows one thread of a real chat server. While an agent answers, the proxy
//! between them cuts the connection, the server is killed with SIGKILL and started again, and the page is loaded
//! again. The page reports what its handlers were given. At the end the log file says what they should have been given.

mod interrupt;
#[cfg(feature = "checks")]
mod proof;
mod serve;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

#[cfg(feature = "checks")]
pub(crate) use proof::{Faults, Order, Work, prove, run, seed, signals};
pub(crate) use serve::serve;

use crate::context::Context;
use crate::run::step;
use crate::setup::Browser as Engine;

/// The name of the chat server's package and program.
const CHAT_SERVER: &str = "agent-chat";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prove headless that nothing is lost, repeated or reordered under faults.
    #[arg(long)]
    check: bool,
    /// The browser that runs the page.
    #[arg(long, value_enum, default_value_t = Engine::Chromium, requires = "check")]
    engine: Engine,
    /// The least number of events that the log must hold in the end.
    #[arg(long, default_value_t = 2000, requires = "check")]
    events: u64,
    /// How often the connection is cut.
    #[arg(long, default_value_t = 50, requires = "check")]
    cuts: usize,
    /// How often the server is killed (SIGKILL) and started again while an agent answers.
    #[arg(long, default_value_t = 5, requires = "check")]
    kills: usize,
    /// How often the page is loaded again while events stream.
    #[arg(long, default_value_t = 10, requires = "check")]
    reloads: usize,
    /// How often the wasm core traps while events stream; more than 0 checks the package's copy that can.
    #[arg(long, default_value_t = 0, requires = "check")]
    traps: usize,
    /// Seed of the fault plan; drawn and printed when absent.
    #[arg(long, requires = "check")]
    seed: Option<u64>,
    /// Make the server break its promise in this way; the check must find it and fail.
    #[arg(long, value_enum, requires = "check")]
    sabotage: Option<Sabotage>,
    /// Keep the log, the recordings and the output of all processes also when there is nothing to look for.
    #[arg(long, requires = "check")]
    keep: bool,
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
pub(crate) enum Sabotage {
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
    fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Repeat => "repeat",
            Self::Swap => "swap",
            Self::Early => "early",
        }
    }
}

impl Args {
    /// Whether this is the proof, and not the page to play with.
    pub(crate) fn is_check(&self) -> bool {
        self.check
    }
}

/// Builds the chat server and puts its program into `folder`: whoever builds it again, with or without its fault
/// switches, does not change what a check starts after a kill.
fn chat_server(ctx: &Context, faults: bool, folder: &Path) -> Result<PathBuf> {
    step("compiling the chat server (the longest step, about a minute)", || {
        let features: &[&str] = if faults { &["--features", "faults"] } else { &[] };
        ctx.cargo("demo-agent-chat")
            .args(["build", "--locked", "--package", CHAT_SERVER])
            .args(features)
            .check("the chat server can't be built")
    })?;
    let name = format!("{CHAT_SERVER}{}", std::env::consts::EXE_SUFFIX);
    let built = ctx.target.join("debug").join(&name);
    let program = file(folder, &name);
    fs::copy(&built, &program).with_context(|| format!("{} can't be copied", built.display()))?;
    Ok(program)
}

/// The files of one check.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// The vectors of the fingerprints among them.
    #[test]
    fn the_recorder_page_passes_its_own_tests() {
        let tests = ["canonical", "outbox", "runs"].map(|name| format!("{name}.test.js"));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/e2e");
        let output = Command::new("node").arg("--test").args(tests).current_dir(folder).output();
        let output = output.expect("node is needed: install Node.js 20 or later");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
