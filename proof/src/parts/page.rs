//! The chat page in a real browser: asked, disturbed, and read as people and screen readers meet it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::page;
use xtask::setup;
use xtask::test::counts;
use xtask::test::report::{Report, counted};

/// How long the tests may take once everything is built.
const LIMIT: Duration = Duration::from_secs(4 * 60);

/// Runs `tests/page`, which starts and stops the demo itself: how it does both is part of what is tested.
pub(crate) fn run(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    page::build(ctx)?;
    // Built here, so that the limit is for the tests alone.
    ctx.cargo("test-page-server")
        .args(["build", "--locked", "--package", "agent-chat"])
        .check("the example server can't be built")?;
    let tests = ctx
        .tool("node", "test-page")
        .arg("--test")
        // Relative: Node takes it for a pattern, in which the names of folders above may mean something else.
        .arg("tests/page/page.test.js")
        .env("AGENTWIRE_XTASK", &ctx.program)
        .env("AGENTWIRE_CHROMIUM", chromium()?)
        .time_limit(LIMIT);
    counted(tests, counts::node)
}

/// The browser that the tests drive.
pub(super) fn chromium() -> Result<PathBuf> {
    setup::chromium().context("Chromium is not installed; `cargo xtask setup` brings it, or says how")
}
