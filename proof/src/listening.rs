//! A server of the tests: a process that says where it listens, and that is stopped or killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use agentwire_faults::ending::{Ending, signal};
use anyhow::{Context as _, Result, bail};
use xtask::run::{enter, leave};

/// How long a server may take until it listens, and until it has stopped when asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Listening {
    child: Child,
    /// What it is, for errors.
    name: &'static str,
    /// `http://127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Where its standard error goes.
    log: PathBuf,
    /// What it says after that, line by line.
    pub(crate) lines: mpsc::Receiver<String>,
}

impl Listening {
    /// Starts a server and waits until it listens. `name` stands for it in errors.
    pub(crate) fn start(mut command: Command, name: &'static str, log: PathBuf) -> Result<Self> {
        let diagnostics =
            fs::File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(diagnostics);
        // Leads a group of its own, as everything does that an interrupted test run must end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        let stdout = child.stdout.take();
        enter(child.id());
        let (sender, lines) = mpsc::channel();
        // Owns the process from here on, so that each way out ends it.
        let mut server = Self { child, name, address: String::new(), log, lines };
        let stdout = stdout.with_context(|| format!("the output of {name} can't be read"))?;
        // Read to the end: a full pipe would stop the server.
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let line = match server.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("{name} ended before it listened; see {}", server.log.display())
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("{name} did not listen within {} s; see {}", PATIENCE.as_secs(), server.log.display())
            }
        };
        match line.strip_prefix("listening on ") {
            Some(address) => server.address = address.trim().to_owned(),
            None => bail!("{name} said {line:?} instead of where it listens"),
        }
        Ok(server)
    }

    /// Where pages connect to.
    pub(crate) fn websocket(&self) -> String {
        format!("{}/ws", self.address.replacen("http", "ws", 1))
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to stop and checks that it does so cleanly.
    pub(crate) fn stop(mut self) -> Result<()> {
        let name = self.name;
        if let Some(status) = self.child.try_wait().with_context(|| format!("{name} can't be asked"))? {
            bail!("{name} ended during the tests ({status}); see {}", self.log.display());
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
        let status = self.child.wait().with_context(|| format!("{name} can't be waited for"))?;
        drop(stopped);
        let _ended = watchdog.join();
        if cfg!(unix) && !status.success() {
            bail!("{name} did not stop cleanly ({status}); see {}", self.log.display());
        }
        Ok(())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        leave(self.child.id());
    }
}
