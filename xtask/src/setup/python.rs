//! A Python of our own: a virtual environment with the library for Python, and with what checks it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::apt;
use crate::context::Context;
use crate::fingerprint::Fingerprint;
use crate::run::{capture, step};

const ADVICE: &str = "Python 3.11 or newer with its module venv is needed: install it from https://www.python.org or the system's \
     packages (on Debian: apt-get install python3 python3-venv)";

/// The oldest Python that the library runs on.
const OLDEST: (u32, u32) = (3, 11);

/// The library for Python.
pub fn library(ctx: &Context) -> PathBuf {
    ctx.root.join("clients/python")
}

/// A program of the environment, such as `python`.
pub fn program(ctx: &Context, name: &str) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    environment(ctx).join(folder).join(name)
}

fn environment(ctx: &Context) -> PathBuf {
    ctx.state.join("python")
}

/// Whether the environment is absent, or has other packages.
pub(super) fn missing(ctx: &Context) -> Result<bool> {
    Ok(fs::read_to_string(record(ctx)).unwrap_or_default() != hash(ctx)?)
}

/// Makes the environment.
pub(super) fn install(ctx: &Context) -> Result<()> {
    let system = interpreter(ctx)?;
    let environment = environment(ctx);
    step("installing Python packages".to_owned(), || {
        if environment.exists() {
            fs::remove_dir_all(&environment)
                .with_context(|| format!("{} can't be removed", environment.display()))?;
        }
        let make = || ctx.tool(&system, "setup-venv").args(["-m", "venv"]).arg(&environment).run();
        if !make()?.success {
            // Debian has the module in a package of its own.
            if !apt::is_possible() {
                bail!("{ADVICE}");
            }
            apt::install(ctx, &["python3-venv"])?;
            if !make()?.success {
                bail!("{ADVICE}");
            }
        }
        ctx.tool(program(ctx, "python"), "setup-pip")
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"])
            .arg(library(ctx).join("requirements-dev.txt"))
            .arg("--editable")
            .arg(library(ctx))
            .check("the Python packages can't be installed")?;
        fs::write(record(ctx), hash(ctx)?)
            .with_context(|| format!("{} can't be written", record(ctx).display()))
    })
}

/// The Python of the system.
fn interpreter(ctx: &Context) -> Result<PathBuf> {
    let found = || capture("python3", &["--version"]).ok();
    let version = match found() {
        None if apt::is_possible() => {
            apt::install(ctx, &["python3", "python3-venv"])?;
            found()
        }
        version => version,
    };
    match version.as_deref().map(number) {
        Some(Some(number)) if number >= OLDEST => Ok(Path::new("python3").to_path_buf()),
        Some(_) => bail!("{ADVICE}; this is {}", version.unwrap_or_default()),
        None => bail!("{ADVICE}"),
    }
}

fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().strip_prefix("Python ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The hash of what the packages were installed from.
fn record(ctx: &Context) -> PathBuf {
    environment(ctx).join("agentwire-packages")
}

fn hash(ctx: &Context) -> Result<String> {
    let library = library(ctx);
    let made_of = Fingerprint::new()
        .tree(&library.join("requirements-dev.txt"))?
        .tree(&library.join("pyproject.toml"))?
        // The environment has paths in it.
        .text(&environment(ctx).display().to_string());
    Ok(made_of.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(number("Python 3.11.7"), Some((3, 11)));
        assert!(number("Python 3.9.2").is_some_and(|old| old < OLDEST));
        assert_eq!(number("2.7"), None);
    }
}
