//! `cargo xtask demo --check`: the whole path under faults, in a real browser, judged by the log alone. `chaos` and `signals`
//! run the same check.
//!
//! A headless browser loads a page that follows one thread of a real chat server. While an agent answers, the proxy between
//! them cuts the connection, the server is killed with SIGKILL and started again, and the page is loaded again. The page
//! reports what its handlers were given. At the end the log file says what they should have been given.

mod canonical;
mod check;
mod checker;
mod conductor;
mod log;
mod order;
mod plan;
mod records;
mod report;
mod site;

use std::fs;

use agentwire_faults::interrupt::Interrupted;
use anyhow::{Context as _, Result, anyhow, bail};
use xtask::build;
use xtask::context::Context;
use xtask::demo::{Args, Sabotage, chat_server};
use xtask::setup::{self, Needs};

pub(crate) use order::{Order, Work};
pub(crate) use plan::Faults;
pub(crate) use records::Records;
use report::Summary;
pub(crate) use site::Site;

/// Runs the command.
///
/// # Errors
/// When something could not be built or started, and when the check found anything.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    if args.sabotage == Some(Sabotage::Early) && args.kills == 0 {
        bail!("`--sabotage early` shows only when the server dies; give `--kills` of 1 or more");
    }
    let Args { cuts, kills, reloads, traps, .. } = *args;
    let order = Order {
        engine: args.engine,
        work: Work::Faults(Faults { cuts, kills, reloads, traps, chaos: false }),
        events: args.events,
        seed: args.seed.unwrap_or_else(seed),
        sabotage: args.sabotage,
        keep: args.keep,
    };
    println!("{}", prove(&order, ctx)?);
    Ok(())
}

/// Draws a seed that is short enough to be typed.
pub(crate) fn seed() -> u64 {
    fastrand::u64(0..1_000_000)
}

/// Builds what the proof needs and runs it.
///
/// # Errors
/// When something could not be built or started, and when the proof found anything; what explains it is kept then.
pub(crate) fn prove(order: &Order, ctx: &Context) -> Result<Summary> {
    setup::ensure(ctx, &Needs::browsers(&[order.engine]))?;
    let variant = if order.traps() { build::Variant::Trap } else { build::Variant::Default };
    build::package(ctx, variant, build::Std::Auto)?;
    let folder = tempfile::Builder::new()
        .prefix("agentwire-demo-")
        .tempdir()
        .context("no temporary folder can be made")?;
    let program = chat_server(ctx, order.sabotage.is_some(), folder.path())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime can be made")?;
    let result = runtime.block_on(check::check(order, ctx, program.clone(), folder.path()));
    runtime.shutdown_background();
    // Large, and no help to a reader of what is kept.
    let _ = fs::remove_file(program);
    match result {
        Ok(summary) => {
            if order.keep {
                println!("kept: {}", folder.keep().display());
            }
            Ok(summary)
        }
        // The folder goes with the run that nobody waits for any more.
        Err(error) if error.is::<Interrupted>() => Err(error),
        // What was made to fail has failed as it should: there is nothing to look for.
        Err(error) if order.sabotage.is_some() && !order.keep && error.is::<check::Found>() => Err(error),
        Err(error) => {
            let folder = folder.keep();
            Err(anyhow!(
                "{error:#}\n  repeat with --seed {}; the log, what the page said and the servers' output are kept in {}",
                order.seed,
                folder.display()
            ))
        }
    }
}
