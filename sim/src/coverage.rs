//! Which faults met which states.

use std::fmt::Write as _;

use crate::plan::{Fault, Phase, Place};

/// How often each fault was applied in each phase.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<[u64; Phase::ALL.len()]>);

impl Default for Coverage {
    fn default() -> Self {
        Self(vec![[0; Phase::ALL.len()]; Fault::ALL.len()])
    }
}

impl Coverage {
    /// Counts a fault.
    pub fn hit(&mut self, fault: Fault, phase: Phase) {
        self.0[fault as usize][phase as usize] += 1;
    }

    /// Adds what another run has counted.
    pub fn add(&mut self, other: &Self) {
        for (row, others) in self.0.iter_mut().zip(&other.0) {
            for (cell, other) in row.iter_mut().zip(others) {
                *cell += other;
            }
        }
    }

    /// The number of faults, without the work.
    pub fn faults(&self) -> u64 {
        let faults = Fault::ALL.iter().filter(|fault| fault.place() != Place::Work);
        faults.map(|&fault| self.0[fault as usize].iter().sum::<u64>()).sum()
    }

    /// The pairs that can exist and were not hit.
    pub fn empty(&self) -> Vec<(Fault, Phase)> {
        let pairs = Fault::ALL.iter().flat_map(|&fault| Phase::ALL.map(|phase| (fault, phase)));
        pairs
            .filter(|&(fault, phase)| fault.impossible_in(phase).is_none())
            .filter(|&(fault, phase)| self.0[fault as usize][phase as usize] == 0)
            .collect()
    }

    /// The table, with a legend of the pairs that cannot exist.
    pub fn table(&self) -> String {
        let mut out = format!("{:<20}", "");
        for phase in Phase::ALL {
            let _ = write!(out, "{:>10}", phase.name());
        }
        let mut reasons = Vec::new();
        for &fault in Fault::ALL.iter().filter(|fault| fault.place() != Place::Work) {
            let _ = write!(out, "\n{:<20}", fault.name());
            for phase in Phase::ALL {
                let hits = self.0[fault as usize][phase as usize];
                if let Some(reason) = fault.impossible_in(phase) {
                    let known = reasons.iter().position(|known| *known == reason);
                    let index = known.unwrap_or_else(|| {
                        reasons.push(reason);
                        reasons.len() - 1
                    });
                    let _ = write!(out, "{:>10}", format!("({})", index + 1));
                } else {
                    let _ = write!(out, "{hits:>10}");
                }
            }
        }
        for (index, reason) in reasons.iter().enumerate() {
            let _ = write!(out, "\n  ({}) cannot be: {reason}", index + 1);
        }
        out
    }
}
