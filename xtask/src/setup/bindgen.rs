//! The wasm-bindgen tools, built once per version into the cache outside the checkout.
//!
//! The tool must equal the crate to the digit: they share an unstable format. So the version comes from `Cargo.lock`, and
//! the lock file of `xtask/bindgen` must name the same.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::context::Context;
use crate::fingerprint::Fingerprint;
use crate::run::step;

/// Makes the glue of the package.
pub(crate) const GLUE_MAKER: &str = "agentwire-bindgen";

/// Runs tests in browsers.
pub const TEST_RUNNER: &str = "agentwire-bindgen-test-runner";

/// Which of the tools a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tools {
    /// What a build needs.
    GlueMaker,
    /// The test runner with the glue maker: built together, they share what both are made of.
    Both,
}

impl Tools {
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::GlueMaker => &[GLUE_MAKER],
            Self::Both => &[GLUE_MAKER, TEST_RUNNER],
        }
    }
}

/// The version of wasm-bindgen that the SDK is locked to, which the tools are known to have too.
pub(crate) fn version(ctx: &Context) -> Result<String> {
    let read =
        |file: &Path| fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()));
    agreed(&read(&ctx.root.join("Cargo.lock"))?, &read(&ctx.root.join("xtask/bindgen/Cargo.lock"))?)
}

/// The path of one of the tools, by its name.
pub fn tool(ctx: &Context, name: &str) -> Result<PathBuf> {
    Ok(folder(ctx)?.join(format!("{name}{EXE_SUFFIX}")))
}

pub(super) fn missing(ctx: &Context, tools: Tools) -> Result<bool> {
    let folder = folder(ctx)?;
    Ok(tools.programs().iter().any(|name| !folder.join(format!("{name}{EXE_SUFFIX}")).is_file()))
}

pub(super) fn build(ctx: &Context, tools: Tools) -> Result<()> {
    let version = version(ctx)?;
    let folder = folder(ctx)?;
    let building = folder.with_extension("building");
    let what = match tools {
        Tools::GlueMaker => "wasm-bindgen",
        Tools::Both => "wasm-bindgen and its test runner",
    };
    let label = format!("building {what} {version} (once per version; kept in {})", folder.display());
    step(label, || {
        let failed = format!("the wasm-bindgen {version} tools can't be built");
        let features: &[&str] = if tools == Tools::Both { &["--features", "runner"] } else { &[] };
        ctx.cargo("setup-bindgen")
            .args(["build", "--locked"])
            .args(features)
            .arg("--manifest-path")
            .arg(ctx.root.join("xtask/bindgen/Cargo.toml"))
            .arg("--target-dir")
            .arg(&building)
            .check(&failed)?;
        fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
        for name in tools.programs() {
            let from = building.join("debug").join(format!("{name}{EXE_SUFFIX}"));
            let to = folder.join(format!("{name}{EXE_SUFFIX}"));
            fs::rename(&from, &to)
                .with_context(|| format!("{} can't be moved to {}", from.display(), to.display()))?;
        }
        // Only space: what is left of it does no harm.
        let _gone = fs::remove_dir_all(&building);
        Ok(())
    })
}

/// Where the tools are kept: apart for each version, and for each way to build and call them.
fn folder(ctx: &Context) -> Result<PathBuf> {
    let mut sources = Fingerprint::new();
    for path in ["Cargo.toml", "Cargo.lock", "src"] {
        sources = sources.tree(&ctx.root.join("xtask/bindgen").join(path))?;
    }
    let sources = sources.finish();
    Ok(ctx.cache.join(format!("bindgen-{}-{}", version(ctx)?, &sources[..8])))
}

/// The version that both lock files name.
fn agreed(workspace: &str, tools: &str) -> Result<String> {
    let library = locked(workspace, "wasm-bindgen").context("in Cargo.lock")?;
    let tool = locked(tools, "wasm-bindgen-cli").context("in xtask/bindgen/Cargo.lock")?;
    if library != tool {
        bail!(
            "Cargo.lock has wasm-bindgen {library}, but xtask/bindgen/Cargo.lock has wasm-bindgen-cli {tool}; they must be the \
             same to the digit: set both `wasm-bindgen` in Cargo.toml and `wasm-bindgen-cli` in xtask/bindgen/Cargo.toml to \
             \"={library}\" and run `cargo update` beside each"
        );
    }
    Ok(library)
}

/// The version of `package` in the text of a lock file.
fn locked(lock: &str, package: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(lock).context("the lock file can't be understood")?;
    let mut versions =
        lock.package.into_iter().filter(|entry| entry.name == package).map(|entry| entry.version);
    match (versions.next(), versions.next()) {
        (Some(version), None) => Ok(version),
        (None, _) => bail!("the lock file does not name {package}"),
        (Some(one), Some(two)) => {
            bail!("the lock file names {package} twice, {one} and {two}; bring it down to one")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let entries = packages
            .iter()
            .map(|(name, version)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n"));
        format!("version = 4\n\n{}", entries.collect::<String>())
    }

    #[test]
    fn equal_versions_agree() {
        let workspace = lock(&[("wasm-bindgen-macro", "0.2.9"), ("wasm-bindgen", "0.2.130")]);
        assert_eq!(agreed(&workspace, &lock(&[("wasm-bindgen-cli", "0.2.130")])).unwrap(), "0.2.130");
    }

    #[test]
    fn different_versions_are_an_error_that_names_both_and_what_to_do() {
        let error = agreed(&lock(&[("wasm-bindgen", "0.2.131")]), &lock(&[("wasm-bindgen-cli", "0.2.130")]))
            .unwrap_err()
            .to_string();
        for part in ["wasm-bindgen 0.2.131", "wasm-bindgen-cli 0.2.130", "\"=0.2.131\"", "cargo update"] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }

    #[test]
    fn a_package_that_is_absent_or_there_twice_is_an_error() {
        let twice = locked(&lock(&[("a", "1.0.0"), ("a", "2.0.0")]), "a").unwrap_err().to_string();
        assert_eq!(twice, "the lock file names a twice, 1.0.0 and 2.0.0; bring it down to one");
        assert_eq!(locked(&lock(&[]), "a").unwrap_err().to_string(), "the lock file does not name a");
    }

    #[test]
    fn the_lock_files_of_this_checkout_agree() {
        let ctx = Context::find().unwrap();
        assert!(!version(&ctx).unwrap().is_empty());
    }
}
