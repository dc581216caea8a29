//! Runs commands: output into a log file, a time limit, and errors that show what was said last.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use agentwire_faults::ending::{Ending, signal};
use anyhow::{Context as _, Result, anyhow, bail};

pub use crate::progress::step;
pub(crate) use crate::progress::{both, step_if_slow};

/// How long a command may take unless its step says otherwise.
const TIME_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long a command that was asked to end may take to tidy up before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// How many lines of output an error shows.
const TAIL_LINES: usize = 60;

/// Whether commands run in process groups of their own.
static ISOLATE: AtomicBool = AtomicBool::new(false);
/// Whether this process was told to end: nothing new is started then.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The groups that are alive, and the news that one is gone.
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static GONE: Condvar = Condvar::new();

/// One command to run.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    log: PathBuf,
    time_limit: Duration,
}

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    /// Whether it ended with exit code 0, in time.
    pub success: bool,
    /// Standard output and standard error, as they were interleaved.
    pub output: String,
    /// How it ended, in words.
    pub end: String,
    /// Where the output is kept.
    pub log: PathBuf,
}

impl Tool {
    /// A command that writes both its outputs to `log`, replacing what was there.
    pub fn new(program: &Path, log: PathBuf) -> Self {
        let mut command = Command::new(program);
        command.env("CARGO_TERM_COLOR", "never").env("NO_COLOR", "1").stdin(Stdio::null());
        Self { command, log, time_limit: TIME_LIMIT }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets the folder that it runs in.
    #[must_use]
    pub fn dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets how long the command may take. Defaults to 20 minutes.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Runs the command to its end, whatever that is.
    ///
    /// # Errors
    /// Only when it can't be started at all.
    pub fn run(mut self) -> Result<Outcome> {
        let name = self.name();
        if INTERRUPTED.load(Ordering::Relaxed) {
            bail!("interrupted before `{name}`");
        }
        let file =
            File::create(&self.log).with_context(|| format!("{} can't be written", self.log.display()))?;
        let other = file.try_clone().with_context(|| format!("{} can't be written", self.log.display()))?;
        self.command.stdout(file).stderr(other);
        let isolated = ISOLATE.load(Ordering::Relaxed);
        #[cfg(unix)]
        if isolated {
            std::os::unix::process::CommandExt::process_group(&mut self.command, 0);
        }
        let child = self.command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("`{name}` is not installed or not in PATH"),
            _ => anyhow!("`{name}` can't be started: {error}"),
        })?;
        let (status, in_time) = wait(child, self.time_limit, isolated)?;
        let output = fs::read(&self.log).with_context(|| format!("{} can't be read", self.log.display()))?;
        let end = if in_time {
            status.to_string()
        } else {
            format!("stopped after its time limit of {} s", self.time_limit.as_secs())
        };
        Ok(Outcome {
            success: in_time && status.success(),
            output: String::from_utf8_lossy(&output).into_owned(),
            end,
            log: self.log,
        })
    }

    /// Runs the command and takes any end but success for an error that says `failed`, what the command said last, and
    /// where the rest is.
    pub fn check(self, failed: &str) -> Result<Outcome> {
        let outcome = self.run()?;
        if outcome.success {
            return Ok(outcome);
        }
        Err(outcome.error(failed))
    }

    fn name(&self) -> String {
        let program = Path::new(self.command.get_program());
        program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
    }
}

impl Outcome {
    /// The last lines of the output, indented.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.output.trim_end().lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        lines[from..].iter().map(|line| format!("    {line}\n")).collect()
    }

    /// An error about this end of the command.
    pub fn error(&self, failed: &str) -> anyhow::Error {
        if let Some(host) = offline(&self.output) {
            return anyhow!(
                "{failed}: the network did not answer ({host}); check the connection or the proxy settings and run the command again (full output in {})",
                self.log.display()
            );
        }
        anyhow!("{failed} ({})\n{}    full output in {}", self.end, self.tail(), self.log.display())
    }
}

/// Waits for the end of `child`; past the limit, asks it to end and then kills it. Says whether it ended by itself.
fn wait(mut child: std::process::Child, limit: Duration, isolated: bool) -> Result<(ExitStatus, bool)> {
    let id = child.id();
    if isolated {
        enter(id);
    }
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait()));
    let result = match ended.recv_timeout(limit) {
        Ok(status) => status.map(|status| (status, true)),
        Err(RecvTimeoutError::Timeout) => {
            signal(id, isolated, Ending::Interrupt);
            let status = ended.recv_timeout(GRACE).or_else(|_| {
                signal(id, isolated, Ending::Kill);
                ended.recv()
            });
            match status {
                Ok(status) => status.map(|status| (status, false)),
                Err(_) => bail!("a command did not end after it was killed"),
            }
        }
        Err(RecvTimeoutError::Disconnected) => bail!("a command could not be waited for"),
    };
    if isolated {
        // What the command left behind in its group goes with it.
        signal(id, isolated, Ending::Kill);
        leave(id);
    }
    result.context("a command could not be waited for")
}

/// Makes commands run in groups of their own from now on, so that a time limit or [`interrupt`] ends all that they started.
pub fn isolate() {
    ISOLATE.store(true, Ordering::Relaxed);
}

/// Starts nothing new, asks all groups to end, and kills those that have not tidied up in time.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
    let alive = groups();
    for id in alive.iter() {
        signal(*id, true, Ending::Interrupt);
    }
    // The exit must not be faster than the tidying up.
    let (alive, _) = GONE
        .wait_timeout_while(alive, GRACE, |alive| !alive.is_empty())
        .unwrap_or_else(PoisonError::into_inner);
    for id in alive.iter() {
        signal(*id, true, Ending::Kill);
    }
}

/// Notes that the group led by `id` is to be ended with this process.
pub fn enter(id: u32) {
    groups().insert(id);
}

/// Notes that the group led by `id` is gone.
pub fn leave(id: u32) {
    groups().remove(&id);
    GONE.notify_all();
}

fn groups() -> std::sync::MutexGuard<'static, BTreeSet<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The standard output of a short command such as `rustc --version`.
pub fn capture(program: impl AsRef<OsStr>, args: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let name = program.to_string_lossy();
    let output =
        Command::new(program).args(args).stdin(Stdio::null()).output().map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => anyhow!("`{name}` is not installed or not in PATH"),
                _ => anyhow!("`{name}` can't be started: {error}"),
            }
        })?;
    if !output.status.success() {
        bail!("`{name} {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What in the output of a package client says that the network is the trouble.
fn offline(output: &str) -> Option<&'static str> {
    const SIGNS: [&str; 12] = [
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ECONNRESET",
        "ETIMEDOUT",
        "ENETUNREACH",
        "Could not resolve host",
        "Couldn't resolve host",
        "Could not resolve '",
        "Temporary failure resolving",
        "failed to download from",
        "could not download file",
    ];
    SIGNS.into_iter().find(|sign| output.contains(sign))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn tool(script: &str) -> Tool {
        let log = std::env::temp_dir().join(format!(
            "xtask-run-{}-{:?}.log",
            std::process::id(),
            thread::current().id()
        ));
        Tool::new(Path::new("sh"), log).args(["-c", script])
    }

    #[test]
    fn a_failed_command_is_an_error_that_shows_both_outputs() {
        let error = tool("echo one; echo two >&2; exit 3").check("the step failed").unwrap_err().to_string();
        assert!(error.starts_with("the step failed (exit status: 3)"), "{error}");
        assert!(error.contains("    one\n    two\n"), "{error}");
    }

    #[test]
    fn a_command_past_its_limit_is_ended() {
        let started = Instant::now();
        let outcome = tool("exec sleep 60").time_limit(Duration::from_millis(100)).run().unwrap();
        assert!(!outcome.success);
        assert_eq!(outcome.end, "stopped after its time limit of 0 s");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_named() {
        let log = std::env::temp_dir().join(format!("xtask-run-{}-missing.log", std::process::id()));
        let error = Tool::new(Path::new("/nowhere/no-such-tool"), log).run().unwrap_err().to_string();
        assert_eq!(error, "`no-such-tool` is not installed or not in PATH");
    }

    #[test]
    fn network_trouble_is_one_sentence() {
        let error =
            tool("echo 'npm error code EAI_AGAIN'; exit 1").check("npm ci failed").unwrap_err().to_string();
        assert!(error.starts_with("npm ci failed: the network did not answer (EAI_AGAIN); check"), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(offline("error[E0308]: mismatched types"), None);
    }
}
