//! A real browser, driven through its WebDriver, with a profile of its own that goes when it goes.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
pub(crate) use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use xtask::context::Context;

pub(crate) use display::Display;
pub(crate) use engine::Engine;
use engine::Launch;
pub(crate) use processes::Halted;
use processes::Marks;

mod display;
mod engine;
mod processes;

/// How long a driver may take to listen, and a browser to open its first window.
const START: Duration = Duration::from_secs(60);

/// How long a browser may take to close; it is killed then.
const CLOSE: Duration = Duration::from_secs(5);

/// How long a page may take to load.
const LOAD: Duration = Duration::from_secs(30);

/// How often a driver that says nothing is asked whether it listens.
const ASK: Duration = Duration::from_millis(20);

/// A running browser with one window.
#[derive(Debug)]
pub(crate) struct Browser {
    /// Before the display, so that the browser is gone when its display goes.
    marks: Marks,
    driver: Child,
    client: Client,
    /// Where the driver listens.
    address: String,
    display: Option<Display>,
    /// Removed after the browser is gone.
    _profile: TempDir,
}

impl Browser {
    /// Starts the driver and a browser; the driver's output goes to `log`.
    ///
    /// # Errors
    /// When one of them is not installed or does not start.
    pub(crate) async fn start(engine: Engine, ctx: &Context, log: &Path) -> Result<Self> {
        let profile = tempfile::Builder::new()
            .prefix("agentwire-browser-")
            .tempdir()
            .context("no folder for a profile can be made")?;
        let name = engine.name();
        let program = engine.driver(ctx).with_context(|| {
            format!(
                "the driver of {name} is not installed; `cargo xtask setup --browsers {name}` brings it, or says how"
            )
        })?;
        let Launch { args, port, capabilities, mark, display } = engine::launch(engine, profile.path())?;
        let display = if display { Some(Display::start().await?) } else { None };
        let log = File::create(log).with_context(|| format!("{} can't be written", log.display()))?;
        let mut command = Command::new(&program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        // What a browser that is killed leaves behind goes with its profile.
        command.env("TMPDIR", profile.path());
        if let Some(display) = &display {
            command.env("DISPLAY", display.name());
            for folder in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                command.env(folder, profile.path().join(folder));
            }
            // Neither a graphics card nor a bus for accessibility is there to be found.
            command.env("LIBGL_ALWAYS_SOFTWARE", "1").env("NO_AT_BRIDGE", "1");
        }
        // An interrupt of the terminal must not take the browser away under the page before the check ends it.
        #[cfg(unix)]
        command.process_group(0);
        // From here on whatever was started ends with this, also on an error.
        let marks = Marks(mark);
        let mut driver =
            command.spawn().with_context(|| format!("{} can't be started", program.display()))?;
        let port = timeout(START, listening(port, &mut driver)).await;
        let port = port.with_context(|| {
            format!("{} did not listen within {} s", program.display(), START.as_secs())
        })??;
        let address = format!("http://127.0.0.1:{port}");
        let client = timeout(START, connect(capabilities, &address)).await;
        let client =
            client.with_context(|| format!("no browser was there within {} s", START.as_secs()))??;
        Ok(Self { marks, driver, client, address, display, _profile: profile })
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

    /// Opens another window beside those that are open, and returns how to name it.
    ///
    /// # Errors
    /// When the driver can't.
    pub(crate) async fn another(&self) -> Result<WindowHandle> {
        let opened = self.client.new_window(false).await.context("no other window can be opened")?;
        self.turn_to(&opened.handle).await?;
        Ok(opened.handle)
    }

    /// Names the window that commands go to.
    ///
    /// # Errors
    /// When the driver can't.
    pub(crate) async fn window(&self) -> Result<WindowHandle> {
        self.client.window().await.context("the driver does not name its window")
    }

    /// Lets commands go to another window from now on.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) async fn turn_to(&self, window: &WindowHandle) -> Result<()> {
        self.client.switch_to_window(window.clone()).await.context("a window is gone")
    }

    /// Goes back to the page before this one.
    ///
    /// # Errors
    /// When the page does not come in time, or the browser is gone.
    pub(crate) async fn back(&self) -> Result<()> {
        match timeout(LOAD, self.client.back()).await {
            Ok(loaded) => loaded.context("the browser could not go back"),
            Err(_) => bail!("the browser did not go back within {} s", LOAD.as_secs()),
        }
    }

    /// Runs a script in the page and returns what it returns.
    ///
    /// # Errors
    /// When the script throws, or the browser does not answer.
    pub(crate) async fn execute(&self, script: &str) -> Result<Value> {
        match timeout(LOAD, self.client.execute(script, Vec::new())).await {
            Ok(done) => done.context("a script failed in the page"),
            Err(_) => bail!("the page did not run a script within {} s", LOAD.as_secs()),
        }
    }

    /// Minimizes the window, or brings it back.
    ///
    /// # Errors
    /// When the driver can't.
    pub(crate) async fn minimize(&self, on: bool) -> Result<()> {
        let done = async {
            if on {
                self.client.minimize_window().await
            } else {
                self.client.set_window_rect(0, 0, 1024, 700).await
            }
        };
        match timeout(LOAD, done).await {
            Ok(done) => done.context("the driver does not minimize windows"),
            Err(_) => bail!("the window was not changed within {} s", LOAD.as_secs()),
        }
    }

    /// Sends a command of the DevTools protocol to the page. Chromium only.
    ///
    /// # Errors
    /// When the driver does not know or do it.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Result<()> {
        let session = self.client.session_id().await.ok().flatten().context("the browser has no session")?;
        let url = format!("{}/session/{session}/goog/cdp/execute", self.address);
        let body = json!({ "cmd": command, "params": parameters });
        let command = command.to_owned();
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(LOAD)).build().into();
            agent
                .post(url)
                .send_json(body)
                .map(drop)
                .with_context(|| format!("the driver did not do {command}"))
        })
        .await
        .context("the command for the driver was given up")?
    }

    /// Halts the browser with all its processes until the answer is dropped, as on a machine that sleeps.
    pub(crate) fn halt(&self) -> Halted {
        Halted::below(self.driver.id().unwrap_or_default())
    }

    /// Closes the browser and its driver.
    pub(crate) async fn close(self) {
        let Self { marks, mut driver, client, display, _profile, .. } = self;
        // A browser that does not answer is killed below.
        let _ = timeout(CLOSE, client.close()).await;
        let _ = driver.kill().await;
        drop(marks);
        if let Some(display) = display {
            display.close().await;
        }
    }
}

async fn connect(capabilities: Map<String, Value>, driver: &str) -> Result<Client> {
    let mut client = ClientBuilder::new(HttpConnector::new());
    client.capabilities(capabilities).connect(driver).await.context("the driver could not start the browser")
}

/// Waits until the driver listens and returns where: on `port` if it was told one, else where it says.
async fn listening(port: Option<u16>, driver: &mut Child) -> Result<u16> {
    let stdout = driver.stdout.take().context("the driver has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let port = match port {
        None => loop {
            match lines.next_line().await.context("the driver's output can't be read")? {
                Some(line) => {
                    if let Some(port) = engine::port(&line) {
                        break port;
                    }
                }
                None => bail!("the driver ended before it listened"),
            }
        },
        Some(port) => {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if let Some(status) = driver.try_wait().context("the driver can't be asked")? {
                    bail!("the driver ended before it listened ({status})");
                }
                sleep(ASK).await;
            }
            port
        }
    };
    // Read on, so that the driver never waits for a full pipe.
    tokio::spawn(async move { while matches!(lines.next_line().await, Ok(Some(_))) {} });
    Ok(port)
}
