//! The chat server under test: a real process, started, killed and started again on the same port and log.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::ending::{Ending, signal};

/// How long the server may take until it says that it listens.
const START: Duration = Duration::from_secs(30);

/// How long the server may take to stop by itself.
const STOP: Duration = Duration::from_secs(15);

/// Ports below the range that systems draw outgoing ports from: nothing takes the port while the server is away, and
/// the proxy's attempts to reach it can't end up connected to themselves.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The chat server.
    pub program: PathBuf,
    /// Where it is to listen.
    pub address: SocketAddr,
    /// The SQLite log.
    pub log: PathBuf,
    /// What the agent answers questions about.
    pub folder: PathBuf,
    /// The static page, which the check does not use.
    pub page: PathBuf,
    /// The pause between two deltas of an answer, in milliseconds.
    pub pace_ms: u64,
    /// How it breaks its promise, if it is built for that.
    pub sabotage: Option<&'static str>,
    /// Where standard error goes.
    pub stderr: PathBuf,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    child: Child,
}

impl Server {
    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it can't be started, ends early, or does not say where it listens.
    pub async fn start(plan: Plan) -> Result<Self> {
        let child = spawn(&plan).await?;
        Ok(Self { plan, child })
    }

    /// Kills the server with SIGKILL and starts it again at once.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("the server can't be asked for its state")? {
            bail!("the server ended by itself ({status}); see {}", self.plan.stderr.display());
        }
        self.child.kill().await.context("the server could not be killed")?;
        self.child = spawn(&self.plan).await?;
        Ok(())
    }

    /// Kills the server with SIGKILL and starts it again after a while.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn kill_for(&mut self, away: Duration) -> Result<()> {
        self.child.kill().await.context("the server could not be killed")?;
        sleep(away).await;
        self.child = spawn(&self.plan).await?;
        Ok(())
    }

    /// Asks the server to stop and waits for its end.
    ///
    /// # Errors
    /// When it does not stop in time; it is killed then.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(id) = self.child.id() {
            signal(id, false, Ending::Ask);
        }
        match timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => bail!("the server ended with {status}; see {}", self.plan.stderr.display()),
            Ok(Err(error)) => Err(error).context("the server can't be waited for"),
            Err(_) => {
                self.child.kill().await.context("the server could not be killed")?;
                bail!(
                    "the server did not stop within {} s of SIGTERM; see {}",
                    STOP.as_secs(),
                    self.plan.stderr.display()
                )
            }
        }
    }
}

/// Finds a loopback port that is free now and that nothing takes while the server is away.
///
/// # Errors
/// When a hundred ports in a row are taken.
pub fn free_address() -> Result<SocketAddr> {
    (0..100)
        .map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS))))
        .find(|address| TcpListener::bind(address).is_ok())
        .with_context(|| format!("no free loopback port was found from {} to {}", PORTS.start, PORTS.end - 1))
}

async fn spawn(plan: &Plan) -> Result<Child> {
    let mut command = Command::new(&plan.program);
    command.arg("--listen").arg(plan.address.to_string());
    command.arg("--log").arg(&plan.log).arg("--folder").arg(&plan.folder).arg("--page").arg(&plan.page);
    command.arg("--pace-ms").arg(plan.pace_ms.to_string());
    if let Some(sabotage) = plan.sabotage {
        command.arg("--sabotage").arg(sabotage);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(append(&plan.stderr)?).kill_on_drop(true);
    // An interrupt of the terminal must reach the check only, which then ends the server in order.
    #[cfg(unix)]
    command.process_group(0);
    let mut child =
        command.spawn().with_context(|| format!("{} can't be started", plan.program.display()))?;
    let stdout = child.stdout.take().context("the server has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    match timeout(START, lines.next_line()).await {
        Err(_) => bail!(
            "the server did not say where it listens within {} s; see {}",
            START.as_secs(),
            plan.stderr.display()
        ),
        Ok(Ok(Some(line))) if line.trim() == format!("listening on http://{}", plan.address) => {}
        Ok(Ok(Some(line))) => {
            bail!("the server must say `listening on http://{}` first, but said: {line}", plan.address)
        }
        Ok(Ok(None)) | Ok(Err(_)) => bail!("the server ended before it listened:\n{}", tail(&plan.stderr)),
    }
    // Read on, so that the server never waits for a full pipe.
    tokio::spawn(async move { while matches!(lines.next_line().await, Ok(Some(_))) {} });
    Ok(child)
}

fn append(path: &Path) -> Result<File> {
    let file: io::Result<File> = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("{} can't be written", path.display()))
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
