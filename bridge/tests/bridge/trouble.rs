//! What happens when the log fails for a moment, or answers late.

use std::time::Duration;

use agentwire_bridge::log::Log;
use agentwire_bridge::{Limits, PublishError, Turn};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::double::Double;
use crate::support::{Page, Server, key, within};

async fn serve(log: &Double) -> Server {
    Server::with(|builder| builder.log(log.clone())).await
}

fn message(id: &str) -> Value {
    json!({"type": "send", "id": id, "stream": "t", "message": {"type": "user_message", "content": id}})
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

// PROTOCOL: SUB-3, SUB-10
#[tokio::test]
async fn two_first_readers_of_a_stream_miss_no_commit() {
    let log = Double::new();
    log.write(&key("t"), 5).await;
    let server = serve(&log).await;
    log.hold_heads(2);
    let mut one = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    log.until_heads_held(1).await;
    // The first reader has a head of 5 in its hands when the sixth event is committed, and another reader comes.
    log.write(&key("t"), 1).await;
    let mut other = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    log.until_heads_held(2).await;
    log.release_head(0);
    assert_eq!(one.until("subscribed").await["head"], 6);
    assert_eq!(one.events(1, 1, 6).await.len(), 6);
    log.release_head(1);
    assert_eq!(other.events(1, 1, 6).await.len(), 6);
}

// PROTOCOL: GAP-1, GAP-2
#[tokio::test]
async fn a_first_reader_hears_of_a_new_epoch_and_of_trimming_that_overtook_it() {
    let log = Double::new();
    log.write(&key("t"), 5).await;
    let server = serve(&log).await;
    log.hold_heads(1);
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    log.until_heads_held(1).await;
    let before = log.inner().head(&key("t")).await.unwrap();
    log.inner().trim(&key("t"), 2).await.unwrap();
    let after = log.inner().new_epoch(&key("t"), &before.epoch).await.unwrap();
    log.release_head(0);
    let subscribed = page.until("subscribed").await;
    assert_eq!((subscribed["epoch"].as_str(), &subscribed["next"]), (Some(&*after.epoch), &json!(3)));
    assert_eq!(page.events(1, 3, 5).await.len(), 3);
    assert_eq!(page.next().await["type"], "caughtUp");
}

async fn begin_epoch(server: &Server) {
    let epoch = server.bridge.log().head(&key("t")).await.unwrap().epoch;
    server.bridge.log().new_epoch(&key("t"), &epoch).await.unwrap();
}

fn ended(ch: u64) -> Value {
    json!({"type": "unsubscribed", "ch": ch, "name": "t", "reason": "epoch"})
}

/// A bridge that reads every event from its log.
async fn without_cache(log: &Double) -> Server {
    let limits = Limits { cache_events: 0, ..Limits::default() };
    Server::with(|builder| builder.log(log.clone()).limits(limits)).await
}

/// A page whose replay of the offsets from 2 on, of five, has read nothing of the log yet.
async fn replaying(log: &Double, to: u64) -> (Server, Page) {
    let server = without_cache(log).await;
    server.publish("t", 5).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t", "open": {"from": "live"}}])).await;
    page.until("caughtUp").await;
    log.hold_read();
    page.send(json!({"type": "replay", "req": 1, "ch": 1, "from": 2, "to": to})).await;
    log.until_reads_held(1).await;
    (server, page)
}

// PROTOCOL: EVT-3, SUB-11, GAP-2
#[tokio::test]
async fn a_catch_up_that_reads_while_its_epoch_ends_sends_nothing_of_the_new_one() {
    let log = Double::new();
    let server = without_cache(&log).await;
    server.publish("t", 5).await;
    log.hold_read();
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    log.until_reads_held(1).await;
    begin_epoch(&server).await;
    log.release_read();
    assert_eq!(page.next().await["type"], "subscribed");
    assert_eq!(page.next().await, ended(1));
    page.nothing_before_pong(1).await;
}

// PROTOCOL: RPL-1, SUB-11, GAP-2
#[tokio::test]
async fn a_replay_that_reads_while_its_epoch_ends_ends_with_its_subscription() {
    let log = Double::new();
    let (server, mut page) = replaying(&log, 4).await;
    begin_epoch(&server).await;
    log.release_read();
    // An end that brought nothing would be a server that cannot bring an offset (RPL-5).
    assert_eq!(page.next().await, ended(1));
    page.nothing_before_pong(1).await;
}

// PROTOCOL: RPL-3
#[tokio::test]
async fn a_replay_that_reads_while_its_offsets_are_trimmed_says_so() {
    let log = Double::new();
    let (server, mut page) = replaying(&log, 3).await;
    server.bridge.trim(&key("t"), 4).await.unwrap();
    log.release_read();
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 1, "to": 1, "oldest": 5}));
}

// PROTOCOL: LIF-5, SND-4
#[tokio::test]
async fn a_message_whose_run_could_not_start_is_handled_again_and_before_the_next() {
    let log = Double::new();
    let agent = async |turn: Turn| {
        let run = turn.run("short").await?;
        run.complete("done").await?;
        Ok(())
    };
    let server = Server::with(|builder| builder.log(log.clone()).agent(agent)).await;
    log.fail("agent_started", 2);
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.send(message("s1")).await;
    page.send(message("s2")).await;
    let started = |events: &[Value]| -> Vec<Value> {
        let runs = events.iter().filter(|event| event["type"] == "agent_started");
        runs.map(|event| event["sendId"].clone()).collect()
    };
    let events = page.events_until(1, |events| started(events).len() == 2).await;
    assert_eq!(started(&events), [json!("s1"), json!("s2")]);
    assert!(log.has_failed());
}

#[tokio::test]
async fn a_run_is_ended_as_soon_as_the_log_takes_it() {
    let log = Double::new();
    let server = serve(&log).await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    // The log takes neither the end that the agent writes nor, at first, the one that the drop writes.
    log.fail("agent_completed", 1);
    log.fail("agent_died", 2);
    assert!(matches!(run.complete("done").await, Err(PublishError::Log(_))));
    // Faults D25.
    assert_eq!(server.until_event("t", "agent_died").await["cause"], "log_unavailable");
    assert!(log.has_failed());
    assert_eq!(types(&server.events("t").await), ["agent_started", "agent_died"]);
}

#[tokio::test]
async fn a_run_whose_start_is_written_without_an_answer_is_ended() {
    let log = Double::new();
    let server = serve(&log).await;
    log.lose_answer("agent_started");
    let run = server.bridge.emitter("ada", "t").run("a").await;
    assert!(matches!(run, Err(PublishError::Log(_))));
    assert_eq!(server.until_event("t", "agent_died").await["cause"], "dropped");
    assert_eq!(types(&server.events("t").await), ["agent_started", "agent_died"]);
}

#[tokio::test]
async fn a_run_whose_start_comes_late_when_its_caller_has_gone_is_ended() {
    let log = Double::new();
    let limits = Limits { log_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::with(|builder| builder.log(log.clone()).limits(limits)).await;
    let emitter = server.bridge.emitter("ada", "t");
    log.hold();
    assert!(emitter.run("a").now_or_never().is_none());
    log.until_held(1).await;
    // The start is given up, and the end that the drop writes finds no run.
    log.hold_heads(1);
    log.until_heads_held(1).await;
    let publishing = tokio::spawn(async move { emitter.publish(json!({"type": "note"})).await });
    log.release_head(0);
    log.until_held(2).await;
    log.release().await;
    assert_eq!(server.until_event("t", "agent_died").await["cause"], "dropped");
    within(publishing).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_that_is_written_without_an_answer_is_given_to_the_agent() {
    let log = Double::new();
    log.lose_answer("user_message");
    let agent = async |turn: Turn| {
        turn.run("a").await?.complete("done").await?;
        Ok(())
    };
    let server = Server::with(|builder| builder.log(log.clone()).agent(agent)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("s1")).await;
    // The page gets a rejection although the message is stored, and leaves before it sends it again.
    assert_eq!(page.next().await["status"], "rejected");
    drop(page);
    assert_eq!(server.until_event("t", "agent_completed").await["summary"], "done");
}

// PROTOCOL: SND-7
#[tokio::test]
async fn a_run_that_nobody_works_on_is_cancelled_as_soon_as_the_log_takes_it() {
    let log = Double::new();
    let server = serve(&log).await;
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    server.bridge.emitter("ada", "t").publish(started).await.unwrap();
    log.fail("agent_cancelled", 2);
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": "r"})).await;
    assert_eq!(page.next().await["status"], "cancelled");
    assert_eq!(server.until_event("t", "agent_cancelled").await["runId"], "r");
    assert!(log.has_failed());
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_log_that_fails() {
    let log = Double::new();
    let server = serve(&log).await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    log.fail("agent_died", usize::MAX);
    drop(run);
    let began = tokio::time::Instant::now();
    within(server.bridge.shutdown()).await;
    assert!(began.elapsed() < Limits::default().shutdown_timeout, "it was given up, not over");
}

#[tokio::test]
async fn a_tool_call_whose_end_is_dropped_before_its_commit_ends_once() {
    let log = Double::new();
    let server = serve(&log).await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let tool = run.tool("search", Value::Null).await.unwrap();
    log.hold();
    assert!(tool.complete(json!({"n": 2})).now_or_never().is_none());
    log.until_held(1).await;
    log.release().await;
    // Nothing is under way any more after the shutdown; the run is still open, so that it rejects nothing.
    server.bridge.shutdown().await;
    let events = server.events("t").await;
    assert_eq!(types(&events), ["agent_started", "tool_executing", "tool_completed"]);
    drop(run);
    assert_eq!((&events[2]["success"], &events[2]["result"]), (&json!(true), &json!({"n": 2})));
}

#[tokio::test]
async fn a_tool_call_whose_end_failed_is_ended_by_its_drop() {
    let log = Double::new();
    let server = serve(&log).await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let tool = run.tool("search", Value::Null).await.unwrap();
    log.fail("tool_completed", 2);
    assert!(matches!(tool.complete(json!(1)).await, Err(PublishError::Log(_))));
    assert_eq!(server.until_event("t", "tool_completed").await["success"], false);
    assert!(log.has_failed());
}

// PROTOCOL: SND-4, SND-9
#[tokio::test]
async fn nothing_overtakes_a_send_that_the_log_did_not_take() {
    let log = Double::new();
    let server = serve(&log).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    // The first is in a commit that fails, the second already behind it.
    log.hold();
    log.fail("\"s1\"", 1);
    page.send(message("s1")).await;
    page.send(message("s2")).await;
    log.until_held(1).await;
    page.nothing_before_pong(1).await;
    log.release().await;
    let rejected = async |page: &mut Page, id: &str| {
        let receipt = page.next().await;
        let facts = (&receipt["id"], &receipt["error"]["code"], &receipt["error"]["retryable"]);
        assert_eq!(facts, (&json!(id), &json!("unavailable"), &json!(true)), "{receipt}");
    };
    rejected(&mut page, "s1").await;
    rejected(&mut page, "s2").await;
    page.send(message("s3")).await;
    rejected(&mut page, "s3").await;
    // Another stream has an order of its own.
    page.send(json!({"type": "send", "id": "s4", "stream": "u", "message": {"type": "form"}})).await;
    assert_eq!(page.next().await["status"], "accepted");
    page.send(message("s2")).await;
    rejected(&mut page, "s2").await;
    for (id, offset) in [("s1", 1), ("s2", 2), ("s3", 3)] {
        page.send(message(id)).await;
        let receipt = page.next().await;
        assert_eq!((&receipt["id"], &receipt["position"]["offset"]), (&json!(id), &json!(offset)));
    }
}

// PROTOCOL: SND-9
#[tokio::test]
async fn a_page_that_owes_too_much_begins_a_new_connection() {
    let log = Double::new();
    let limits = Limits { max_pending_sends: 4, ..Limits::default() };
    let server = Server::with(|builder| builder.log(log.clone()).limits(limits)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    log.fail("\"s0\"", 1);
    for n in 0..5 {
        page.send(message(&format!("s{n}"))).await;
    }
    let (frames, code) = page.until_close().await;
    assert_eq!((&frames.last().unwrap()["code"], code), (&json!("overloaded"), 4455));
    // The next socket begins with an order of its own.
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("s0")).await;
    assert_eq!(page.next().await["status"], "accepted");
}

// PROTOCOL: SND-9, SUB-11, ERR-2; D7
#[tokio::test]
async fn a_read_that_fails_costs_its_own_request_an_answer_and_the_socket_nothing() {
    let log = Double::new();
    let server = serve(&log).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.until("caughtUp").await;
    let approve = json!({"type": "approve", "id": "a", "stream": "u", "runId": "r", "approvalId": "x", "decision": "denied"});
    let cancel = json!({"type": "cancel", "id": "c", "stream": "v", "runId": "r"});
    for (frame, status) in [(approve, "unknown_approval"), (cancel, "unknown_run")] {
        log.fail_heads(1);
        page.send(frame.clone()).await;
        let receipt = page.next().await;
        let error = (&receipt["error"]["code"], &receipt["error"]["retryable"]);
        assert_eq!(error, (&json!("unavailable"), &json!(true)), "{receipt}");
        page.send(frame).await;
        assert_eq!(page.next().await["status"], status);
    }
    log.fail_heads(1);
    page.send(json!({"type": "subscribe", "streams": [{"name": "w"}]})).await;
    assert_eq!(page.next().await, json!({"type": "unsubscribed", "name": "w", "reason": "unavailable"}));
    page.send(json!({"type": "subscribe", "streams": [{"name": "w"}]})).await;
    assert_eq!(page.next().await["type"], "subscribed");
    server.publish("t", 1).await;
    page.events(1, 1, 1).await;
}
