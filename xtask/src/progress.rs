//! Says what is being waited for: a line per step, with the time it has taken so far. Steps may run side by side.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// When a running step says for the first time how long it has taken, and how often after that.
const FIRST_TICK: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_secs(30);

/// How long a step that is mostly quick stays silent.
const SLOW: Duration = Duration::from_millis(1500);

/// Where steps are shown.
static SCREEN: Mutex<Screen> = Mutex::new(Screen { open: None });
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// The lines on the terminal, of which the last may be open.
struct Screen {
    /// The step that may go on in the last line.
    open: Option<u64>,
}

impl Screen {
    /// Returns what to print so that `step`, called `label`, can say `text`: in its own line, or in a new one that names it.
    fn say(&mut self, step: u64, label: &str, text: &str, last: bool) -> String {
        let before = match self.open {
            Some(open) if open == step => String::new(),
            Some(_) => format!("\n  {label} … "),
            None => format!("  {label} … "),
        };
        self.open = (!last).then_some(step);
        let after = if last { "\n" } else { "" };
        format!("{before}{text}{after}")
    }
}

/// Runs one step with a line that names it, says now and then how long it has taken, and says so when it is over.
pub fn step<T>(label: impl Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
    shown(&label.to_string(), Duration::ZERO, work)
}

/// The same for a step that is mostly quick, and is mentioned only when it is not.
pub(crate) fn step_if_slow<T>(label: impl Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
    shown(&label.to_string(), SLOW, work)
}

/// Runs two jobs side by side; both come to their end. The error of the first counts.
pub(crate) fn both<A, B: Send>(
    one: impl FnOnce() -> Result<A>,
    other: impl FnOnce() -> Result<B> + Send,
) -> Result<(A, B)> {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((one?, other?))
    })
}

fn shown<T>(label: &str, silent: Duration, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let step = LAST_ID.fetch_add(1, Ordering::Relaxed);
    let started = Instant::now();
    thread::scope(|scope| {
        let (over, is_over) = mpsc::channel::<()>();
        let ticker = scope.spawn(move || {
            if !silent.is_zero() && is_over.recv_timeout(silent) != Err(RecvTimeoutError::Timeout) {
                return false;
            }
            print(step, label, "", false);
            let mut tick = FIRST_TICK;
            while is_over.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                tick = TICK;
                print(step, label, &format!("{:.0} s … ", started.elapsed().as_secs_f64()), false);
            }
            true
        });
        let result = work();
        let seconds = started.elapsed().as_secs_f64();
        drop(over);
        let was_shown = ticker.join().unwrap_or(true);
        match result {
            Ok(_) if !was_shown => {}
            Ok(_) => print(step, label, &format!("{seconds:.1} s"), true),
            Err(_) => print(step, label, &format!("failed after {seconds:.1} s"), true),
        }
        result
    })
}

fn print(step: u64, label: &str, text: &str, last: bool) {
    let mut screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    print!("{}", screen.say(step, label, text, last));
    // A progress line that can't be shown stops nothing.
    let _shown = io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that was printed, one line after the other.
    fn said(lines: &[(u64, &str, bool)]) -> String {
        let mut screen = Screen { open: None };
        lines
            .iter()
            .map(|(step, text, last)| screen.say(*step, &format!("step {step}"), text, *last))
            .collect()
    }

    #[test]
    fn a_step_alone_stays_in_its_line() {
        let text = said(&[
            (1, "", false),
            (1, "15 s … ", false),
            (1, "17.0 s", true),
            (2, "", false),
            (2, "1.0 s", true),
        ]);
        assert_eq!(text, "  step 1 … 15 s … 17.0 s\n  step 2 … 1.0 s\n");
    }

    #[test]
    fn steps_side_by_side_name_themselves_again() {
        let text = said(&[
            (1, "", false),
            (2, "", false),
            (1, "15 s … ", false),
            (2, "16.0 s", true),
            (1, "20.0 s", true),
        ]);
        assert_eq!(
            text,
            "  step 1 … \n  step 2 … \n  step 1 … 15 s … \n  step 2 … 16.0 s\n  step 1 … 20.0 s\n"
        );
    }

    #[test]
    fn both_jobs_come_to_their_end() {
        let (first, second) = both(|| Ok(1), || Ok("two")).unwrap();
        assert_eq!((first, second), (1, "two"));
        let done = std::sync::atomic::AtomicBool::new(false);
        let error = both(
            || -> Result<()> { anyhow::bail!("one") },
            || {
                done.store(true, Ordering::Relaxed);
                Ok(())
            },
        );
        assert_eq!(error.unwrap_err().to_string(), "one");
        assert!(done.into_inner());
    }
}
