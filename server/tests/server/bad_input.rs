//! Requests of the wrong form: each has its status and its code, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Running, answer, token, within};

const EVENTS: &str = "/v1/threads/ada%2Ft/events";

async fn refused(server: &Running, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = server.request(Method::POST, EVENTS).header("content-type", "application/json").body(body);
    let (status, body) = answer(request).await;
    assert!(body["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    (status, body["code"].clone())
}

#[tokio::test]
async fn bodies_of_the_wrong_form_are_refused_whole() {
    let server = Running::with("limits.max_body_bytes = 100000").await;
    let good = json!({"type": "a"});
    let bad_request = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"events":[]}"#.to_owned(),
        r#"{"events":{}}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"more":1}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"events":[]}"#.to_owned(),
        r#"{"events":[{"type":"a","x":{"y":1,"y":2}}]}"#.to_owned(),
        r#"{"events":[{"type":"a","x":1e400}]}"#.to_owned(),
        r#"{"events":[{"type":"a","x":NaN}]}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"leaseMs":999}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"leaseMs":-1}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"producer":{"id":"","seq":1}}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"producer":{"id":"p","seq":0}}"#.to_owned(),
        r#"{"events":[{"type":"a"}],"producer":{"id":"p","seq":9007199254740992}}"#.to_owned(),
        json!({"events": vec![good.clone(); 1_001]}).to_string(),
        format!(r#"{{"events":[{{"type":"a","x":{}1{}}}]}}"#, "[".repeat(200), "]".repeat(200)),
    ];
    for body in bad_request {
        let short: String = body.chars().take(80).collect();
        assert_eq!(refused(&server, body).await, (400, json!("bad_request")), "{short}");
    }
    assert_eq!(
        refused(&server, b"{\"events\":[{\"type\":\"\xff\"}]}".to_vec()).await,
        (400, json!("bad_request"))
    );
    for event in [json!(1), json!({}), json!({"type": 1}), json!({"type": "agent_started", "runId": "r"})] {
        let body = json!({"events": [good, event]}).to_string();
        assert_eq!(refused(&server, body.clone()).await, (422, json!("invalid_event")), "{body}");
    }
    let large = json!({"events": [{"type": "a", "x": "x".repeat(100_000)}]}).to_string();
    assert_eq!(refused(&server, large).await, (413, json!("too_large")));
    assert_eq!(server.get(EVENTS).await.1["head"], 0);
}

#[tokio::test]
async fn requests_of_the_wrong_kind_are_refused() {
    let server = Running::with(
        "[[keys]]\nname = \"few\"\nkey = \"key-with-few-rights-for-the-tests\"\nrights = [\"publish\"]\nthreads = [\"ada/\"]",
    )
    .await;
    let body = json!({"events": [{"type": "a"}]});
    let post = |key: &'static str, path: &'static str| {
        answer(server.bare(Method::POST, path).bearer_auth(key).json(&body))
    };
    assert_eq!(answer(server.bare(Method::POST, EVENTS).json(&body)).await.0, 401);
    assert_eq!(post("wrong", EVENTS).await.1["code"], "key_invalid");
    assert_eq!(post("key-with-few-rights-for-the-tests", EVENTS).await.0, 200);
    let others = post("key-with-few-rights-for-the-tests", "/v1/threads/bob%2Ft/events").await;
    assert_eq!((others.0, &others.1["code"]), (403, &json!("forbidden")));
    let read =
        answer(server.bare(Method::GET, EVENTS).bearer_auth("key-with-few-rights-for-the-tests")).await;
    assert_eq!(read.0, 403);
    let text =
        answer(server.request(Method::POST, EVENTS).header("content-type", "text/plain").body("{}")).await;
    assert_eq!((text.0, &text.1["code"]), (415, &json!("unsupported_media_type")));
    let compressed = server.request(Method::POST, EVENTS).header("content-encoding", "gzip").json(&body);
    assert_eq!(answer(compressed).await.0, 415);
    for (method, path, status, code) in [
        (Method::GET, "/v1/nothing", 404, "not_found"),
        (Method::DELETE, EVENTS, 405, "method_not_allowed"),
        (Method::GET, "/v1/threads/ada%2Ft/events?from=x", 400, "bad_request"),
        (Method::GET, "/v1/threads/ada%2Ft/events?limit=0", 400, "bad_request"),
        (Method::GET, "/v1/threads/ada%2Ft/events?other=1", 400, "bad_request"),
        (Method::GET, "/v1/threads/a%0Ab/events", 400, "bad_request"),
        (Method::DELETE, "/v1/threads/ada%2Ft/events/first", 400, "bad_request"),
        (Method::DELETE, "/v1/threads/ada%2Ft/events/99", 404, "not_found"),
        (Method::GET, "/v1/threads/never", 404, "not_found"),
        (Method::GET, "/v1/threads?limit=1001", 400, "bad_request"),
        (Method::GET, "/v1/deliveries", 400, "bad_request"),
        (Method::GET, "/v1/threads/ada%2Ft/runs/never/signals", 404, "not_found"),
    ] {
        let (found, body) = answer(server.request(method, path)).await;
        assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_user_reads_with_a_token_and_a_service_with_a_key() {
    let server = Running::start().await;
    server.publish(json!({"events": [{"type": "a"}]})).await;
    let of_user = |user: &str, thread: &str| {
        let path = format!("/v1/threads/{thread}/events");
        answer(server.bare(Method::GET, &path).bearer_auth(token(user, json!({}))))
    };
    assert_eq!(of_user("ada", "t").await.1["head"], 1);
    assert_eq!(of_user("bob", "t").await.1["head"], 0);
    // The key of a thread is a name like any other for a user.
    assert_eq!(of_user("bob", "ada%2Ft").await.1["head"], 0);
    assert_eq!(server.get(EVENTS).await.1["head"], 1);
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let server = Running::with("limits.body_timeout_ms = 100").await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer key-with-all-rights-for-the-tests\r\n\
         content-type: application/json\r\ncontent-length: 40\r\n\r\n{{\"events\":["
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains(r#""code":"timeout""#), "{answer}");
}
