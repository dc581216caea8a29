//! What the check prints: progress while it runs, figures at its end.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::checker::Findings;
use super::order::{Order, Work};

/// What was done to the system, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) cuts: usize,
    /// Cuts that broke a connection while bytes for the page were in flight.
    pub(crate) bit: usize,
    /// Cuts that ended inside a frame of events.
    pub(crate) in_frame: usize,
    /// Kills of the server that ended a run, as its `agent_died` showed the page.
    pub(crate) kills: usize,
    pub(crate) reloads: usize,
    pub(crate) traps: usize,
    /// From the loss of the connection, as the page saw it, to the next event in its handler.
    pub(crate) after_cut: Vec<Duration>,
    /// The same after the server was killed; the time to start it again is in it.
    pub(crate) after_kill: Vec<Duration>,
    /// The same after the wasm core trapped.
    pub(crate) after_trap: Vec<Duration>,
    /// From the last byte of a connection that was left half open to the moment the page gave it up.
    pub(crate) noticed: Vec<Duration>,
    /// What came of the cuts, kind by kind.
    pub(crate) kinds: BTreeMap<String, Cuts>,
    /// What the browser signalled to the page or did to it.
    pub(crate) signals: Vec<Seen>,
}

/// Where a signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From the engine, as for a user.
    Real,
    /// From a script in the page: the engine, as it is driven here, does not bring it about.
    Dispatched,
    /// From nobody: the engine lacks it.
    Lacking,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real => "real",
            Self::Dispatched => "dispatched",
            Self::Lacking => "lacking",
        })
    }
}

/// A signal that the page was given.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    /// What was seen, with its figures.
    pub(crate) note: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, source, note } = self;
        write!(f, "{name}: {source}; {note}")
    }
}

/// Cuts of one kind.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    pub(crate) count: usize,
    pub(crate) bit: usize,
    /// As [`Done::after_cut`].
    pub(crate) after: Vec<Duration>,
}

impl Done {
    /// Notes a cut and what the page needed to be back after it.
    pub(crate) fn cut(&mut self, kind: &str, bit: bool, after: &[Duration]) {
        self.cuts += 1;
        self.bit += usize::from(bit);
        self.after_cut.extend(after);
        let cuts = self.kinds.entry(kind.to_owned()).or_default();
        cuts.count += 1;
        cuts.bit += usize::from(bit);
        cuts.after.extend(after);
    }

    /// Writes what came of the cuts, a line for each kind.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for (kind, Cuts { count, bit, after }) in &self.kinds {
            // Writing to text does not fail.
            let _ = writeln!(
                table,
                "  {kind:<20} {count:4} times, {bit:4} biting, back with an event: {}",
                times(after)
            );
        }
        table
    }
}

/// The last line of a successful check.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) order: Order,
    pub(crate) done: Done,
    pub(crate) findings: Findings,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, done, findings } = self;
        let Done { cuts, bit, kills, reloads, .. } = done;
        let Findings { events, replayed, .. } = findings;
        let engine = order.engine.name();
        match order.work {
            Work::Faults(faults) if faults.chaos => write!(
                f,
                "chaos: {engine}, {cuts} cuts ({bit} biting), {kills} kills, {events} events, {replayed} replayed: {findings}"
            ),
            Work::Faults(_) => write!(
                f,
                "demo: {events} events, {cuts} cuts, {kills} kills, {reloads} reloads, {replayed} replayed: {findings}"
            ),
            Work::Signals => write!(
                f,
                "signals: {engine}, {} signals, {events} events, {replayed} replayed: {findings}",
                done.signals.len()
            ),
        }
    }
}

/// Writes the median, the 95th percentile and the maximum.
pub(crate) fn times(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| {
        let index = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(index.saturating_sub(1)).map_or(0, Duration::as_millis)
    };
    match sorted.len() {
        0 => "none".to_owned(),
        count => format!("p50 {} ms, p95 {} ms, max {} ms ({count} times)", at(0.5), at(0.95), at(1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Faults;
    use super::*;
    use crate::browser::Engine;

    #[test]
    fn the_last_line_is_as_scripts_expect_it() {
        let line = |chaos| {
            let faults = Faults { cuts: 50, kills: 5, reloads: 10, traps: 0, chaos };
            let order = Order {
                engine: Engine::Firefox,
                work: Work::Faults(faults),
                events: 2000,
                seed: 1,
                sabotage: None,
                keep: false,
            };
            let done = Done { cuts: 50, bit: 49, kills: 5, reloads: 10, ..Done::default() };
            let findings = Findings { events: 12_345, replayed: 678, ..Findings::default() };
            Summary { order, done, findings }.to_string()
        };
        assert_eq!(
            line(false),
            "demo: 12345 events, 50 cuts, 5 kills, 10 reloads, 678 replayed: 0 lost, 0 duplicated, 0 out of order, 0 gaps"
        );
        assert_eq!(
            line(true),
            "chaos: firefox, 50 cuts (49 biting), 5 kills, 12345 events, 678 replayed: 0 lost, 0 duplicated, 0 out of order, 0 gaps"
        );
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let all: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(times(&all), "p50 10 ms, p95 19 ms, max 20 ms (20 times)");
        assert_eq!(times(&all[..1]), "p50 1 ms, p95 1 ms, max 1 ms (1 times)");
        assert_eq!(times(&[]), "none");
    }
}
