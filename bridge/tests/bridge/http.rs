//! The other routes.

use agentwire_bridge::SqliteLog;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, events_of, key, note, token, token_until};

pub(crate) async fn get(server: &Server, path: &str, token: Option<&str>) -> (u16, Value) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{bearer}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn health_asks_the_log() {
    let server = Server::start().await;
    assert_eq!(get(&server, "/healthz", None).await, (200, json!({"status": "ok"})));
}

#[tokio::test]
async fn a_log_that_does_not_answer_is_unhealthy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let server = Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap())).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(get(&server, "/healthz", None).await.0, 503);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(get(&server, "/healthz", None).await.0, 200);
}

// PROTOCOL: DLT-1
#[tokio::test]
async fn deltas_are_read_in_their_short_form_if_that_is_asked_for() {
    let server = Server::start().await;
    let stored = server.publish_deltas("t", 20).await;
    let path = "/v1/threads/t/events";
    let (_, plain) = get(&server, path, Some(&token("ada"))).await;
    let (status, body) = get(&server, &format!("{path}?deltas=true"), Some(&token("ada"))).await;
    assert_eq!((status, &body["head"], &body["first"]), (200, &json!(22), &json!(1)));
    assert_eq!(plain["events"], json!(stored));
    assert!(plain.get("frames").is_none() && body.get("events").is_none());
    let frames = body["frames"].as_array().unwrap();
    assert_eq!(frames.iter().map(|frame| &frame["type"]).collect::<Vec<_>>(), ["events", "deltas", "events"]);
    assert_eq!(frames.iter().flat_map(events_of).collect::<Vec<_>>(), stored);
    assert_eq!(get(&server, &format!("{path}?deltas=maybe"), Some(&token("ada"))).await.0, 400);
}

#[tokio::test]
async fn events_of_a_thread_can_be_read() {
    let server = Server::start().await;
    server.publish("a/b", 10).await;
    server.bridge.trim(&key("a/b"), 2).await.unwrap();
    let epoch = server.bridge.log().head(&key("a/b")).await.unwrap().epoch;
    let path = "/v1/threads/a%2Fb/events";
    let (status, body) = get(&server, &format!("{path}?from=4&limit=2"), Some(&token("ada"))).await;
    let expected =
        json!({"epoch": &*epoch, "oldest": 3, "head": 10, "first": 4, "events": [note(4), note(5)]});
    assert_eq!((status, body), (200, expected));
    let (_, body) = get(&server, path, Some(&token("ada"))).await;
    assert_eq!((&body["first"], body["events"].as_array().unwrap().len()), (&json!(3), 8));
    // Another user has another thread of that name.
    let (_, body) = get(&server, path, Some(&token("bob"))).await;
    assert_eq!((&body["head"], &body["events"]), (&json!(0), &json!([])));
    for (query, token, status, code) in [
        ("", None, 401, "token_invalid"),
        ("", Some("nonsense".to_owned()), 401, "token_invalid"),
        ("", Some(token_until("ada", 1)), 401, "token_expired"),
        ("?limit=0", Some(token("ada")), 400, "bad_request"),
        ("?limit=1001", Some(token("ada")), 400, "bad_request"),
        ("?from=0", Some(token("ada")), 400, "bad_request"),
    ] {
        let (answered, body) = get(&server, &format!("{path}{query}"), token.as_deref()).await;
        assert_eq!((answered, body["code"].as_str()), (status, Some(code)), "{query}");
    }
}
