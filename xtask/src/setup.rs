//! Brings what a command needs: idempotent, and fast when nothing is missing.

mod apt;
mod bindgen;
mod browsers;
mod npm;
pub mod python;
pub mod rust;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use bindgen::{GLUE_MAKER, version as bindgen_version};
pub use bindgen::{TEST_RUNNER, Tools, tool as bindgen_tool};
pub use browsers::{Browser, chromium, firefox, mini_browser, xvfb};
pub(crate) use npm::node;

use crate::context::Context;
use crate::lock::lock;
use crate::page;
use crate::run::{both, capture};

/// What a command needs.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// The wasm32 target.
    pub target: bool,
    /// Tools of wasm-bindgen.
    pub tools: Option<Tools>,
    /// The npm packages of `pkg/`.
    pub npm: bool,
    /// The npm packages of `proof/size/`.
    pub size: bool,
    /// The npm packages of the chat page.
    pub page: bool,
    /// The npm packages of `tests/page/`.
    pub tests: bool,
    /// The npm packages of `tests/packaging/importers/`.
    pub importers: bool,
    /// The npm packages of `benches/browser/`.
    pub bench: bool,
    /// The npm packages of `xtask/npm/`.
    pub npm_tools: bool,
    /// The npm packages of `clients/node/`.
    pub node_library: bool,
    /// Python, and the packages of `clients/python/`.
    pub python: bool,
    /// nginx, where it can be installed; elsewhere its tests say that it is missing.
    pub nginx: bool,
    /// Browsers and their drivers.
    pub browsers: Vec<Browser>,
}

impl Needs {
    /// What building the package takes.
    pub fn build() -> Self {
        Self { target: true, tools: Some(Tools::GlueMaker), npm: true, ..Self::default() }
    }

    /// What building the chat page takes.
    pub fn page() -> Self {
        Self { page: true, ..Self::build() }
    }

    /// What building the package and running it in `browsers` takes.
    pub fn browsers(browsers: &[Browser]) -> Self {
        Self { browsers: browsers.to_vec(), ..Self::build() }
    }
}

/// One thing that can be missing.
enum Piece {
    Target,
    Tools(Tools),
    Npm(PathBuf),
    Python,
    Nginx,
    Browser(Browser),
}

impl Piece {
    fn is_missing(&self, ctx: &Context) -> Result<bool> {
        match self {
            Self::Target => rust::target_missing(),
            Self::Tools(tools) => bindgen::missing(ctx, *tools),
            Self::Npm(folder) => npm::missing(folder),
            Self::Python => python::missing(ctx),
            Self::Nginx => Ok(apt::is_possible() && capture("nginx", &["-v"]).is_err()),
            Self::Browser(browser) => Ok(browser.missing(ctx)),
        }
    }

    fn bring(&self, ctx: &Context) -> Result<()> {
        match self {
            Self::Target => rust::add_target(ctx),
            Self::Tools(tools) => bindgen::build(ctx, *tools),
            Self::Npm(folder) => npm::install(ctx, folder),
            Self::Python => python::install(ctx),
            Self::Nginx => apt::install(ctx, &["nginx-light"]),
            Self::Browser(browser) => browser.install(ctx),
        }
    }
}

/// Brings what is missing of `needs`. Two runs at the same time take turns.
///
/// # Errors
/// When something can't be had; the error says how to get it.
pub fn ensure(ctx: &Context, needs: &Needs) -> Result<()> {
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
        pieces.push(Piece::Npm(ctx.root.join("proof/size")));
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
    if needs.node_library {
        pieces.push(Piece::Npm(ctx.root.join("clients/node")));
    }
    if needs.nginx {
        pieces.push(Piece::Nginx);
    }
    if needs.python {
        pieces.push(Piece::Python);
    }
    if needs.npm_tools {
        pieces.push(Piece::Npm(ctx.npm_tools()));
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
