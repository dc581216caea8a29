//! What is said is what the files say.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::page::Page;
use crate::server::Server;
use crate::{check_life_cycle, content, fixtures, of_type, texts};

#[tokio::test]
async fn counts_in_the_answer_are_those_of_the_files() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("chat.sqlite"), &fixtures(), &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    let events = page.answer("m1", "Which files mention backoff, and how often?").await;
    check_life_cycle(&events);

    let expected: BTreeMap<String, usize> = texts(&fixtures())
        .into_iter()
        .map(|(path, text)| (path, text.to_lowercase().matches("backoff").count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let total: usize = expected.values().sum();
    assert!(expected.len() > 3 && total > 10, "the fixtures are about backoff");

    let call =
        of_type(&events, "tool_executing").into_iter().find(|call| call["toolName"] == "count").unwrap();
    assert_eq!(call["args"]["pattern"], "backoff");
    let result = of_type(&events, "tool_completed")
        .into_iter()
        .find(|end| end["toolCallId"] == call["toolCallId"])
        .map(|end| end["result"].clone())
        .unwrap();
    let counted: BTreeMap<String, usize> = result["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["path"].as_str().unwrap().to_owned(), file["count"].as_u64().unwrap() as usize))
        .collect();
    assert_eq!(counted, expected);
    assert_eq!(result["total"], total);
    assert_eq!(result["filesSearched"], texts(&fixtures()).len());

    let answer = content(&events);
    assert!(answer.contains(&format!("**{total} times** in **{} files**", expected.len())), "{answer}");
    for (path, count) in &expected {
        assert!(answer.contains(&format!("| `{path}` | {count} |\n")), "{path}: {answer}");
    }
    let rows = answer.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, expected.len(), "no other file is named");

    let stored = &page.events[0];
    assert_eq!((&stored["type"], &stored["sendId"]), (&json!("user_message"), &json!("m1")));
    assert_eq!(page.receipts[0]["status"], "accepted");
}

#[tokio::test]
async fn a_tour_is_long_and_has_a_sub_agent_for_each_part() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("chat.sqlite"), &fixtures(), &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    let events = page.answer("m1", "Give me a tour of this project").await;
    check_life_cycle(&events);
    assert!((300..=900).contains(&events.len()), "{} events", events.len());

    let files = texts(&fixtures());
    let mut parts: Vec<&str> =
        files.keys().filter_map(|path| path.split_once('/')).map(|(top, _)| top).collect();
    parts.dedup();
    let readers: Vec<&Value> = of_type(&events, "agent_started")
        .into_iter()
        .filter(|event| event["parentRunId"].is_string())
        .collect();
    assert_eq!(readers.len(), parts.len() + 1, "one for each folder and one for the files at the top");
    let answer = content(&events);
    for part in parts {
        assert!(answer.contains(&format!("## {part}\n")), "{part}: {answer}");
    }
    assert!(answer.contains(&format!("**{} text files**", files.len())), "{answer}");
}

#[tokio::test]
async fn every_kind_of_question_is_answered_from_the_files() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("chat.sqlite"), &fixtures(), &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    let table: [(&str, &[&str]); 14] = [
        (
            "How many receipts are there?",
            &["`receipts` stands **1 time**", "With the singular `receipt`, it is "],
        ),
        ("Where is Backoff defined?", &["pub struct Backoff {", "`src/retry.rs`"]),
        ("Where is Backoff used?", &["`tests/retry.rs`", "let mut backoff"]),
        ("List the files in docs/", &["**3 text files**", "| `docs/backoff.md` |"]),
        ("Show config/defaults.toml lines 3 to 6", &["[retry]", "backoff_base_ms = 500", "lines 3 to 6"]),
        ("read retry.rs", &["Several files are called `retry.rs`", "`src/retry.rs`"]),
        ("Summarise notes/outage.md", &["On the night of the fourteenth", "`What happened` (line 5)"]),
        ("What is this project about?", &["Courier carries small parcels", "| `docs` | 3 |"]),
        ("What is a parcel?", &["| **parcel** | one piece of data from a sensor"]),
        ("Compare receipt and backoff", &["| mentions |", "config/defaults.toml"]),
        ("Why did the sensors of Zürich break the station?", &["notes/outage.md", "Zürich"]),
        ("Which files mention 🚚?", &["**1 time** in **1 file**", "| `notes/outage.md` | 1 |"]),
        ("What is a blockchain?", &["`blockchain` does not stand in 13 files", "You can ask, for example"]),
        ("Hello!", &["You can ask, for example", "Which files mention backoff"]),
    ];
    for (index, (question, parts)) in table.into_iter().enumerate() {
        let events = page.answer(&format!("m{index}"), question).await;
        check_life_cycle(&events);
        let answer = content(&events);
        for part in parts {
            assert!(answer.contains(part), "{question:?}\n  lacks {part:?}\n  in {answer}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_fails_does_not_end_the_run() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret.txt"), "do not tell").unwrap();
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.txt"), "hello").unwrap();
    let server = Server::start(&outside.path().join("chat.sqlite"), &folder, &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    for (id, question) in [("m1", "read ../secret.txt"), ("m2", "show /etc/hostname")] {
        let events = page.answer(id, question).await;
        check_life_cycle(&events);
        let ends = of_type(&events, "tool_completed");
        assert_eq!((ends.len(), &ends[0]["success"]), (1, &json!(false)), "{question}");
        assert!(ends[0]["error"].as_str().unwrap().contains("leads out of the folder"), "{}", ends[0]);
        assert!(content(&events).contains("leads out of the folder"));
    }
    assert!(!json!(page.events).to_string().contains("do not tell"));
}

#[tokio::test]
async fn the_agent_cannot_read_the_log_or_the_secret() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.txt"), "hello").unwrap();
    let server = Server::start(&dir.path().join("chat.sqlite"), dir.path(), &["--pace-ms", "0"]).await;
    let secret = fs::read_to_string(dir.path().join("chat.sqlite.secret")).unwrap();
    let mut page = Page::open(&server, "ada").await;
    page.answer("m1", "list files").await;
    page.answer("m2", "read ./chat.sqlite.secret").await;
    page.answer("m3", "read chat.sqlite.secret").await;
    let listed = of_type(&page.events, "tool_completed")[0]["result"]["files"].clone();
    assert_eq!(listed, json!([{ "path": "a.txt", "bytes": 5 }]));
    assert!(!json!(page.events).to_string().contains(&secret));
}
