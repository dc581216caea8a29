//! `cargo xtask herd`: how pages come back that lose their server all at once.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask::context::Context;

use crate::simulate;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many pages there are.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    clients: u64,
}

/// Runs the herd in virtual time, and the published backoff formulas of other clients beside it.
///
/// # Errors
/// When it can't be built, or when up to 10,000 pages come back too slowly or call too often.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let program = simulate::build(ctx)?;
    let status = Command::new(&program)
        .args(["--herd", &args.clients.to_string()])
        .status()
        .with_context(|| format!("{} can't be started", program.display()))?;
    if status.success() {
        Ok(())
    } else {
        bail!("the herd is outside of its bounds: 2,300 and 170 attempts per 100 ms, 14 s")
    }
}
