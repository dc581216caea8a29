//! The API reference of both halves: rustdoc for the crates that are published, typedoc for the npm package.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::run::step;
use crate::setup::{self, Needs};

/// The page that leads to both.
const INDEX: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>agentwire: reference</title>
<h1>agentwire: reference</h1>
<ul>
<li><a href="typescript/index.html">agentwire</a>, the npm package: the client in a page</li>
<li><a href="rust/doc/agentwire_bridge/index.html">agentwire-bridge</a>, the crate: the server half</li>
<li><a href="rust/doc/agentwire/index.html">agentwire</a>, the crate: the core of the client</li>
</ul>
</html>
"#;

/// Builds the reference and prints where it is.
///
/// # Errors
/// When the tools can't be brought, or one of them finds a fault.
pub(crate) fn run(ctx: &Context) -> Result<()> {
    setup::ensure(ctx, &needs())?;
    let folder = ctx.target.join("docs");
    step("documenting the crates", || rust(ctx, &folder.join("rust")))?;
    step("documenting the npm package", || typescript(ctx))?;
    let index = folder.join("index.html");
    fs::write(&index, INDEX).with_context(|| format!("{} can't be written", index.display()))?;
    println!("docs: {}", index.display());
    Ok(())
}

/// What the reference of the npm package is made with.
#[must_use]
pub fn needs() -> Needs {
    Needs { npm_tools: true, ..Needs::default() }
}

/// The crates, into `folder`. What is compiled on the way stays in the common target folder.
fn rust(ctx: &Context, folder: &Path) -> Result<()> {
    ctx.cargo("docs-rust")
        .args(["doc", "--locked", "--no-deps", "--package", "agentwire", "--package", "agentwire-bridge"])
        .args(["--features", "agentwire/json"])
        .env("CARGO_TARGET_DIR", folder)
        .env("CARGO_BUILD_BUILD_DIR", &ctx.target)
        .env("RUSTDOCFLAGS", "--deny warnings")
        .check("the docs of the crates have faults")?;
    Ok(())
}

/// The npm package. It need not be built for this. Any warning is an error, such as a link that leads nowhere.
pub(crate) fn typescript(ctx: &Context) -> Result<()> {
    ctx.npm_tool("typedoc", "docs-typescript")
        .arg("--options")
        .arg(ctx.npm_tools().join("typedoc.json"))
        .arg("--out")
        .arg(ctx.target.join("docs/typescript"))
        .check("the docs of the npm package have faults")?;
    Ok(())
}
