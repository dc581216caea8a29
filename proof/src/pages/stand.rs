//! `agentwire-stand`: a bridge with an agent, in a process of its own.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::context::Context;

use crate::listening::Listening;

/// What to start, and how.
#[derive(Debug)]
pub(crate) struct StandPlan<'a> {
    /// Stands for it in the names of log files.
    pub(crate) name: &'a str,
    /// Where its log is, and the program itself: another check may build it in another way meanwhile.
    pub(crate) folder: &'a Path,
    /// The secret of the tokens.
    pub(crate) secret: &'a str,
    /// Limits that differ from the defaults.
    pub(crate) limits: Value,
    /// Further options.
    pub(crate) options: Vec<OsString>,
    /// Whether it is built so that it can break the promise.
    pub(crate) faults: bool,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Stand;

impl Stand {
    /// Builds it, starts it on a free port of the loopback, and waits until it listens.
    pub(crate) fn start(plan: &StandPlan<'_>, ctx: &Context) -> Result<Listening> {
        let features: &[&str] = if plan.faults { &["--features", "faults"] } else { &[] };
        ctx.cargo(&format!("{}-build", plan.name))
            .args(["build", "--locked", "--package", "agentwire-stand"])
            .args(features)
            .check("the server can't be built")?;
        let name = format!("agentwire-stand{}", std::env::consts::EXE_SUFFIX);
        let (built, program) = (ctx.target.join("debug").join(&name), plan.folder.join(&name));
        fs::copy(&built, &program).with_context(|| format!("{} can't be copied", built.display()))?;
        let mut command = Command::new(program);
        command.arg("--log").arg(plan.folder.join("log.sqlite")).args(["--secret", plan.secret]);
        command.arg("--limits").arg(plan.limits.to_string()).args(&plan.options);
        Listening::start(command, "agentwire-stand", ctx.log(plan.name))
    }
}
