//! The parts that take nothing but cargo and npm.

use std::path::PathBuf;

use anyhow::Result;

use crate::build::{self, Std, Variant};
use crate::context::Context;
use crate::docs;
use crate::fingerprint::files_below;
use crate::page;
use crate::setup;
use crate::test::report::{Report, counted};
use crate::test::{counts, links};

/// Rust is formatted.
pub fn fmt(ctx: &Context) -> Result<Report> {
    let advice = "the code is not formatted: run `cargo fmt --all`";
    ctx.cargo("test-fmt").args(["fmt", "--all", "--check", "--", "--color", "never"]).check(advice)?;
    Ok(Report::passed(""))
}

/// Lints, native and for wasm32.
pub fn clippy(ctx: &Context) -> Result<Report> {
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
    Ok(Report::passed("native and wasm32"))
}

/// TypeScript and JavaScript are formatted, and biome finds nothing.
pub fn ts_lint(ctx: &Context) -> Result<Report> {
    let advice =
        "biome found something: `xtask/npm/node_modules/.bin/biome check --write` corrects what it can";
    ctx.npm_tool("biome", "test-ts-lint")
        .args(["check", "--error-on-warnings", "--colors=off"])
        .check(advice)?;
    Ok(Report::passed(""))
}

/// The docs build without a warning, and every link leads somewhere.
pub fn docs(ctx: &Context) -> Result<Report> {
    ctx.cargo("test-docs")
        .args(["doc", "--locked", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .check("the docs have faults")?;
    docs::typescript(ctx)?;
    let (failures, links) = links::broken(&ctx.root)?;
    let failures = failures.into_iter().map(|link| format!("a link leads nowhere: {link}")).collect();
    Ok(Report { note: format!("crates, npm package, {links} links"), failures, ..Report::default() })
}

/// The core, compiled natively.
pub fn native(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "native", &["--package", "agentwire", "--features", "json"])
}

/// The server half with its table of events, and the example of a log. In one call, so that the bridge is compiled once.
pub fn bridge(ctx: &Context) -> Result<Report> {
    let packages =
        ["--package", "agentwire-bridge", "--package", "agentwire-events", "--package", "file-log"];
    cargo_test(ctx, "bridge", &[&packages[..], &["--features", "faults,testing"]].concat())
}

/// The server for backends in any language, on real sockets and files.
pub fn server(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "server", &["--package", "agentwire-server"])
}

/// Runs a slice of the simulation of bridge and core, apart from the tests of the bridge: it has a feature of its own.
pub fn bridge_sim(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "bridge-sim", &["--package", "agentwire-sim-bridge"])
}

/// The example server and its agent.
pub fn agent_chat(ctx: &Context) -> Result<Report> {
    cargo_test(ctx, "agent-chat", &["--package", "agent-chat"])
}

/// xtask, the proof with what it stands on, and the recorder page.
pub fn xtask(ctx: &Context) -> Result<Report> {
    let packages = ["xtask", "agentwire-events-generate", "agentwire-faults", "agentwire-proof"];
    let packages: Vec<&str> = packages.into_iter().flat_map(|package| ["--package", package]).collect();
    let mut report = cargo_test(ctx, "xtask", &packages)?;
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

/// The npm package, and its copy that can trap.
pub fn build_both(ctx: &Context) -> Result<Report> {
    let how = build::package(ctx, Variant::Default, Std::Auto)?;
    build::package(ctx, Variant::Trap, Std::Auto)?;
    Ok(Report::passed(&format!("{how} std")))
}

/// Types and unit tests of the npm package.
pub fn unit(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    counted(ctx.npm(&ctx.pkg(), "test-unit").arg("test"), counts::node)
}

/// The chat page's own tests: its fold, its comparison with the log.
pub fn page_unit(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    counted(ctx.npm(&page::folder(ctx), "test-page-unit").arg("test"), counts::node)
}

fn cargo_test(ctx: &Context, name: &str, args: &[&str]) -> Result<Report> {
    counted(
        ctx.cargo(&format!("test-{name}")).args(["test", "--locked", "--no-fail-fast"]).args(args),
        counts::cargo,
    )
}
