//! Counts for Prometheus: those that the parts of the process keep, and what is there now.

use std::fmt;

use agentwire_bridge::{Bridge, Handles};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

/// Bounds of the histogram of commits, in seconds.
const COMMIT_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Renders what was counted.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count. There is one of them in a process: a second call gets the counts of the first.
    pub(crate) fn start() -> Result<Self, BuildError> {
        static STARTED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
        let mut started = STARTED.lock();
        if let Some(handle) = &*started {
            return Ok(Self(handle.clone()));
        }
        let commits = Matcher::Full("agentwire_commit_seconds".to_owned());
        let recorder =
            PrometheusBuilder::new().set_buckets_for_metric(commits, &COMMIT_SECONDS)?.build_recorder();
        let handle = recorder.handle();
        // Another part of the process may have begun to count elsewhere: what is there now is served all the same.
        let _ = metrics::set_global_recorder(recorder);
        *started = Some(handle.clone());
        Ok(Self(handle))
    }

    /// The counts as text.
    pub(crate) fn render(&self, bridge: &Bridge) -> String {
        let counters = bridge.counters();
        let now = |name: &'static str, handles: Handles| {
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
            metrics::gauge!(name).set(handles.active as f64);
        };
        now("agentwire_sockets", counters.sockets);
        now("agentwire_pages", counters.sessions);
        now("agentwire_subscriptions", counters.subscriptions);
        now("agentwire_tasks", counters.tasks);
        self.0.run_upkeep();
        self.0.render()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
