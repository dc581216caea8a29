//! The agent behind a bridge without sockets: questions wait in the log before the bridge starts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::log::{Fact, Log, Record};
use agentwire_bridge::{Bridge, Hs256, MemoryLog, StreamKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::tools::Folder;

/// One question for each plan, and one for what no plan expects.
const QUESTIONS: [&str; 14] = [
    "Which files mention backoff or retry, and how often?",
    "How many tests are there?",
    "Where is Backoff defined?",
    "Where is Backoff used?",
    "List files",
    "Show README.md lines 1 to 3",
    "Summarise README.md",
    "What is this project about?",
    "Give me a tour of this project",
    "What is a parcel?",
    "Compare receipt and backoff",
    "Why do couriers wait when the station restarts?",
    "find \"(\" in {a,b",
    "Hello!",
];

/// Asks each question in a stream of its own and returns the events of each.
async fn ask(folder: &Path, questions: &[&str]) -> Vec<Vec<Value>> {
    let log = MemoryLog::new();
    let keys: Vec<StreamKey> = (0..questions.len())
        .map(|index| StreamKey::new("ada", &format!("thread-{index}")).unwrap())
        .collect();
    for (key, question) in keys.iter().zip(questions) {
        let body = json!({ "type": "user_message", "content": question, "sendId": "m1", "user": "ada" });
        let waiting = Fact::Waiting {
            offset: 1,
            send_id: "m1".into(),
            subject: "ada".into(),
            is_queued: false,
            is_front: false,
        };
        let record = Record {
            seq: 1,
            first: 1,
            events: vec![body.to_string().into()],
            facts: vec![waiting],
            at_ms: 1,
            is_open: true,
        };
        log.append(key, 0, record.into()).await.unwrap();
    }
    let toolbox = Toolbox::new(Folder::open(folder).unwrap());
    let bridge = Bridge::builder()
        .log(log)
        .agent(FolderAgent::new(toolbox, Duration::ZERO))
        .authenticator(Hs256::new([0; 32]).unwrap())
        .inbox(false)
        .build()
        .await
        .unwrap();
    let mut answers = Vec::new();
    for key in &keys {
        answers.push(tokio::time::timeout(Duration::from_secs(30), read(&bridge, key)).await.unwrap());
    }
    bridge.shutdown().await;
    answers
}

/// Reads a stream until its first run, the one of the question, has ended.
async fn read(bridge: &Bridge, key: &StreamKey) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let next = events.len() as u64 + 1;
        let page = bridge.log().read(key, next, 1000, 1 << 20).await.unwrap();
        events.extend(page.bodies.iter().map(|body: &Arc<str>| serde_json::from_str::<Value>(body).unwrap()));
        let run = events.iter().find(|event| event["type"] == "agent_started").map(|event| &event["runId"]);
        let ends = ["agent_completed", "agent_error", "agent_cancelled", "agent_died"];
        if let Some(run) = run
            && events
                .iter()
                .any(|event| event["runId"] == *run && ends.iter().any(|end| event["type"] == *end))
        {
            return events;
        }
        tokio::task::yield_now().await;
    }
}

fn assert_completed(question: &str, events: &[Value]) {
    let last = events.last().unwrap();
    assert_eq!(last["type"], "agent_completed", "{question}: {last}");
    let message = events.iter().find(|event| event["type"] == "message_completed");
    let content = message.and_then(|message| message["content"].as_str()).unwrap_or_default();
    assert!(content.len() > 20, "{question}: {content:?}");
    for event in events.iter().filter(|event| event["type"] == "tool_completed") {
        assert!(event["success"].as_bool().is_some(), "{event}");
    }
}

#[tokio::test]
async fn every_question_is_answered_about_the_fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (question, events) in QUESTIONS.iter().zip(ask(&folder, &QUESTIONS).await) {
        assert_completed(question, &events);
    }
}

#[tokio::test]
async fn every_question_is_answered_about_an_empty_folder() {
    let folder = TempDir::new().unwrap();
    for (question, events) in QUESTIONS.iter().zip(ask(folder.path(), &QUESTIONS).await) {
        assert_completed(question, &events);
    }
}

#[tokio::test]
async fn the_same_question_gives_the_same_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let content = |events: &[Value]| {
        let message = events.iter().find(|event| event["type"] == "message_completed").unwrap();
        message["content"].as_str().unwrap().to_owned()
    };
    let question = "Give me a tour of this project";
    let answers = ask(&folder, &[question, question]).await;
    assert_eq!(content(&answers[0]), content(&answers[1]));
}
