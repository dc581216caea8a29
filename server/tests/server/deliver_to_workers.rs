//! Deliveries to workers that hold a connection.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Lines, Page, Running};

const WORKER: &str = "deliver.mode = \"worker\"\ndeliver.lease_ms = 1000\ndeliver.give_up_after_ms = 20000";

async fn worker(server: &Running, max: usize) -> Lines {
    Lines::of(server.request(Method::GET, &format!("/v1/deliveries?max={max}"))).await
}

async fn accept(server: &Running, delivery: &Value) -> u16 {
    let id = delivery["id"].as_str().unwrap();
    server.post(&format!("/v1/deliveries/{id}/accept"), json!({"attempt": delivery["attempt"]})).await.0
}

fn claim(delivery: &Value, run: &str) -> Value {
    let started = json!({"type": "agent_started", "runId": run, "agent": "x", "sendId": delivery["sendId"]});
    let claim = json!({"sendId": delivery["sendId"], "offset": delivery["offset"], "text": delivery["text"]});
    json!({"producer": {"id": run, "seq": 1}, "events": [started], "claim": claim})
}

fn end(run: &str) -> Value {
    json!({"producer": {"id": run, "seq": 2}, "events": [{"type": "agent_completed", "runId": run}]})
}

#[tokio::test]
async fn messages_come_one_after_the_other_and_are_claimed_by_runs() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    page.message("s2").await;
    let mut lines = worker(&server, 4).await;
    let first = lines.next().await.unwrap();
    assert_eq!(
        (&first["type"], &first["user"], &first["content"], &first["attempt"]),
        (&json!("message"), &json!("ada"), &json!("s1"), &json!(1))
    );
    assert_eq!(first["thread"], json!({"key": "ada/t", "name": "t"}));
    assert_eq!((&first["event"]["content"], &first["leaseMs"]), (&json!("s1"), &json!(1_000)));
    assert_eq!(accept(&server, &first).await, 200);
    assert_eq!(server.publish(claim(&first, "r1")).await.0, 200);
    let (status, body) = server.publish(claim(&first, "other")).await;
    assert_eq!((status, &body["code"]), (409, &json!("outdated")));
    server.publish(end("r1")).await;
    let second = lines.next().await.unwrap();
    assert_eq!(second["content"], "s2");
    accept(&server, &second).await;
    server.publish(claim(&second, "r2")).await;
    server.publish(end("r2")).await;
    let types = server.types().await;
    assert_eq!(types.iter().filter(|kind| *kind == "agent_started").count(), 2);
}

#[tokio::test]
async fn a_run_counts_for_its_worker_also_if_it_claims_before_the_worker_accepts() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let mut lines = worker(&server, 1).await;
    page.message("s1").await;
    let first = lines.next().await.unwrap();
    let mut begin = claim(&first, "r1");
    begin["leaseMs"] = json!(60_000);
    server.publish(begin).await;
    let mut other = Page::open(&server, "bob", json!([])).await;
    other.message("s2").await;
    // The worker has no room; a second one gets the message.
    let mut second = worker(&server, 1).await;
    assert_eq!(second.next().await.unwrap()["user"], "bob");
    server.publish(end("r1")).await;
    page.message("s3").await;
    assert_eq!(lines.next().await.unwrap()["content"], "s3");
}

#[tokio::test]
async fn a_message_that_nobody_claims_comes_again() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let mut lines = worker(&server, 1).await;
    let first = lines.next().await.unwrap();
    accept(&server, &first).await;
    let again = lines.next().await.unwrap();
    assert_ne!(again["id"], first["id"]);
    assert_eq!((&again["sendId"], &again["attempt"]), (&first["sendId"], &json!(2)));
    assert_eq!(accept(&server, &first).await, 404);
    accept(&server, &again).await;
    server.publish(claim(&again, "r")).await;
    server.publish(end("r")).await;
}

#[tokio::test]
async fn a_delivery_of_a_worker_that_leaves_goes_to_another_one() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let mut one = worker(&server, 1).await;
    let first = one.next().await.unwrap();
    let mut other = worker(&server, 1).await;
    drop(one);
    let again = other.next().await.unwrap();
    assert_eq!((&again["id"], &again["attempt"]), (&first["id"], &json!(2)));
    let done = format!("/v1/deliveries/{}/accept", again["id"].as_str().unwrap());
    assert_eq!(server.post(&done, json!({"attempt": 2, "done": true})).await.0, 200);
    page.message("s2").await;
    assert_eq!(other.next().await.unwrap()["content"], "s2");
}

#[tokio::test]
async fn a_worker_can_leave_a_message_after_it_has_accepted_it() {
    let server = Running::with(&WORKER.replace("lease_ms = 1000", "lease_ms = 60000")).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    page.message("s2").await;
    let mut lines = worker(&server, 1).await;
    let first = lines.next().await.unwrap();
    assert_eq!(accept(&server, &first).await, 200);
    assert_eq!(accept(&server, &first).await, 200);
    let done = format!("/v1/deliveries/{}/accept", first["id"].as_str().unwrap());
    assert_eq!(server.post(&done, json!({"attempt": 1, "done": true})).await.0, 200);
    let second = lines.next().await.unwrap();
    assert_eq!(second["content"], "s2");
    accept(&server, &second).await;
    let path = format!("/v1/deliveries/{}/refuse", second["id"].as_str().unwrap());
    assert_eq!(server.post(&path, json!({"attempt": 1})).await.0, 200);
    let error = server.until_event(|event| event["type"] == "agent_error").await;
    assert_eq!(error["code"], "backend_refused");
    assert_eq!(server.post(&path, json!({"attempt": 1})).await.0, 404);
}

#[tokio::test]
async fn a_refused_message_ends_as_an_error_that_the_page_sees() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let mut lines = worker(&server, 1).await;
    let delivery = lines.next().await.unwrap();
    let path = format!("/v1/deliveries/{}/refuse", delivery["id"].as_str().unwrap());
    assert_eq!(server.post(&path, json!({"attempt": 1, "message": "a secret of the backend"})).await.0, 200);
    let error = server.until_event(|event| event["type"] == "agent_error").await;
    assert_eq!(error["code"], "backend_refused");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn an_edit_a_withdrawal_and_a_cancel_reach_the_worker() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let mut lines = worker(&server, 4).await;
    let old = lines.next().await.unwrap();
    accept(&server, &old).await;
    let edit = json!({"type": "edit", "id": "e1", "stream": "t", "sendId": "s1", "message": {"type": "user_message", "content": "new"}});
    page.send(edit).await;
    page.until("receipt").await;
    let mut both = [lines.next().await.unwrap(), lines.next().await.unwrap()];
    both.sort_by_key(|delivery| delivery["type"].as_str().unwrap().to_owned());
    let [new, edited] = both;
    assert_eq!((&edited["type"], &edited["offset"]), (&json!("message_edited"), &old["offset"]));
    assert_eq!(
        (&new["type"], &new["content"], &new["offset"]),
        (&json!("message"), &json!("new"), &old["offset"])
    );
    accept(&server, &edited).await;
    accept(&server, &new).await;
    assert_eq!(server.publish(claim(&old, "r0")).await.1["code"], "outdated");
    server.publish(claim(&new, "r1")).await;
    page.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": "r1"})).await;
    page.until("receipt").await;
    let cancelled = lines.next().await.unwrap();
    assert_eq!((&cancelled["type"], &cancelled["runId"]), (&json!("run_cancelled"), &json!("r1")));
    accept(&server, &cancelled).await;
    server.publish(end("r1")).await;
    assert_eq!(server.types().await.last().unwrap(), "agent_cancelled");
    page.message("s2").await;
    let next = lines.next().await.unwrap();
    accept(&server, &next).await;
    page.send(json!({"type": "withdraw", "id": "w1", "stream": "t", "sendId": "s2"})).await;
    let withdrawn = lines.next().await.unwrap();
    assert_eq!((&withdrawn["type"], &withdrawn["sendId"]), (&json!("message_withdrawn"), &json!("s2")));
}

#[tokio::test]
async fn a_restart_keeps_what_waits_and_what_runs() {
    let server = Running::with(WORKER).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    page.message("s2").await;
    let mut lines = worker(&server, 4).await;
    let first = lines.next().await.unwrap();
    accept(&server, &first).await;
    let mut begin = claim(&first, "r1");
    begin["leaseMs"] = json!(60_000);
    server.publish(begin).await;
    let server = server.restart(WORKER).await;
    let mut lines = worker(&server, 4).await;
    // The run goes on, so its thread is not free for the second message.
    assert_eq!(server.get("/v1/threads/ada%2Ft/runs").await.1["runs"][0]["runId"], "r1");
    server.publish(end("r1")).await;
    let second = lines.next().await.unwrap();
    assert_eq!(second["content"], "s2");
}
