//! Publishing, leases and signals.

use reqwest::Method;
use serde_json::json;

use crate::support::{Lines, Page, Running, answer};

#[tokio::test]
async fn a_batch_is_durable_and_comes_once() {
    let server = Running::start().await;
    let batch = json!({"producer": {"id": "p", "seq": 1}, "events": [{"type": "a"}, {"type": "b"}]});
    let (status, first) = server.publish(batch.clone()).await;
    assert_eq!(
        (status, &first["applied"], &first["seq"], &first["offset"]),
        (200, &json!(2), &json!(2), &json!(2))
    );
    let server = server.restart("").await;
    let (status, again) = server.publish(batch).await;
    assert_eq!((status, &again["repeated"], &again["offset"]), (200, &json!(2), &json!(2)));
    let (_, gap) =
        server.publish(json!({"producer": {"id": "p", "seq": 4}, "events": [{"type": "d"}]})).await;
    assert_eq!((&gap["code"], &gap["expected"]), (&json!("producer_gap"), &json!(3)));
    let (_, known) = server.get("/v1/threads/ada%2Ft/producers/p").await;
    assert_eq!((&known["seq"], &known["offset"]), (&json!(2), &json!(2)));
    assert_eq!(server.get("/v1/threads/ada%2Ft/producers/q").await.0, 404);
    assert_eq!(server.types().await, ["a", "b"]);
}

#[tokio::test]
async fn a_key_makes_a_batch_happen_once() {
    let server = Running::start().await;
    let post = |n: u64| {
        let body = json!({"events": [{"type": "a", "n": n}]});
        answer(
            server
                .request(Method::POST, "/v1/threads/ada%2Ft/events")
                .header("idempotency-key", "k")
                .json(&body),
        )
    };
    assert_eq!(post(1).await.1["applied"], 1);
    assert_eq!(post(1).await.1["repeated"], 1);
    let (status, body) = post(2).await;
    assert_eq!((status, &body["code"]), (409, &json!("key_conflict")));
    assert_eq!(server.types().await, ["a"]);
}

#[tokio::test]
async fn a_stream_is_written_while_it_comes_and_goes_on_after_a_cut() {
    let server = Running::start().await;
    let stream = |seq: u64, body: reqwest::Body| {
        let path = format!("/v1/threads/ada%2Ft/stream?producer=p&seq={seq}&leaseMs=60000");
        server.request(Method::POST, &path).header("content-type", "application/x-ndjson").body(body)
    };
    // The first part is seen by a page while the body is open.
    let (send, receive) = tokio::sync::mpsc::unbounded_channel::<Result<&'static str, std::io::Error>>();
    let body =
        futures_util::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    let request = tokio::spawn(stream(1, reqwest::Body::wrap_stream(body)).send());
    send.send(Ok("{\"type\":\"a\"}\n{\"type\"")).unwrap();
    server.until_event(|event| event["type"] == "a").await;
    send.send(Ok(":\"b\"}\n\n")).unwrap();
    server.until_event(|event| event["type"] == "b").await;
    send.send(Err(std::io::Error::other("cut"))).unwrap();
    assert!(request.await.unwrap().is_err());
    assert_eq!(server.get("/v1/threads/ada%2Ft/producers/p").await.1["seq"], 2);
    let (status, done) = answer(stream(2, "{\"type\":\"b\"}\n{\"type\":\"c\"}".into())).await;
    assert_eq!(
        (status, &done["applied"], &done["repeated"], &done["seq"]),
        (200, &json!(1), &json!(1), &json!(3))
    );
    assert_eq!(server.types().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_bad_line_ends_a_stream_and_those_before_it_are_written() {
    let server = Running::start().await;
    let stream = |seq: u64, body: &'static str| {
        let path = format!("/v1/threads/ada%2Ft/stream?producer=p&seq={seq}");
        answer(server.request(Method::POST, &path).header("content-type", "application/x-ndjson").body(body))
    };
    let (status, body) = stream(1, "{\"type\":\"a\"}\n{\"type\":1}\n{\"type\":\"c\"}\n").await;
    assert_eq!((status, &body["code"], &body["index"]), (422, &json!("invalid_event"), &json!(1)));
    let (status, body) = stream(2, "{\"type\":\"b\"}\nno JSON\n").await;
    assert_eq!((status, &body["code"], &body["index"]), (400, &json!("bad_request"), &json!(1)));
    let over = "{\"type\":\"agent_started\",\"runId\":\"r\",\"agent\":\"x\"}\n{\"type\":\"agent_completed\",\"runId\":\"r\"}\n\
                {\"type\":\"agent_thinking\",\"runId\":\"r\"}\n{\"type\":\"d\"}\n";
    let (status, body) = stream(3, over).await;
    assert_eq!((status, &body["code"], &body["index"]), (409, &json!("run_over"), &json!(2)));
    assert_eq!(server.types().await, ["a", "b", "agent_started", "agent_completed"]);
}

#[tokio::test]
async fn a_run_ends_with_its_lease_and_a_heartbeat_says_so() {
    let server = Running::start().await;
    let started = json!({"type": "agent_started", "runId": "r", "agent": "x"});
    server.publish(json!({"events": [started], "leaseMs": 1_000})).await;
    let (_, runs) = server.get("/v1/threads/ada%2Ft/runs").await;
    assert_eq!(runs, json!({"runs": [{"runId": "r", "isCancelled": false, "leaseMs": 1_000}]}));
    let died = server.until_event(|event| event["type"] == "agent_died").await;
    assert_eq!(died["cause"], "no_heartbeat");
    let (status, state) = server.post("/v1/threads/ada%2Ft/runs/r/heartbeat", json!({})).await;
    assert_eq!((status, state), (200, json!({"runId": "r", "isOpen": false, "isCancelled": false})));
    assert_eq!(server.post("/v1/threads/ada%2Ft/runs/never/heartbeat", json!({})).await.0, 404);
}

#[tokio::test]
async fn signals_are_lines_until_the_run_is_over() {
    let server = Running::start().await;
    let events = json!([
        {"type": "agent_started", "runId": "r", "agent": "x"},
        {"type": "approval_requested", "runId": "r", "approvalId": "a", "prompt": "?"}
    ]);
    server.publish(json!({"producer": {"id": "p", "seq": 1}, "events": events})).await;
    let mut lines = Lines::of(server.request(Method::GET, "/v1/threads/ada%2Ft/runs/r/signals")).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let approve = json!({"type": "approve", "id": "s1", "stream": "t", "runId": "r", "approvalId": "a", "decision": "denied"});
    page.send(approve).await;
    let answered = lines.next().await.unwrap();
    assert_eq!(
        answered,
        json!({"type": "approval_resolved", "approvalId": "a", "decision": "denied", "user": "ada"})
    );
    page.send(json!({"type": "cancel", "id": "s2", "stream": "t", "runId": "r"})).await;
    assert_eq!(lines.next().await.unwrap(), json!({"type": "cancelled"}));
    let end = json!({"type": "agent_completed", "runId": "r"});
    let (_, published) = server
        .publish(
            json!({"producer": {"id": "p", "seq": 3}, "events": [{"type": "agent_thinking", "runId": "r"}]}),
        )
        .await;
    assert_eq!(published["cancelled"], json!(["r"]));
    server.publish(json!({"producer": {"id": "p", "seq": 4}, "events": [end]})).await;
    assert_eq!(lines.next().await.unwrap(), json!({"type": "over"}));
    assert_eq!(lines.next().await, None);
    assert_eq!(server.types().await.last().unwrap(), "agent_cancelled");
}

#[tokio::test]
async fn a_stop_ends_long_answers() {
    let server = Running::start().await;
    server.publish(json!({"events": [{"type": "agent_started", "runId": "r", "agent": "x"}]})).await;
    let mut lines = Lines::of(server.request(Method::GET, "/v1/threads/ada%2Ft/runs/r/signals")).await;
    let server = server.restart("").await;
    assert_eq!(lines.next().await, None);
    assert_eq!(server.get("/v1/threads/ada%2Ft/runs").await.1["runs"][0]["runId"], "r");
}
