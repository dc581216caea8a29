//! What is to be checked.

use xtask::demo::Sabotage;

use super::plan::Faults;
use crate::browser::Engine;

/// One check that is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) engine: Engine,
    pub(crate) work: Work,
    /// The least number of events that the log must hold in the end.
    pub(crate) events: u64,
    /// What the faults are drawn from.
    pub(crate) seed: u64,
    pub(crate) sabotage: Option<Sabotage>,
    /// Keep the files of the check also when there is nothing to look for.
    pub(crate) keep: bool,
}

/// What is done to the page while events stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A plan with so many faults.
    Faults(Faults),
    /// What browsers tell pages, and do to them, one after the other.
    Signals,
}

impl Order {
    pub(super) fn faults(&self) -> Faults {
        match self.work {
            Work::Faults(faults) => faults,
            Work::Signals => Faults::default(),
        }
    }

    /// Whether the wasm core is to trap.
    pub(super) fn traps(&self) -> bool {
        self.faults().traps > 0
    }
}
