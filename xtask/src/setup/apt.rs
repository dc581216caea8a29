//! Packages of Debian, where they can be installed without asking.

use std::path::Path;

use anyhow::Result;

use crate::context::Context;
use crate::run::{capture, step};

/// Whether packages can be installed: on Debian, as root.
pub(super) fn is_possible() -> bool {
    Path::new("/etc/debian_version").is_file() && capture("id", &["-u"]).is_ok_and(|id| id == "0")
}

/// Installs packages.
pub(super) fn install(ctx: &Context, packages: &[&str]) -> Result<()> {
    let names = packages.join(", ");
    step(format!("installing {names}"), || {
        let apt = || ctx.tool("apt-get", "setup-apt").env("DEBIAN_FRONTEND", "noninteractive");
        apt().arg("update").check("`apt-get update` failed")?;
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages)
            .check(&format!("{names} can't be installed by apt-get"))?;
        Ok(())
    })
}
