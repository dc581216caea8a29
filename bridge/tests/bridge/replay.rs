//! Asking for offsets again.

use serde_json::{Value, json};

use crate::support::{Page, Server, hello_with, key, note, token};

async fn caught_up(server: &Server, events: u64) -> Page {
    let hello = hello_with(&token("ada"), json!([{"name": "t", "open": {"from": "live"}}]), events, 65_536);
    let mut page = Page::open_with(server, hello).await;
    page.until("caughtUp").await;
    page
}

fn replay(req: u64, from: u64, to: u64) -> Value {
    json!({"type": "replay", "req": req, "ch": 1, "from": from, "to": to})
}

// PROTOCOL: RPL-1, RPL-3
#[tokio::test]
async fn a_replay_brings_what_there_is_and_ends() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    let mut page = caught_up(&server, 100).await;
    page.send(replay(7, 3, 5)).await;
    let frame = page.next().await;
    assert_eq!((&frame["first"], &frame["events"]), (&json!(3), &json!([note(3), note(4), note(5)])));
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 7, "to": 5, "oldest": 1}));
    // What is not there is left out.
    page.send(replay(8, 9, 20)).await;
    assert_eq!(page.next().await["events"], json!([note(9), note(10)]));
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 8, "to": 10, "oldest": 1}));
    page.send(replay(9, 11, 20)).await;
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 9, "to": 10, "oldest": 1}));
    server.bridge.trim(&key("t"), 4).await.unwrap();
    page.send(replay(10, 3, 6)).await;
    assert_eq!(page.next().await["events"], json!([note(5), note(6)]));
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 10, "to": 6, "oldest": 5}));
    page.send(replay(11, 1, 3)).await;
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 11, "to": 0, "oldest": 5}));
    page.send(json!({"type": "replay", "req": 12, "ch": 5, "from": 4, "to": 6})).await;
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 12, "to": 3, "oldest": 1}));
}

// PROTOCOL: RPL-2
#[tokio::test]
async fn replays_are_limited() {
    let server = Server::start().await;
    server.publish("t", 20).await;
    let mut page = caught_up(&server, 10).await;
    page.send(replay(1, 1, 11)).await;
    let error = page.next().await;
    assert_eq!((&error["code"], &error["req"]), (&json!("too_many_requests"), &json!(1)));
    page.send(replay(2, 1, 10)).await;
    page.until("replayEnd").await;
    // More at once than may be open: how many are over before the next is read is not fixed, their answers are.
    for req in 10..40 {
        page.send(replay(req, 1, 10)).await;
    }
    let mut ended = Vec::new();
    let mut refused = Vec::new();
    while ended.len() + refused.len() < 30 {
        let frame = page.next().await;
        match frame["type"].as_str().unwrap() {
            "replayEnd" => ended.push(frame["req"].as_u64().unwrap()),
            "error" => refused.push(frame["req"].as_u64().unwrap()),
            _ => assert_eq!(frame["count"], 10),
        }
    }
    assert!(ended.is_sorted() && ended.len() >= 8, "{ended:?} {refused:?}");
}

// PROTOCOL: FLO-5
#[tokio::test]
async fn replays_do_not_count_against_the_window() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    let mut page = caught_up(&server, 5).await;
    server.publish("t", 5).await;
    let mut sent = 0;
    while sent < 5 {
        sent += page.next().await["count"].as_u64().unwrap();
    }
    // The window is full, and the replay comes all the same.
    page.send(replay(1, 6, 10)).await;
    assert_eq!(page.next().await["first"], 6);
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 1, "to": 10, "oldest": 1}));
    server.publish("t", 1).await;
    page.nothing_before_pong(1).await;
    page.ack(1, 15).await;
    page.events(1, 16, 16).await;
}

// PROTOCOL: RPL-1, FLO-3
#[tokio::test]
async fn what_a_replay_brought_ahead_of_time_can_be_acknowledged() {
    let server = Server::start().await;
    server.publish("t", 10).await;
    let hello = hello_with(&token("ada"), json!([{"name": "t"}]), 4, 65_536);
    let mut page = Page::open_with(&server, hello).await;
    assert_eq!(page.until("events").await["count"], 4);
    page.send(replay(1, 5, 8)).await;
    assert_eq!(page.next().await["first"], 5);
    page.until("replayEnd").await;
    page.ack(1, 8).await;
    page.events(1, 5, 10).await;
}
