//! The parts, in the order they run: what is quick to fail comes first.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::build::{self, Std, Variant};
use crate::context::Context;
use crate::fingerprint::files_below;
use crate::run::{Outcome, Tool};
use crate::setup::{self, Browser, Needs, Tools};
use crate::size;
use crate::test::Report;
use crate::test::counts::{self, Counts};
use crate::test::engines::{self, Scope};
use crate::test::package;
use crate::test::packaging;
use crate::test::page;

/// The slice of the demo's check that a test run does; `cargo xtask demo --check` alone does much more.
const SLICE: [&str; 6] = ["--events", "300", "--cuts", "8", "--reloads", "2"];

/// What the sabotaged servers do, and the check must notice. Events shown too early are found out only by a kill that
/// comes between their showing and their commit: one kill in eight misses that moment, so there are more.
const SABOTAGES: [(&str, &str); 4] = [("skip", "1"), ("repeat", "1"), ("swap", "1"), ("early", "5")];

/// How long the tests in a browser may take once they are compiled.
pub(super) const BROWSER_LIMIT: Duration = Duration::from_secs(4 * 60);

/// What stands before the findings of a check that judged.
const FOUND: &str = "the check found: ";

/// How long one run of the demo's check may take.
const DEMO_LIMIT: Duration = Duration::from_secs(5 * 60);

/// One part of a test run.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) needs: fn() -> Needs,
    pub(crate) run: fn(&Context) -> Result<Report>,
}

pub(crate) const PARTS: &[Part] = &[
    Part { name: "fmt", about: "Rust is formatted", needs: Needs::default, run: fmt },
    Part { name: "clippy", about: "lints, native and wasm32", needs: wasm_target, run: clippy },
    Part { name: "docs", about: "the docs build without a warning", needs: Needs::default, run: docs },
    Part { name: "native", about: "the core, compiled natively", needs: Needs::default, run: native },
    Part {
        name: "trial",
        about: "the oracle of the simulation finds every bug that is planted in a copy of the core",
        needs: Needs::default,
        run: crate::simulate::trial,
    },
    Part {
        name: "clauses",
        about: "each clause of the protocol has a test that names it",
        needs: Needs::default,
        run: crate::clauses::check,
    },
    Part {
        name: "fuzz",
        about: "the fuzz targets on their corpora",
        needs: Needs::default,
        run: crate::fuzz::replay,
    },
    Part {
        name: "bridge",
        about: "the server half, on real sockets and files",
        needs: Needs::default,
        run: bridge,
    },
    Part {
        name: "agent-chat",
        about: "the example server and its agent",
        needs: Needs::default,
        run: agent_chat,
    },
    Part {
        name: "xtask",
        about: "this tool, the delivery checker and the recorder page",
        needs: Needs::default,
        run: xtask,
    },
    Part {
        name: "build",
        about: "the npm package, and its copy that can trap",
        needs: Needs::build,
        run: build_both,
    },
    Part { name: "unit", about: "types and unit tests of the npm package", needs: Needs::build, run: unit },
    Part {
        name: "reader",
        about: "the package and the core read the same frames, and refuse the same",
        needs: Needs::build,
        run: crate::fuzz::reader::check,
    },
    Part {
        name: "page-unit",
        about: "how the chat page folds events and compares them with the log",
        needs: Needs::page,
        run: page_unit,
    },
    Part {
        name: "package",
        about: "the tarball: files, exports, types",
        needs: Needs::build,
        run: package_checks,
    },
    Part {
        name: "packaging",
        about: "the tarball in bundlers, test runners, Node.js and plain pages, and the snippets of the READMEs",
        needs: in_importers,
        run: packaging::run,
    },
    Part {
        name: "page",
        about: "the chat page as people and screen readers meet it, calm and under faults",
        needs: on_the_page,
        run: page::run,
    },
    Part {
        name: "wasm",
        about: "the core in a browser against a running server",
        needs: compiled_tests,
        run: wasm,
    },
    Part { name: "size", about: "what a page loads is within the budget", needs: sized, run: size_check },
    Part {
        name: "bench",
        about: "the benchmark runs, and every client gets every event once and in order",
        needs: crate::bench::needs,
        run: crate::bench::check,
    },
    Part {
        name: "e2e",
        about: "every event once and in order, across cuts, kills and reloads",
        needs: in_chromium,
        run: e2e,
    },
    Part {
        name: "trap",
        about: "the same when the wasm core traps and is started again",
        needs: in_chromium,
        run: trap,
    },
    Part {
        name: "sabotage",
        about: "a server that lies is found out, four times",
        needs: in_chromium,
        run: sabotage,
    },
];

fn wasm_target() -> Needs {
    Needs { target: true, ..Needs::default() }
}

fn in_chromium() -> Needs {
    Needs::browsers(&[Browser::Chromium])
}

fn compiled_tests() -> Needs {
    Needs { tools: Some(Tools::Both), ..in_chromium() }
}

fn in_pages() -> Needs {
    Needs { tests: true, ..in_chromium() }
}

fn in_importers() -> Needs {
    Needs { importers: true, ..in_pages() }
}

fn on_the_page() -> Needs {
    Needs { page: true, ..in_pages() }
}

fn sized() -> Needs {
    Needs { size: true, ..Needs::build() }
}

/// A report of commands that only pass or fail.
fn passed(note: &str) -> Report {
    Report { note: note.to_owned(), ..Report::default() }
}

fn fmt(ctx: &Context) -> Result<Report> {
    let advice = "the code is not formatted: run `cargo fmt --all`";
    ctx.cargo("test-fmt").args(["fmt", "--all", "--check", "--", "--color", "never"]).check(advice)?;
    Ok(passed(""))
}

fn clippy(ctx: &Context) -> Result<Report> {
    ctx.cargo("test-clippy")
        .args([
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "--deny",
            "warnings",
        ])
        .check("clippy found something in the native code")?;
    ctx.cargo("test-clippy-wasm")
        .args([
            "clippy",
            "--locked",
            "--package",
            "agentwire",
            "--target",
            setup::rust::TARGET,
            "--",
            "--deny",
            "warnings",
        ])
        .check("clippy found something in the code for wasm32")?;
    Ok(passed("native and wasm32"))
}

fn docs(ctx: &Context) -> Result<Report> {
    ctx.cargo("test-docs")
        .args(["doc", "--locked", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .check("the docs have faults")?;
    Ok(passed(""))
}

fn native(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "native", &["--package", "agentwire", "--features", "json"])
}

fn bridge(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "bridge", &["--package", "agentwire-bridge", "--features", "faults"])
}

fn agent_chat(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "agent-chat", &["--package", "agent-chat"])
}

fn xtask(ctx: &Context) -> Result<Report> {
    let mut report = cargo_test(ctx, "xtask", &["--package", "xtask", "--features", "checks"])?;
    let recorder =
        counted(ctx.tool("node", "test-recorder").arg("--test").args(recorder_tests(ctx)?), counts::node)?;
    report.counts = [report.counts, recorder.counts].into_iter().sum();
    report.failures.extend(recorder.failures);
    Ok(report)
}

/// The tests of the recorder page, one by one and relative to the checkout: what Node takes for a folder or a pattern
/// differs by version.
fn recorder_tests(ctx: &Context) -> Result<Vec<PathBuf>> {
    let files = files_below(&ctx.root.join("tests/e2e"))?;
    let tests = files.into_iter().filter(|file| file.to_string_lossy().ends_with(".test.js"));
    Ok(tests.map(|file| file.strip_prefix(&ctx.root).unwrap_or(&file).to_path_buf()).collect())
}

fn build_both(ctx: &Context) -> Result<Report> {
    let how = build::package(ctx, Variant::Default, Std::Auto)?;
    build::package(ctx, Variant::Trap, Std::Auto)?;
    Ok(passed(&format!("{how} std")))
}

fn unit(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    counted(ctx.npm(&ctx.pkg(), "test-unit").arg("test"), counts::node)
}

/// The chat page's own tests: its fold, its comparison with the log.
fn page_unit(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    counted(ctx.npm(&crate::page::folder(ctx), "test-page-unit").arg("test"), counts::node)
}

fn package_checks(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    package::check(ctx)
}

fn wasm(ctx: &Context) -> Result<Report> {
    engines::wasm_in(ctx, Browser::Chromium, Scope::Window)
}

fn size_check(ctx: &Context) -> Result<Report> {
    let sizes = size::check(ctx, Std::Auto, false)?;
    Ok(Report { note: sizes.summary, failures: sizes.failures, ..Report::default() })
}

fn e2e(ctx: &Context) -> Result<Report> {
    delivered(ctx, "test-e2e", &[])
}

fn trap(ctx: &Context) -> Result<Report> {
    delivered(ctx, "test-trap", &["--traps", "4"])
}

/// A slice of the demo's check, which must pass.
fn delivered(ctx: &Context, log: &str, more: &[&str]) -> Result<Report> {
    let outcome = demo(ctx, log, "1", more)?;
    if !outcome.success {
        return Err(outcome.error("the check of the demo failed"));
    }
    let note = last_line(&outcome).context("the demo's check did not end with its line")?;
    Ok(Report { counts: Counts::ONE, note: note.to_owned(), ..Report::default() })
}

fn sabotage(ctx: &Context) -> Result<Report> {
    let mut report = Report::default();
    for (kind, kills) in SABOTAGES {
        let outcome = demo(ctx, &format!("test-sabotage-{kind}"), kills, &["--sabotage", kind])?;
        match found_out(&outcome) {
            Ok(found) => {
                println!("  {kind}: {found}");
                report.counts.passed += 1;
            }
            Err(why) => {
                report.counts.failed += 1;
                report.failures.push(format!(
                    "{kind}: {why}\n{}    full output in {}",
                    outcome.tail(),
                    outcome.log.display()
                ));
            }
        }
    }
    report.note = SABOTAGES.map(|(kind, _)| kind).join(", ");
    Ok(report)
}

/// Runs a slice of the demo's check, by this same program so that its time limit ends all that it started.
fn demo(ctx: &Context, log: &str, kills: &str, more: &[&str]) -> Result<Outcome> {
    ctx.tool(&ctx.program, log)
        .args(["demo", "--check"])
        .args(SLICE)
        .args(["--kills", kills])
        .args(more)
        .time_limit(DEMO_LIMIT)
        .run()
}

/// The line that sums up a check of the demo that passed.
fn last_line(outcome: &Outcome) -> Option<&str> {
    outcome.output.lines().rev().find(|line| line.starts_with("demo: "))
}

/// Whether the check failed because of what the server did, and not because something else broke; says what it found.
fn found_out(outcome: &Outcome) -> Result<String, String> {
    if outcome.success {
        return Err("the check did not notice it".to_owned());
    }
    let found = outcome.output.lines().find_map(|line| line.split_once(FOUND)).map(|(_, found)| found.trim());
    match found {
        Some(found) if differences(found) > 0 => Ok(found.to_owned()),
        Some(found) => Err(format!("the check failed for another reason ({found})")),
        None => Err(format!("the check broke before it could judge ({})", outcome.end)),
    }
}

/// How many events were not as the log has them, in a text such as `3 lost, 0 duplicated, 1 recordings with holes`.
/// Holes in a recording are no fault of the server.
fn differences(found: &str) -> u64 {
    found
        .split(',')
        .filter_map(|part| part.trim().split_once(' '))
        .filter(|(_, what)| ["lost", "duplicated", "out of order", "gaps", "different"].contains(what))
        .filter_map(|(number, _)| number.parse::<u64>().ok())
        .sum()
}

fn cargo_test(ctx: &Context, name: &str, args: &[&str]) -> Result<Report> {
    counted(
        ctx.cargo(&format!("test-{name}")).args(["test", "--locked", "--no-fail-fast"]).args(args),
        counts::cargo,
    )
}

/// Runs a test runner and counts what it ran. None at all is a failure: it would hide that the tests are gone.
pub(crate) fn counted(tool: Tool, count: fn(&str) -> Counts) -> Result<Report> {
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

    #[test]
    fn a_sabotage_counts_as_found_only_when_the_check_judged() {
        let check = |success, output: &str| found_out(&outcome(success, output));
        let clean = "0 lost, 0 duplicated, 0 out of order, 0 gaps";
        let found = check(
            false,
            &format!(
                "error: the check found: {clean}, 3 different, 0 recordings with holes\n  first: life 1"
            ),
        );
        assert_eq!(found.unwrap(), format!("{clean}, 3 different, 0 recordings with holes"));
        assert_eq!(
            check(true, &format!("demo: 300 events: {clean}")).unwrap_err(),
            "the check did not notice it"
        );
        let holes =
            check(false, &format!("error: the check found: {clean}, 0 different, 2 recordings with holes"));
        assert!(holes.unwrap_err().starts_with("the check failed for another reason"));
        assert!(
            check(false, "error: chromedriver did not start")
                .unwrap_err()
                .starts_with("the check broke before")
        );
    }
}
