//! The parts of the Rust toolchain beyond the host's own: the wasm32 target, and the source of std.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::run::{capture, step};

/// The target of everything a page loads.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Where the toolchain keeps, or would keep, the compiled std of [`TARGET`].
fn target_libdir() -> Result<PathBuf> {
    let folder = capture("rustc", &["--print", "target-libdir", "--target", TARGET])
        .context("Rust is needed: install it with rustup (https://rustup.rs)")?;
    Ok(PathBuf::from(folder))
}

pub(crate) fn target_missing() -> Result<bool> {
    Ok(!target_libdir()?.is_dir())
}

pub(crate) fn add_target(ctx: &Context) -> Result<()> {
    step(format!("adding the Rust target {TARGET}"), || {
        let failed = format!(
            "the Rust target {TARGET} can't be added; without rustup, install it by the system's packages"
        );
        ctx.tool("rustup", "setup-target").args(["target", "add", TARGET]).check(&failed)?;
        Ok(())
    })
}

/// Whether the source of std is here, after trying to add it. Nobody needs it: without it the module is larger.
pub(crate) fn std_source(ctx: &Context) -> Result<bool> {
    let libdir = target_libdir()?;
    // …/lib/rustlib/<target>/lib
    let Some(rustlib) = libdir.parent().and_then(Path::parent) else {
        return Ok(false);
    };
    let manifest = rustlib.join("src/rust/library/Cargo.lock");
    if !manifest.is_file() {
        let added = step("adding the source of std (rust-src)", || {
            ctx.tool("rustup", "setup-rust-src")
                .args(["component", "add", "rust-src"])
                .check("rust-src can't be added")
        });
        if let Err(error) = added {
            println!(
                "  going on with the prebuilt std: {}",
                error.to_string().lines().next().unwrap_or_default()
            );
        }
    }
    Ok(manifest.is_file())
}
