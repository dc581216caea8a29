//! An X display without a screen, for browsers that have no headless mode.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use xtask::setup;

/// How long the X server may take to start.
const START: Duration = Duration::from_secs(15);

/// A running X server; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// Starts an X server on a display that it finds free itself.
    pub(crate) async fn start() -> Result<Self> {
        let program = setup::xvfb()
            .context("Xvfb is not installed; `cargo xtask setup --browsers webkit` brings it, or says how")?;
        let mut command = Command::new(&program);
        command
            .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // The browser goes first, also on an interrupt of the terminal.
        #[cfg(unix)]
        command.process_group(0);
        let mut server =
            command.spawn().with_context(|| format!("{} can't be started", program.display()))?;
        let stdout = server.stdout.take().context("Xvfb has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(START, lines.next_line())
            .await
            .with_context(|| format!("Xvfb did not start within {} s", START.as_secs()))?;
        let number: u32 = line
            .ok()
            .flatten()
            .and_then(|line| line.trim().parse().ok())
            .context("Xvfb found no free display and ended")?;
        Ok(Self { server, name: format!(":{number}") })
    }

    /// Its name, such as `:7`, for `DISPLAY`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Ends the X server.
    pub(crate) async fn close(mut self) {
        // It holds nothing that could be lost.
        let _ = self.server.kill().await;
    }
}
