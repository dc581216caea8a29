//! The examples of `server/deploy` fit to the server and to each other, and `docs/SERVER.md` lists what is counted.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use agentwire_server::config::Config;

use super::support::read;

const NGINX: &str = include_str!("../../deploy/nginx.conf");
const UNIT: &str = include_str!("../../deploy/agentwire-bridge.service");
const DOCS: &str = include_str!("../../../docs/SERVER.md");

fn example() -> Config {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("backend.key"), "the-key-of-the-example-with-32-bytes\n").unwrap();
    fs::write(folder.path().join("webhook.secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let text = include_str!("../../deploy/agentwire.toml");
    read(&text.replace("/etc/agentwire", folder.path().to_str().unwrap()), &[], &[]).unwrap()
}

/// The number behind a word, such as the seconds of `TimeoutStopSec=`.
fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(word)).unwrap();
    line.trim().trim_end_matches(['s', ';']).parse().unwrap()
}

#[test]
fn the_example_for_production_fits_to_systemd_and_nginx() {
    let config = example();
    let limits = config.limits.limits();
    assert!(number(UNIT, "TimeoutStopSec=") > limits.shutdown_timeout.as_secs());
    assert!(number(UNIT, "LimitNOFILE=") > 2 * limits.max_connections as u64);
    assert!(number(NGINX, "proxy_read_timeout") > 2 * limits.heartbeat.as_secs());
    assert!(NGINX.contains(&format!("server {};", config.server.listen)));
    let state = UNIT.lines().find_map(|line| line.strip_prefix("StateDirectory=")).unwrap();
    assert_eq!(config.log.path.parent(), Some(Path::new("/var/lib").join(state).as_path()));
}

/// Names of metrics that stand between two marks.
fn names(text: &str, before: &str, after: char) -> BTreeSet<String> {
    let parts = text.split(before).skip(1).filter_map(|rest| rest.split_once(after));
    parts.filter(|(name, _)| name.starts_with("agentwire_")).map(|(name, _)| name.to_owned()).collect()
}

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_table_of_metrics_has_those_that_are_counted() {
    let mut code = include_str!("../../../bridge/src/measures.rs").to_owned();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let mut counted = BTreeSet::new();
    for call in ["counter!(\"", "histogram!(\"", "gauge!(\"", "now(\""] {
        let found = names(&code, call, '"');
        assert!(!found.is_empty() || call == "gauge!(\"", "nothing is counted with {call}");
        counted.extend(found);
    }
    let (_, section) = DOCS.split_once("\n### Metrics\n").unwrap();
    assert_eq!(names(section, "\n| `", '`'), counted);
}
