//! What came of one part, and of a test runner.

use anyhow::Result;

use crate::run::{Outcome, Tool};
use crate::test::counts::Counts;

/// What came of one part.
#[derive(Debug, Default)]
pub struct Report {
    /// Its tests by their end.
    pub counts: Counts,
    /// What was seen, in a few words for the table.
    pub note: String,
    /// Why the part failed; empty when it did not.
    pub failures: Vec<String>,
}

impl Report {
    /// A report of commands that only pass or fail.
    #[must_use]
    pub fn passed(note: &str) -> Self {
        Self { note: note.to_owned(), ..Self::default() }
    }
}

/// Runs a test runner and counts what it ran. None at all is a failure: it would hide that the tests are gone.
///
/// # Errors
/// When the runner can't be started.
pub fn counted(tool: Tool, count: fn(&str) -> Counts) -> Result<Report> {
    // A failed test says where it failed; the frames of its runner only hide that.
    let outcome = tool.env("RUST_BACKTRACE", "0").run()?;
    Ok(judge(&outcome, count(&outcome.output)))
}

fn judge(outcome: &Outcome, counts: Counts) -> Report {
    let mut report = Report { counts, ..Report::default() };
    if !outcome.success {
        let what = if counts.failed > 0 {
            format!("{} tests failed", counts.failed)
        } else {
            "the tests did not run through".to_owned()
        };
        report.failures.push(outcome.error(&what).to_string());
    } else if counts.ran() == 0 {
        report.failures.push(format!("no test ran; the output is in {}", outcome.log.display()));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(success: bool, output: &str) -> Outcome {
        Outcome { success, output: output.to_owned(), end: "exit status: 1".to_owned(), log: "x.log".into() }
    }

    #[test]
    fn a_runner_that_ran_nothing_has_failed() {
        let report = judge(&outcome(true, ""), Counts::default());
        assert_eq!(report.failures, ["no test ran; the output is in x.log"]);
    }

    #[test]
    fn a_runner_that_passed_has_no_failure() {
        assert!(judge(&outcome(true, ""), Counts::ONE).failures.is_empty());
    }

    #[test]
    fn a_runner_that_failed_says_how_many() {
        let report = judge(&outcome(false, "last words"), Counts { passed: 3, failed: 2, ignored: 0 });
        assert!(
            report.failures[0].starts_with("2 tests failed (exit status: 1)\n    last words"),
            "{:?}",
            report.failures
        );
        let report = judge(&outcome(false, "error: no"), Counts { passed: 3, failed: 0, ignored: 0 });
        assert!(report.failures[0].starts_with("the tests did not run through"), "{:?}", report.failures);
    }
}
