//! The programs of the load: a bridge, a crowd of pages, and servers and clients of Node.js.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use xtask::context::Context;
use xtask::run::step;

/// The secret of all tokens.
pub(super) const SECRET: &str = "a secret for measurements, 32 bytes or more";

/// Where they are.
pub(super) struct Programs {
    built: PathBuf,
    scripts: PathBuf,
}

impl Programs {
    /// Builds what is compiled: optimised, unless no time is judged.
    pub(super) fn build(ctx: &Context, quick: bool) -> Result<Self> {
        let folder = if quick { "debug" } else { "release" };
        step("compiling the server and the pages", || {
            ctx.cargo("load-build")
                // A profiler can name functions then; it costs no time.
                .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
                .args(["build", "--locked", "--package", "agentwire-stand", "--package", "agentwire-crowd"])
                .args(if quick { &[] } else { &["--release"][..] })
                .check("the server and the pages can't be built")
        })?;
        Ok(Self { built: ctx.target.join(folder), scripts: ctx.root.join("benches/load") })
    }

    /// A compiled program.
    pub(super) fn built(&self, name: &str) -> Command {
        Command::new(self.built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    }

    /// A script of Node.js.
    pub(super) fn script(&self, name: &str) -> Command {
        let mut node = Command::new("node");
        node.arg(self.scripts.join(name));
        node
    }
}
