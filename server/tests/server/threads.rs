//! Threads, members and users.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::json;

use crate::support::{Page, Running, answer, token};

const PLAN: &str = "/v1/threads/plan";

#[tokio::test]
async fn members_share_a_thread_and_lose_it_at_once() {
    let server = Running::with("rights.mode = \"members\"").await;
    let put = |members: serde_json::Value| {
        answer(server.request(Method::PUT, PLAN).json(&json!({"members": members})))
    };
    assert_eq!(put(json!({"ada": ["read", "write"], "bob": ["read"]})).await.0, 200);
    let mut ada = Page::open(&server, "ada", json!([{"name": "plan"}])).await;
    let mut bob = Page::open(&server, "bob", json!([{"name": "plan"}])).await;
    let mut eve = Page::open(&server, "eve", json!([{"name": "plan"}, {"name": "other"}])).await;
    assert_eq!(eve.until("unsubscribed").await["reason"], "unknown_stream");
    assert_eq!(eve.until("unsubscribed").await["reason"], "unknown_stream");
    bob.until("caughtUp").await;
    let message = json!({"type": "user_message", "content": "hi"});
    ada.send(json!({"type": "send", "id": "s1", "stream": "plan", "message": message})).await;
    assert_eq!(bob.until("events").await["events"][0]["content"], "hi");
    bob.send(json!({"type": "send", "id": "s2", "stream": "plan", "message": message})).await;
    assert_eq!(bob.until("receipt").await["status"], "rejected");
    let (_, shown) = server.get(PLAN).await;
    assert_eq!((&shown["members"]["bob"], &shown["head"]), (&json!(["read"]), &json!(1)));
    put(json!({"ada": ["read", "write"]})).await;
    assert_eq!(bob.until("unsubscribed").await["reason"], "forbidden");
    let (_, list) = server.get("/v1/threads?after=inbox&limit=1").await;
    assert_eq!((&list["threads"][0]["key"], &list["next"]), (&json!("plan"), &json!("plan")));
    assert_eq!(server.get("/v1/threads?after=plan").await.1, json!({"threads": [], "next": null}));
    let exported =
        server.request(Method::GET, "/v1/users/ada/export").send().await.unwrap().text().await.unwrap();
    let line: serde_json::Value = serde_json::from_str(exported.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&line["thread"], &line["offset"], &line["event"]["content"]),
        (&json!("plan"), &json!(1), &json!("hi"))
    );
    assert_eq!(answer(server.request(Method::DELETE, "/v1/users/bob")).await.1["left"], 0);
    let (status, _) = answer(server.request(Method::DELETE, PLAN)).await;
    assert_eq!(status, 200);
    assert_eq!(ada.until("unsubscribed").await["reason"], "deleted");
    assert_eq!(server.get(PLAN).await.0, 404);
    assert_eq!(answer(server.request(Method::DELETE, PLAN)).await.0, 404);
}

#[tokio::test]
async fn members_are_checked_and_need_their_mode() {
    let server = Running::start().await;
    let put = answer(server.request(Method::PUT, PLAN).json(&json!({"members": {}}))).await;
    assert_eq!((put.0, &put.1["code"]), (400, &json!("bad_request")));
    let server = Running::with("rights.mode = \"members\"").await;
    for members in [json!({"ada": ["fly"]}), json!({"ada": "read"}), json!({"a\nb": ["read"]}), json!([])] {
        let put = answer(server.request(Method::PUT, PLAN).json(&json!({"members": members}))).await;
        assert_eq!(put.0, 400, "{members}");
    }
}

#[tokio::test]
async fn events_are_redacted_and_trimmed() {
    let server = Running::start().await;
    server.publish(json!({"events": [{"type": "a"}, {"type": "b"}, {"type": "c"}]})).await;
    let redacted = answer(server.request(Method::DELETE, "/v1/threads/ada%2Ft/events/2")).await;
    assert_eq!(redacted, (200, json!({"redacted": true})));
    assert_eq!(server.types().await, ["a", "void", "c"]);
    assert_eq!(server.post("/v1/threads/ada%2Ft/trim", json!({"through": 2})).await.1, json!({"oldest": 3}));
    assert_eq!(server.types().await, ["c"]);
}

#[tokio::test]
async fn a_user_is_exported_and_erased() {
    let server = Running::start().await;
    for thread in ["ada%2Ft", "ada%2Fu", "adam%2Ft"] {
        server.post(&format!("/v1/threads/{thread}/events"), json!({"events": [{"type": thread}]})).await;
    }
    let export = async || {
        server.request(Method::GET, "/v1/users/ada/export").send().await.unwrap().text().await.unwrap()
    };
    let lines: Vec<serde_json::Value> =
        export().await.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let threads: Vec<_> = lines.iter().map(|line| line["thread"].as_str().unwrap()).collect();
    assert_eq!(threads, ["ada/t", "ada/u"]);
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.until("caughtUp").await;
    let (status, erased) = answer(server.request(Method::DELETE, "/v1/users/ada")).await;
    assert_eq!((status, erased), (200, json!({"sockets": 1, "deleted": 2, "left": 0})));
    assert_eq!(page.until("error").await["code"], "token_invalid");
    assert_eq!(export().await, "");
    assert_eq!(server.get("/v1/threads/adam%2Ft/events").await.1["head"], 1);
    assert_eq!(answer(server.request(Method::DELETE, "/v1/users/a%0Ab")).await.0, 400);
    assert_eq!(server.post("/v1/users/%00/revoke", json!({})).await.0, 400);
}

#[tokio::test]
async fn old_events_are_forgotten() {
    let server = Running::start().await;
    let notes: Vec<_> = (0..10).map(|n| json!({"type": "note", "n": n})).collect();
    server.publish(json!({"events": notes})).await;
    let server = server.restart("retention.max_events = 3").await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t", "open": {"from": "live"}}])).await;
    // The first look is at the start; what it forgets is gone from then on.
    while page.until("subscribed").await["oldest"] != 8 {
        page = Page::open(&server, "ada", json!([{"name": "t", "open": {"from": "live"}}])).await;
    }
    assert_eq!(server.types().await.len(), 3);
}

#[tokio::test]
async fn a_revoked_user_is_out_at_once_and_comes_back_with_a_new_token() {
    let server = Running::start().await;
    let now = now();
    let old = token("ada", json!({"iat": now - 10}));
    let mut page = Page::hello(&server, &old, json!([])).await;
    page.until("welcome").await;
    assert_eq!(server.post("/v1/users/ada/revoke", json!({})).await, (200, json!({"sockets": 1})));
    assert_eq!(page.until("error").await["code"], "token_invalid");
    let server = server.restart("").await;
    let mut page = Page::hello(&server, &old, json!([])).await;
    assert_eq!(page.next().await["code"], "token_invalid");
    let mut page = Page::hello(&server, &token("ada", json!({"iat": now + 2})), json!([])).await;
    assert_eq!(page.next().await["type"], "welcome");
}

/// Seconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "tokens are issued by the wall clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn health_needs_no_key() {
    let server = Running::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(answer(server.bare(Method::GET, path)).await, (200, json!({"status": "ok"})));
    }
    server.publish(json!({"events": [{"type": "a"}]})).await;
    let _page = Page::open(&server, "ada", json!([])).await;
    let text = server.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for name in [
        "agentwire_events_total",
        "agentwire_commit_seconds_bucket",
        "agentwire_pages",
        "agentwire_welcomes_total",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in {text}");
    }
}
