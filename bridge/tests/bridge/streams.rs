//! Subscribing: one test per clause of section 4.

use std::path::Path;
use std::time::Duration;

use agentwire_bridge::{Authorizer, Grant, Limits, Refusal, SqliteLog, StreamKey};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::support::{Page, Server, hello_with, key, note, token};

async fn subscribed(server: &Server, request: Value) -> (Page, Value) {
    let mut page = Page::open(server, "ada", json!([request])).await;
    let frame = page.next().await;
    (page, frame)
}

async fn epoch(server: &Server) -> String {
    server.bridge.log().head(&key("t")).await.unwrap().epoch.to_string()
}

fn at(epoch: &str, offset: u64) -> Value {
    json!({"name": "t", "position": {"epoch": epoch, "offset": offset}})
}

/// A frame for a page whose subscription ended with its epoch (GAP-2).
fn ended(ch: u64) -> Value {
    json!({"type": "unsubscribed", "ch": ch, "name": "t", "reason": "epoch"})
}

/// Asks for thread `t` again on a socket.
async fn subscribe(page: &mut Page, request: Value) -> Value {
    page.send(json!({"type": "subscribe", "streams": [request]})).await;
    page.next().await
}

fn facts(frame: &Value) -> (u64, u64, u64, bool, Option<&str>) {
    let number = |field: &str| frame[field].as_u64().unwrap();
    let recovered = frame["recovered"].as_bool().unwrap();
    (number("oldest"), number("head"), number("next"), recovered, frame["reason"].as_str())
}

// PROTOCOL: SUB-1, SUB-8
#[tokio::test]
async fn without_a_position_open_says_where_to_start() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    for (open, next) in [
        (Value::Null, 1),
        (json!({"from": "start"}), 1),
        (json!({"from": "live"}), 11),
        (json!({"last": 3}), 8),
        (json!({"last": 100}), 1),
    ] {
        let mut request = json!({"name": "t"});
        if !open.is_null() {
            request["open"] = open;
        }
        let (mut page, frame) = subscribed(&server, request).await;
        assert_eq!(facts(&frame), (1, 10, next, true, None));
        page.events(1, next, 10).await;
        assert_eq!(page.next().await, json!({"type": "caughtUp", "ch": 1, "offset": 10, "openRuns": []}));
    }
    server.bridge.trim(&key("t"), 4).await.unwrap();
    for (open, facts_now) in [
        (json!({"from": "start"}), (5, 10, 5, false, Some("trimmed"))),
        (json!({"from": "live"}), (5, 10, 11, true, None)),
        (json!({"last": 100}), (5, 10, 5, true, None)),
    ] {
        let (_, frame) = subscribed(&server, json!({"name": "t", "open": open})).await;
        assert_eq!(facts(&frame), facts_now);
    }
}

// PROTOCOL: SUB-2, SUB-11
#[tokio::test]
async fn more_streams_than_allowed_are_not_subscribed() {
    let limits = Limits { max_streams: 2, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let streams = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
    let mut page = Page::open(&server, "ada", streams).await;
    assert_eq!(page.next().await["name"], "a");
    assert_eq!(page.next().await["name"], "b");
    let refused = json!({"type": "unsubscribed", "name": "c", "reason": "too_many_streams"});
    assert_eq!(page.next().await, refused);
    page.send(json!({"type": "unsubscribe", "ch": 1})).await;
    page.until("unsubscribed").await;
    page.send(json!({"type": "subscribe", "streams": [{"name": "c"}]})).await;
    assert_eq!(page.until("subscribed").await["name"], "c");
}

// PROTOCOL: SUB-3, SUB-12
#[tokio::test]
async fn a_channel_is_never_used_twice() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    for ch in 1..5 {
        let frame = page.until("subscribed").await;
        assert_eq!((&frame["ch"], &frame["name"]), (&json!(ch), &json!("t")));
        page.until("caughtUp").await;
        page.send(json!({"type": "unsubscribe", "ch": ch})).await;
        let ended = json!({"type": "unsubscribed", "ch": ch, "name": "t", "reason": "requested"});
        assert_eq!(page.next().await, ended);
        // It is not in use any more.
        page.send(json!({"type": "unsubscribe", "ch": ch})).await;
        server.publish("t", 1).await;
        page.nothing_before_pong(ch).await;
        page.send(json!({"type": "subscribe", "streams": [{"name": "t", "open": {"from": "live"}}]})).await;
    }
}

// PROTOCOL: SUB-4, SUB-10
#[tokio::test]
async fn a_known_position_is_resumed() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    server.bridge.trim(&key("t"), 4).await.unwrap();
    let epoch = epoch(&server).await;
    for offset in [4, 7, 10] {
        let (mut page, frame) = subscribed(&server, at(&epoch, offset)).await;
        assert_eq!(facts(&frame), (5, 10, offset + 1, true, None));
        page.events(1, offset + 1, 10).await;
        assert_eq!(page.next().await["offset"], 10);
        page.nothing_before_pong(1).await;
    }
}

// PROTOCOL: SUB-5
#[tokio::test]
async fn a_trimmed_position_goes_on_at_the_oldest() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    server.bridge.trim(&key("t"), 4).await.unwrap();
    let epoch = epoch(&server).await;
    let mut request = at(&epoch, 3);
    request["open"] = json!({"from": "live"});
    let (mut page, frame) = subscribed(&server, request).await;
    assert_eq!(facts(&frame), (5, 10, 5, false, Some("trimmed")));
    page.events(1, 5, 10).await;
}

/// A log of five notes that a page has seen nine of, with the proof: the file was put back, and opened as if it had not
/// been. Returns the server, and the epoch and the seal that the page has.
async fn gone_back(folder: &Path, limits: Limits) -> (Server, String, String) {
    let (path, backup) = (folder.join("log.sqlite"), folder.join("backup.sqlite"));
    Server::of_former(&path, 5).await.stop().await;
    std::fs::copy(&path, &backup).unwrap();
    let server = Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap())).await;
    server.publish("t", 4).await;
    let (mut page, frame) = subscribed(&server, json!({"name": "t", "open": {"from": "live"}})).await;
    page.until("caughtUp").await;
    let (epoch, seal) = (frame["epoch"].as_str().unwrap().to_owned(), page.seals.remove("1").unwrap());
    drop(page);
    server.stop().await;
    std::fs::copy(&backup, &path).unwrap();
    let log = SqliteLog::open(&path).unwrap();
    (Server::with(|builder| builder.log(log).limits(limits)).await, epoch, seal)
}

// PROTOCOL: SUB-6, SUB-7, SUB-8, SUB-11, SUB-12, GAP-2, HBT-1, RPL-1, FLO-3
#[tokio::test]
async fn a_seal_above_the_head_begins_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { heartbeat: Duration::from_millis(100), ..Limits::default() };
    let (server, old, seal) = gone_back(folder.path(), limits).await;
    assert_eq!(epoch(&server).await, old);
    let (mut other, _) = subscribed(&server, at(&old, 3)).await;
    other.events(1, 4, 5).await;
    other.until("caughtUp").await;
    let mut request = at(&old, 9);
    request["seal"] = json!(seal);
    let (mut page, frame) = subscribed(&server, request.clone()).await;
    assert_eq!(facts(&frame), (1, 5, 1, false, Some("epoch")));
    let new = frame["epoch"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    // Durable before it was answered.
    assert_eq!(epoch(&server).await, new);
    page.events(1, 1, 5).await;
    // A subscription to the old epoch ends with it.
    assert_eq!(other.next().await, ended(1));
    server.publish("t", 1).await;
    page.events(1, 6, 6).await;
    // What was under way for the old `ch` does no harm, and no heartbeat names it any more.
    other.ack(1, 5).await;
    other.send(json!({"type": "replay", "req": 1, "ch": 1, "from": 3, "to": 4})).await;
    other.send(json!({"type": "unsubscribe", "ch": 1})).await;
    assert_eq!(other.next().await, json!({"type": "replayEnd", "req": 1, "to": 2, "oldest": 1}));
    other.nothing_before_pong(1).await;
    assert_eq!(other.until("heartbeat").await["heads"], json!({}));
    // The page asks again, and is owed what its `open` says.
    let frame = subscribe(&mut other, at(&old, 5)).await;
    assert_eq!((facts(&frame), &frame["ch"]), ((1, 6, 1, false, Some("epoch")), &json!(2)));
    other.events(2, 1, 6).await;
    assert_eq!(other.next().await, json!({"type": "caughtUp", "ch": 2, "offset": 6, "openRuns": []}));
    // The seal is one of an epoch that is over: it ends no other.
    subscribed(&server, request).await;
    assert_eq!(epoch(&server).await, new);
}

// PROTOCOL: SUB-6, SUB-8
#[tokio::test]
async fn a_seal_proves_what_a_position_below_the_head_does_not_show() {
    let folder = tempfile::tempdir().unwrap();
    let (server, old, seal) = gone_back(folder.path(), Limits::default()).await;
    // The page was told of nine events and has three of them.
    let mut request = at(&old, 3);
    (request["seal"], request["open"]) = (json!(seal), json!({"from": "live"}));
    let (mut page, frame) = subscribed(&server, request).await;
    assert_eq!(facts(&frame), (1, 5, 6, false, Some("epoch")));
    assert_eq!(frame["base"], 5);
    server.publish("t", 1).await;
    page.events(1, 6, 6).await;
}

// PROTOCOL: SUB-6
#[tokio::test]
async fn a_claim_without_a_seal_concerns_nobody_else() {
    let server = Server::start().await;
    server.publish("t", 5).await;
    server.publish("u", 9).await;
    let own = epoch(&server).await;
    let (mut other, _) = subscribed(&server, at(&own, 3)).await;
    other.events(1, 4, 5).await;
    other.until("caughtUp").await;
    let (mut of_u, _) = subscribed(&server, json!({"name": "u"})).await;
    of_u.until("caughtUp").await;
    let (seal_of_t, seal_of_u) = (other.seals["1"].clone(), of_u.seals["1"].clone());
    let (_, code) = seal_of_t.split_once('.').unwrap();
    let seals =
        [None, Some(seal_of_t.clone()), Some(seal_of_u), Some(format!("9.{code}")), Some("x".to_owned())];
    let mut seen = at(&own, 3);
    seen["seen"] = json!(6);
    for seal in seals {
        for open in [json!({"from": "start"}), json!({"from": "live"}), json!({"last": 2})] {
            for claim in [at(&own, (1 << 53) - 1), at(&own, 6), seen.clone()] {
                let mut request = claim;
                request["open"] = open.clone();
                if let Some(seal) = &seal {
                    request["seal"] = json!(seal);
                }
                // It starts over, in the same epoch.
                let (mut page, frame) = subscribed(&server, request).await;
                assert_eq!(facts(&frame), (1, 5, 1, false, Some("ahead")));
                assert_eq!(frame["epoch"], json!(own));
                page.events(1, 1, 5).await;
            }
        }
    }
    other.nothing_before_pong(1).await;
    assert_eq!(epoch(&server).await, own);
}

// PROTOCOL: LIF-4, SUB-7
#[tokio::test]
async fn a_restored_log_tells_pages_that_saw_more() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backup) = (folder.path().join("log.sqlite"), folder.path().join("backup.sqlite"));
    let server = Server::of_former(&path, 5).await;
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    server.bridge.emitter("ada", "t").publish(started).await.unwrap();
    server.stop().await;
    std::fs::copy(&path, &backup).unwrap();
    let server = Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap())).await;
    let position = at(&epoch(&server).await, server.head("t").await);
    assert_eq!(position["position"]["offset"], 7);
    server.stop().await;

    std::fs::copy(&backup, &path).unwrap();
    let server = Server::with(|builder| builder.log(SqliteLog::open_restored(&path).unwrap())).await;
    // Recovery has written since: by its head alone the log is as far as the page.
    server.publish("t", 3).await;
    let (mut page, frame) = subscribed(&server, position).await;
    assert_eq!(facts(&frame), (1, 10, 1, false, Some("epoch")));
    assert_eq!(page.events(1, 1, 10).await[..5], (1..=5).map(note).collect::<Vec<_>>());
}

// PROTOCOL: LIF-4, SUB-3, SUB-7, SUB-8
#[tokio::test]
async fn live_and_last_continue_with_what_was_written_since_a_restore() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backup) = (folder.path().join("log.sqlite"), folder.path().join("backup.sqlite"));
    Server::of_former(&path, 10).await.stop().await;
    std::fs::copy(&path, &backup).unwrap();
    let server = Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap())).await;
    server.publish("t", 4).await;
    let position = at(&epoch(&server).await, 14);
    server.stop().await;

    std::fs::copy(&backup, &path).unwrap();
    let server = Server::with(|builder| builder.log(SqliteLog::open_restored(&path).unwrap())).await;
    server.publish("t", 4).await;
    // Nothing of 11 to 14 was ever in the epoch that the page knows.
    let openings =
        [json!({"from": "start"}), json!({"from": "live"}), json!({"last": 2}), json!({"last": 100})];
    let expect = async |oldest: u64, head: u64, nexts: [u64; 4]| {
        for (open, next) in openings.iter().zip(nexts) {
            let mut request = position.clone();
            request["open"] = open.clone();
            let (mut page, frame) = subscribed(&server, request).await;
            assert_eq!(facts(&frame), (oldest, head, next, false, Some("epoch")), "{open}");
            assert_eq!(frame["base"], 10);
            page.events(1, next, head).await;
            assert_eq!(page.next().await["offset"], head);
        }
    };
    expect(1, 14, [1, 11, 11, 11]).await;
    server.publish("t", 1).await;
    server.bridge.trim(&key("t"), 4).await.unwrap();
    expect(5, 15, [5, 11, 11, 11]).await;
    server.bridge.trim(&key("t"), 12).await.unwrap();
    expect(13, 15, [13; 4]).await;
    server.bridge.trim(&key("t"), 15).await.unwrap();
    expect(16, 15, [16; 4]).await;
}

// PROTOCOL: SUB-10, SUB-11, GAP-2, RPL-1
#[tokio::test]
async fn a_catch_up_ends_with_its_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::of_former(&folder.path().join("log.sqlite"), 6).await;
    let old = epoch(&server).await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let hello = hello_with(&token("ada"), json!([{"name": "t"}]), 2, 65_536);
    let mut behind = Page::open_with(&server, hello).await;
    assert_eq!(behind.until("events").await["count"], 2);
    server.bridge.log().new_epoch(&key("t"), &old).await.unwrap();
    assert_eq!(behind.next().await, ended(1));
    // Neither the rest nor a `caughtUp` follows, whatever is acknowledged of the old epoch.
    behind.ack(1, 2).await;
    behind.nothing_before_pong(1).await;
    let frame = subscribe(&mut behind, at(&old, 2)).await;
    assert_eq!(facts(&frame), (1, 7, 1, false, Some("epoch")));
    // The window is that of the new `ch`.
    behind.ack(1, 7).await;
    assert_eq!(behind.next().await["count"], 2);
    behind.nothing_before_pong(2).await;
    behind.ack(2, 2).await;
    behind.events(2, 3, 7).await;
    assert_eq!(
        behind.next().await,
        json!({"type": "caughtUp", "ch": 2, "offset": 7, "openRuns": [run.id()]})
    );
}

// PROTOCOL: SUB-3, SUB-7, SUB-8
#[tokio::test]
async fn a_position_of_another_epoch_starts_as_open_says() {
    let server = Server::start().await;
    server.publish("t", 5).await;
    // The epoch of the log began with its first event: all of it is new to the page.
    for open in [json!({"from": "start"}), json!({"from": "live"}), json!({"last": 2})] {
        let mut request = at("another", 3);
        request["open"] = open;
        let (_, frame) = subscribed(&server, request).await;
        assert_eq!(facts(&frame), (1, 5, 1, false, Some("epoch")));
        assert_eq!(frame.get("base"), None);
    }
}

// PROTOCOL: SUB-9, LIF-1
#[tokio::test]
async fn live_owes_what_is_written_from_then_on() {
    let server = Server::start().await;
    server.publish("t", 5).await;
    let (page, frame) = subscribed(&server, json!({"name": "t", "open": {"from": "live"}})).await;
    let position = at(frame["epoch"].as_str().unwrap(), frame["next"].as_u64().unwrap() - 1);
    // The socket drops before anything came.
    drop(page);
    server.publish("t", 2).await;
    let (mut page, frame) = subscribed(&server, position).await;
    assert_eq!(facts(&frame), (1, 7, 6, true, None));
    assert_eq!(page.events(1, 6, 7).await, [note(6), note(7)]);
}

// PROTOCOL: SUB-10, RUN-3
#[tokio::test]
async fn caught_up_names_the_runs_that_are_open_at_its_offset() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let first = emitter.run("a").await.unwrap();
    let second = emitter.run("b").await.unwrap();
    let over = emitter.run("c").await.unwrap();
    over.complete("done").await.unwrap();
    let head = server.head("t").await;
    // A window of one event keeps the page behind while the log goes on.
    let hello = hello_with(&token("ada"), json!([{"name": "t"}]), 1, 65_536);
    let mut page = Page::open_with(&server, hello).await;
    assert_eq!(page.next().await["head"], head);
    let (first_id, second_id) = (first.id().to_owned(), second.id().to_owned());
    first.complete("done").await.unwrap();
    let third = emitter.run("d").await.unwrap();
    page.events(1, 1, head).await;
    let expected = json!({"type": "caughtUp", "ch": 1, "offset": head, "openRuns": [first_id, second_id]});
    assert_eq!(page.next().await, expected);
    page.events(1, head + 1, head + 2).await;
    drop((second, third));
}

// PROTOCOL: SUB-10, GEN-7, RUN-3
#[tokio::test]
async fn caught_up_says_nothing_of_runs_when_they_do_not_fit_into_a_frame() {
    let limits = Limits { max_frame_bytes: 4_096, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let ids: Vec<String> = (100..140).map(|n| format!("{n}{}", "x".repeat(100))).collect();
    let event = |kind: &str, id: &String| json!({"type": kind, "runId": id, "agent": "a", "cause": "x"});
    let emitter = server.bridge.emitter("ada", "t");
    emitter.publish_all(ids.iter().map(|id| event("agent_started", id)).collect()).await.unwrap();
    let request = json!([{"name": "t", "open": {"from": "live"}}]);
    let mut page = Page::open(&server, "ada", request.clone()).await;
    // A shortened list would call runs lost that are open.
    page.until("subscribed").await;
    assert_eq!(page.next().await, json!({"type": "caughtUp", "ch": 1, "offset": 40}));
    emitter.publish_all(ids[..4].iter().map(|id| event("agent_died", id)).collect()).await.unwrap();
    let mut page = Page::open(&server, "ada", request).await;
    page.until("subscribed").await;
    let caught_up = page.next_text().await;
    assert!(caught_up.len() <= 4_096);
    assert_eq!(page.unsealed(&caught_up)["openRuns"], json!(ids[4..]));
}

// PROTOCOL: SUB-10, RUN-3
#[tokio::test]
async fn caught_up_names_a_thousand_runs_and_beyond_that_none() {
    let server = Server::start().await;
    let started = |n: usize| json!({"type": "agent_started", "runId": n.to_string(), "agent": "a"});
    let emitter = server.bridge.emitter("ada", "t");
    emitter.publish_all((1..=1_000).map(started).collect()).await.unwrap();
    let request = json!([{"name": "t", "open": {"from": "live"}}]);
    let mut page = Page::open(&server, "ada", request.clone()).await;
    assert_eq!(page.until("caughtUp").await["openRuns"].as_array().unwrap().len(), 1_000);
    emitter.publish(started(1_001)).await.unwrap();
    let mut page = Page::open(&server, "ada", request).await;
    assert_eq!(page.until("caughtUp").await, json!({"type": "caughtUp", "ch": 1, "offset": 1_001}));
}

// PROTOCOL: SUB-10, EVT-5
#[tokio::test]
async fn caught_up_comes_between_replayed_and_live_events() {
    let server = Server::start().await;
    server.publish("t", 15).await;
    let hello = hello_with(&token("ada"), json!([{"name": "t"}]), 10, 65_536);
    let mut page = Page::open_with(&server, hello).await;
    assert_eq!(page.until("events").await["count"], 10);
    // Written while the window holds the rest back.
    server.publish("t", 5).await;
    page.ack(1, 10).await;
    let frame = page.next().await;
    assert_eq!((&frame["first"], &frame["count"]), (&json!(11), &json!(5)));
    assert_eq!(page.next().await, json!({"type": "caughtUp", "ch": 1, "offset": 15, "openRuns": []}));
    assert_eq!(page.next().await["first"], 16);
}

struct Doors;

impl Authorizer for Doors {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            match name {
                "closed" => Err(Refusal::Forbidden),
                "missing" => Err(Refusal::UnknownStream),
                "public" => Ok(Grant::read_only(StreamKey::new("everybody", "public").unwrap())),
                _ => Ok(Grant::all(StreamKey::new(subject, name).unwrap())),
            }
        })
    }
}

// PROTOCOL: SUB-11, SND-9
#[tokio::test]
async fn an_authorizer_says_which_streams_there_are() {
    let server = Server::with(|builder| builder.authorizer(Doors)).await;
    server.bridge.emitter("everybody", "public").publish(note(1)).await.unwrap();
    let streams = json!([{"name": "closed"}, {"name": "missing"}, {"name": "public"}]);
    let mut page = Page::open(&server, "ada", streams).await;
    assert_eq!(page.next().await, json!({"type": "unsubscribed", "name": "closed", "reason": "forbidden"}));
    assert_eq!(
        page.next().await,
        json!({"type": "unsubscribed", "name": "missing", "reason": "unknown_stream"})
    );
    assert_eq!(page.events(1, 1, 1).await, [note(1)]);
    let message = json!({"type": "user_message", "content": "hi"});
    page.send(json!({"type": "send", "id": "s", "stream": "public", "message": message})).await;
    assert_eq!(page.until("receipt").await["error"]["code"], "forbidden");
}

// PROTOCOL: GAP-1, GAP-2, GAP-5
#[tokio::test]
async fn trimming_is_a_gap_only_for_pages_that_miss_something() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    let (mut done, _) = subscribed(&server, json!({"name": "t"})).await;
    done.events(1, 1, 10).await;
    done.until("caughtUp").await;
    let hello = hello_with(&token("ada"), json!([{"name": "t"}]), 2, 65_536);
    let mut behind = Page::open_with(&server, hello).await;
    assert_eq!(behind.until("events").await["count"], 2);
    server.bridge.trim(&key("t"), 6).await.unwrap();
    done.nothing_before_pong(1).await;
    let gap = json!({"type": "gap", "ch": 1, "from": 3, "to": 6, "reason": "trimmed"});
    assert_eq!(behind.next().await, gap);
    behind.ack(1, 6).await;
    behind.events(1, 7, 10).await;
    assert_eq!(behind.next().await["type"], "caughtUp");
    server.publish("t", 1).await;
    done.events(1, 11, 11).await;
    behind.events(1, 11, 11).await;
}

// PROTOCOL: EVT-7
#[tokio::test]
async fn a_redacted_event_is_void_in_its_place() {
    let server = Server::start().await;
    server.publish("t", 3).await;
    let (mut page, _) = subscribed(&server, json!({"name": "t"})).await;
    page.events(1, 1, 3).await;
    assert!(server.bridge.redact(&key("t"), 2).await.unwrap());
    let (mut page, _) = subscribed(&server, json!({"name": "t"})).await;
    assert_eq!(page.events(1, 1, 3).await, [note(1), json!({"type": "void"}), note(3)]);
}
