//! Runs seeds, and makes a failing one small.

use std::{
    cell::RefCell,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::{
    arena::{self, Tally},
    oracle::Violation,
    plan::Plan,
};

thread_local! {
    /// What the last panic of this thread said, while one is caught.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A seed that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The step after which it was noticed, from 1.
    pub step: usize,
    /// How many steps the plan has.
    pub steps: usize,
    /// The promise.
    pub violation: Violation,
    /// The virtual time.
    pub at_ms: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, steps, violation, at_ms } = self;
        if step > steps {
            write!(f, "seed {seed}, after the last step, {at_ms} ms: {violation}")
        } else {
            write!(f, "seed {seed}, step {step} of {steps}, {at_ms} ms: {violation}")
        }
    }
}

/// Carries out a plan; a panic of the core is a broken promise too.
///
/// # Errors
///
/// When a promise is broken.
pub fn run_plan(plan: &Plan, trace: bool) -> Result<Tally, Box<Failure>> {
    catch_quietly();
    let steps = plan.steps.len();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| arena::run(plan, trace)));
    match outcome {
        Ok(Ok(tally)) => Ok(tally),
        Ok(Err(broken)) => Err(Box::new(Failure {
            seed: plan.seed,
            step: broken.step,
            steps,
            violation: broken.violation,
            at_ms: broken.at.as_millis(),
        })),
        Err(_) => {
            let text = PANIC.with_borrow_mut(Option::take).unwrap_or_else(|| "a panic".into());
            let violation = Violation { rule: "panic", text };
            Err(Box::new(Failure { seed: plan.seed, step: steps + 1, steps, violation, at_ms: 0 }))
        }
    }
}

/// Runs one seed.
///
/// # Errors
///
/// When a promise is broken.
pub fn run_seed(seed: u64) -> Result<Tally, Box<Failure>> {
    run_plan(&Plan::new(seed), false)
}

/// Finds the shortest failing prefix of a plan by bisection, then leaves out every step that is not needed.
pub fn shrink(plan: &Plan) -> (Plan, Failure) {
    let Err(mut failure) = run_plan(plan, false) else { unreachable!("only a failing plan is shrunk") };
    let rule = failure.violation.rule;
    let fails = |plan: &Plan| run_plan(plan, false).err().filter(|found| found.violation.rule == rule);
    let (mut passes, mut len) = (0, plan.steps.len());
    while passes + 1 < len {
        let middle = usize::midpoint(passes, len);
        match fails(&plan.prefix(middle)) {
            Some(found) => (len, failure) = (middle, found),
            None => passes = middle,
        }
    }
    let mut small = plan.prefix(len);
    let mut step = small.steps.len();
    while step > 0 {
        step -= 1;
        let shorter = small.without(step);
        if let Some(found) = fails(&shorter) {
            (small, failure) = (shorter, found);
        }
    }
    (small, *failure)
}

/// Panics of a run are reported by the run, not by the hook.
fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let inside = std::thread::current().name().is_some_and(|name| name.starts_with(WORKER));
            if inside {
                PANIC.with_borrow_mut(|text| *text = Some(info.to_string()));
            } else {
                usual(info);
            }
        }));
    });
}

/// How the names of the threads begin that run seeds; their panics are findings.
pub const WORKER: &str = "seeds";
