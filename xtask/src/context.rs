//! Where things are: the checkout, cargo's target folder, our own state, and the cache outside the checkout.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::Tool;

/// The paths that every command works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` in the checkout.
    pub target: PathBuf,
    /// What xtask remembers about this checkout: stamps, logs, locks. Always `target/xtask` in the checkout, because
    /// it tells about files of the checkout.
    pub state: PathBuf,
    /// Tools that outlive the checkout: `AGENTWIRE_CACHE`, else `agentwire` in the user's cache folder.
    pub cache: PathBuf,
    /// This program, for what it runs in a process of its own.
    pub program: PathBuf,
}

impl Context {
    /// Finds the checkout and makes the folders for state and logs.
    pub fn find() -> Result<Self> {
        let here = env::current_dir().context("the current folder can't be read")?;
        // `cargo run` sets the variable; a binary started by hand uses what it was built from.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .ancestors()
            .find(|folder| folder.join("xtask/bindgen/Cargo.toml").is_file())
            .with_context(|| {
                format!(
                    "{} is not in a checkout of agentwire; run `cargo xtask` inside one",
                    manifest.display()
                )
            })?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => here.join(folder),
            _ => root.join("target"),
        };
        let cache = match env::var_os("AGENTWIRE_CACHE") {
            Some(folder) if !folder.is_empty() => here.join(folder),
            _ => match dirs::cache_dir() {
                Some(folder) => folder.join("agentwire"),
                None => bail!("no folder for caches is known on this system; set AGENTWIRE_CACHE to one"),
            },
        };
        let state = root.join("target/xtask");
        for folder in [&state.join("logs"), &cache] {
            fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
        }
        let program = env::current_exe().context("the path of this program is not known")?;
        Ok(Self { root, target, state, cache, program })
    }

    /// The npm package.
    pub fn pkg(&self) -> PathBuf {
        self.root.join("pkg")
    }

    /// The benchmark: a driver, a server and pages.
    pub fn bench(&self) -> PathBuf {
        self.root.join("benches/browser")
    }

    /// The formatter, the linter and the maker of the reference: npm packages with a lock file of their own.
    pub(crate) fn npm_tools(&self) -> PathBuf {
        self.root.join("xtask/npm")
    }

    /// The copy of the npm package whose core can be made to trap.
    pub fn trap_pkg(&self) -> PathBuf {
        self.root.join("target/trap-pkg")
    }

    /// The log file for the step called `name`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    /// A command whose output goes to the log called `log`, run in the root of the checkout.
    pub fn tool(&self, program: impl AsRef<Path>, log: &str) -> Tool {
        Tool::new(program.as_ref(), self.log(log)).dir(&self.root)
    }

    /// Cargo, on this workspace and its target folder.
    pub fn cargo(&self, log: &str) -> Tool {
        let program = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        self.tool(program, log).env("CARGO_TARGET_DIR", &self.target).env("CARGO_TERM_PROGRESS_WHEN", "never")
    }

    /// npm, in `folder`.
    pub fn npm(&self, folder: &Path, log: &str) -> Tool {
        self.tool(script("npm"), log)
            .dir(folder)
            .env("npm_config_update_notifier", "false")
            .env("npm_config_fund", "false")
    }

    /// A program that an npm package of `pkg` brings, such as `wasm-opt`.
    pub fn npm_bin(&self, name: &str, log: &str) -> Tool {
        self.tool(self.pkg().join("node_modules/.bin").join(script(name)), log)
    }

    /// A program of [`Context::npm_tools`], such as `biome`.
    pub(crate) fn npm_tool(&self, name: &str, log: &str) -> Tool {
        self.tool(self.npm_tools().join("node_modules/.bin").join(script(name)), log)
    }
}

/// The file name of a program that npm installs as a script.
fn script(name: &str) -> String {
    if cfg!(windows) { format!("{name}.cmd") } else { name.to_owned() }
}
