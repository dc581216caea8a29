//! Many seeds on several threads, one seed in detail, and the trial of the oracle.
#![allow(clippy::print_stdout, reason = "this is what the command line prints")]
#![allow(clippy::disallowed_methods, reason = "progress is shown in the time of the host")]

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    arena::Tally,
    plan::Plan,
    planted,
    runner::{self, Failure, WORKER},
};

/// Seeds from which on every pair of the table must have been hit.
const COMPLETE_FROM: u64 = 20_000;
/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(5);
/// Seeds after which a planted bug counts as not found.
pub const MOST_SEEDS_PER_BUG: u64 = 2_000;

/// What to run.
#[derive(Clone, Debug)]
pub struct Order {
    /// How many seeds.
    pub seeds: u64,
    /// The first of them.
    pub from: u64,
    /// One seed only, in detail.
    pub seed: Option<u64>,
    /// How many threads.
    pub threads: u64,
    /// A file with seeds that failed once, one a line; they run first.
    pub kept: Option<PathBuf>,
    /// Puts the oracle on trial instead.
    pub trial: bool,
    /// The planted bugs that it must find; all of them when none is named.
    pub bugs: Vec<String>,
}

impl Default for Order {
    fn default() -> Self {
        Self { seeds: 100_000, from: 1, seed: None, threads: 2, kept: None, trial: false, bugs: Vec::new() }
    }
}

/// Reads the seeds of a file: one number a line, `#` begins a comment.
///
/// # Errors
///
/// When a line is neither.
pub fn read_seeds(text: &str) -> Result<Vec<u64>, String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().map_err(|_| format!("`{line}` is not a seed")))
        .collect()
}

/// Runs the kept seeds and then as many new ones as asked; tells whether no promise was broken.
pub fn simulate(order: &Order) -> bool {
    let kept = match &order.kept {
        None => Vec::new(),
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| error.to_string());
            match text.and_then(|text| read_seeds(&text)) {
                Ok(seeds) => seeds,
                Err(error) => {
                    eprintln!("error: the kept seeds in {} cannot be read: {error}", file.display());
                    return false;
                }
            }
        }
    };
    let began = Instant::now();
    let total = Mutex::new(Tally::default());
    let failed = Mutex::new(None::<Failure>);
    let (next, over, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let count = kept.len() as u64 + order.seeds;
    let seed_of = |index: u64| {
        let kept_seed = usize::try_from(index).ok().and_then(|index| kept.get(index));
        kept_seed.copied().unwrap_or_else(|| order.from + index - kept.len() as u64)
    };
    thread::scope(|scope| {
        for _ in 0..order.threads {
            let worker = || {
                let mut own = Tally::default();
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    match runner::run_seed(seed_of(index)) {
                        Ok(tally) => own.add(&tally),
                        Err(failure) => {
                            // The lowest one that is known, so that two runs name the same.
                            let mut known = lock(&failed);
                            if known.as_ref().is_none_or(|known| failure.seed < known.seed) {
                                *known = Some(*failure);
                            }
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                    over.fetch_add(1, Ordering::Relaxed);
                }
                lock(&total).add(&own);
            };
            spawn(scope, worker);
        }
        let mut told = Instant::now();
        while over.load(Ordering::Relaxed) < count && !stop.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(100));
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let done = over.load(Ordering::Relaxed);
                let rate = done as f64 / began.elapsed().as_secs_f64();
                println!("  {done} of {count} seeds, {rate:.0} a second");
            }
        }
    });
    let failure = lock(&failed).take();
    let tally = lock(&total).clone();
    let done = over.load(Ordering::Relaxed);
    if let Some(failure) = failure {
        report(&failure);
        println!("{}", last_line(done, &tally, 1));
        return false;
    }
    println!("{}", tally.coverage.table());
    let empty = tally.coverage.empty();
    for (fault, phase) in &empty {
        println!("  not hit: {} in {}", fault.name(), phase.name());
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{:.1} s, {:.0} seeds a second; for each seed {:.0} events, {:.1} faults; {} resume results, {} sends",
        seconds,
        done as f64 / seconds,
        tally.counts.events as f64 / done as f64,
        tally.coverage.faults() as f64 / done as f64,
        tally.counts.resumed,
        tally.counts.sends
    );
    println!("{}", last_line(done, &tally, 0));
    empty.is_empty() || order.seeds < COMPLETE_FROM
}

fn last_line(seeds: u64, tally: &Tally, violations: u32) -> String {
    let (events, faults, gaps) = (tally.counts.events, tally.coverage.faults(), tally.counts.gaps);
    format!(
        "simulate: {seeds} seeds, {events} events, {faults} faults, {gaps} gaps ({gaps} legal), {violations} violations"
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic while it was held would be one of ours, and what it guards is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn<'scope>(scope: &'scope thread::Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) {
    let builder = thread::Builder::new().name(WORKER.into());
    builder.spawn_scoped(scope, work).expect("the system has room for a few threads");
}

/// Runs work on a thread whose panics are findings.
fn on_worker<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(WORKER.into());
        let handle = builder.spawn_scoped(scope, work).expect("the system has room for one thread");
        handle.join().expect("the runner catches panics")
    })
}

fn report(failure: &Failure) {
    println!("{failure}");
    let plan = Plan::new(failure.seed);
    let (small, failure) = on_worker(|| runner::shrink(&plan));
    println!("the shortest plan that still fails, {} of {} steps:", small.steps.len(), plan.steps.len());
    print!("{small}");
    println!("{failure}");
    println!("keep it: add {} to tests/seeds.txt; look at it: cargo xtask simulate --seed {0}", failure.seed);
}

/// Runs one seed and tells everything it does; tells whether no promise was broken.
pub fn show(seed: u64) -> bool {
    let plan = Plan::new(seed);
    match on_worker(|| runner::run_plan(&plan, false)) {
        Ok(_) => {
            let _ = on_worker(|| runner::run_plan(&plan, true));
            print!("{plan}");
            println!("seed {seed}: no promise is broken");
            true
        }
        Err(failure) => {
            let (small, _) = on_worker(|| runner::shrink(&plan));
            let _ = on_worker(|| runner::run_plan(&small, true));
            report(&failure);
            false
        }
    }
}

/// Puts the oracle on trial: each planted bug must be found.
pub fn trial(order: &Order) -> bool {
    let wanted = match wanted_bugs(&order.bugs) {
        Ok(wanted) => wanted,
        Err(problem) => {
            eprintln!("error: {problem}");
            return false;
        }
    };
    let next = AtomicU64::new(0);
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..order.threads {
            spawn(scope, || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(&bug) = wanted.get(index) else { break };
                    planted::switch_on(Some(bug));
                    let found = (order.from..order.from + MOST_SEEDS_PER_BUG)
                        .find_map(|seed| runner::run_seed(seed).err());
                    planted::switch_on(None);
                    // What fails without the bug does not show it.
                    let clean = found.as_ref().map(|failure| runner::run_seed(failure.seed));
                    lock(&rows).push((bug, found, clean.is_some_and(|clean| clean.is_err())));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(bug, ..)| *bug);
    let mut count = 0;
    for (bug, found, fails_anyway) in &rows {
        let name = planted::NAMES[*bug];
        match found {
            Some(failure) if *fails_anyway => {
                println!("  {name:<38} never, and seed {} fails without it", failure.seed);
            }
            Some(failure) => {
                count += 1;
                let seeds = failure.seed - order.from + 1;
                println!("  {name:<38} {seeds:>5}  {}", failure.violation);
            }
            None => println!("  {name:<38} never"),
        }
    }
    println!("trial: {count} of {} planted bugs found", rows.len());
    count == rows.len()
}

/// The numbers of the planted bugs of these names; all when none is named.
fn wanted_bugs(names: &[String]) -> Result<Vec<usize>, String> {
    if planted::NAMES.is_empty() {
        return Err("this build has no planted bugs; run `cargo xtask simulate --trial`".into());
    }
    if names.is_empty() {
        return Ok((0..planted::NAMES.len()).collect());
    }
    let number = |name: &String| {
        let known = planted::NAMES.iter().position(|known| known == name);
        known.ok_or_else(|| format!("no planted bug is called `{name}`"))
    };
    names.iter().map(number).collect()
}
