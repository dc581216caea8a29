//! The window, the order of streams, and what a frame holds.

use std::time::Duration;

use agentwire_bridge::{EventError, Limits, PublishError};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Page, Server, events_of, hello_with, note, token};

// PROTOCOL: FLO-1, FLO-2, EVT-1, EVT-3
#[tokio::test]
async fn no_more_than_the_window_is_in_flight() {
    let server = Server::start().await;
    server.publish("t", 30).await;
    let mut page =
        Page::open_with(&server, hello_with(&token("ada"), json!([{"name": "t"}]), 10, 65_536)).await;
    page.until("subscribed").await;
    let frame = page.next().await;
    assert_eq!((&frame["first"], &frame["count"]), (&json!(1), &json!(10)));
    page.nothing_before_pong(1).await;
    page.ack(1, 4).await;
    let frame = page.next().await;
    assert_eq!((&frame["first"], &frame["count"]), (&json!(11), &json!(4)));
    // One below an earlier one changes nothing.
    page.ack(1, 2).await;
    page.nothing_before_pong(2).await;
    page.ack(1, 14).await;
    page.events(1, 15, 30).await;
    // Live events count as well.
    page.until("caughtUp").await;
    server.publish("t", 25).await;
    let mut held = 0;
    while held < 10 {
        held += page.next().await["count"].as_u64().unwrap();
    }
    assert_eq!(held, 10);
    page.nothing_before_pong(3).await;
    page.ack(1, 40).await;
    page.events(1, 41, 55).await;
}

// PROTOCOL: DLT-2, FLO-1
#[tokio::test]
async fn a_page_that_reads_deltas_gets_them_in_catch_ups_replays_and_live() {
    let server = Server::start().await;
    let stored = server.publish_deltas("t", 20).await;
    let open = |features: Value, events| {
        let mut hello = hello_with(&token("ada"), json!([{"name": "t"}]), events, 65_536);
        hello["features"] = features;
        Page::open_with(&server, hello)
    };
    let shape = |frame: &Value| json!([frame["type"], frame["first"], frame["count"]]);
    // A page that does not name them gets none.
    for features in [json!([]), json!(["delta", "x"])] {
        let mut page = open(features, 512).await;
        page.until("subscribed").await;
        assert_eq!(shape(&page.next().await), json!(["events", 1, 22]));
    }
    // The window cuts them as it cuts events.
    let mut page = open(json!(["x", "deltas"]), 15).await;
    page.until("subscribed").await;
    let catch_up = [page.next().await, page.next().await];
    assert_eq!(catch_up.each_ref().map(shape), [json!(["events", 1, 1]), json!(["deltas", 2, 14])]);
    page.nothing_before_pong(1).await;
    page.ack(1, 15).await;
    let rest = page.next().await;
    // Seven are too few for a frame of their own.
    assert_eq!(shape(&rest), json!(["events", 16, 7]));
    assert_eq!(catch_up.iter().chain([&rest]).flat_map(events_of).collect::<Vec<_>>(), stored);
    page.until("caughtUp").await;
    page.send(json!({"type": "replay", "req": 1, "ch": 1, "from": 3, "to": 12})).await;
    let frame = page.next().await;
    assert_eq!((shape(&frame), events_of(&frame)), (json!(["deltas", 3, 10]), stored[2..12].to_vec()));
    assert_eq!(page.next().await, json!({"type": "replayEnd", "req": 1, "to": 12, "oldest": 1}));
    page.ack(1, 22).await;
    // One record of live events, for two pages that share the frames.
    let mut other = open(json!(["deltas"]), 512).await;
    other.until("caughtUp").await;
    let stored = server.publish_deltas("t", 10).await;
    for page in [&mut page, &mut other] {
        let live = [page.next().await, page.next().await, page.next().await];
        assert_eq!(
            live.each_ref().map(shape),
            [json!(["events", 23, 1]), json!(["deltas", 24, 10]), json!(["events", 34, 1])]
        );
        assert_eq!(live.iter().flat_map(events_of).collect::<Vec<_>>(), stored);
    }
}

// PROTOCOL: FLO-1, FLO-2, FLO-5
#[tokio::test]
async fn what_a_replay_brought_and_was_acknowledged_fills_no_window() {
    let server = Server::start().await;
    server.publish("t", 30).await;
    let mut page =
        Page::open_with(&server, hello_with(&token("ada"), json!([{"name": "t"}]), 10, 65_536)).await;
    page.until("subscribed").await;
    assert_eq!(page.next().await["count"], 10);
    page.send(json!({"type": "replay", "req": 1, "ch": 1, "from": 11, "to": 20})).await;
    assert_eq!(page.next().await["first"], 11);
    page.until("replayEnd").await;
    page.ack(1, 20).await;
    // The flow still has to send them (EVT-3), and a whole window behind them.
    let mut next = 11;
    while next <= 30 {
        let frame = page.next().await;
        assert_eq!(frame["first"], next, "{frame}");
        next += frame["count"].as_u64().unwrap();
    }
}

// PROTOCOL: FLO-1
#[tokio::test]
async fn the_window_counts_bytes_and_a_larger_event_goes_alone() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let sized = |bytes: usize| {
        let empty = json!({"type": "x", "text": "", "time": 1}).to_string().len();
        json!({"type": "x", "text": "x".repeat(bytes - empty), "time": 1})
    };
    emitter
        .publish_all(vec![sized(1_000), sized(1_000), sized(5_000), sized(100), sized(1_948)])
        .await
        .unwrap();
    let mut page =
        Page::open_with(&server, hello_with(&token("ada"), json!([{"name": "t"}]), 100, 2_048)).await;
    page.until("subscribed").await;
    assert_eq!(page.next().await["count"], 2);
    page.nothing_before_pong(1).await;
    // The large one waits until it is alone.
    page.ack(1, 1).await;
    page.nothing_before_pong(2).await;
    page.ack(1, 2).await;
    let frame = page.next().await;
    assert_eq!((&frame["first"], &frame["count"]), (&json!(3), &json!(1)));
    page.nothing_before_pong(3).await;
    page.ack(1, 3).await;
    // 100 and 1,948 bytes fill the window to the last byte.
    let frame = page.next().await;
    assert_eq!((&frame["first"], &frame["count"]), (&json!(4), &json!(2)));
}

// PROTOCOL: FLO-1
#[tokio::test]
async fn the_window_of_the_socket_counts_the_bytes_of_all_streams() {
    let server = Server::start().await;
    let sized = |bytes: usize| {
        let empty = json!({"type": "x", "text": "", "time": 1}).to_string().len();
        json!({"type": "x", "text": "x".repeat(bytes - empty), "time": 1})
    };
    for name in ["t", "u"] {
        server.bridge.emitter("ada", name).publish_all(vec![sized(1_000), sized(1_000)]).await.unwrap();
    }
    let mut hello = hello_with(&token("ada"), json!([{"name": "t"}, {"name": "u"}]), 100, 65_536);
    hello["window"]["totalBytes"] = json!(3_000);
    let mut page = Page::open_with(&server, hello).await;
    let mut sent = 0;
    while sent < 3 {
        sent += page.until("events").await["count"].as_u64().unwrap();
    }
    assert_eq!(sent, 3);
    page.until("caughtUp").await;
    page.nothing_before_pong(1).await;
    page.ack(1, 2).await;
    assert_eq!(page.until("events").await["count"], 1);
}

// PROTOCOL: FLO-3
#[tokio::test]
async fn an_ack_above_what_was_sent_is_malformed() {
    let server = Server::start().await;
    server.publish("t", 5).await;
    let mut page =
        Page::open_with(&server, hello_with(&token("ada"), json!([{"name": "t"}]), 3, 65_536)).await;
    assert_eq!(page.until("events").await["count"], 3);
    page.ack(1, 4).await;
    assert_eq!(page.ends_with().await, ("bad_frame".to_owned(), 4400));
}

// PROTOCOL: FLO-4
#[tokio::test]
async fn streams_are_served_in_turn() {
    let limits = Limits { page_events: 10, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    for thread in ["a", "b", "c"] {
        server.publish(thread, 100).await;
    }
    let streams = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
    let mut page = Page::open(&server, "ada", streams).await;
    for _ in 0..3 {
        page.until("subscribed").await;
    }
    let mut order = Vec::new();
    while order.len() < 30 {
        let frame = page.next().await;
        if frame["type"] == "events" {
            order.push(frame["ch"].as_u64().unwrap());
        }
    }
    assert_eq!(order, [1, 2, 3].repeat(10));
}

// PROTOCOL: EVT-1, EVT-2
#[tokio::test]
async fn frames_are_bounded_and_hold_the_texts_of_the_log() {
    let limits = Limits { page_bytes: 1_024, page_events: 7, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    server.publish("t", 20).await;
    let large = json!({"type": "x", "text": "é".repeat(3_000), "time": 1});
    server.bridge.emitter("ada", "t").publish(large.clone()).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.until("subscribed").await;
    let text = page.next_text().await;
    let start = r#"{"type":"events","ch":1,"first":1,"count":7,"events":[{"type":"note","n":1,"time":1},"#;
    assert!(text.starts_with(start), "{text}");
    assert_eq!(page.next().await["count"], 7);
    assert_eq!(page.next().await["count"], 6);
    assert_eq!(page.next().await["events"], json!([large]));
}

// PROTOCOL: EVT-5, EVT-9
#[tokio::test]
async fn a_lone_live_event_goes_out_at_once_and_those_that_follow_share_a_frame() {
    let limits = Limits { live_batch: Duration::from_secs(1), ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.until("caughtUp").await;
    let emitter = server.bridge.emitter("ada", "t");
    let start = Instant::now();
    emitter.publish(note(1)).await.unwrap();
    assert_eq!(page.next().await["count"], 1);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for n in 2..=20 {
        emitter.publish(note(n)).await.unwrap();
    }
    assert_eq!(page.next().await["count"], 19);
}

// PROTOCOL: EVT-4
#[tokio::test]
async fn events_with_one_id_are_different_events_and_ids_say_nothing_about_the_order() {
    let server = Server::start().await;
    let ids = ["b", "a", "b"];
    let events: Vec<_> = ids.iter().map(|id| json!({"type": "note", "id": id, "time": 1})).collect();
    server.bridge.emitter("ada", "t").publish_all(events.clone()).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    assert_eq!(page.events(1, 1, 3).await, events);
}

// PROTOCOL: EVT-9
#[tokio::test]
async fn an_event_may_have_any_field() {
    let server = Server::start().await;
    let published = json!({"type": "x", "offset": "here", "epoch": [7], "delivery": null, "time": 1});
    server.bridge.emitter("ada", "t").publish(published.clone()).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    assert_eq!(page.events(1, 1, 1).await, [published]);
    let message =
        json!({"type": "user_message", "content": "hi", "offset": 9, "epoch": "e", "delivery": "live"});
    page.send(json!({"type": "send", "id": "s1", "stream": "t", "message": message.clone()})).await;
    let sent = page.events(1, 2, 2).await.remove(0);
    for (field, value) in message.as_object().unwrap() {
        assert_eq!(&sent[field], value);
    }
}

// PROTOCOL: EVT-8
#[tokio::test]
async fn events_that_no_page_can_take_are_refused() {
    let limits = Limits { max_frame_bytes: 4_096, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let emitter = server.bridge.emitter("ada", "t");
    let large = emitter.publish(json!({"type": "x", "text": "x".repeat(4_096)})).await;
    assert!(matches!(large, Err(PublishError::Event(EventError::TooLarge { .. }))));
    let name = server.bridge.emitter("ada", "a\nb").publish(note(1)).await;
    assert!(matches!(name, Err(PublishError::Name(_))));
    assert_eq!(server.head("t").await, 0);
}

// PROTOCOL: EVT-3, FLO-2
#[tokio::test]
async fn a_long_live_stream_arrives_once_and_in_order() {
    let server = Server::start().await;
    let mut page =
        Page::open_with(&server, hello_with(&token("ada"), json!([{"name": "t"}]), 64, 16_384)).await;
    page.until("caughtUp").await;
    let emitter = server.bridge.emitter("ada", "t");
    let writer = tokio::spawn(async move {
        for n in 1..=5_000 {
            emitter.publish(note(n)).await.unwrap();
        }
    });
    let events = page.events(1, 1, 5_000).await;
    writer.await.unwrap();
    assert_eq!(events, (1..=5_000).map(note).collect::<Vec<_>>());
}

// PROTOCOL: FLO-6
#[tokio::test]
async fn a_page_that_does_not_read_is_closed() {
    let limits = Limits { write_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let emitter = server.bridge.emitter("ada", "t");
    let bulk = json!({"type": "x", "text": "x".repeat(60_000)});
    for _ in 0..10 {
        emitter.publish_all(vec![bulk.clone(); 60]).await.unwrap();
    }
    // A window far larger than what the sockets buffer, and a page that never reads.
    let hello = hello_with(&token("ada"), json!([{"name": "t"}]), 65_536, 67_108_864);
    let mut page = Page::connect(&server).await;
    page.send(hello).await;
    assert!(page.is_given_up().await, "the socket is still served");
}

impl Page {
    /// Waits, without reading a byte, until the server has given the socket up: writing notices it.
    async fn is_given_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while Instant::now() < deadline {
            ticks.tick().await;
            if self.try_send(json!({"type": "ping", "n": 1})).await.is_err() {
                return true;
            }
        }
        false
    }
}
