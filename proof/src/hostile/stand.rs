//! The server under attack: a process of its own with small limits.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Resource, Rlimit, geteuid, getrlimit, prlimit};
use serde_json::Value;

use super::tokens::{PREFIX, SECRET};
use crate::service::Service;

/// How often the memory of the server is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long the server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Servers that were started: each has a file of its own for what it says.
static STARTS: AtomicUsize = AtomicUsize::new(0);

/// How the server is started.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) program: PathBuf,
    /// The folder of its log and of what it says.
    pub(super) folder: PathBuf,
    pub(super) limits: Value,
    /// More options.
    pub(super) options: Vec<String>,
    /// Variables of its environment.
    pub(super) environment: Vec<(String, String)>,
    /// What a shell mounts before it becomes the server, in a name space of its own.
    pub(super) mounts: String,
    /// How many descriptors the server may have.
    pub(super) descriptors: Option<u64>,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Stand {
    service: Service,
    pub(super) address: SocketAddr,
    says: PathBuf,
}

impl Order {
    /// The file of the log.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log").join("log.sqlite")
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it ends before it listens: with what it said.
    pub(super) fn start(&self) -> Result<Stand> {
        let log = self.log();
        let folder = log.parent().unwrap_or(&log);
        fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
        let says = self.folder.join(format!("stand-{}.log", STARTS.fetch_add(1, Ordering::Relaxed)));
        // The server gets an error for a write beyond its limit of file sizes, as on a full disk, and not the signal.
        let descriptors = self.descriptors.map_or_else(String::new, |most| format!("ulimit -n {most} && "));
        let shell = format!("trap '' XFSZ; {descriptors}{} exec \"$0\" \"$@\"", self.mounts);
        let mut command = if self.mounts.is_empty() {
            Command::new("sh")
        } else {
            let mut command = Command::new("unshare");
            // Only root may mount without a name space of users.
            command.arg(if geteuid().is_root() { "-m" } else { "-Urm" }).arg("sh");
            command
        };
        command
            .args(["-c", &shell])
            .arg(&self.program)
            .args(["--listen", "127.0.0.1:0", "--secret", SECRET, "--limits", &self.limits.to_string()])
            .arg("--log")
            .arg(&log)
            .args(&self.options)
            // The last words of a server that does not start are its error.
            .env("RUST_BACKTRACE", "0")
            .env("RUST_LOG", "warn,agentwire_bridge=info")
            .envs(self.environment.iter().map(|(key, value)| (key, value)));
        let service = Service::start("the server", command, says.clone())?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut stand = Stand { service, address, says };
        let line = stand.service.line_after("listening on http://", PATIENCE);
        let line = line.with_context(|| stand.last_words())?;
        stand.address = line.parse().with_context(|| format!("{line:?} is no address"))?;
        Ok(stand)
    }
}

impl Stand {
    pub(super) fn pid(&self) -> u32 {
        self.service.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.service.has_ended()
    }

    /// Everything that it said on its standard error.
    pub(super) fn said(&self) -> String {
        fs::read(&self.says).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.trim_end().lines().collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }

    /// What must not be among the things that it said.
    pub(super) fn slips(&self) -> Vec<String> {
        let said = self.said();
        let mut slips = Vec::new();
        if let Some(line) = said.lines().find(|line| line.contains("panicked")) {
            slips.push(format!("it panicked: {line}"));
        }
        if said.contains(PREFIX) {
            slips.push("a token stands in its log".to_owned());
        }
        slips
    }

    /// Asks the server to stop, and checks that it does so cleanly.
    pub(super) fn stop(self) -> Result<()> {
        self.service.stop()
    }

    /// Watches its memory from now on.
    pub(super) fn watch(&self) -> Memory {
        Memory::start(self.pid())
    }
}

/// Looks at the resident memory of a process.
#[derive(Debug)]
pub(super) struct Memory {
    before: u64,
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Memory {
    fn start(pid: u32) -> Self {
        let before = resident(pid).unwrap_or(0);
        let (most, over) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let (seen, is_over) = (Arc::clone(&most), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                seen.fetch_max(resident(pid).unwrap_or(0), Ordering::Relaxed);
                thread::sleep(LOOK);
            }
        });
        Self { before, most, over, thread: Some(thread) }
    }

    /// By how much it grew at the most, in MiB.
    pub(super) fn growth(&self) -> f64 {
        let grown = self.most.load(Ordering::Relaxed).saturating_sub(self.before);
        grown as f64 / 1024.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _looked = thread.join();
        }
    }
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Changes a limit that the system holds a process to; `None` lifts it.
pub(super) fn limit(pid: u32, resource: Resource, current: Option<u64>) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let maximum = getrlimit(resource).maximum;
    prlimit(pid, resource, Rlimit { current: current.or(maximum), maximum })
        .context("a limit of the system can't be changed")?;
    Ok(())
}

/// How many descriptors a process has open.
pub(super) fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd")).context("the descriptors can't be counted")?.count())
}
