//! The figures of a run, and the bounds that they must keep.

use super::attack::{Attack, MEMORY};
use super::honest::Tally;

/// The 99th percentile of the honest user's waits, on an idle machine, in milliseconds.
const WAIT: f64 = 50.0;

/// The same as a multiple of the undisturbed one.
const RATIO: f64 = 10.0;

/// What the slice allows in place of `WAIT`: the machine may be busy, but nobody may starve.
const QUICK_WAIT: f64 = 2_000.0;

/// Fewer receipts say nothing about how long they take: an attack that is over at once has a handful.
const ENOUGH: usize = 30;

/// The figures of all attacks so far.
#[derive(Debug)]
pub(super) struct Figures {
    calm: Vec<f64>,
    is_quick: bool,
    attacks: usize,
    pub(super) failed: usize,
    receipts: usize,
    lost: usize,
    waits: Vec<f64>,
    growth: f64,
}

impl Figures {
    pub(super) fn new(calm: Tally, is_quick: bool) -> Self {
        Self {
            calm: calm.waits,
            is_quick,
            attacks: 0,
            failed: 0,
            receipts: 0,
            lost: 0,
            waits: Vec::new(),
            growth: 0.0,
        }
    }

    /// The undisturbed figures in words.
    pub(super) fn calm(&self) -> String {
        format!(
            "{} receipts, p50 {:.1} ms, p99 {:.1} ms",
            self.calm.len(),
            percentile(&self.calm, 50),
            percentile(&self.calm, 99)
        )
    }

    /// Counts an attack; returns why its waits are too long, if they are.
    pub(super) fn add(&mut self, attack: &Attack, tally: &Tally, growth: f64) -> Option<String> {
        self.attacks += 1;
        self.receipts += tally.receipts;
        self.lost += tally.lost;
        self.growth = self.growth.max(growth);
        if attack.is_outage {
            return None;
        }
        self.waits.extend(&tally.waits);
        // An attack has too few receipts for a 99th percentile: one slow write of the disk would be all of it.
        let bound = if tally.waits.len() < ENOUGH { QUICK_WAIT } else { self.bound(90) };
        let wait = percentile(&tally.waits, 90);
        (wait > bound)
            .then(|| format!("one in ten honest receipts takes {wait:.0} ms or more, not {bound:.0}"))
    }

    fn bound(&self, part: usize) -> f64 {
        let ratio = RATIO * percentile(&self.calm, part);
        if self.is_quick { ratio.max(QUICK_WAIT) } else { ratio.max(WAIT) }
    }

    fn ratio(&self) -> f64 {
        percentile(&self.waits, 99) / percentile(&self.calm, 99).max(0.1)
    }

    /// The line that sums up the run.
    pub(super) fn line(&self) -> String {
        format!(
            "hostile: {} attacks, {} honest receipts: {} lost, p99 {:.1} ms (ratio to undisturbed {:.1}), RSS +{:.0} MB",
            self.attacks,
            self.receipts,
            self.lost,
            percentile(&self.waits, 99),
            self.ratio(),
            self.growth
        )
    }

    /// Whether everything holds.
    pub(super) fn hold(&self) -> bool {
        let are_short = self.is_quick || (percentile(&self.waits, 99) <= WAIT && self.ratio() <= RATIO);
        self.failed == 0 && self.lost == 0 && self.growth <= MEMORY && are_short
    }
}

/// The honest user's figures of one attack in words.
pub(super) fn seen(tally: &Tally, growth: f64) -> String {
    let waits = &tally.waits;
    format!(
        "{} receipts, p50 {:.1} ms, p99 {:.1} ms, RSS +{growth:.0} MB",
        tally.receipts,
        percentile(waits, 50),
        percentile(waits, 99)
    )
}

/// The value that so many of a hundred do not exceed; 0 of nothing.
fn percentile(values: &[f64], part: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * part).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([50, 90, 99, 100].map(|part| percentile(&values, part)), [100.0, 180.0, 198.0, 200.0]);
        assert_eq!((percentile(&[7.0], 99), percentile(&[], 99)), (7.0, 0.0));
    }

    #[test]
    fn a_run_holds_only_within_every_bound() {
        let tally =
            |waits: &[f64]| Tally { waits: waits.to_vec(), receipts: waits.len(), ..Tally::default() };
        let attack = Attack::new("a", "", |_| Box::pin(async { Ok(()) }));
        let run = |wait, growth, lost| {
            let mut figures = Figures::new(tally(&[4.0; 100]), false);
            let slow = figures.add(&attack, &Tally { lost, ..tally(&[wait; 100]) }, growth);
            (slow.is_none(), figures.hold())
        };
        assert_eq!(run(40.0, 64.0, 0), (true, true));
        assert_eq!(run(41.0, 64.0, 0), (true, false), "the ratio");
        assert_eq!(run(51.0, 64.0, 0), (false, false), "the wait");
        assert_eq!(run(40.0, 64.1, 0), (true, false), "the memory");
        assert_eq!(run(40.0, 64.0, 1), (true, false), "a loss");
    }
}
