//! `cargo xtask chaos`: the delivery check in any engine, with every way to break a connection that the proxy knows, and
//! cuts that follow each other as soon as the page is back.

use anyhow::Result;
use xtask::context::Context;

use crate::browser::Engine;
use crate::delivery::{self, Faults, Order, Work};

/// One kill of the server comes with so many cuts, when nothing else is asked for.
const CUTS_PER_KILL: usize = 100;

/// The same for loading the page again.
const CUTS_PER_RELOAD: usize = 50;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The browser that runs the page.
    #[arg(long, value_enum, default_value_t = Engine::Chromium)]
    engine: Engine,
    /// How often the connection is broken: RST, FIN, inside a frame, by a close frame, or left half open.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cuts: u32,
    /// How often the server is killed (SIGKILL) and started again. Defaults to one in a hundred cuts, and at least 1.
    #[arg(long)]
    kills: Option<usize>,
    /// How often the page is loaded again while events stream. Defaults to one in fifty cuts, and at least 2.
    #[arg(long)]
    reloads: Option<usize>,
    /// The least number of events that the log must hold in the end.
    #[arg(long, default_value_t = 3000)]
    events: u64,
    /// Seed of the fault plan; drawn and printed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the log, the recordings and the output of all processes also when there is nothing to look for.
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
///
/// # Errors
/// When something could not be built or started, when too few cuts bit, and when the check found anything.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let cuts = args.cuts as usize;
    let faults = Faults {
        cuts,
        kills: args.kills.unwrap_or_else(|| (cuts / CUTS_PER_KILL).max(1)),
        reloads: args.reloads.unwrap_or_else(|| (cuts / CUTS_PER_RELOAD).max(2)),
        traps: 0,
        chaos: true,
    };
    let order = Order {
        engine: args.engine,
        work: Work::Faults(faults),
        events: args.events,
        seed: args.seed.unwrap_or_else(delivery::seed),
        sabotage: None,
        keep: args.keep,
    };
    println!("{}", delivery::prove(&order, ctx)?);
    Ok(())
}
