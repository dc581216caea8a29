//! The package in the benchmark: the tarball that npm would publish, installed beside the peers.

use std::fs;

use anyhow::{Context as _, Result};
use xtask::context::Context;
use xtask::fingerprint::Fingerprint;
use xtask::run::step;

use crate::tarball::pack;

/// Packs the package and installs it for the pages, unless exactly that is there.
pub(crate) fn package(ctx: &Context) -> Result<()> {
    let tarball = pack(ctx, "bench/tarball")?;
    let modules = ctx.bench().join("node_modules");
    // In the folder that `npm ci` replaces, so that it goes when the package goes.
    let record = modules.join(".agentwire-tarball");
    let hash = Fingerprint::new().tree(&tarball)?.finish();
    let is_there = modules.join("agentwire/package.json").is_file();
    if is_there && fs::read_to_string(&record).is_ok_and(|recorded| recorded == hash) {
        return Ok(());
    }
    step("installing the package for the pages", || {
        ctx.npm(&ctx.bench(), "bench-install")
            .args(["install", "--no-save", "--no-audit", "--ignore-scripts", "--prefer-offline"])
            .arg(&tarball)
            .check("the package can't be installed")?;
        fs::write(&record, &hash).with_context(|| format!("{} can't be written", record.display()))
    })
}
