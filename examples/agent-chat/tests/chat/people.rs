//! What people do while the agent works: they approve, change, deny, steer and ask again.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::page::{Page, ends_run};
use crate::server::Server;
use crate::{check_life_cycle, content, fixtures, of_type};

const ASK_FIRST: &str = "Ask me before you search for backoff";

async fn page(dir: &TempDir, pace: &str) -> (Server, Page) {
    let server = Server::start(&dir.path().join("chat.sqlite"), &fixtures(), &["--pace-ms", pace]).await;
    let page = Page::open(&server, "ada").await;
    (server, page)
}

/// The question that a run asks, and its events once it has ended.
async fn answered(page: &mut Page, answer: Value) -> (Value, Vec<Value>) {
    let run = page.ask("m1", ASK_FIRST).await;
    let asked = page.until(|event| event["type"] == "approval_requested").await;
    page.approve(&asked, answer).await;
    page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    let events = page.of_run(&run);
    check_life_cycle(&events);
    (asked, events)
}

#[tokio::test]
async fn a_search_is_made_as_the_user_changed_it() {
    let dir = TempDir::new().unwrap();
    let (_server, mut page) = page(&dir, "0").await;
    let edited = json!({ "pattern": "station", "regex": false, "glob": "src/**", "limit": 2 });
    let answer = json!({ "decision": "approved", "editedArgs": edited });
    let (asked, events) = answered(&mut page, answer).await;
    assert_eq!(asked["args"], json!({ "pattern": "backoff", "regex": false, "limit": 5 }));
    assert_eq!(asked["editable"], true);
    let calls = of_type(&events, "tool_executing");
    assert_eq!((calls.len(), &calls[0]["args"]), (1, &edited));
    assert!(content(&events).contains("found `station` in 2 lines"), "{}", content(&events));
}

#[tokio::test]
async fn a_denied_search_is_not_made() {
    let dir = TempDir::new().unwrap();
    let (_server, mut page) = page(&dir, "0").await;
    let (_, events) = answered(&mut page, json!({ "decision": "denied", "reason": "not now" })).await;
    assert!(of_type(&events, "tool_executing").is_empty());
    let answer = content(&events);
    assert!(answer.contains("I searched nothing") && answer.contains("> not now"), "{answer}");
}

#[tokio::test]
async fn a_failure_says_what_to_do_and_asking_again_works() {
    let dir = TempDir::new().unwrap();
    let (_server, mut page) = page(&dir, "0").await;
    let run = page.ask("m1", "Show me a failure").await;
    let end = page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    assert_eq!((&end["code"], &end["retryAfterMs"]), (&json!("asked_to_fail"), &json!(3_000)));
    let events = page.of_run(&run);
    let reported: Vec<&Value> =
        of_type(&events, "agent_error").into_iter().filter(|error| error["recoverable"] == true).collect();
    assert_eq!(reported.len(), 1);
    assert_eq!(of_type(&events, "tool_completed")[0]["success"], false);
    for error in [reported[0], &end] {
        assert!(
            error["suggestions"].as_array().is_some_and(|suggestions| !suggestions.is_empty()),
            "{error}"
        );
    }

    let again = page.ask_again("m2", "Show me a failure", &run).await;
    page.until(|event| event["runId"] == again.as_str() && event["type"] == "agent_completed").await;
}

#[tokio::test]
async fn a_tour_is_steered_while_it_is_told() {
    let dir = TempDir::new().unwrap();
    let (_server, mut page) = page(&dir, "20").await;
    let run = page.ask("m1", "Give me a tour of this project").await;
    page.until(|event| event["type"] == "message_delta").await;
    page.steer("m2", &run, "skip src").await;
    page.until(|event| event["type"] == "steering_taken" && event["sendId"] == "m2").await;
    page.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
    let events = page.of_run(&run);
    let told = content(&events);
    assert!(told.contains("without `src`, as you wished"), "{told}");
    assert!(told.contains("## src\n\nLeft out, as you wished."), "{told}");
    assert!(told.contains("## tests\n\n**"), "{told}");
}
