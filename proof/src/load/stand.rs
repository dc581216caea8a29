//! A server that is measured: the bridge, or socket.io. Both have publishers in their process.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::programs::SECRET;
use super::{Bench, cpu};
use crate::service::Service;

/// How long a server may take until it listens. A log that is brought up to date first takes longest.
const START: Duration = Duration::from_secs(300);

/// How long publishers may take.
const PUBLISHED: Duration = Duration::from_secs(300);

/// A running server.
pub(super) struct Stand {
    service: Service,
    /// `http://127.0.0.1:PORT`.
    address: String,
}

/// What publishers do; see `proof/stand`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub(super) streams: u32,
    /// Events of each stream.
    pub(super) events: u64,
    /// Records of each stream in a second; without it, as fast as the log takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) per_second: Option<f64>,
    /// Events of a record.
    pub(super) batch: u64,
    /// Bytes of the text of an event.
    pub(super) bytes: usize,
}

/// Rates are per user.
const LIMITS: &str =
    r#"{"max_connections_per_user":10000,"max_frames_per_second":1000000,"max_sends_per_minute":1000000}"#;

impl Stand {
    /// Starts a bridge with the log `file`, which must not be in use.
    pub(super) fn bridge(bench: &Bench<'_>, file: &Path) -> Result<Self> {
        let mut command = bench.programs.built("agentwire-stand");
        // All pages of a row are of one user, who may do what a thousand may.
        command.args(["--limits", LIMITS, "--secret", SECRET, "--log"]).arg(file);
        Self::start(Service::start("the bridge", command, bench.ctx.log("load-bridge"))?)
    }

    /// Starts a socket.io server.
    pub(super) fn socketio(bench: &Bench<'_>) -> Result<Self> {
        let command = bench.programs.script("socketio.js");
        Self::start(Service::start("the socket.io server", command, bench.ctx.log("load-socketio"))?)
    }

    fn start(service: Service) -> Result<Self> {
        let address = service.line_after("listening on ", START)?;
        Ok(Self { service, address })
    }

    /// Where it listens: `http://HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The CPU time that it has used.
    pub(super) fn cpu(&self) -> Result<Duration> {
        cpu::used(self.service.id())
    }

    /// Publishes in the server. The answer is there when everything is published.
    pub(super) fn publish(&self, plan: Plan) -> JoinHandle<Result<()>> {
        #[derive(Deserialize)]
        struct Answer {
            published: u64,
        }
        let url = format!("{}/load/publish", self.address);
        thread::spawn(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .timeout_global(Some(PUBLISHED))
                .http_status_as_error(false)
                .build()
                .into();
            let mut answer = agent.post(url).send_json(plan).context("the publishers did not end")?;
            if !answer.status().is_success() {
                bail!("the publishers failed: {}", answer.body_mut().read_to_string().unwrap_or_default());
            }
            let answer: Answer = answer.body_mut().read_json().context("the publishers gave no count")?;
            let expected = plan.events * u64::from(plan.streams);
            if answer.published != expected {
                bail!("{} events were published instead of {expected}", answer.published);
            }
            Ok(())
        })
    }

    /// Stops the server.
    pub(super) fn stop(self) -> Result<()> {
        self.service.stop()
    }
}

/// Waits for what [`Stand::publish`] began.
pub(super) fn published(publishers: JoinHandle<Result<()>>) -> Result<()> {
    publishers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
