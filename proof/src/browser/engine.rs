//! How each engine is started and asked for a window.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use xtask::setup;
pub(crate) use xtask::setup::Browser as Engine;

/// Preferences that keep Firefox from talking to anybody and from asking anything.
const FIREFOX_PREFERENCES: [(&str, bool); 5] = [
    ("app.update.enabled", false),
    ("browser.shell.checkDefaultBrowser", false),
    ("datareporting.policy.dataSubmissionEnabled", false),
    ("network.captive-portal-service.enabled", false),
    ("network.connectivity-service.enabled", false),
];

/// What to start, and how to know the browser that comes of it.
#[derive(Debug)]
pub(super) struct Launch {
    /// Arguments of the driver.
    pub(super) args: Vec<String>,
    /// The port that the driver was told to use; without one it says which it took.
    pub(super) port: Option<u16>,
    pub(super) capabilities: Map<String, Value>,
    /// An argument that the browser has and no other process on this machine.
    pub(super) mark: String,
    /// The browser draws into an X display.
    pub(super) display: bool,
}

/// Plans a browser that keeps everything it writes in `profile`.
pub(super) fn launch(engine: Engine, profile: &Path) -> Result<Launch> {
    match engine {
        Engine::Chromium => Ok(chromium(profile)),
        Engine::Firefox => firefox(profile),
        Engine::Webkit => webkit(profile),
    }
}

fn chromium(profile: &Path) -> Launch {
    let mark = format!("--user-data-dir={}", profile.display());
    let mut options = json!({ "args": [
        "--headless=new",
        // Root, as on build machines, has no sandbox in Chromium.
        "--no-sandbox",
        "--disable-gpu",
        // Shared memory is small in containers.
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--disable-quic",
        mark,
    ] });
    // Without it the driver finds the browser that it was installed with.
    if let Ok(program) = std::env::var("CHROME") {
        options["binary"] = program.into();
    }
    Launch {
        args: vec!["--port=0".to_owned()],
        port: None,
        capabilities: capabilities("chrome", "goog:chromeOptions", options),
        mark,
        display: false,
    }
}

fn firefox(profile: &Path) -> Result<Launch> {
    let mark = profile.join("firefox").display().to_string();
    std::fs::create_dir(&mark).context("no folder for a profile can be made")?;
    let mut options = json!({
        "args": ["-headless", "-profile", mark],
        "prefs": Map::from_iter(FIREFOX_PREFERENCES.map(|(name, value)| (name.to_owned(), value.into()))),
    });
    if let Some(program) = setup::firefox() {
        options["binary"] = program.display().to_string().into();
    }
    Ok(Launch {
        args: ["--port", "0", "--websocket-port", "0"].map(str::to_owned).to_vec(),
        port: None,
        capabilities: capabilities("firefox", "moz:firefoxOptions", options),
        mark,
        display: false,
    })
}

fn webkit(profile: &Path) -> Result<Launch> {
    // Means nothing to an automated session, whose cookies are never stored, but names this browser.
    let mark = format!("--cookies-file={}", profile.join("cookies").display());
    let program = setup::mini_browser().context(
        "MiniBrowser is not installed; `cargo xtask setup --browsers webkit` brings it, or says how",
    )?;
    let options = json!({ "binary": program, "args": ["--automation", mark] });
    // The driver takes no port from the system, and does not say when it listens.
    let port = free_port().context("no free loopback port was found for WebKitWebDriver")?;
    Ok(Launch {
        args: vec![format!("--port={port}")],
        port: Some(port),
        capabilities: capabilities("MiniBrowser", "webkitgtk:browserOptions", options),
        mark,
        display: true,
    })
}

fn capabilities(name: &str, key: &str, options: Value) -> Map<String, Value> {
    Map::from_iter([("browserName".to_owned(), name.into()), (key.to_owned(), options)])
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The port in a line that a driver prints when it listens.
pub(super) fn port(line: &str) -> Option<u16> {
    let line = line.trim().trim_end_matches('.');
    let after = [" on port ", "Listening on 127.0.0.1:"].iter().find_map(|before| line.rsplit_once(before));
    after?.1.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_the_drivers_say() {
        assert_eq!(port("ChromeDriver was started successfully on port 34567.\n"), Some(34567));
        assert_eq!(port("1795172628797\tgeckodriver\tINFO\tListening on 127.0.0.1:34385"), Some(34385));
        assert_eq!(port("Starting ChromeDriver 156.0 (x) on port 0"), None);
        assert_eq!(port("Only local connections are allowed."), None);
    }

    #[test]
    fn each_browser_carries_its_mark() {
        for engine in [Engine::Chromium, Engine::Firefox, Engine::Webkit] {
            let profile = tempfile::tempdir().unwrap();
            // Without the browser there is nothing to plan.
            let Ok(launch) = launch(engine, profile.path()) else { continue };
            let options = launch.capabilities.values().find_map(|value| value["args"].as_array()).unwrap();
            assert!(options.iter().any(|argument| *argument == launch.mark), "{engine:?}");
            assert!(launch.mark.contains(&profile.path().display().to_string()), "{engine:?}");
        }
    }
}
