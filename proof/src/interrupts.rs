//! An interrupted run leaves nothing behind.

use anyhow::{Context as _, Result};
use xtask::run;

/// Makes commands run in groups of their own from now on, and ends these when this process is interrupted.
pub(crate) fn isolate() -> Result<()> {
    run::isolate();
    ctrlc::set_handler(|| {
        run::interrupt();
        std::process::exit(130);
    })
    .context("interrupts can't be handled")
}
