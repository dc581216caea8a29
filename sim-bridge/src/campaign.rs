//! Many seeds on several threads, and one seed in detail.
#![allow(clippy::print_stdout, reason = "this is what the command line prints")]
#![allow(clippy::disallowed_methods, reason = "progress is shown in the time of the host")]

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentwire_sim::oracle::Violation;
use parking_lot::Mutex;

use crate::agents::PANIC;
use crate::plan::{Fault, Plan};
use crate::world::{self, Broken, Tally};

thread_local! {
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// How many seeds.
    pub seeds: u64,
    /// The first of them.
    pub from: u64,
    /// How many threads.
    pub threads: u64,
}

/// What many seeds counted.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// Seeds that were run.
    pub seeds: u64,
    /// What they counted together.
    pub tally: Tally,
}

impl Total {
    fn add(&mut self, one: &Tally) {
        self.seeds += 1;
        let tally = &mut self.tally;
        tally.counts.events += one.counts.events;
        tally.counts.gaps += one.counts.gaps;
        tally.counts.resumed += one.counts.resumed;
        tally.counts.sends += one.counts.sends;
        for (fault, count) in &one.steps {
            *tally.steps.entry(*fault).or_default() += count;
        }
        tally.wrong.failed += one.wrong.failed;
        tally.wrong.lost += one.wrong.lost;
        tally.wrong.hung += one.wrong.hung;
        tally.wrong.late += one.wrong.late;
        tally.receipts += one.receipts;
        tally.processes += one.processes;
        tally.written += one.written;
        // The order in which threads end does not count.
        tally.hash = tally.hash.wrapping_add(one.hash);
    }

    /// Faults that were made, without work.
    pub fn faults(&self) -> u64 {
        self.tally.steps.iter().filter(|(fault, _)| !fault.is_work()).map(|(_, count)| count).sum()
    }
}

/// A seed that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was broken, and when.
    pub broken: Broken,
}

/// Carries out a plan; a panic is a broken promise, too, unless it is in a script.
///
/// # Errors
///
/// When a promise is broken.
pub fn run_plan(plan: &Plan, shows: bool) -> Result<Tally, Box<Broken>> {
    catch_quietly();
    SAID.set(None);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| world::run(plan, shows)));
    let said = SAID.take();
    let panicked =
        |text| Box::new(Broken { violation: Violation { rule: "panic", text }, step: 0, at_ms: 0 });
    match (outcome, said) {
        (Ok(Err(broken)), _) => Err(broken),
        // In a task of the bridge, where nobody looks at it.
        (Ok(Ok(_)), Some(said)) => Err(panicked(said)),
        (Ok(Ok(tally)), None) => Ok(tally),
        (Err(_), said) => Err(panicked(said.unwrap_or_else(|| "a panic".into()))),
    }
}

/// The panics of scripts are no news; others are kept for the report.
fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or_default();
            if text == PANIC {
                return;
            }
            let is_ours = thread::current().name().is_some_and(|name| name.starts_with("seeds"));
            SAID.with_borrow_mut(|said| *said = Some(info.to_string()));
            if !is_ours {
                usual(info);
            }
        }));
    });
}

/// Runs seeds; tells the lowest one that broke a promise, and what the others counted.
pub fn run(order: Order) -> (Total, Option<Failure>) {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (total, failed) = (Mutex::new(Total::default()), Mutex::new(None::<Failure>));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..order.threads {
            let work = || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= order.seeds {
                        break;
                    }
                    let seed = order.from + index;
                    match run_plan(&Plan::new(seed), false) {
                        Ok(tally) => total.lock().add(&tally),
                        Err(broken) => {
                            let mut known = failed.lock();
                            if known.as_ref().is_none_or(|known| seed < known.seed) {
                                *known = Some(Failure { seed, broken: *broken });
                            }
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            };
            let builder = thread::Builder::new().name("seeds".into());
            builder.spawn_scoped(scope, work).expect("the system has room for a few threads");
        }
        let mut told = Instant::now();
        while next.load(Ordering::Relaxed) < order.seeds && !stop.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(20));
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let done = total.lock().seeds;
                println!(
                    "  {done} of {} seeds, {:.0} a second",
                    order.seeds,
                    done as f64 / began.elapsed().as_secs_f64()
                );
            }
        }
    });
    let failure = failed.lock().take();
    let total = total.lock().clone();
    (total, failure)
}

/// Runs seeds and reports; tells whether no promise was broken.
pub fn simulate(order: Order) -> bool {
    let began = Instant::now();
    let (total, failure) = run(order);
    let Total { seeds, tally } = &total;
    for fault in Fault::all() {
        println!("  {:<14} {:>9}", format!("{fault:?}"), tally.steps.get(&fault).copied().unwrap_or(0));
    }
    let wrong = tally.wrong;
    println!(
        "calls of the log: {} failed, {} lost their answer, {} hung, {} came late; {} processes of the bridge",
        wrong.failed, wrong.lost, wrong.hung, wrong.late, tally.processes
    );
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{seconds:.1} s, {:.0} seeds a second; {} events written, {} receipts, {} resume results, trace {:016x}",
        *seeds as f64 / seconds,
        tally.written,
        tally.receipts,
        tally.counts.resumed,
        tally.hash
    );
    if let Some(failure) = &failure {
        report(failure);
    }
    println!(
        "simulate: {seeds} seeds, {} events, {} faults, {} gaps, {} violations",
        tally.counts.events,
        total.faults(),
        tally.counts.gaps,
        u8::from(failure.is_some())
    );
    failure.is_none()
}

fn report(failure: &Failure) {
    let Failure { seed, broken } = failure;
    println!("seed {seed}, step {}, {} ms: {}", broken.step, broken.at_ms, broken.violation);
    let plan = Plan::new(*seed);
    let (small, broken) = on_worker(|| shrink(&plan, broken));
    println!("the shortest plan that still fails, {} of {} steps:", small.steps.len(), plan.steps.len());
    for step in &small.steps {
        println!("  {step}");
    }
    println!("{} ms: {}", broken.at_ms, broken.violation);
    println!("look at it: cargo xtask simulate --bridge --seed {seed}");
}

fn on_worker<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("seeds".into());
        let handle = builder.spawn_scoped(scope, work).expect("the system has room for one thread");
        handle.join().expect("panics of a run are caught")
    })
}

/// Leaves out every step that is not needed to break the same promise.
fn shrink(plan: &Plan, broken: &Broken) -> (Plan, Broken) {
    let rule = broken.violation.rule;
    let fails = |plan: &Plan| run_plan(plan, false).err().filter(|found| found.violation.rule == rule);
    let (mut small, mut broken) = (plan.clone(), broken.clone());
    if let Some(found) = fails(&plan.prefix(broken.step.min(plan.steps.len()))) {
        (small, broken) = (plan.prefix(broken.step.min(plan.steps.len())), *found);
    }
    let mut step = small.steps.len();
    while step > 0 {
        step -= 1;
        if let Some(found) = fails(&small.without(step)) {
            (small, broken) = (small.without(step), *found);
        }
    }
    (small, broken)
}

/// Runs one seed and tells everything it does; tells whether no promise was broken.
pub fn show(seed: u64, is_small: bool) -> bool {
    let mut plan = Plan::new(seed);
    println!("{:#?}", plan.setting);
    if is_small && let Err(broken) = on_worker(|| run_plan(&plan, false)) {
        plan = on_worker(|| shrink(&plan, &broken)).0;
    }
    for (index, step) in plan.steps.iter().enumerate() {
        println!("{:>3}. {step}", index + 1);
    }
    match on_worker(|| run_plan(&plan, true)) {
        Ok(tally) => {
            println!(
                "seed {seed}: no promise is broken; {} events, trace {:016x}",
                tally.counts.events, tally.hash
            );
            true
        }
        Err(broken) => {
            report(&Failure { seed, broken: *broken });
            false
        }
    }
}
