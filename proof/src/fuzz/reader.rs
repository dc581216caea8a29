//! Fuzzes the reader of the npm package, which is TypeScript, against the core's own reader of JSON: `pkg/test/fuzz/reader.ts`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::context::Context;
use xtask::run::step;
use xtask::setup::{self, Needs};
use xtask::test::counts::Counts;
use xtask::test::report::Report;

use crate::simulate;

/// Its name beside the targets of libFuzzer.
pub(super) const NAME: &str = "reader";

/// Messages of the slice in a test run.
const SLICE: u64 = 20_000;

/// What its last line begins with.
const LINE: &str = "reader: ";

/// Reads messages alike on both sides for so many seconds; returns its last line.
pub(super) fn hunt(ctx: &Context, seed: u32, seconds: u64) -> Result<String> {
    setup::ensure(ctx, &Needs { npm: true, ..Needs::default() })?;
    step("compiling the package's tests (tsc)", || {
        ctx.npm_bin("tsc", "fuzz-tsc")
            .arg("-p")
            .arg(ctx.pkg().join("tsconfig.test.json"))
            .check("the tests of the package can't be compiled")
    })?;
    run(ctx, &["--seconds", &seconds.to_string(), "--seed", &seed.to_string()], seconds)
}

/// The slice of a test run. The tests of the package were compiled before.
pub(crate) fn check(ctx: &Context) -> Result<Report> {
    let note = run(ctx, &["--texts", &SLICE.to_string()], 60)?;
    Ok(Report { counts: Counts::ONE, note, ..Report::default() })
}

fn run(ctx: &Context, args: &[&str], seconds: u64) -> Result<String> {
    let outcome = ctx
        .tool("node", "fuzz-reader")
        .arg(ctx.pkg().join(".test/test/fuzz/reader.js"))
        .arg("--peer")
        .arg(simulate::frame_reader(ctx)?)
        .arg("--vectors")
        .arg(ctx.root.join("tests/vectors/protocol.json"))
        .args(args)
        .time_limit(Duration::from_secs(seconds + 120))
        .check("the package's reader and the core's disagree")?;
    let line = outcome.output.lines().rev().find_map(|line| line.strip_prefix(LINE));
    line.map(str::to_owned).context("the fuzzing of the reader did not end with its line")
}
