//! npm packages, exactly as a folder's `package-lock.json` names them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::fingerprint::Fingerprint;
use crate::run::{capture, step};

/// The oldest Node.js that the tools are tried with.
const NODE_MAJOR: u32 = 20;

/// Whether the packages of `folder` are absent, or are those of another lock file.
pub(super) fn missing(folder: &Path) -> Result<bool> {
    let lock = folder.join("package-lock.json");
    if !lock.is_file() {
        bail!("{} does not exist; write it with `npm install` in {}", lock.display(), folder.display());
    }
    let recorded = fs::read_to_string(record(folder)).unwrap_or_default();
    Ok(recorded != hash(folder)?)
}

pub(super) fn install(ctx: &Context, folder: &Path) -> Result<()> {
    node()?;
    let name = folder.strip_prefix(&ctx.root).unwrap_or(folder).display().to_string();
    step(format!("installing the npm packages of {name}"), || {
        let log = format!("setup-npm-{}", name.replace(['/', '\\'], "-"));
        ctx.npm(folder, &log)
            .args(["ci", "--no-audit", "--ignore-scripts"])
            .check(&format!("`npm ci` in {name} failed"))?;
        let record = record(folder);
        fs::write(&record, hash(folder)?).with_context(|| format!("{} can't be written", record.display()))
    })
}

/// Says what to install when Node.js is missing or too old.
pub(crate) fn node() -> Result<()> {
    let advice = format!(
        "Node.js {NODE_MAJOR} or newer with npm is needed: install it from https://nodejs.org or the system's packages"
    );
    let version = capture("node", &["--version"]).context(advice.clone())?;
    match major(&version) {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => bail!("{advice}; this is {version}"),
    }
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The hash of the lock file that the packages in `node_modules` came from.
fn record(folder: &Path) -> PathBuf {
    folder.join("node_modules/.agentwire-lock")
}

fn hash(folder: &Path) -> Result<String> {
    Ok(Fingerprint::new().tree(&folder.join("package-lock.json"))?.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("v8.0.0\n"), Some(8));
        assert_eq!(major("20.1"), None);
        assert_eq!(major(""), None);
    }

    #[test]
    fn packages_of_another_lock_file_count_as_missing() {
        let folder = std::env::temp_dir().join(format!("xtask-npm-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        fs::write(folder.join("package-lock.json"), "{}").unwrap();
        assert!(missing(&folder).unwrap());
        fs::write(record(&folder), hash(&folder).unwrap()).unwrap();
        assert!(!missing(&folder).unwrap());
        fs::write(folder.join("package-lock.json"), "{ }").unwrap();
        assert!(missing(&folder).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        assert!(missing(&folder).unwrap_err().to_string().contains("npm install"));
    }
}
