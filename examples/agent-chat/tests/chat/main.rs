//! The real binary, a real WebSocket, real files.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod answers;
mod page;
mod people;
mod runs;
mod server;
mod serving;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use page::ends_run;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for `future`, but not forever.
async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("it takes too long")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Every file below `folder` with its text, by its path with `/`.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(relative, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// The text of the answer, which the deltas must add up to.
fn content(events: &[Value]) -> String {
    let completed = of_type(events, "message_completed");
    assert_eq!(completed.len(), 1, "one message");
    let deltas: String = of_type(events, "message_delta")
        .iter()
        .filter(|delta| delta["messageId"] == completed[0]["messageId"])
        .map(|delta| delta["text"].as_str().unwrap())
        .collect();
    assert_eq!(deltas, completed[0]["content"], "the deltas add up to the message");
    deltas
}

/// What must hold for the events of every run.
fn check_life_cycle(events: &[Value]) {
    let runs: Vec<&str> =
        of_type(events, "agent_started").iter().map(|event| event["runId"].as_str().unwrap()).collect();
    for run in runs {
        let own: Vec<&Value> = events.iter().filter(|event| event["runId"] == run).collect();
        assert_eq!(own[0]["type"], "agent_started", "{run}");
        assert!(ends_run(own[own.len() - 1]), "{run} ends with its last event");
        assert_eq!(own.iter().filter(|event| ends_run(event)).count(), 1, "{run} ends once");
    }
    let mut open = Vec::new();
    for event in events {
        let call = event["toolCallId"].as_str();
        if event["type"] == "tool_executing" {
            assert!(event["purpose"].as_str().is_some_and(|purpose| !purpose.is_empty()), "{event}");
            open.push(call.unwrap());
        } else if event["type"] == "tool_completed" {
            let place = open.iter().position(|open| Some(*open) == call).expect("the call was started once");
            open.remove(place);
        }
    }
    assert!(open.is_empty(), "calls without an end: {open:?}");
    for thinking in of_type(events, "agent_thinking") {
        let (step, total) = (thinking["step"].as_u64().unwrap(), thinking["totalSteps"].as_u64().unwrap());
        assert!(step >= 1 && step <= total, "{thinking}");
        assert!((0.0..=100.0).contains(&thinking["progress"].as_f64().unwrap()), "{thinking}");
    }
}
