//! A program that runs beside a test or a measurement, and says line by line what it has to say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use agentwire_faults::ending::{Ending, signal};
use anyhow::{Context as _, Result, bail};
use xtask::run::{enter, leave};

/// How long a program may take to stop when it is asked to.
const STOP: Duration = Duration::from_secs(20);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<io::Result<String>>,
    log: PathBuf,
}

impl Service {
    /// Starts a program. Its standard error goes to the file `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: PathBuf) -> Result<Self> {
        let diagnostics =
            File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(diagnostics);
        // Leads a group of its own, as everything does that an interrupted run must end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("{program} can't be started"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        enter(child.id());
        let (sender, lines) = mpsc::channel();
        // Owns the process from here on, so that each way out ends it.
        let service = Self { name, child, stdin, lines, log };
        let stdout = stdout.with_context(|| format!("the output of {name} can't be read"))?;
        thread::spawn(move || {
            // Read to the end, also when nobody listens: a full pipe would stop the program.
            BufReader::new(stdout).lines().for_each(|line| drop(sender.send(line)));
        });
        Ok(service)
    }

    /// The next line of its output.
    pub(crate) fn line(&self, patience: Duration) -> Result<String> {
        let (name, log) = (self.name, self.log.display());
        match self.lines.recv_timeout(patience) {
            Ok(line) => line.with_context(|| format!("the output of {name} can't be read")),
            Err(RecvTimeoutError::Timeout) => {
                bail!("{name} said nothing for {} s; see {log}", patience.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("{name} ended; see {log}"),
        }
    }

    /// What follows `before` in the next line.
    pub(crate) fn line_after(&self, before: &str, patience: Duration) -> Result<String> {
        let line = self.line(patience)?;
        match line.strip_prefix(before) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("{} said {line:?} instead of {before:?}", self.name),
        }
    }

    /// Writes a line to its input.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input is not open")?;
        writeln!(stdin, "{line}")
            .with_context(|| format!("{} reads no more; see {}", self.name, self.log.display()))
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the program ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the program to stop and checks that it does so cleanly.
    pub(crate) fn stop(mut self) -> Result<()> {
        let (name, log) = (self.name, self.log.display());
        if let Some(status) = self.child.try_wait().with_context(|| format!("{name} can't be asked"))? {
            bail!("{name} ended too early ({status}); see {log}");
        }
        signal(self.child.id(), false, Ending::Ask);
        self.ended(STOP)
    }

    /// Waits until the program has ended, and checks that it did so cleanly. It is killed when it takes too long.
    pub(crate) fn ended(mut self, patience: Duration) -> Result<()> {
        let (name, log) = (self.name, self.log.display());
        let id = self.child.id();
        let (stopped, wait) = mpsc::channel::<()>();
        // Told to leave it alone by the channel's end.
        let watchdog = thread::spawn(move || {
            if wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                signal(id, false, Ending::Kill);
            }
        });
        let status = self.child.wait().with_context(|| format!("{name} can't be waited for"))?;
        drop(stopped);
        let _ended = watchdog.join();
        if cfg!(unix) && !status.success() {
            bail!("{name} did not end cleanly ({status}); see {log}");
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        leave(self.child.id());
    }
}
