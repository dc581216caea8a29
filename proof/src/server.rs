//! The example server, run for tests that need a real one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use agentwire_faults::ending::{Ending, signal};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use xtask::context::Context;
use xtask::run::{enter, leave};

/// How long the server may take until it listens, and until it has stopped when asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    address: String,
    log: PathBuf,
}

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
        let log = ctx.log("test-server");
        let diagnostics =
            fs::File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        let program = ctx.target.join("debug").join(format!("agent-chat{}", std::env::consts::EXE_SUFFIX));
        let mut command = Command::new(&program);
        command
            .args(["--listen", "127.0.0.1:0", "--pace-ms", "0", "--log"])
            .arg(work.join("log.sqlite"))
            .arg("--folder")
            .arg(ctx.root.join("examples/agent-chat/fixtures"))
            // Nobody asks for a page.
            .arg("--page")
            .arg(&work)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(diagnostics);
        // Leads a group of its own, as everything does that an interrupted test run must end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("{} can't be started", program.display()))?;
        let stdout = child.stdout.take();
        enter(child.id());
        // Owns the process from here on, so that each way out ends it.
        let mut server = Self { child, address: String::new(), log };
        let stdout = stdout.context("the output of the example server can't be read")?;
        let (sender, first_line) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _nobody_waits = sender.send(lines.next());
            // Read to the end: a full pipe would stop the server.
            lines.for_each(drop);
        });
        let line = match first_line.recv_timeout(PATIENCE) {
            Ok(Some(Ok(line))) => line,
            Ok(_) => bail!("the example server ended before it listened; see {}", server.log.display()),
            Err(_) => bail!(
                "the example server did not listen within {} s; see {}",
                PATIENCE.as_secs(),
                server.log.display()
            ),
        };
        match line.strip_prefix("listening on ") {
            Some(address) => server.address = address.trim().to_owned(),
            None => bail!("the example server said {line:?} instead of where it listens"),
        }
        Ok(server)
    }

    /// Where pages connect to.
    pub(crate) fn websocket(&self) -> String {
        format!("{}/ws", self.address.replacen("http", "ws", 1))
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
            .post(format!("{}/demo/token", self.address))
            .send_json(Request { user })
            .context("the example server gave no token")?
            .body_mut()
            .read_json()
            .context("the example server's answer holds no token")?;
        Ok(answer.token)
    }

    /// Asks the server to stop and checks that it does so cleanly.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("the example server can't be asked")? {
            bail!("the example server ended during the tests ({status}); see {}", self.log.display());
        }
        let id = self.child.id();
        let (stopped, wait) = mpsc::channel::<()>();
        // Kills it when it takes too long; told to leave it alone by the channel's end.
        let watchdog = thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                signal(id, false, Ending::Kill);
            }
        });
        signal(id, false, Ending::Ask);
        let status = self.child.wait().context("the example server can't be waited for")?;
        drop(stopped);
        let _ended = watchdog.join();
        if cfg!(unix) && !status.success() {
            bail!("the example server did not stop cleanly ({status}); see {}", self.log.display());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        leave(self.child.id());
    }
}
