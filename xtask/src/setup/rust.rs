//! The parts of the Rust toolchain beyond the host's own: the wasm32 target, the source of std, and tools of the registry.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::lock::lock;
use crate::run::{capture, step};

/// The target of everything a page loads.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Where the toolchain keeps, or would keep, the compiled std of [`TARGET`].
fn target_libdir() -> Result<PathBuf> {
    let folder = capture("rustc", &["--print", "target-libdir", "--target", TARGET])
        .context("Rust is needed: install it with rustup (https://rustup.rs)")?;
    Ok(PathBuf::from(folder))
}

pub(super) fn target_missing() -> Result<bool> {
    Ok(!target_libdir()?.is_dir())
}

pub(super) fn add_target(ctx: &Context) -> Result<()> {
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

/// The program of a crate of the registry, built once into the cache.
pub fn installed(ctx: &Context, name: &str, version: &str) -> Result<PathBuf> {
    let folder = ctx.cache.join(format!("{name}-{version}"));
    let program = folder.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    let _lock =
        lock(&ctx.cache.join("setup.lock"), "another `cargo xtask` is setting things up; waiting for it")?;
    // The other run may have brought it.
    if !program.is_file() {
        let building = folder.with_extension("building");
        step(format!("building {name} {version} (once; kept in {})", folder.display()), || {
            ctx.cargo(&format!("setup-{name}"))
                .args(["install", name, "--version", version, "--locked", "--debug", "--root"])
                .arg(&folder)
                .env("CARGO_TARGET_DIR", &building)
                .check(&format!("{name} {version} can't be built"))
        })?;
        // Only space: what is left of it does no harm.
        let _gone = fs::remove_dir_all(&building);
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Crates that xtask and the chat server have with other features: they and few others are compiled twice.
    const TWICE: [&str; 5] = ["axum", "digest", "generic-array", "once_cell", "sha2"];

    /// The features of each crate that `package` is made of, by name and version.
    fn crates(package: &str) -> BTreeMap<String, String> {
        let tree = ["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{f}"];
        let args = [&tree[..], &["--package", package]].concat();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        capture(cargo, &args)
            .unwrap()
            .lines()
            .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
            .map(|(name, features)| (name.to_owned(), features.to_owned()))
            .collect()
    }

    /// One more feature on one side, and cargo compiles the crate twice on a first start, with all that depends on it.
    #[test]
    fn what_xtask_and_the_chat_server_share_is_compiled_once() {
        let (xtask, server) = (crates("xtask"), crates("agent-chat"));
        let shared: Vec<_> =
            xtask.iter().filter_map(|(name, own)| Some((name, own, server.get(name)?))).collect();
        assert!(shared.len() > 50, "only {} crates are shared", shared.len());
        let different: BTreeSet<_> = shared.iter().filter(|(_, own, other)| own != other).collect();
        let unexpected: Vec<_> = different
            .iter()
            .filter(|(name, ..)| !TWICE.iter().any(|known| name.starts_with(&format!("{known} v"))))
            .collect();
        assert!(
            unexpected.is_empty(),
            "name, features in xtask, features in agent-chat: {unexpected:#?}\nbring the manifests in xtask, proof/faults and examples/agent-chat into line"
        );
    }
}
