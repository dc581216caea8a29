//! Builds the chat page of `examples/agent-chat`.

use std::path::PathBuf;

use anyhow::Result;

use crate::context::Context;
use crate::fingerprint::{Fingerprint, Stamp};
use crate::run::step;

/// What the page is made of, below its folder.
const SOURCES: [&str; 6] =
    ["index.html", "package-lock.json", "public", "src", "tsconfig.json", "vite.config.ts"];

/// Where the page's sources are.
pub fn folder(ctx: &Context) -> PathBuf {
    ctx.root.join("examples/agent-chat/page")
}

/// Brings the page up to date and says where it is. The set-up, and the package it imports, are the caller's.
pub fn build(ctx: &Context) -> Result<PathBuf> {
    let (folder, stamp) = (folder(ctx), ctx.state.join("page.stamp"));
    let out = folder.join("dist");
    let mut inputs = Fingerprint::new().tree(&ctx.pkg().join("dist"))?.tree(&ctx.pkg().join("wasm"))?;
    for source in SOURCES {
        inputs = inputs.tree(&folder.join(source))?;
    }
    let inputs = inputs.finish();
    if Stamp::current(&stamp, &inputs, &out).is_some() {
        return Ok(out);
    }
    step("building the chat page", || {
        ctx.npm(&folder, "build-page").args(["run", "build"]).check("the chat page can't be built")
    })?;
    let outputs = Fingerprint::new().tree(&out)?.finish();
    Stamp { inputs, outputs, how: String::new() }.write(&stamp)?;
    Ok(out)
}
