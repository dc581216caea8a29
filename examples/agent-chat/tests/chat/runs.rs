//! Runs that are cancelled, killed and stopped.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::page::{Page, ends_run};
use crate::server::Server;
use crate::{check_life_cycle, fixtures, of_type};

#[tokio::test]
async fn a_cancelled_run_ends_as_cancelled_and_the_next_question_is_answered() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("chat.sqlite"), &fixtures(), &["--pace-ms", "20"]).await;
    let mut page = Page::open(&server, "ada").await;
    let run = page.ask("m1", "Give me a tour of this project").await;
    page.until(|event| event["type"] == "message_delta").await;
    page.cancel("c1", &run).await;
    let end = page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    assert_eq!(end["type"], "agent_cancelled", "{end}");
    let events = page.of_run(&run);
    check_life_cycle(&events);
    assert!(of_type(&events, "message_completed").is_empty());
    assert!(of_type(&events, "agent_died").is_empty(), "each sub-agent is ended, not dropped");
    assert!(page.receipts.iter().any(|receipt| receipt["id"] == "c1" && receipt["status"] == "cancelled"));
    page.answer("m2", "Hello!").await;
}

#[tokio::test]
async fn a_cancel_ends_sub_agents_and_the_tool_calls_under_way() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("folder");
    // So much that the readers are far from their end when the cancel comes.
    for part in 0..10 {
        let part = folder.join(format!("part-{part}"));
        fs::create_dir_all(&part).unwrap();
        for file in 0..300 {
            fs::write(part.join(format!("{file}.md")), "# A part\n\nSome words.\n".repeat(50)).unwrap();
        }
    }
    let server = Server::start(&dir.path().join("chat.sqlite"), &folder, &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    let run = page.ask("m1", "Give me a tour of this project").await;
    page.until(|event| event["type"] == "agent_started" && event["parentRunId"].is_string()).await;
    page.cancel("c1", &run).await;
    let end = page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    assert_eq!(end["type"], "agent_cancelled", "{end}");
    let events = page.of_run(&run);
    check_life_cycle(&events);
    assert!(of_type(&events, "agent_died").is_empty(), "a sub-agent was dropped");
    assert!(of_type(&events, "agent_cancelled").len() > 1, "no sub-agent was at work");
    let failed: Vec<&Value> =
        of_type(&events, "tool_completed").into_iter().filter(|end| end["success"] == false).collect();
    assert!(failed.iter().all(|end| end["error"] == "the call was cancelled"), "{failed:?}");
}

#[tokio::test]
async fn a_killed_server_goes_on_where_it_was() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("chat.sqlite");
    let server = Server::start(&log, &fixtures(), &["--pace-ms", "20"]).await;
    let mut page = Page::open(&server, "ada").await;
    let run = page.ask("m1", "Give me a tour of this project").await;
    page.until(|event| event["type"] == "message_delta").await;
    let seen = page.events.clone();
    server.kill().await;

    let server = Server::start(&log, &fixtures(), &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    assert_eq!(page.events[..seen.len()], seen, "what was seen is still there");
    let end = page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    assert_eq!((&end["type"], &end["cause"]), (&json!("agent_died"), &json!("restarted")));
    page.answer("m2", "Which files mention backoff, and how often?").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_stop_is_clean() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("chat.sqlite");
    let server = Server::start(&log, &fixtures(), &["--pace-ms", "20"]).await;
    let mut page = Page::open(&server, "ada").await;
    let run = page.ask("m1", "Give me a tour of this project").await;
    page.until(|event| event["type"] == "message_delta").await;
    let (stopped, ()) = tokio::join!(server.terminate(), page.until_closed());
    assert_eq!(stopped, (Some(0), Vec::new()), "exit code and further lines");
    assert_eq!(page.closed, Some(4453));

    let server = Server::start(&log, &fixtures(), &["--pace-ms", "0"]).await;
    let mut page = Page::open(&server, "ada").await;
    let end = page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    assert_eq!((&end["type"], &end["cause"]), (&json!("agent_died"), &json!("shutdown")));
}
