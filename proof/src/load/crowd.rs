//! The pages of a measurement, in a process of their own; see `proof/crowd`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Bench;
use super::programs::SECRET;
use super::stand::Stand;
use crate::service::Service;

/// How long an answer of the crowd may take; it has deadlines of its own, which say more.
const PATIENCE: Duration = Duration::from_secs(90);

/// Running pages, connected.
pub(super) struct Crowd(Service);

/// What a server speaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    Bridge,
    Socketio,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Socketio => "socketio",
        }
    }
}

/// What came between two marks.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mark {
    pub(super) events: u64,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) acks: u64,
    pub(super) p50_us: u32,
    pub(super) p95_us: u32,
    pub(super) p99_us: u32,
    pub(super) max_us: u32,
}

/// What the pages have in the end.
#[derive(Debug, Deserialize)]
struct Account {
    events: u64,
    missing: u64,
    extra: u64,
    faults: u64,
    shown: Vec<String>,
}

impl Crowd {
    /// Connects `pages`; page number i follows stream number i modulo `streams`.
    pub(super) fn start(
        bench: &Bench<'_>,
        stand: &Stand,
        dialect: Dialect,
        pages: u32,
        streams: u32,
    ) -> Result<Self> {
        let mut command = bench.programs.built("agentwire-crowd");
        let server = stand.address().trim_start_matches("http://");
        command.args(["--dialect", dialect.name(), "--secret", SECRET, "--server", server]);
        command.args(["--pages", &pages.to_string(), "--streams", &streams.to_string()]);
        let crowd = Self(Service::start("the crowd", command, bench.ctx.log("load-crowd"))?);
        crowd.0.line_after("{\"ready\":", PATIENCE)?;
        Ok(crowd)
    }

    /// What came since the mark before.
    pub(super) fn mark(&mut self) -> Result<Mark> {
        self.ask("mark")
    }

    /// Waits until each page has `events`; fails unless each has exactly that, once and in order.
    pub(super) fn until(&mut self, events: u64) -> Result<u64> {
        let account: Account = self.ask(&format!("until {events}"))?;
        let Account { events, missing, extra, faults, shown } = account;
        if missing + extra + faults > 0 {
            bail!(
                "the pages got {events} events: {missing} are missing, {extra} too many, {faults} faults\n  {}",
                shown.join("\n  ")
            );
        }
        Ok(events)
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        self.0.say(command)?;
        let answer = self.0.line(PATIENCE)?;
        serde_json::from_str(&answer).with_context(|| format!("the crowd answered {answer:?}"))
    }
}
