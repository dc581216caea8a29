//! Browsers and their WebDriver programs.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::apt;
use crate::context::Context;
use crate::run::step;

/// geckodriver is no Debian package; this version drives the Firefox that Debian has.
const GECKODRIVER: &str = "0.37.1";

/// Where Debian puts the browser that WebKitWebDriver drives, below the folder of the machine's libraries.
const MINI_BROWSER: &str = "webkit2gtk-4.1/MiniBrowser";

/// The engines that pages are tested in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Browser {
    /// Chromium or Chrome, by chromedriver.
    Chromium,
    /// Firefox, by geckodriver.
    Firefox,
    /// WebKitGTK's MiniBrowser, by WebKitWebDriver, on a display of its own.
    Webkit,
}

/// Chromium's program: `CHROME`, else the first known name in `PATH`.
pub fn chromium() -> Option<PathBuf> {
    chosen("CHROME", &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
}

/// Chromium's driver: `CHROMEDRIVER`, else `chromedriver` in `PATH`.
fn chromedriver() -> Option<PathBuf> {
    chosen("CHROMEDRIVER", &["chromedriver"])
}

/// Firefox's program: `FIREFOX`, else the first known name in `PATH`.
pub fn firefox() -> Option<PathBuf> {
    chosen("FIREFOX", &["firefox-esr", "firefox"])
}

/// WebKit's driver: `SAFARIDRIVER`, as the test runner of wasm-bindgen calls it, else `WebKitWebDriver` in `PATH`.
fn webkit_driver() -> Option<PathBuf> {
    chosen("SAFARIDRIVER", &["WebKitWebDriver"])
}

/// WebKit's browser: `MINIBROWSER`, else the one that Debian has for this machine.
pub fn mini_browser() -> Option<PathBuf> {
    let library = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    chosen("MINIBROWSER", &[])
        .or_else(|| Some(Path::new(&library).join(MINI_BROWSER)).filter(|path| path.is_file()))
}

/// The X server that needs no screen.
pub fn xvfb() -> Option<PathBuf> {
    in_path("Xvfb")
}

impl Browser {
    /// Its name, as the command line takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }

    /// Its driver's program, if it is installed.
    pub fn driver(self, ctx: &Context) -> Option<PathBuf> {
        match self {
            Self::Chromium => chromedriver(),
            Self::Firefox => geckodriver(ctx),
            Self::Webkit => webkit_driver(),
        }
    }

    /// Whether the browser or its driver is absent.
    pub(super) fn missing(self, ctx: &Context) -> bool {
        self.packages_missing() || (self == Self::Firefox && geckodriver(ctx).is_none())
    }

    /// Installs the browser where that can be done without asking: on Debian, as root.
    pub(super) fn install(self, ctx: &Context) -> Result<()> {
        if self.packages_missing() {
            if !apt::is_possible() {
                bail!("{}", self.advice());
            }
            apt::install(ctx, self.packages())?;
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
            Self::Webkit => &["webkit2gtk-driver", "xvfb"],
        }
    }

    fn packages_missing(self) -> bool {
        match self {
            Self::Chromium => chromium().is_none() || chromedriver().is_none(),
            Self::Firefox => firefox().is_none(),
            Self::Webkit => webkit_driver().is_none() || mini_browser().is_none() || xvfb().is_none(),
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Chromium => {
                "Chromium and its driver are needed: install both, or name the programs in CHROME and CHROMEDRIVER \
                 (on Debian: apt-get install chromium chromium-driver)"
            }
            Self::Firefox => {
                "Firefox is needed: install it, or name the program in FIREFOX (on Debian: apt-get install firefox-esr); \
                 its driver is built by cargo"
            }
            Self::Webkit => {
                "WebKitWebDriver, its MiniBrowser and Xvfb are needed: install them, or name the first two in SAFARIDRIVER and \
                 MINIBROWSER (on Debian: apt-get install webkit2gtk-driver xvfb)"
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
