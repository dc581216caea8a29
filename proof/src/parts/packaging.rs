//! The package as a newcomer gets it: the tarball in bundlers, test runners, Node.js and a page without a bundler, the
//! quick start, a backend in Python with the server in front of it, and the snippets of the READMEs.

use std::env;
use std::time::Duration;

use anyhow::Result;
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::setup;
use xtask::test::counts;
use xtask::test::report::{Report, counted};

use super::libraries;
use super::page::chromium;
use crate::server::Server;
use crate::tarball::pack;

/// How long the tests may take, with the packages that they install: a minute and a half on two idle cores.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Packs the package and runs `tests/packaging` with the tarball and a chat server.
pub(crate) fn run(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    let tarball = pack(ctx, "packaging")?;
    // Together, as with the same features of its dependencies the bridge is compiled once for both.
    ctx.cargo("test-quick-start-build")
        .args(["build", "--locked", "--package", "agent-chat", "--package", "quick-start"])
        .check("the quick start can't be built")?;
    let quick_start = ctx.target.join("debug").join(format!("quick-start{}", env::consts::EXE_SUFFIX));
    let server = Server::start(ctx)?;
    let mut tests = ctx
        .tool("node", "test-packaging")
        .arg("--test")
        // Relative: Node takes these for patterns, in which the names of folders above may mean something else.
        .args(
            ["packaging", "importers", "quick-start", "backend", "persist", "slow"]
                .map(|name| format!("tests/packaging/{name}.test.js")),
        )
        .env("AGENTWIRE_TARBALL", tarball)
        .env("AGENTWIRE_TEST_WS", server.websocket())
        .env("AGENTWIRE_QUICK_START", quick_start)
        .env("AGENTWIRE_BRIDGE_BIN", libraries::server(ctx)?)
        .env("AGENTWIRE_PYTHON", setup::python::program(ctx, "python"))
        .env("AGENTWIRE_CHROMIUM", chromium()?)
        .time_limit(LIMIT);
    // Without it the tests in Firefox are skipped, and say so.
    if let Some((program, driver)) = setup::firefox().zip(setup::Browser::Firefox.driver(ctx)) {
        tests = tests.env("AGENTWIRE_FIREFOX", program).env("AGENTWIRE_GECKODRIVER", driver);
    }
    let report = counted(tests, counts::node)?;
    server.stop()?;
    Ok(report)
}
