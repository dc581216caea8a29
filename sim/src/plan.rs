//! What a seed does: a setting, and steps of work and faults.

use std::fmt;

use crate::rng::Rng;

macro_rules! faults {
    ($($variant:ident = $name:literal, $place:ident, $words:literal;)+) => {
        /// One kind of step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is described by its words")]
        pub enum Fault { $($variant),+ }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// A short name, for the table.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Where it can happen.
            pub const fn place(self) -> Place {
                match self { $(Self::$variant => Place::$place),+ }
            }

            const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words),+ }
            }
        }
    };
}

/// Where a kind of step can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In every state.
    Anywhere,
    /// Only where the server can have put a frame on a socket.
    Frames,
    /// Only where a handler can be called.
    Handler,
    /// In every state in which the client has not ended.
    Living,
    /// Only where there is a socket.
    Socket,
    /// It is no fault: work that the others disturb.
    Work,
}

faults! {
    Publish = "publish", Work, "the agents of {s} write {a} events";
    Pull = "pull", Work, "the iterators pull up to {a} items";
    Attach = "attach", Work, "a consumer attaches to {s}";
    Detach = "detach", Work, "a consumer detaches";
    Send = "send", Work, "a message is sent to {s}";
    Cut = "cut", Socket, "the socket breaks, the server hears of it {a} ms later";
    CutLate = "cut, late frames", Socket, "the socket breaks, and what was under way arrives after it";
    HalfOpen = "half-open", Socket, "the socket dies and nobody hears of it";
    Refuse = "refuse", Anywhere, "no socket opens for {a} ms";
    Latency = "latency", Anywhere, "a message travels {b} ms from now on";
    Duplicate = "duplicate", Frames, "the next frame arrives twice";
    Swap = "swap", Frames, "the next two frames of events change places";
    Truncate = "truncate", Frames, "the next frame is cut off after {b} bytes";
    Garbage = "garbage", Frames, "garbage number {b} arrives";
    Restart = "restart", Anywhere, "the server restarts with its logs";
    RestartEmpty = "restart, log lost", Anywhere, "the server restarts without the log of {s}";
    RestartBack = "restart, log back", Anywhere, "the server restarts, the log of {s} went back by {b} events";
    RestartRenewed = "restart, restored", Anywhere, "the server restarts, the log of {s} was restored without {b} events under another epoch";
    Epoch = "epoch while live", Anywhere, "{s} begins another epoch with {b} events";
    Trim = "trim", Anywhere, "the log of {s} is trimmed to its last {b} events";
    Withhold = "withhold", Anywhere, "a part of {s}, of {b} events at most, may not be read any more";
    Withdraw = "withdraw", Anywhere, "the server ends {s}, for {a} ms";
    Redact = "redact", Anywhere, "an event of {s} is taken out";
    Slow = "slow server", Anywhere, "the server answers {b} ms late, for {a} ms";
    Mute = "mute server", Anywhere, "the server says nothing for {a} ms";
    Forget = "forget", Anywhere, "the server forgets to send an event";
    IgnoreReplay = "ignore replay", Anywhere, "the server leaves replay requests unanswered for {a} ms";
    IgnoreSubscribe = "ignore subscribe", Anywhere, "the server leaves stream requests unanswered for {a} ms";
    RefuseReplay = "refuse replay", Anywhere, "the server refuses the next {b} replay requests";
    TokenExpires = "token expires", Socket, "the server closes with 4451";
    TokenRefused = "token refused", Living, "the next {b} tokens are refused";
    TokenSlow = "token slow", Living, "the next token takes {a} ms";
    TokenFails = "token fails", Living, "the application has no token for once";
    NoToken = "token denied", Living, "the application will never have a token again";
    CloseCode = "close code", Socket, "the server closes with another code";
    Loop = "server loops", Anywhere, "for {a} ms the server fails again and again, in way {b}";
    Reject = "reject", Socket, "the server closes because of a frame of the page";
    Forbid = "forbid", Socket, "the server closes with a code that forbids coming back";
    Sleep = "sleep", Anywhere, "the page sleeps for {a} s, and its socket dies";
    Freeze = "freeze", Anywhere, "the page is frozen for {a} ms";
    Away = "page away", Anywhere, "the page goes into the back/forward cache for {a} ms";
    Offline = "offline", Anywhere, "the browser says that there is no network";
    Wake = "wake", Anywhere, "the page becomes visible";
    Online = "online", Anywhere, "the browser says that there is a network";
    Stall = "slow consumer", Anywhere, "the iterators stop pulling for {a} ms";
    CallClose = "handler closes", Handler, "a handler closes the client";
    CallLeave = "handler leaves", Handler, "a handler removes itself";
    CallSubscribe = "handler subscribes", Handler, "a handler attaches another consumer";
    CallSend = "handler sends", Handler, "a handler sends a message";
    GoAway = "goaway", Frames, "the server says goaway, to come back after {a} ms";
    Overloaded = "overloaded", Anywhere, "the server cannot take the next {b} sends";
    LostReceipts = "lost receipts", Anywhere, "no receipts for {a} ms";
    Subject = "other user", Living, "another user logs in";
    Trap = "trap", Living, "the core is lost, and another one takes its place";
    Reload = "reload", Anywhere, "the page is left and opened again";
    Crash = "crash", Anywhere, "the page crashes and is opened again";
    Close = "close", Anywhere, "the application closes the client";
}

/// Where a page is, as seen from outside its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Phase {
    Idle,
    Token,
    Opening,
    Greeting,
    CatchingUp,
    Live,
    Waiting,
    Offline,
    Closed,
    Failed,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Token,
        Self::Opening,
        Self::Greeting,
        Self::CatchingUp,
        Self::Live,
        Self::Waiting,
        Self::Offline,
        Self::Closed,
        Self::Failed,
    ];

    /// The heading of its column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Token => "token",
            Self::Opening => "opening",
            Self::Greeting => "greeting",
            Self::CatchingUp => "catch-up",
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Offline => "offline",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }
}

impl Fault {
    /// Says why it cannot happen in a phase; `None` where it can.
    pub const fn impossible_in(self, phase: Phase) -> Option<&'static str> {
        use Phase::{CatchingUp, Closed, Failed, Greeting, Idle, Live, Offline, Opening, Token, Waiting};
        match (self.place(), phase) {
            (Place::Socket | Place::Frames, Idle | Token | Waiting | Offline | Closed | Failed) => {
                Some("there is no socket")
            }
            (Place::Frames, Opening) => Some("the server speaks after the hello"),
            (Place::Handler, Idle | Token | Opening | Greeting | Waiting | Offline | Closed | Failed) => {
                Some("no handler is called")
            }
            (Place::Living, Closed | Failed) => Some("the client has ended"),
            (Place::Work, _) => Some("no fault"),
            (
                _,
                Idle | Token | Opening | Greeting | CatchingUp | Live | Waiting | Offline | Closed | Failed,
            ) => None,
        }
    }
}

/// One step: bring a page into a phase, do something, let time pass.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which page, by its place.
    pub page: usize,
    /// The phase to wait for, if one.
    pub aim: Option<Phase>,
    /// What to do.
    pub fault: Fault,
    /// Which stream, from 1.
    pub stream: u32,
    /// How long or how many.
    pub a: u64,
    /// How much.
    pub b: u64,
    /// Milliseconds until the next step.
    pub pause_ms: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self
            .fault
            .words()
            .replace("{s}", &format!("t{}", self.stream))
            .replace("{a}", &self.a.to_string())
            .replace("{b}", &self.b.to_string());
        write!(f, "page {}", self.page)?;
        if let Some(aim) = self.aim {
            write!(f, ", {}", aim.name())?;
        }
        write!(f, ": {words}; then {} ms pass", self.pause_ms)
    }
}

/// The setting of one run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How many pages there are.
    pub pages: usize,
    /// How many streams there are.
    pub streams: u32,
    /// Events in each log before anything happens.
    pub events: u64,
    /// The window of every page, in events.
    pub window: u32,
    /// The window of every page, in bytes.
    pub window_bytes: u32,
    /// Bytes that may be under way over all streams of a socket.
    pub window_total_bytes: u32,
    /// The largest frame of the server, in events.
    pub events_per_frame: u64,
    /// How long an event takes to become durable.
    pub commit_ms: u64,
    /// How long a message travels.
    pub latency_ms: u64,
    /// The interval of the server's heartbeats.
    pub heartbeat_ms: u64,
    /// Sends a page may keep.
    pub max_pending: usize,
    /// Whether the server writes deltas compactly.
    pub compacts: bool,
    /// How long a token lives.
    pub token_ms: Option<u64>,
}

/// Everything a seed does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The setting.
    pub setting: Setting,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Makes the plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let mut setting = Setting {
            pages: rng.pick(&[1, 1, 2, 2, 3]),
            streams: rng.between(2, 3) as u32,
            events: rng.below(50),
            window: rng.pick(&[1, 7, 20, 64, 512]),
            window_bytes: rng.pick(&[1_024, 4_096, 16_384, 262_144]),
            window_total_bytes: 0,
            events_per_frame: rng.pick(&[1, 5, 20, 60]),
            commit_ms: rng.pick(&[0, 0, 3, 40]),
            latency_ms: rng.pick(&[0, 5, 20, 60, 150]),
            heartbeat_ms: rng.between(400, 4_000),
            max_pending: rng.between(2, 8) as usize,
            compacts: rng.one_in(2),
            token_ms: rng.one_in(4).then(|| rng.between(2_000, 60_000)),
        };
        // Between one stream's and that of all of them.
        setting.window_total_bytes = setting.window_bytes * rng.pick(&[1, 2, 4]);
        let count = rng.between(14, 26);
        let steps = (0..count).map(|_| Self::step(rng, &setting)).collect();
        Self { seed, setting, steps }
    }

    fn step(rng: &mut Rng, setting: &Setting) -> Step {
        let fault = match rng.below(20) {
            0..=4 => Fault::Publish,
            5 => Fault::Pull,
            6 | 7 => Fault::Attach,
            8 => Fault::Detach,
            9 | 10 => Fault::Send,
            _ => loop {
                let fault = rng.pick(Fault::ALL);
                let rare = matches!(
                    fault,
                    Fault::Close | Fault::Forbid | Fault::CallClose | Fault::Subject | Fault::NoToken
                );
                if fault.place() != Place::Work && !(rare && rng.below(4) > 0) {
                    break fault;
                }
            },
        };
        let aim = rng.one_in(2).then(|| {
            let phase = match rng.below(40) {
                0 | 1 => Phase::Idle,
                2..=4 => Phase::Token,
                5..=8 => Phase::Opening,
                9..=13 => Phase::Greeting,
                14..=23 => Phase::CatchingUp,
                24..=30 => Phase::Live,
                31..=35 => Phase::Waiting,
                36 | 37 => Phase::Offline,
                38 => Phase::Closed,
                _ => Phase::Failed,
            };
            (fault.impossible_in(phase).is_none()).then_some(phase)
        });
        let (a, b) = match fault {
            Fault::Publish => (rng.pick(&[1, 3, 10, 30, 40, 120]), 0),
            Fault::Pull => (rng.between(1, 60), 0),
            Fault::Cut => (rng.pick(&[0, 0, 50, 1_500]), 0),
            Fault::Latency => (0, rng.pick(&[0, 10, 80, 300, 900])),
            Fault::Truncate => (0, rng.between(1, 90)),
            Fault::Garbage => (0, rng.below(6)),
            Fault::Sleep => (rng.pick(&[20, 90, 3_600, 100_000]), 0),
            Fault::TokenSlow => (rng.pick(&[500, 5_000, 29_000, 40_000]), 0),
            Fault::TokenRefused => (0, rng.between(1, 4)),
            Fault::Mute => (rng.pick(&[500, 4_000, 15_000]), 0),
            Fault::Slow => (rng.between(500, 12_000), rng.pick(&[100, 1_000, 6_000, 11_000])),
            Fault::GoAway => (rng.pick(&[0, 500, 4_000]), 0),
            Fault::Loop => (rng.pick(&[5_000, 20_000, 60_000]), rng.below(6)),
            _ => (rng.between(100, 6_000), rng.between(1, 30)),
        };
        Step {
            page: rng.below(setting.pages as u64) as usize,
            aim: aim.flatten(),
            fault,
            stream: rng.between(1, u64::from(setting.streams)) as u32,
            a,
            b,
            pause_ms: rng.pick(&[0, 5, 40, 150, 400, 900, 2_000]),
        }
    }

    /// The same plan with its first steps only.
    pub fn prefix(&self, steps: usize) -> Self {
        Self { steps: self.steps[..steps].to_vec(), ..self.clone() }
    }

    /// The same plan without one of its steps.
    pub fn without(&self, step: usize) -> Self {
        let mut plan = self.clone();
        plan.steps.remove(step);
        plan
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { pages, streams, events, window, events_per_frame, latency_ms, .. } = &self.setting;
        writeln!(
            f,
            "seed {}: {pages} pages follow {streams} streams of {events} events, a window of {window}, frames of \
             {events_per_frame}, {latency_ms} ms on the way, heartbeats every {} ms",
            self.seed, self.setting.heartbeat_ms
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {step}", index + 1)?;
        }
        Ok(())
    }
}
