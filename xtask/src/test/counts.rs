//! How many tests ran, from what the runners print.

use std::iter::Sum;

/// Tests by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that passed.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were not run.
    pub ignored: u64,
}

impl Counts {
    /// One thing that passed and is not counted by a runner.
    pub const ONE: Self = Self { passed: 1, failed: 0, ignored: 0 };

    /// Tests that ran.
    pub fn ran(self) -> u64 {
        self.passed + self.failed
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, next| Self {
            passed: sum.passed + next.passed,
            failed: sum.failed + next.failed,
            ignored: sum.ignored + next.ignored,
        })
    }
}

/// Adds up the result lines of `cargo test`: one per test binary, one for the examples in the docs. The runner of
/// wasm-bindgen prints the same.
pub fn cargo(output: &str) -> Counts {
    output
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("test result: "))
        .map(|line| {
            let mut counts = Counts::default();
            // "ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s"
            for part in line.split(['.', ';']) {
                match part.trim().split_once(' ') {
                    Some((number, "passed")) => counts.passed = number.parse().unwrap_or(0),
                    Some((number, "failed")) => counts.failed = number.parse().unwrap_or(0),
                    Some((number, "ignored")) => counts.ignored = number.parse().unwrap_or(0),
                    _ => {}
                }
            }
            counts
        })
        .sum()
}

/// Reads the last line of pytest, such as `2 failed, 70 passed, 3 skipped in 9.50s`.
pub fn pytest(output: &str) -> Counts {
    let mut counts = Counts::default();
    let is_summary =
        |line: &&str| line.contains(" passed") || line.contains(" failed") || line.contains(" error");
    let Some(line) = output.lines().rev().find(is_summary) else { return counts };
    for part in line.trim_matches(['=', ' ']).split(" in ").next().unwrap_or_default().split(", ") {
        match part.split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().unwrap_or(0),
            Some((number, "failed" | "error" | "errors")) => {
                counts.failed += number.parse::<u64>().unwrap_or(1)
            }
            Some((number, "skipped")) => counts.ignored = number.parse().unwrap_or(0),
            _ => {}
        }
    }
    counts
}

/// Adds up the summaries of `node --test`, as TAP (`# pass 12`) or as its reporter for people prints them (`ℹ pass 12`).
pub fn node(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else {
            continue;
        };
        let Some((what, number)) = rest.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what {
            "pass" => counts.passed += number,
            "fail" | "cancelled" => counts.failed += number,
            "skipped" | "todo" => counts.ignored += number,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_pytest_is_counted() {
        let output = "....F [100%]\n=== short test summary info ===\n== 1 failed, 70 passed, 3 skipped, 1 error in 9.50s ==\n";
        assert_eq!(pytest(output), Counts { passed: 70, failed: 2, ignored: 3 });
        assert_eq!(pytest("12 passed in 0.10s"), Counts { passed: 12, failed: 0, ignored: 0 });
        assert_eq!(pytest("no tests ran in 0.01s"), Counts::default());
    }

    #[test]
    fn the_binaries_of_a_cargo_run_are_added_up() {
        let output = "\
     Running unittests src/lib.rs (target/debug/deps/a)

running 3 tests
test proto::ok ... ok
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s
   Doc-tests agentwire
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.31s
";
        assert_eq!(cargo(output), Counts { passed: 43, failed: 2, ignored: 1 });
    }

    #[test]
    fn a_run_in_a_browser_is_counted() {
        let output = "Running headless tests in Chrome on `http://127.0.0.1:1/`\n\
                      test result: ok. 3 passed; 0 failed; 0 ignored; 1 filtered out; finished in 0.03s\n";
        assert_eq!(cargo(output), Counts { passed: 3, failed: 0, ignored: 0 });
    }

    #[test]
    fn a_run_that_did_not_compile_counts_nothing() {
        assert_eq!(cargo("error[E0308]: mismatched types\n").ran(), 0);
        assert_eq!(node("SyntaxError: Unexpected token\n").ran(), 0);
    }

    #[test]
    fn both_reporters_of_node_are_counted() {
        let tap = "ok 1 - first\n# Subtest: pass 99\n1..2\n# tests 14\n# suites 0\n# pass 9\n# fail 2\n# cancelled 1\n# skipped 1\n# todo 1\n# duration_ms 51.2\n";
        assert_eq!(node(tap), Counts { passed: 9, failed: 3, ignored: 2 });
        assert_eq!(
            node("✔ first (0.5ms)\nℹ tests 5\nℹ pass 5\nℹ fail 0\n"),
            Counts { passed: 5, failed: 0, ignored: 0 }
        );
    }

    #[test]
    fn counts_add_up() {
        let sum: Counts = [Counts::ONE, Counts { passed: 1, failed: 2, ignored: 3 }].into_iter().sum();
        assert_eq!(sum, Counts { passed: 2, failed: 2, ignored: 3 });
    }
}
