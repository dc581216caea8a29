//! What the check prints: progress while it runs, figures at its end.

use std::fmt;
use std::time::Duration;

use super::checker::Findings;

/// What was done to the system, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) cuts: usize,
    /// Cuts that broke a connection while bytes for the page were in flight.
    pub(crate) bit: usize,
    /// Cuts that ended inside a frame of events.
    pub(crate) in_frame: usize,
    /// Kills of the server that ended a run, as the page was told by its `agent_died`.
    pub(crate) kills: usize,
    pub(crate) reloads: usize,
    pub(crate) traps: usize,
    /// From the loss of the connection, as the page saw it, to the next event in its handler.
    pub(crate) after_cut: Vec<Duration>,
    /// The same after the server was killed; the time to start it again is in it.
    pub(crate) after_kill: Vec<Duration>,
    /// The same after the wasm core trapped.
    pub(crate) after_trap: Vec<Duration>,
}

/// The last line of a successful check.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) cuts: usize,
    pub(crate) kills: usize,
    pub(crate) reloads: usize,
    pub(crate) findings: Findings,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, kills, reloads, findings } = self;
        let Findings { events, replayed, .. } = findings;
        write!(
            f,
            "demo: {events} events, {cuts} cuts, {kills} kills, {reloads} reloads, {replayed} replayed: {findings}"
        )
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
    use super::*;

    #[test]
    fn the_last_line_is_as_scripts_expect_it() {
        let findings = Findings { events: 12_345, replayed: 678, ..Findings::default() };
        let line = Summary { cuts: 50, kills: 5, reloads: 10, findings }.to_string();
        assert_eq!(
            line,
            "demo: 12345 events, 50 cuts, 5 kills, 10 reloads, 678 replayed: 0 lost, 0 duplicated, 0 out of order, 0 gaps"
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
