//! Browsers and their WebDriver programs.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::context::Context;
use crate::run::{capture, step};

/// geckodriver is no Debian package; this version drives the Firefox that Debian has.
const GECKODRIVER: &str = "0.37.1";

/// The engines that pages are tested in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Browser {
    Chromium,
    Firefox,
    Webkit,
}

/// Chromium's program: `CHROME`, else the first known name in `PATH`.
pub(crate) fn chromium() -> Option<PathBuf> {
    chosen("CHROME", &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
}

/// Chromium's driver: `CHROMEDRIVER`, else `chromedriver` in `PATH`.
pub(crate) fn chromedriver() -> Option<PathBuf> {
    chosen("CHROMEDRIVER", &["chromedriver"])
}

impl Browser {
    /// Whether the browser or its driver is absent.
    pub(crate) fn missing(self, ctx: &Context) -> bool {
        self.packages_missing() || (self == Self::Firefox && geckodriver(ctx).is_none())
    }

    /// Installs the browser where that can be done without asking: on Debian, as root.
    pub(crate) fn install(self, ctx: &Context) -> Result<()> {
        if self.packages_missing() {
            if !debian_root() {
                bail!("{}", self.advice());
            }
            step(format!("installing {}", self.packages().join(", ")), || {
                let apt = || ctx.tool("apt-get", "setup-apt").env("DEBIAN_FRONTEND", "noninteractive");
                apt().arg("update").check("`apt-get update` failed")?;
                apt()
                    .args(["install", "--yes", "--no-install-recommends"])
                    .args(self.packages())
                    .check(&format!("{} can't be installed by apt-get", self.packages().join(", ")))?;
                Ok(())
            })?;
        }
        if self == Self::Firefox && geckodriver(ctx).is_none() {
            step(format!("building geckodriver {GECKODRIVER} (once)"), || {
                ctx.cargo("setup-geckodriver")
                    .args([
                        "install",
                        "geckodriver",
                        "--version",
                        GECKODRIVER,
                        "--locked",
                        "--debug",
                        "--root",
                    ])
                    .arg(geckodriver_root(ctx))
                    .check("geckodriver can't be built")?;
                Ok(())
            })?;
        }
        if self.missing(ctx) {
            bail!("{}", self.advice());
        }
        Ok(())
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Chromium => &["chromium", "chromium-driver"],
            Self::Firefox => &["firefox-esr"],
            Self::Webkit => &["webkit2gtk-driver", "xvfb", "xauth"],
        }
    }

    fn packages_missing(self) -> bool {
        match self {
            Self::Chromium => chromium().is_none() || chromedriver().is_none(),
            Self::Firefox => chosen("FIREFOX", &["firefox-esr", "firefox"]).is_none(),
            Self::Webkit => {
                chosen("SAFARIDRIVER", &["WebKitWebDriver"]).is_none() || in_path("Xvfb").is_none()
            }
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Chromium => {
                "Chromium and its driver are needed: install both, or name the programs in CHROME and CHROMEDRIVER \
                 (on Debian: apt-get install chromium chromium-driver)"
            }
            Self::Firefox => {
                "Firefox is needed: install it, or name the program in FIREFOX (on Debian: apt-get install firefox-esr)"
            }
            Self::Webkit => {
                "WebKitWebDriver and Xvfb are needed: install both, or name the driver in SAFARIDRIVER \
                 (on Debian: apt-get install webkit2gtk-driver xvfb xauth)"
            }
        }
    }
}

fn geckodriver_root(ctx: &Context) -> PathBuf {
    ctx.cache.join(format!("geckodriver-{GECKODRIVER}"))
}

fn geckodriver(ctx: &Context) -> Option<PathBuf> {
    let built = geckodriver_root(ctx).join("bin/geckodriver");
    chosen("GECKODRIVER", &["geckodriver"]).or_else(|| built.is_file().then_some(built))
}

/// The program named by the environment variable `key`, else the first of `names` in `PATH`.
fn chosen(key: &str, names: &[&str]) -> Option<PathBuf> {
    match env::var_os(key) {
        Some(path) if !path.is_empty() => Some(PathBuf::from(path)).filter(|path| path.is_file()),
        _ => names.iter().find_map(|name| in_path(name)),
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

fn debian_root() -> bool {
    Path::new("/etc/debian_version").is_file() && capture("id", &["-u"]).is_ok_and(|id| id == "0")
}
