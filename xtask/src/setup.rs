//! Brings what a command needs: idempotent, and fast when nothing is missing.

mod bindgen;
mod browsers;
mod npm;
pub(crate) mod rust;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub(crate) use bindgen::{GLUE_MAKER, TEST_RUNNER, Tools, tool as bindgen_tool, version as bindgen_version};
pub(crate) use browsers::{Browser, chromium, firefox, mini_browser, xvfb};
pub(crate) use npm::node;

use crate::context::Context;
use crate::page;
use crate::run::both;

/// What a command needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needs {
    /// The wasm32 target.
    pub(crate) target: bool,
    /// Tools of wasm-bindgen.
    pub(crate) tools: Option<Tools>,
    /// The npm packages of `pkg/`.
    pub(crate) npm: bool,
    /// The npm packages of `xtask/size/`.
    pub(crate) size: bool,
    /// The npm packages of the chat page.
    pub(crate) page: bool,
    /// The npm packages of `tests/page/`.
    pub(crate) tests: bool,
    /// The npm packages of `tests/packaging/importers/`.
    pub(crate) importers: bool,
    /// The npm packages of `benches/browser/`.
    pub(crate) bench: bool,
    /// Browsers and their drivers.
    pub(crate) browsers: Vec<Browser>,
}

impl Needs {
    /// What building the package takes.
    pub(crate) fn build() -> Self {
        Self { target: true, tools: Some(Tools::GlueMaker), npm: true, ..Self::default() }
    }

    /// What building the chat page takes.
    pub(crate) fn page() -> Self {
        Self { page: true, ..Self::build() }
    }

    /// What building the package and running it in `browsers` takes.
    pub(crate) fn browsers(browsers: &[Browser]) -> Self {
        Self { browsers: browsers.to_vec(), ..Self::build() }
    }
}

/// One thing that can be missing.
enum Piece {
    Target,
    Tools(Tools),
    Npm(PathBuf),
    Browser(Browser),
}

impl Piece {
    fn is_missing(&self, ctx: &Context) -> Result<bool> {
        match self {
            Self::Target => rust::target_missing(),
            Self::Tools(tools) => bindgen::missing(ctx, *tools),
            Self::Npm(folder) => npm::missing(folder),
            Self::Browser(browser) => Ok(browser.missing(ctx)),
        }
    }

    fn bring(&self, ctx: &Context) -> Result<()> {
        match self {
            Self::Target => rust::add_target(ctx),
            Self::Tools(tools) => bindgen::build(ctx, *tools),
            Self::Npm(folder) => npm::install(ctx, folder),
            Self::Browser(browser) => browser.install(ctx),
        }
    }
}

/// Brings what is missing of `needs`. Two runs at the same time take turns.
pub(crate) fn ensure(ctx: &Context, needs: &Needs) -> Result<()> {
    if missing(ctx, needs)?.is_empty() {
        return Ok(());
    }
    let _lock =
        lock(&ctx.cache.join("setup.lock"), "another `cargo xtask` is setting things up; waiting for it")?;
    // Asked again: the other run may have brought it. The network and the compiler work side by side.
    let (compiled, fetched): (Vec<_>, Vec<_>) =
        missing(ctx, needs)?.into_iter().partition(|piece| matches!(piece, Piece::Target | Piece::Tools(_)));
    let bring = |pieces: Vec<Piece>| pieces.iter().try_for_each(|piece| piece.bring(ctx));
    both(|| bring(compiled), || bring(fetched)).map(drop)
}

fn missing(ctx: &Context, needs: &Needs) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    if needs.target {
        pieces.push(Piece::Target);
    }
    pieces.extend(needs.tools.map(Piece::Tools));
    if needs.npm {
        pieces.push(Piece::Npm(ctx.pkg()));
    }
    if needs.size {
        pieces.push(Piece::Npm(ctx.root.join("xtask/size")));
    }
    if needs.page {
        pieces.push(Piece::Npm(page::folder(ctx)));
    }
    if needs.tests {
        pieces.push(Piece::Npm(ctx.root.join("tests/page")));
    }
    if needs.importers {
        pieces.push(Piece::Npm(ctx.root.join("tests/packaging/importers")));
    }
    if needs.bench {
        pieces.push(Piece::Npm(ctx.bench()));
    }
    pieces.extend(needs.browsers.iter().copied().map(Piece::Browser));
    let mut absent = Vec::new();
    for piece in pieces {
        if piece.is_missing(ctx)? {
            absent.push(piece);
        }
    }
    Ok(absent)
}

/// Holds the lock `file` until the answer is dropped; says `waiting` when that takes a while.
pub(crate) fn lock(file: &Path, waiting: &str) -> Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file)
        .with_context(|| format!("{} can't be opened", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            println!("  {waiting}");
            lock.lock().with_context(|| format!("{} can't be locked", file.display()))?;
            Ok(lock)
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} can't be locked", file.display()))
        }
    }
}
