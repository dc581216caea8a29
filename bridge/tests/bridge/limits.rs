//! What one user may do, and what happens beyond it.

use std::future::pending;
use std::time::Duration;

use agentwire_bridge::{AgentError, Limits, Turn};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Page, Server};

async fn server(limits: Limits) -> Server {
    Server::with(|builder| builder.limits(limits)).await
}

fn send(id: &str) -> Value {
    json!({"type": "send", "id": id, "stream": "t", "message": {"type": "user_message", "content": id}})
}

/// The receipt of a frame that is answered with one.
async fn receipt(page: &mut Page, frame: Value) -> Value {
    page.send(frame).await;
    page.until("receipt").await
}

// Faults D23.
#[tokio::test]
async fn a_user_sends_so_much_in_a_minute_on_all_sockets_together() {
    let server = server(Limits { max_sends_per_minute: 2, ..Limits::default() }).await;
    let mut pages =
        [Page::open(&server, "ada", json!([])).await, Page::open(&server, "ada", json!([])).await];
    for (page, id) in pages.iter_mut().zip(["a", "b"]) {
        assert_eq!(receipt(page, send(id)).await["status"], "accepted");
    }
    let refused = receipt(&mut pages[0], send("c")).await;
    let error = &refused["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("overloaded"), &json!(true)));
    let wait = error["retryAfterMs"].as_u64().unwrap();
    assert!((20_000..=30_001).contains(&wait), "{wait}");
    // Not even with another socket.
    drop(pages);
    let mut page = Page::open(&server, "ada", json!([])).await;
    assert_eq!(receipt(&mut page, send("d")).await["error"]["code"], "overloaded");
    let mut other = Page::open(&server, "bob", json!([])).await;
    assert_eq!(receipt(&mut other, send("a")).await["status"], "accepted");
}

// Faults D25.
#[tokio::test]
async fn a_queue_is_full_until_a_message_is_withdrawn() {
    let limits = Limits { max_waiting_messages: 2, ..Limits::default() };
    let stuck = async |_: Turn| pending::<Result<(), AgentError>>().await;
    let server = Server::with(|builder| builder.limits(limits).agent(stuck)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    for id in ["a", "b"] {
        assert_eq!(receipt(&mut page, send(id)).await["status"], "accepted");
    }
    let refused = receipt(&mut page, send("c")).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["retryable"]),
        (&json!("queue_full"), &json!(false))
    );
    // Copies of what is there are answered as before.
    assert_eq!(receipt(&mut page, send("a")).await["status"], "accepted");
    let withdraw = json!({"type": "withdraw", "id": "w", "stream": "t", "sendId": "b"});
    assert_eq!(receipt(&mut page, withdraw).await["status"], "withdrawn");
    assert_eq!(receipt(&mut page, send("d")).await["status"], "accepted");
}

// Faults D11, D12.
#[tokio::test]
async fn frames_beyond_the_rate_are_read_later_and_not_lost() {
    let server = server(Limits { max_frames_per_second: 20, ..Limits::default() }).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let start = Instant::now();
    for n in 0..120 {
        page.send(json!({"type": "ping", "n": n})).await;
    }
    for n in 0..120 {
        assert_eq!(page.until("pong").await["n"], n);
    }
    // 80 at once, and two seconds for the others.
    assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
}

// Faults D23.
#[tokio::test]
async fn bytes_beyond_the_rate_are_read_later() {
    let limits = Limits { max_bytes_per_second: 50_000, max_frame_bytes: 50_000, ..Limits::default() };
    let server = server(limits).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let start = Instant::now();
    for n in 0..8 {
        page.send(json!({"type": "later", "x": "x".repeat(40_000)})).await;
        page.send(json!({"type": "ping", "n": n})).await;
    }
    for n in 0..8 {
        assert_eq!(page.until("pong").await["n"], n);
    }
    // 200,000 bytes at once, and more than two seconds for the others.
    assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
}

// Faults D23.
#[tokio::test]
async fn a_frame_that_asks_for_too_many_answers_ends_its_socket() {
    let server = server(Limits::default()).await;
    let names: Vec<_> = (0..30_000).map(|n| json!({"name": format!("s{n}")})).collect();
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "subscribe", "streams": names})).await;
    let (frames, code) = page.until_close().await;
    assert_eq!(code, 4455);
    assert!(frames.len() < 4_000, "{} frames", frames.len());
}
