//! From this program to the proof, which has the commands that a first start does not need.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::run::step_if_slow;

/// The package and its program.
const PROOF: &str = "agentwire-proof";

/// The arguments of a command that is only passed on.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Builds the proof and runs it with the arguments of this program.
///
/// # Errors
/// When it can't be built or started.
pub(crate) fn become_the_proof(ctx: &Context) -> Result<ExitCode> {
    step_if_slow("compiling the checks (the first time this takes a minute or two)", || {
        ctx.cargo("build-proof").args(["build", "--package", PROOF]).check("the checks can't be compiled")
    })?;
    let program = ctx.target.join("debug").join(format!("{PROOF}{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new(&program);
    command.args(env::args_os().skip(1));
    replace(command).with_context(|| format!("{} can't be run", program.display()))
}

/// Puts `command` in the place of this process, so that signals reach it.
#[cfg(unix)]
fn replace(mut command: Command) -> std::io::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

/// Waits for `command`; this system can't replace a process.
#[cfg(not(unix))]
fn replace(mut command: Command) -> std::io::Result<ExitCode> {
    let code = command.status()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
