//! `cargo xtask signals`: what browsers tell pages, and do to them, while events stream.

use std::fmt;

use anyhow::Result;

use super::check::{Order, Work};
use crate::browser::Engine;
use crate::context::Context;

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

/// Where a signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From the engine, as for a user.
    Real,
    /// From a script in the page: the engine, as it is driven here, does not bring it about.
    Dispatched,
    /// From nobody: the engine lacks it.
    Lacking,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real => "real",
            Self::Dispatched => "dispatched",
            Self::Lacking => "lacking",
        })
    }
}

/// A signal that the page was given.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    /// What was seen, with its figures.
    pub(crate) note: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, source, note } = self;
        write!(f, "{name}: {source}; {note}")
    }
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
    println!("{}", super::prove(&order, ctx)?);
    Ok(())
}
