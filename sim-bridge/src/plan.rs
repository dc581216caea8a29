//! What a seed means: how the run is set up, and what happens in it.

use std::fmt;
use std::time::Duration;

use agentwire_bridge::Limits;
use agentwire_sim::rng::Rng;

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it, and `steps` does it")]
pub enum Fault {
    // Work.
    Publish,
    Send,
    Sends,
    Attach,
    Detach,
    CancelRun,
    CancelMessage,
    TakeBack,
    Edit,
    Interrupt,
    Steer,
    Answer,
    // Faults of the network and of pages.
    Cut,
    HalfOpen,
    Latency,
    Freeze,
    Reload,
    Stall,
    Trap,
    // Faults of the bridge.
    Shutdown,
    Kill,
    Restore,
    // Faults of the log.
    LogSlow,
    LogFails,
    LogLoses,
    LogHangs,
    LogComesLate,
    Trim,
    Redact,
    Epoch,
    Foreign,
    // Tokens and rights.
    Withdraw,
    DoorsSlow,
    DoorsUnsure,
    TokenShort,
    TokenBad,
}

/// Every kind, with how often it comes among all.
const WEIGHTS: &[(Fault, u64)] = &[
    (Fault::Publish, 14),
    (Fault::Send, 18),
    (Fault::Sends, 6),
    (Fault::Attach, 4),
    (Fault::Detach, 2),
    (Fault::CancelRun, 4),
    (Fault::CancelMessage, 3),
    (Fault::TakeBack, 5),
    (Fault::Edit, 6),
    (Fault::Interrupt, 3),
    (Fault::Steer, 5),
    (Fault::Answer, 8),
    (Fault::Cut, 8),
    (Fault::HalfOpen, 4),
    (Fault::Latency, 3),
    (Fault::Freeze, 3),
    (Fault::Reload, 4),
    (Fault::Stall, 2),
    (Fault::Trap, 2),
    (Fault::Shutdown, 3),
    (Fault::Kill, 4),
    (Fault::Restore, 2),
    (Fault::LogSlow, 4),
    (Fault::LogFails, 4),
    (Fault::LogLoses, 4),
    (Fault::LogHangs, 3),
    (Fault::LogComesLate, 3),
    (Fault::Trim, 3),
    (Fault::Redact, 3),
    (Fault::Epoch, 2),
    (Fault::Foreign, 5),
    (Fault::Withdraw, 5),
    (Fault::DoorsSlow, 3),
    (Fault::DoorsUnsure, 2),
    (Fault::TokenShort, 3),
    (Fault::TokenBad, 2),
];

impl Fault {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        WEIGHTS.iter().map(|(fault, _)| *fault)
    }

    /// Whether it is what a page or an agent does all day.
    pub const fn is_work(self) -> bool {
        matches!(
            self,
            Self::Publish
                | Self::Send
                | Self::Sends
                | Self::Attach
                | Self::Detach
                | Self::CancelRun
                | Self::CancelMessage
                | Self::TakeBack
                | Self::Edit
                | Self::Interrupt
                | Self::Steer
                | Self::Answer
        )
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What.
    pub fault: Fault,
    /// To which page.
    pub page: usize,
    /// To which stream, from 1.
    pub stream: u64,
    /// A time, in milliseconds.
    pub a: u64,
    /// A number.
    pub b: u64,
    /// How long nothing else is done after it.
    pub pause_ms: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, page, stream, a, b, pause_ms } = self;
        write!(f, "{fault:?} page {page} stream {stream} a {a} b {b}, then {pause_ms} ms")
    }
}

/// How a run is set up.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How many pages.
    pub pages: usize,
    /// How many threads.
    pub streams: u64,
    /// The windows of the pages.
    pub window: (u32, u32, u32),
    /// Sends that may wait in a page.
    pub max_pending: usize,
    /// How long a message travels.
    pub latency_ms: u64,
    /// The limits of the bridge.
    pub limits: Limits,
}

/// What a seed means.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How the run is set up.
    pub setting: Setting,
    /// What happens in it.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let setting = setting(&mut rng);
        let count = rng.between(8, 40);
        let steps = (0..count).map(|_| step(&mut rng, &setting)).collect();
        Self { seed, setting, steps }
    }

    /// The same with its first steps only.
    pub fn prefix(&self, len: usize) -> Self {
        Self { steps: self.steps[..len].to_vec(), ..self.clone() }
    }

    /// The same without one step.
    pub fn without(&self, step: usize) -> Self {
        let mut shorter = self.clone();
        shorter.steps.remove(step);
        shorter
    }
}

fn setting(rng: &mut Rng) -> Setting {
    let window = rng.pick(&[1, 4, 32, 256, 32_768]);
    let window_bytes = rng.pick(&[1_024, 4_096, 65_536, 8 << 20]);
    let limits = Limits {
        heartbeat: rng_millis(rng, &[300, 1_000, 5_000, 15_000]),
        idle_timeout: Some(rng_millis(rng, &[3_000, 20_000, 45_000])),
        live_batch: rng_millis(rng, &[0, 4, 50]),
        page_events: rng.pick(&[1, 5, 50, 512]),
        page_bytes: rng.pick(&[1_024, 8_192, 65_536]),
        max_frame_bytes: rng.pick(&[65_536, 1_048_576]),
        log_timeout: rng_millis(rng, &[400, 2_000, 5_000]),
        auth_timeout: rng_millis(rng, &[200, 2_000]),
        write_timeout: rng_millis(rng, &[2_000, 10_000, 30_000]),
        cache_events: rng.pick(&[0, 8, 1_024]),
        cache_bytes: rng.pick(&[2_048, 1_048_576]),
        max_pending_sends: rng.pick(&[4, 32, 256]),
        max_concurrent_turns: rng.pick(&[1, 4, 64]),
        max_concurrent_turns_per_user: rng.pick(&[1, 8]),
        goaway_reconnect_after: rng_millis(rng, &[0, 500]),
        goaway_spread: rng_millis(rng, &[0, 2_000]),
        shutdown_timeout: rng_millis(rng, &[1_000, 10_000]),
        ..Limits::default()
    };
    Setting {
        pages: rng.between(1, 3) as usize,
        streams: rng.between(1, 3),
        window: (window, window_bytes, window_bytes * rng.pick(&[1, 2])),
        max_pending: rng.pick(&[2, 16, 256]),
        latency_ms: rng.pick(&[0, 5, 40, 150]),
        limits,
    }
}

fn rng_millis(rng: &mut Rng, of: &[u64]) -> Duration {
    Duration::from_millis(rng.pick(of))
}

fn step(rng: &mut Rng, setting: &Setting) -> Step {
    let total = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut drawn = rng.below(total);
    let mut fault = Fault::Publish;
    for (kind, weight) in WEIGHTS {
        if drawn < *weight {
            fault = *kind;
            break;
        }
        drawn -= weight;
    }
    let page = rng.below(setting.pages as u64) as usize;
    let stream = rng.between(1, setting.streams);
    let longest = rng.pick(&[50, 600, 5_000, 25_000]);
    let (a, b) = (rng.between(1, longest), rng.between(1, 60));
    let pause = rng.pick(&[0, 20, 200, 1_500, 6_000]);
    Step { fault, page, stream, a, b, pause_ms: rng.below(pause + 1) }
}
