//! Carries out a plan: pages, the network, the bridge and its operator, in virtual time.

mod arrivals;
mod end;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agentwire::proto::{Duration, Input, Instant, SocketId};
use agentwire_bridge::simulation::{Frame, Received, follow_the_runtime};
use agentwire_bridge::{Bridge, BuildError};
use agentwire_sim::oracle::{Counts, Judgement, Oracle, Violation};
use agentwire_sim::rng::Rng;
use tokio::sync::mpsc;

use crate::agents::Scripted;
use crate::audit::{Audit, Wire, require};
use crate::doors::{self, Doorman, Doors, USERS};
use crate::faulty::{FaultyLog, Moods, Wrong};
use crate::network::{Item, Network};
use crate::page::Page;
use crate::plan::{Fault, Plan};
use crate::socket::{FarEnd, Said};
use crate::store::Store;
use crate::trace::Trace;

/// Things that may happen at one point in time before the world counts as spinning.
const MOST_AT_ONCE: u32 = 50_000;

/// What a run counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What the oracle counted.
    pub counts: Counts,
    /// How often each kind of step was carried out.
    pub steps: BTreeMap<Fault, u64>,
    /// Calls of the log that went wrong.
    pub wrong: Wrong,
    /// Receipts that were sent.
    pub receipts: u64,
    /// Processes of the bridge.
    pub processes: u64,
    /// Events in the logs at the end.
    pub written: u64,
    /// The hash of the trace.
    pub hash: u64,
}

/// A promise that was broken, and when.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub violation: Violation,
    /// The step after which it was noticed, from 1; past the last one: after the last fault.
    pub step: usize,
    /// The virtual time.
    pub at_ms: u64,
}

/// Carries out a plan on a runtime of its own.
///
/// # Errors
///
/// When a promise is broken.
pub fn run(plan: &Plan, shows: bool) -> Result<Tally, Box<Broken>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets");
    runtime.block_on(async {
        follow_the_runtime();
        let mut world = World::new(plan, shows);
        let mut step = 0;
        let outcome = world.carry_out(plan, &mut step).await;
        let at_ms = world.now().as_millis();
        match outcome {
            Ok(()) => Ok(world.tally()),
            Err(violation) => Err(Box::new(Broken { violation, step, at_ms })),
        }
    })
}

/// What a task of the world reports.
pub(crate) enum Report {
    /// A bridge was built, or not.
    Built(Result<Bridge, BuildError>),
    /// A bridge has stopped; how long that took.
    Stopped(Duration),
    /// Something was published and is durable there.
    Published { name: String, epoch: String, offset: u64 },
}

/// Where the bridge is.
pub(crate) enum Process {
    /// It serves.
    Up(Bridge),
    /// It is being built.
    Starting,
    /// It shuts down, and still closes what comes.
    Stopping(Bridge),
    /// There is none.
    Down,
}

/// A socket of a page, or of a raw client: life 0.
pub(crate) struct Conn {
    pub(crate) life: u32,
    pub(crate) socket: SocketId,
    pub(crate) latency: Duration,
    pub(crate) far: Option<FarEnd>,
    pub(crate) wire: Wire,
    /// Nothing arrives any more, in either direction.
    pub(crate) is_dead: bool,
    /// The bridge has closed it.
    pub(crate) is_closed: bool,
    /// What a raw client does once it is welcomed.
    pub(crate) raw: Option<String>,
}

/// The world of one run.
pub(crate) struct World {
    begin: tokio::time::Instant,
    pub(crate) rng: Rng,
    pub(crate) store: Arc<Store>,
    pub(crate) moods: Arc<Moods>,
    pub(crate) doors: Arc<Doors>,
    pub(crate) agents: Scripted,
    pub(crate) process: Process,
    pub(crate) network: Network,
    pub(crate) conns: BTreeMap<u64, Conn>,
    pub(crate) pages: Vec<Page>,
    pub(crate) oracle: Oracle,
    pub(crate) audit: Audit,
    pub(crate) names: Vec<String>,
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    /// Where the head of each withdrawn stream was when it was withdrawn, and when that was.
    pub(crate) withdrawn: BTreeMap<(String, String), (u64, Instant)>,
    from_bridge: mpsc::UnboundedReceiver<(u64, Said)>,
    to_pages: mpsc::UnboundedSender<(u64, Said)>,
    reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) report: mpsc::UnboundedSender<Report>,
    lives: u32,
    sockets: u64,
    at_once: (Instant, u32),
    pub(crate) steps: BTreeMap<Fault, u64>,
    processes: u64,
    /// The faults are over for so long that nothing of them is under way.
    is_over: bool,
    /// The log was put back: what was reported before need not be there.
    pub(crate) restored: BTreeSet<String>,
}

impl World {
    fn new(plan: &Plan, shows: bool) -> Self {
        let names: Vec<_> = (1..=plan.setting.streams).map(|number| format!("t{number}")).collect();
        let inboxes = USERS.iter().map(|user| doors::inbox_name(user));
        let streams: Vec<_> =
            names.iter().cloned().chain(inboxes).map(|name| (doors::key_of(&name), name)).collect();
        let (to_pages, from_bridge) = mpsc::unbounded_channel();
        let (report, reports) = mpsc::unbounded_channel();
        Self {
            begin: tokio::time::Instant::now(),
            rng: Rng::new(plan.seed ^ 0xa5a5_5a5a),
            store: Arc::new(Store::new(&streams)),
            moods: Arc::new(Moods::new(plan.seed ^ 0x1234_5678)),
            doors: Arc::new(Doors::new(plan.seed ^ 0x8765_4321)),
            agents: Scripted::default(),
            process: Process::Down,
            network: Network::default(),
            conns: BTreeMap::new(),
            pages: Vec::new(),
            oracle: Oracle::default(),
            audit: Audit::default(),
            names,
            plan: plan.clone(),
            trace: Trace::new(shows),
            withdrawn: BTreeMap::new(),
            from_bridge,
            to_pages,
            reports,
            report,
            lives: 0,
            sockets: 0,
            at_once: (Instant::ZERO, 0),
            steps: BTreeMap::new(),
            processes: 0,
            is_over: false,
            restored: BTreeSet::new(),
        }
    }

    fn tally(&self) -> Tally {
        Tally {
            counts: self.oracle.counts.clone(),
            steps: self.steps.clone(),
            wrong: self.moods.wrong(),
            receipts: self.audit.receipts,
            processes: self.processes,
            written: self.store.with_truth(|truth| truth.logs.values().map(|log| log.life().head).sum()),
            hash: self.trace.hash(),
        }
    }

    /// The time, as the cores know it.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(1_000 + self.begin.elapsed().as_millis() as u64)
    }

    fn at(&self, time: Instant) -> tokio::time::Instant {
        self.begin + std::time::Duration::from_millis(time.as_millis().saturating_sub(1_000))
    }

    /// Takes note of something.
    pub(crate) fn say(&mut self, text: &str) {
        self.trace.line(self.now().as_millis(), text);
    }

    async fn carry_out(&mut self, plan: &Plan, step: &mut usize) -> Judgement {
        self.start();
        for index in 0..plan.setting.pages {
            self.open_page(index, Duration::from_millis(plan.setting.latency_ms), BTreeMap::new())?;
        }
        self.run_for(Duration::from_millis(300)).await?;
        for (index, next) in plan.steps.iter().enumerate() {
            *step = index + 1;
            self.say(&format!("── {}. {next}", index + 1));
            self.step(next)?;
            self.run_for(Duration::from_millis(next.pause_ms)).await?;
        }
        *step = plan.steps.len() + 1;
        self.say("── the faults are over");
        self.heal().await
    }

    // --- Time ---

    pub(crate) async fn run_for(&mut self, time: Duration) -> Judgement {
        self.run_until(self.now() + time, |_| false).await
    }

    /// Lets time pass up to `end`, or until something holds.
    async fn run_until(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> Judgement {
        loop {
            if done(self) {
                return Ok(());
            }
            let timer =
                self.pages.iter().filter(|page| !page.is_frozen()).filter_map(|page| page.deadline).min();
            let next = [self.network.next_arrival(), timer].into_iter().flatten().min();
            let until = self.at(next.unwrap_or(end).min(end));
            tokio::select! {
                biased;
                Some((number, said)) = self.from_bridge.recv() => self.heard(number, said)?,
                Some(report) = self.reports.recv() => self.reported(report)?,
                () = tokio::time::sleep_until(until) => {
                    let now = self.now();
                    if next.is_none_or(|next| next > end) && now >= end {
                        return Ok(());
                    }
                    self.at_once = if self.at_once.0 == now { (now, self.at_once.1 + 1) } else { (now, 0) };
                    require!(self.at_once.1 < MOST_AT_ONCE, "I7", "the world spins at {now:?}");
                    if self.network.next_arrival().is_some_and(|at| at <= now) {
                        if let Some(item) = self.network.take() {
                            self.arrive(item)?;
                        }
                    } else if let Some(index) = self.due(now) {
                        self.input(index, Input::Timeout)?;
                    }
                }
            }
            if let Some(broken) = self.store.broken() {
                return Err(Violation { rule: "log", text: broken });
            }
        }
    }

    fn due(&self, now: Instant) -> Option<usize> {
        let awake = self.pages.iter().enumerate().filter(|(_, page)| !page.is_frozen());
        let due = awake.filter_map(|(index, page)| Some((page.deadline.filter(|at| *at <= now)?, index)));
        due.min().map(|(_, index)| index)
    }

    // --- The bridge ---

    /// The operator starts a process.
    pub(crate) fn start(&mut self) {
        if !matches!(self.process, Process::Down) {
            return;
        }
        self.process = Process::Starting;
        self.processes += 1;
        self.say("the bridge starts");
        let doorman = Doorman(Arc::clone(&self.doors));
        let build = Bridge::builder()
            .log(FaultyLog::open(&self.store, &self.moods))
            .agent(self.agents.clone())
            .authenticator(doorman.clone())
            .authorizer(doorman)
            .limits(self.plan.setting.limits.clone())
            .build();
        let report = self.report.clone();
        tokio::spawn(async move {
            let built = build.await;
            let _ = report.send(Report::Built(built));
        });
    }

    fn reported(&mut self, report: Report) -> Judgement {
        match report {
            // Killed while it was built.
            Report::Built(_) if !matches!(self.process, Process::Starting) => {}
            Report::Built(Ok(bridge)) => {
                self.say("the bridge serves");
                self.process = Process::Up(bridge);
            }
            Report::Built(Err(error)) => {
                self.say(&format!("the bridge does not start: {error}"));
                self.process = Process::Down;
                let later = self.now() + self.rng.millis(100, 2_000);
                self.network.at(later, Item::Start);
            }
            Report::Stopped(took) => {
                let most = self.plan.setting.limits.shutdown_timeout.as_millis() as u64;
                require!(took.as_millis() <= most + 1, "I9", "a shutdown took {took:?}");
                if matches!(self.process, Process::Stopping(_)) {
                    self.say("the bridge has stopped");
                    self.die();
                    let later = self.now() + self.rng.millis(0, 1_500);
                    self.network.at(later, Item::Start);
                }
            }
            Report::Published { name, epoch, offset } => {
                let key = doors::key_of(&name);
                let durable = self.store.written(&key, &epoch, |written| written.len() as u64);
                let is_lost = self.restored.contains(&epoch);
                require!(is_lost || durable >= Some(offset), "durable", "{name}: {offset} of {durable:?}");
            }
        }
        Ok(())
    }

    /// The process is gone, with its sockets: what it has begun gets no answer.
    pub(crate) fn die(&mut self) {
        self.process = Process::Down;
        self.store.open();
        let numbers: Vec<_> = self.conns.keys().copied().collect();
        for number in numbers {
            let Some(conn) = self.conns.get_mut(&number) else { continue };
            if let Some(far) = &mut conn.far {
                far.break_off();
            }
            conn.far = None;
            if conn.is_closed || conn.is_dead {
                continue;
            }
            conn.is_closed = true;
            let at = Instant::from_millis(1_000 + self.begin.elapsed().as_millis() as u64) + conn.latency;
            self.network.down(at, number, Item::Closed { socket: number, code: 1006 });
        }
    }

    /// A session said something on its socket.
    fn heard(&mut self, number: u64, said: Said) -> Judgement {
        let now = self.now();
        let Self { conns, store, audit, withdrawn, network, trace, .. } = self;
        let Some(conn) = conns.get_mut(&number).filter(|conn| !conn.is_closed) else { return Ok(()) };
        let arrives = now + conn.latency;
        match said {
            Said::Frame(Frame::Text(text)) => {
                let text = String::from_utf8_lossy(&text);
                trace.line(now.as_millis(), &format!("{number} ◁ {text}"));
                let user = conn.wire.user.clone();
                let limit =
                    |name: &str| withdrawn.get(&(user.clone(), name.to_owned())).map(|(head, _)| *head);
                let text = conn.wire.sent(audit, store, limit, &text)?;
                if !conn.is_dead {
                    network.down(arrives, number, Item::Down { socket: number, text });
                }
            }
            Said::Frame(Frame::Close { code, .. }) => {
                trace.line(now.as_millis(), &format!("{number} ◁ close {code}"));
                conn.is_closed = true;
                if !conn.is_dead {
                    network.down(arrives, number, Item::Closed { socket: number, code });
                }
            }
            Said::Frame(Frame::Ping) => {
                // A browser answers a ping by itself, whatever its page does.
                if let (Some(far), false) = (&conn.far, conn.is_dead) {
                    far.taken();
                    far.arrive(Received::Control);
                }
            }
            Said::Gone => {
                conn.is_closed = true;
                if !conn.is_dead {
                    network.down(arrives, number, Item::Closed { socket: number, code: 1006 });
                }
            }
        }
        Ok(())
    }
}
