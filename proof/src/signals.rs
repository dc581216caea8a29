//! `cargo xtask signals`: what browsers tell pages, and do to them, while events stream.

use anyhow::Result;
use xtask::context::Context;

use crate::browser::Engine;
use crate::delivery::{self, Order, Work};

/// The least number of events that the log holds in the end.
const EVENTS: u64 = 2000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The browser that runs the page.
    #[arg(long, value_enum, default_value_t = Engine::Chromium)]
    engine: Engine,
    /// Keep the log, the recordings and the output of all processes also when there is nothing to look for.
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
///
/// # Errors
/// When something could not be built or started, when the page did not do as it should, and when the check found
/// anything.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let order = Order {
        engine: args.engine,
        work: Work::Signals,
        events: EVENTS,
        seed: 0,
        sabotage: None,
        keep: args.keep,
    };
    println!("{}", delivery::prove(&order, ctx)?);
    Ok(())
}
