//! The example server, run for tests that need a real one.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use xtask::context::Context;

use crate::listening::Listening;

/// How long the server may take for a token.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server(Listening);

impl Server {
    /// Builds the server, starts it on a free port of the loopback with an empty log, and waits until it listens.
    pub(crate) fn start(ctx: &Context) -> Result<Self> {
        ctx.cargo("test-server-build")
            .args(["build", "--locked", "--package", "agent-chat"])
            .check("the example server can't be built")?;
        let work = ctx.state.join("server");
        if work.is_dir() {
            fs::remove_dir_all(&work).with_context(|| format!("{} can't be emptied", work.display()))?;
        }
        fs::create_dir_all(&work).with_context(|| format!("{} can't be made", work.display()))?;
        let program = ctx.target.join("debug").join(format!("agent-chat{}", std::env::consts::EXE_SUFFIX));
        let mut command = Command::new(&program);
        command
            .args(["--listen", "127.0.0.1:0", "--pace-ms", "0", "--log"])
            .arg(work.join("log.sqlite"))
            .arg("--folder")
            .arg(ctx.root.join("examples/agent-chat/fixtures"))
            // Nobody asks for a page.
            .arg("--page")
            .arg(&work);
        Ok(Self(Listening::start(command, "the example server", ctx.log("test-server"))?))
    }

    /// Where pages connect to.
    pub(crate) fn websocket(&self) -> String {
        self.0.websocket()
    }

    /// A token for `user`.
    pub(crate) fn token(&self, user: &str) -> Result<String> {
        #[derive(Serialize)]
        struct Request<'a> {
            user: &'a str,
        }
        #[derive(Deserialize)]
        struct Answer {
            token: String,
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        let answer: Answer = agent
            .post(format!("{}/demo/token", self.0.address))
            .send_json(Request { user })
            .context("the example server gave no token")?
            .body_mut()
            .read_json()
            .context("the example server's answer holds no token")?;
        Ok(answer.token)
    }

    /// Asks the server to stop and checks that it does so cleanly.
    pub(crate) fn stop(self) -> Result<()> {
        self.0.stop()
    }
}
