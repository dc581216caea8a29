//! The parts, in the order they run: what is quick to fail comes first.

use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::docs;
use xtask::run::Outcome;
use xtask::setup::{Browser, Needs, Tools};
use xtask::test::counts::Counts;
use xtask::test::report::Report;
use xtask::test::{Part, basics};

use crate::engines::{self, Scope};
#[cfg(target_os = "linux")]
use crate::hostile;
#[cfg(unix)]
use crate::load;
use crate::{bench, clauses, events, fuzz, simulate, size};

mod crowd;
mod libraries;
mod package;
mod packaging;
mod page;

pub(crate) use self::libraries::server;

/// The slice of the demo's check that a test run does; `cargo xtask demo --check` alone does much more.
const SLICE: [&str; 6] = ["--events", "300", "--cuts", "8", "--reloads", "2"];

/// What the sabotaged servers do, and the check must notice. Events shown too early are found out only by a kill that
/// comes between their showing and their commit: one kill in eight misses that moment, so there are more.
const SABOTAGES: [(&str, &str); 4] = [("skip", "1"), ("repeat", "1"), ("swap", "1"), ("early", "5")];

/// What stands before the findings of a check that judged.
const FOUND: &str = "the check found: ";

/// How long one run of the demo's check may take.
const DEMO_LIMIT: Duration = Duration::from_secs(5 * 60);

/// All parts.
pub(crate) const PARTS: &[Part] = &[
    Part { name: "fmt", about: "Rust is formatted", needs: Needs::default, run: basics::fmt },
    Part { name: "clippy", about: "lints, native and wasm32", needs: wasm_target, run: basics::clippy },
    Part {
        name: "ts-lint",
        about: "TypeScript and JavaScript are formatted, and biome finds nothing",
        needs: docs::needs,
        run: basics::ts_lint,
    },
    Part {
        name: "docs",
        about: "the docs build without a warning, and every link leads somewhere",
        needs: docs::needs,
        run: basics::docs,
    },
    Part { name: "native", about: "the core, compiled natively", needs: Needs::default, run: basics::native },
    Part {
        name: "trial",
        about: "the oracle of the simulation finds every bug that is planted in a copy of the core",
        needs: Needs::default,
        run: simulate::trial,
    },
    Part {
        name: "clauses",
        about: "each clause of the protocol has a test that names it",
        needs: Needs::default,
        run: clauses::check,
    },
    Part {
        name: "events",
        about: "what is made from the table of event types is up to date",
        needs: Needs::default,
        run: events::check,
    },
    Part {
        name: "fuzz",
        about: "the fuzz targets on their corpora",
        needs: Needs::default,
        run: fuzz::replay,
    },
    Part {
        name: "bridge",
        about: "the server half on real sockets and files, and the example of a log",
        needs: Needs::default,
        run: basics::bridge,
    },
    Part {
        name: "server",
        about: "the server for backends in any language: its API, deliveries, tokens, keys and configuration, also behind nginx",
        needs: behind_nginx,
        run: basics::server,
    },
    Part {
        name: "python",
        about: "the library for Python, against the real server too: tests, types, style",
        needs: libraries::needs_python,
        run: libraries::python,
    },
    Part {
        name: "node",
        about: "the library for Node.js, against the real server too: tests, types, style",
        needs: libraries::needs_node,
        run: libraries::node,
    },
    Part {
        name: "bridge-sim",
        about: "the bridge and the core together, in virtual time and under faults",
        needs: Needs::default,
        run: basics::bridge_sim,
    },
    #[cfg(target_os = "linux")]
    Part {
        name: "hostile",
        about: "a slice of the attacks on a server, with an honest user beside each",
        needs: Needs::default,
        run: hostile::slice,
    },
    Part {
        name: "agent-chat",
        about: "the example server and its agent",
        needs: Needs::default,
        run: basics::agent_chat,
    },
    Part {
        name: "xtask",
        about: "this tool, the delivery checker and the recorder page",
        needs: npm,
        run: basics::xtask,
    },
    Part {
        name: "isolation",
        about: "users who attack each other get nothing that is not theirs, and a server that leaks is found out",
        needs: Needs::default,
        run: crowd::isolation,
    },
    Part {
        name: "soak",
        about: "pages that come and go leave no descriptor and no handle, and a server that loses some is found out",
        needs: Needs::default,
        run: crowd::soak,
    },
    Part {
        name: "build",
        about: "the npm package, and its copy that can trap",
        needs: Needs::build,
        run: basics::build_both,
    },
    Part {
        name: "unit",
        about: "types and unit tests of the npm package",
        needs: Needs::build,
        run: basics::unit,
    },
    Part {
        name: "reader",
        about: "the package and the core read the same frames, and refuse the same",
        needs: Needs::build,
        run: fuzz::reader::check,
    },
    Part {
        name: "sessions",
        about: "25 and 100 clients at once: nothing lost, nothing of others, each run whole and begun in time",
        needs: Needs::build,
        run: crowd::sessions,
    },
    Part {
        name: "sidecar",
        about: "backends in Python and Node.js through the server to pages, all of them killed; lies in between are found out",
        needs: crate::sidecar::needs,
        run: crowd::sidecar,
    },
    Part {
        name: "page-unit",
        about: "how the chat page folds events and compares them with the log",
        needs: Needs::page,
        run: basics::page_unit,
    },
    Part {
        name: "package",
        about: "the tarball: files, exports, types",
        needs: Needs::build,
        run: package_checks,
    },
    Part {
        name: "packaging",
        about: "the tarball in bundlers, test runners, Node.js and plain pages; the quick start; a backend in Python; the READMEs' snippets",
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
        needs: bench::needs,
        run: bench::check,
    },
    #[cfg(unix)]
    Part {
        name: "load",
        about: "the measurement of the bridge runs, and every page gets every event once and in order",
        needs: load::needs,
        run: load::check,
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

/// The recorder page takes a development tool of the package.
fn npm() -> Needs {
    Needs { npm: true, ..Needs::default() }
}

fn behind_nginx() -> Needs {
    Needs { nginx: true, ..Needs::default() }
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
    Needs { importers: true, python: true, ..in_pages() }
}

fn on_the_page() -> Needs {
    Needs { page: true, ..in_pages() }
}

fn sized() -> Needs {
    Needs { size: true, ..Needs::build() }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn outcome(success: bool, output: &str) -> Outcome {
        Outcome { success, output: output.to_owned(), end: "exit status: 1".to_owned(), log: "x.log".into() }
    }

    #[test]
    fn parts_have_names_of_their_own() {
        let names: BTreeSet<&str> = PARTS.iter().map(|part| part.name).collect();
        assert_eq!(names.len(), PARTS.len());
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
