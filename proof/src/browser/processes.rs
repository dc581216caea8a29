//! The processes of a browser: found, halted, killed.

use std::collections::BTreeMap;

use agentwire_faults::ending::{Ending, signal};

/// Kills, when dropped, every process that has this argument: a driver that is killed leaves its browser behind.
#[derive(Debug)]
pub(super) struct Marks(pub(super) String);

impl Drop for Marks {
    fn drop(&mut self) {
        for id in marked(&self.0) {
            signal(id, false, Ending::Kill);
        }
    }
}

/// The processes with exactly this argument. Systems without `/proc` have none to find.
fn marked(mark: &str) -> Vec<u32> {
    ids()
        .into_iter()
        .filter(|id| {
            std::fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes()))
        })
        .collect()
}

/// Processes that stand still until this is dropped, as those of a machine that sleeps.
#[derive(Debug)]
pub(crate) struct Halted(Vec<u32>);

impl Halted {
    /// Halts all that `driver` started; none where the system has no `/proc`.
    pub(super) fn below(driver: u32) -> Self {
        let halted = Self(descendants(driver, &parents()));
        halted.tell(true);
        halted
    }

    /// How many processes stand still.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    #[cfg(unix)]
    fn tell(&self, stop: bool) {
        use rustix::process::{Pid, Signal, kill_process};
        let word = if stop { Signal::STOP } else { Signal::CONT };
        for id in &self.0 {
            if let Some(pid) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
                // One that ended meanwhile is no error.
                let _gone = kill_process(pid, word);
            }
        }
    }

    #[cfg(not(unix))]
    fn tell(&self, _stop: bool) {}
}

impl Drop for Halted {
    fn drop(&mut self) {
        self.tell(false);
    }
}

fn ids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The parent of each process.
fn parents() -> BTreeMap<u32, u32> {
    ids()
        .into_iter()
        .filter_map(|id| Some((id, parent(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?)))
        .collect()
}

/// The parent in a line of `/proc/<id>/stat`; the name before it may hold anything, closing brackets too.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn descendants(of: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let is_below = |id: u32| {
        // No chain is longer than there are processes.
        std::iter::successors(parents.get(&id), |parent| parents.get(parent))
            .take(parents.len())
            .any(|up| *up == of)
    };
    parents.keys().copied().filter(|id| is_below(*id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (Web Content) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent("12 (a) S 3) R 8 12"), Some(8));
        assert_eq!(parent("12 (cut"), None);
    }

    #[test]
    fn descendants_are_those_below_and_not_the_process_itself() {
        let parents = BTreeMap::from([(1, 0), (10, 1), (11, 10), (12, 11), (20, 1), (21, 20)]);
        assert_eq!(descendants(10, &parents), [11, 12]);
        assert_eq!(descendants(12, &parents), [0u32; 0]);
    }
}
