//! A real browser, driven through its WebDriver, with a profile of its own that goes when it goes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::run::{Ending, signal};
use crate::setup;

/// How long a driver may take to listen, and a browser to open its first window.
const START: Duration = Duration::from_secs(30);

/// How long a browser may take to close; it is killed then.
const CLOSE: Duration = Duration::from_secs(5);

/// How long a page may take to load.
const LOAD: Duration = Duration::from_secs(30);

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Chromium or Chrome, headless, through chromedriver.
    Chromium,
}

impl Engine {
    /// The driver's program.
    fn driver(self) -> Result<PathBuf> {
        match self {
            Self::Chromium => setup::chromedriver()
                .context("chromedriver is not installed; `cargo xtask setup` brings it, or says how"),
        }
    }

    /// Arguments that make the driver listen on a loopback port chosen by the system.
    fn driver_args(self) -> &'static [&'static str] {
        match self {
            Self::Chromium => &["--port=0"],
        }
    }

    /// The port in a line that the driver prints when it listens.
    fn port(self, line: &str) -> Option<u16> {
        match self {
            Self::Chromium => line
                .strip_suffix('.')
                .unwrap_or(line)
                .rsplit_once(" on port ")?
                .1
                .parse()
                .ok()
                .filter(|port| *port != 0),
        }
    }

    /// What the driver is asked for: headless, silent, and with the profile in `profile`.
    fn capabilities(self, profile: &str) -> Map<String, Value> {
        match self {
            Self::Chromium => {
                let mut options = json!({ "args": [
                    "--headless=new",
                    // Root, as on build machines, has no sandbox in Chromium.
                    "--no-sandbox",
                    "--disable-gpu",
                    // Shared memory is small in containers.
                    "--disable-dev-shm-usage",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--no-first-run",
                    "--disable-quic",
                    profile,
                ] });
                // Without it the driver finds the browser that it was installed with.
                if let Ok(program) = std::env::var("CHROME") {
                    options["binary"] = program.into();
                }
                Map::from_iter([
                    ("browserName".to_owned(), "chrome".into()),
                    ("goog:chromeOptions".to_owned(), options),
                ])
            }
        }
    }

    /// The argument that names the profile: it is unique, so it tells our browser from any other.
    fn profile(self, folder: &Path) -> String {
        match self {
            Self::Chromium => format!("--user-data-dir={}", folder.display()),
        }
    }
}

/// A running browser with one window.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    marks: Marks,
    /// Removed after the browser is gone.
    _profile: TempDir,
}

impl Browser {
    /// Starts the driver and a browser; the driver's output goes to `log`.
    ///
    /// # Errors
    /// When one of them is not installed or does not start.
    pub(crate) async fn start(engine: Engine, log: &Path) -> Result<Self> {
        let profile = tempfile::Builder::new()
            .prefix("agentwire-browser-")
            .tempdir()
            .context("no folder for a profile can be made")?;
        let mark = engine.profile(profile.path());
        let program = engine.driver()?;
        let log = File::create(log).with_context(|| format!("{} can't be written", log.display()))?;
        let mut command = Command::new(&program);
        command
            .args(engine.driver_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        // What a browser that is killed leaves behind goes with its profile.
        command.env("TMPDIR", profile.path());
        // An interrupt of the terminal must not take the browser away under the page before the check ends it.
        #[cfg(unix)]
        command.process_group(0);
        let mut driver =
            command.spawn().with_context(|| format!("{} can't be started", program.display()))?;
        // From here on whatever was started ends with this, also on an error.
        let marks = Marks(mark.clone());
        let port = timeout(START, listening(engine, &mut driver)).await;
        let port = port.with_context(|| {
            format!("{} did not listen within {} s", program.display(), START.as_secs())
        })??;
        let address = format!("http://127.0.0.1:{port}");
        let client = timeout(START, connect(engine.capabilities(&mark), &address)).await;
        let client =
            client.with_context(|| format!("no browser was there within {} s", START.as_secs()))??;
        Ok(Self { driver, client, marks, _profile: profile })
    }

    /// Loads `url` in the window and waits until it is loaded.
    ///
    /// # Errors
    /// When the page does not load in time, or the browser is gone.
    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        match timeout(LOAD, self.client.goto(url)).await {
            Ok(loaded) => loaded.context("the browser could not load the page"),
            Err(_) => bail!("the browser did not load the page within {} s", LOAD.as_secs()),
        }
    }

    /// Runs a script in the page.
    ///
    /// # Errors
    /// When the script throws, or the browser does not answer.
    pub(crate) async fn execute(&self, script: &str) -> Result<()> {
        match timeout(LOAD, self.client.execute(script, Vec::new())).await {
            Ok(done) => done.map(drop).context("a script failed in the page"),
            Err(_) => bail!("the page did not run a script within {} s", LOAD.as_secs()),
        }
    }

    /// Closes the browser and its driver.
    pub(crate) async fn close(self) {
        let Self { mut driver, client, marks, _profile } = self;
        // A browser that does not answer is killed below.
        let _ = timeout(CLOSE, client.close()).await;
        let _ = driver.kill().await;
        drop(marks);
    }
}

async fn connect(capabilities: Map<String, Value>, driver: &str) -> Result<Client> {
    let mut client = ClientBuilder::new(HttpConnector::new());
    client.capabilities(capabilities).connect(driver).await.context("the driver could not start the browser")
}

async fn listening(engine: Engine, driver: &mut Child) -> Result<u16> {
    let stdout = driver.stdout.take().context("the driver has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.context("the driver's output can't be read")? {
        if let Some(port) = engine.port(line.trim()) {
            // Read on, so that the driver never waits for a full pipe.
            tokio::spawn(async move { while matches!(lines.next_line().await, Ok(Some(_))) {} });
            return Ok(port);
        }
    }
    bail!("the driver ended before it listened")
}

/// Kills, when dropped, every process that has this argument: a driver that is killed leaves its browser behind.
#[derive(Debug)]
struct Marks(String);

impl Drop for Marks {
    fn drop(&mut self) {
        for id in marked(&self.0) {
            signal(id, false, Ending::Kill);
        }
    }
}

/// The processes with exactly this argument. Systems without `/proc` have none to find.
fn marked(mark: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            std::fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_the_driver_says() {
        let port = |line| Engine::Chromium.port(line);
        assert_eq!(port("ChromeDriver was started successfully on port 34567."), Some(34567));
        assert_eq!(port("Starting ChromeDriver 156.0 (x) on port 0"), None);
        assert_eq!(port("Only local connections are allowed."), None);
    }
}
