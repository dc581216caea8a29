//! What the system and the server itself say of the process of the server.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::listening::Listening;

/// How long the server may take to say what it counts.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server under observation.
#[derive(Debug)]
pub(super) struct Process<'a> {
    server: &'a Listening,
    /// Its folder below `/proc`.
    folder: PathBuf,
}

/// Handles of one kind, as the bridge counts them.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Handles {
    created: u64,
    active: u64,
    closed: u64,
}

/// The handles of the bridge, by kind.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Counters(BTreeMap<String, Handles>);

impl<'a> Process<'a> {
    pub(super) fn new(server: &'a Listening) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{}", server.id()));
        if !folder.join("fd").is_dir() {
            bail!("a soak needs a system with /proc, to count memory and descriptors");
        }
        Ok(Self { server, folder })
    }

    /// Its resident memory.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let path = self.folder.join("status");
        let status = fs::read_to_string(&path).context("the server has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        number.with_context(|| format!("{} does not say how much memory is resident", path.display()))
    }

    /// How many descriptors it has.
    pub(super) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.folder.join("fd")).context("the server has ended")?.count())
    }

    /// What the bridge counts.
    pub(super) fn counters(&self) -> Result<Counters> {
        let id = i32::try_from(self.server.id()).ok().and_then(rustix::process::Pid::from_raw);
        let id = id.context("the id of the server is none")?;
        rustix::process::kill_process(id, rustix::process::Signal::USR1).context("the server has ended")?;
        loop {
            let line = self.server.service.line(PATIENCE)?;
            if let Some(counters) = line.strip_prefix("counters ") {
                return serde_json::from_str(counters).context("the server counts something else");
            }
        }
    }
}

impl Counters {
    /// What does not add up, or is there though it should not.
    pub(super) fn unbalanced(&self) -> Vec<String> {
        let is_off = |handles: &Handles| handles.active != 0 || handles.created != handles.closed;
        let off = self.0.iter().filter(|(_, handles)| is_off(handles));
        off.map(|(kind, Handles { created, active, closed })| {
            format!("{kind}: {created} made, {active} there, {closed} given back")
        })
        .collect()
    }
}
