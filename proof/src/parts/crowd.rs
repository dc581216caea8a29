//! Many users and pages on one server: a slice of the long checks, and the sabotage that each of them has to notice.

use std::time::Duration;

use anyhow::Result;
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::run::Outcome;
use xtask::test::counts::{self, Counts};
use xtask::test::report::{Report, counted};

/// Users of the slice: two groups that share a thread each.
const USERS: &str = "24";

/// How long one slice may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Users who attack each other while they work; then the same on a server that leaks.
pub(super) fn isolation(ctx: &Context) -> Result<Report> {
    let honest = slice(ctx, "isolation", &["--users", USERS])?;
    let leaked = slice(ctx, "isolation-leak", &["--users", USERS, "--sabotage", "leak"])?;
    Ok(judge(&honest, &leaked, "isolation: ", |line| {
        line.rsplit_once(", ").and_then(|(_, foreign)| foreign.strip_suffix(" foreign")?.parse::<u64>().ok())
            > Some(0)
    }))
}

/// Pages that come and go for a third of a minute; then the same on a server that loses descriptors. That is too short to
/// judge memory.
pub(super) fn soak(ctx: &Context) -> Result<Report> {
    let honest = slice(ctx, "soak", &["--minutes", "0.35"])?;
    let lost = slice(ctx, "soak-descriptor", &["--minutes", "0.35", "--sabotage", "descriptor"])?;
    Ok(judge(&honest, &lost, "soak: ", |line| line.contains(" != ")))
}

/// A slice of the check of libraries and server; then the same with batches that are dropped, and with some that come twice.
pub(super) fn sidecar(ctx: &Context) -> Result<Report> {
    let honest = slice(ctx, "sidecar", &["--check", "--kills", "8"])?;
    let sabotaged = |kind: &'static str| {
        slice(ctx, &format!("sidecar-{kind}"), &["--check", "--kills", "2", "--sabotage", kind])
    };
    let is_found = |kind: &'static str| {
        move |line: &str| !line.contains(&format!(" 0 {kind}")) && line.contains(&format!(" {kind}"))
    };
    let mut report = judge(&honest, &sabotaged("drop")?, "sidecar: ", is_found("lost"));
    let twice = judge(&honest, &sabotaged("twice")?, "sidecar: ", is_found("duplicated"));
    report.counts.passed += twice.counts.passed.saturating_sub(1);
    report.counts.failed += twice.counts.failed;
    report.failures.extend(twice.failures);
    Ok(report)
}

/// Many real clients on one bridge: the built package, in Node.
pub(super) fn sessions(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    ctx.cargo("test-sessions-build")
        .args(["build", "--locked", "--package", "agentwire-stand"])
        .check("the server can't be built")?;
    let stand = ctx.target.join("debug").join(format!("agentwire-stand{}", std::env::consts::EXE_SUFFIX));
    let tests = ctx
        .tool("node", "test-sessions")
        // Node before version 22 has no socket without it.
        .args(["--experimental-websocket", "--test"])
        // Relative: Node takes it for a pattern, in which the names of folders above may mean something else.
        .arg("tests/sessions/sessions.test.js")
        .env("AGENTWIRE_STAND", stand)
        .time_limit(LIMIT);
    counted(tests, counts::node)
}

/// Runs a command of this same program, so that its time limit ends all that it started.
fn slice(ctx: &Context, name: &str, args: &[&str]) -> Result<Outcome> {
    let command = name.split_once('-').map_or(name, |(command, _)| command);
    ctx.tool(&ctx.program, &format!("test-{name}")).arg(command).args(args).time_limit(LIMIT).run()
}

/// The first has to succeed. The second has to fail, with a last line that shows that it failed for what was sabotaged.
fn judge(honest: &Outcome, sabotaged: &Outcome, line: &str, is_found: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    let last = |outcome: &Outcome| {
        outcome.output.lines().rev().find(|one| one.starts_with(line)).unwrap_or_default().to_owned()
    };
    let mut failures = Vec::new();
    if !honest.success {
        failures.push(honest.error("the check failed").to_string());
    }
    let found = last(sabotaged);
    if sabotaged.success || !is_found(&found) {
        failures.push(sabotaged.error(&format!("the sabotage was not noticed ({found:?})")).to_string());
    }
    let failed = failures.len() as u64;
    report.counts = Counts { passed: 2 - failed, failed, ignored: 0 };
    report.note = last(honest);
    report.failures = failures;
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(success: bool, output: &str) -> Outcome {
        Outcome { success, output: output.to_owned(), end: "exit status: 1".to_owned(), log: "x.log".into() }
    }

    #[test]
    fn a_sabotage_counts_as_found_only_when_the_check_says_so() {
        let honest = outcome(true, "isolation: 24 users, 9 events, 0 foreign\n");
        let is_found = |line: &str| line.ends_with("1 foreign");
        let failures = |leaked| judge(&honest, &leaked, "isolation: ", is_found).failures.len();
        assert_eq!(failures(outcome(false, "isolation: 24 users, 9 events, 1 foreign\nerror: x\n")), 0);
        assert_eq!(failures(outcome(true, "isolation: 24 users, 9 events, 1 foreign\n")), 1);
        assert_eq!(failures(outcome(false, "error: the server can't be built\n")), 1);
    }
}
