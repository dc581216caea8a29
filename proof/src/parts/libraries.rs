//! The libraries that backends use: their tests, against the real server too, their types and their style.

use std::path::PathBuf;

use anyhow::Result;
use xtask::context::Context;
use xtask::setup::{Needs, python};
use xtask::test::counts;
use xtask::test::report::{Report, counted};

/// Names the server to the tests of a library.
const SERVER: &str = "AGENTWIRE_BRIDGE_BIN";

pub(super) fn needs_python() -> Needs {
    Needs { python: true, ..Needs::default() }
}

pub(super) fn needs_node() -> Needs {
    Needs { node_library: true, ..Needs::default() }
}

/// The library for Python.
pub(super) fn python(ctx: &Context) -> Result<Report> {
    let folder = python::library(ctx);
    let tool = |name: &str| ctx.tool(python::program(ctx, name), &format!("test-python-{name}")).dir(&folder);
    tool("ruff").args(["check", "."]).check("ruff finds something in clients/python")?;
    tool("ruff")
        .args(["format", "--check", "."])
        .check("clients/python is not formatted: run `ruff format`")?;
    tool("mypy").args(["--strict", "src"]).check("the types of clients/python have faults")?;
    counted(tool("pytest").args(["-q", "-p", "no:cacheprovider"]).env(SERVER, server(ctx)?), counts::pytest)
}

/// The library for Node.js.
pub(super) fn node(ctx: &Context) -> Result<Report> {
    let folder = ctx.root.join("clients/node");
    let npm = |name: &str| ctx.npm(&folder, &format!("test-node-{name}"));
    npm("check").args(["run", "check"]).check("clients/node has faults")?;
    counted(npm("test").arg("test").env(SERVER, server(ctx)?), counts::node)
}

/// The server, built.
pub(crate) fn server(ctx: &Context) -> Result<PathBuf> {
    ctx.cargo("build-server")
        .args(["build", "--locked", "--package", "agentwire-server", "--bin", "agentwire-bridge"])
        .check("the server can't be built")?;
    Ok(ctx.target.join("debug").join(format!("agentwire-bridge{}", std::env::consts::EXE_SUFFIX)))
}
