//! Requests to a real server: what they send and what they get is as the document says.

use std::cell::RefCell;
use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::document::Document;
use super::support::{Lines, Page, Running, answer};

const EVENTS: &str = "/v1/threads/{key}/events";
const STREAM: &str = "/v1/threads/{key}/stream";
const SIGNALS: &str = "/v1/threads/{key}/runs/{run}/signals";

const WORKER: &str = "[deliver]\nmode = \"worker\"\n[limits]\nmax_body_bytes = 4096\n\
    [[keys]]\nname = \"reader\"\nkey = \"key-that-may-read-one-team-alone\"\nrights = [\"read\"]\nthreads = [\"team-7/\"]";

const MEMBERS: &str = "[rights]\nmode = \"members\"";

/// A server, and the operations that have answered with 200.
struct Api {
    server: Running,
    document: Document,
    answered: RefCell<BTreeSet<(String, String)>>,
}

impl Api {
    async fn with(more: &str) -> Self {
        let server = Running::with(more).await;
        Self { server, document: Document::read(), answered: RefCell::default() }
    }

    /// Sends a request, and checks its answer.
    async fn send(&self, method: &Method, path: &str, request: RequestBuilder) -> (u16, Value) {
        let method = method.as_str().to_lowercase();
        let (status, body) = answer(request).await;
        if let Err(wrong) = self.document.check_answer(&method, path, status, &body) {
            panic!("{method} {path}, {status}: {wrong}");
        }
        self.note(&method, path, status);
        (status, body)
    }

    fn note(&self, method: &str, path: &str, status: u16) {
        if status == 200 {
            self.answered.borrow_mut().insert((path.to_owned(), method.to_owned()));
        }
    }

    /// Sends a request without a body to a path whose parameters have these values.
    async fn ask(&self, method: Method, path: &str, values: &[&str], query: &str) -> (u16, Value) {
        let request = self.server.request(method.clone(), &format!("{}{query}", filled(path, values)));
        self.send(&method, path, request).await
    }

    /// Sends a request with a body. It is valid if the server takes it, or refuses it for another reason.
    async fn give(&self, method: Method, path: &str, values: &[&str], body: Value) -> (u16, Value) {
        let checked = self.document.check_request(&method.as_str().to_lowercase(), path, &body);
        let request = self.server.request(method.clone(), &filled(path, values)).json(&body);
        let (status, got) = self.send(&method, path, request).await;
        assert_eq!(checked.is_ok(), status != 400, "{method} {path}: {checked:?}, but {got}");
        (status, got)
    }

    async fn publish(&self, body: Value) -> (u16, Value) {
        self.give(Method::POST, EVENTS, &["ada%2Ft"], body).await
    }

    /// The next line of an answer of lines.
    async fn line(&self, path: &str, lines: &mut Lines) -> Value {
        let line = lines.next().await.unwrap();
        if let Err(wrong) = self.document.check_line("get", path, &line) {
            panic!("{path}: {wrong}");
        }
        self.note("get", path, 200);
        line
    }
}

/// A path with values in place of its parameters.
fn filled(path: &str, values: &[&str]) -> String {
    let mut values = values.iter().copied();
    let part = |part: &str| if part.starts_with('{') { values.next().unwrap() } else { part }.to_owned();
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// An answer has this status, and this code if it is an error.
fn is((status, body): &(u16, Value), expected: u16, code: &str) {
    assert_eq!((*status, body["code"].as_str().unwrap_or_default()), (expected, code), "{body}");
}

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let (mut answered, expected) = (BTreeSet::new(), Document::read().operations());
    for api in [backend().await, admin().await] {
        answered.append(&mut api.answered.take());
    }
    // Its answer is no JSON.
    answered.insert(("/metrics".to_owned(), "get".to_owned()));
    assert_eq!(answered, expected);
}

/// What a backend does for a page.
async fn backend() -> Api {
    let api = Api::with(WORKER).await;
    let mut page = Page::open(&api.server, "ada", json!([])).await;
    page.message("s1").await;
    let mut deliveries = Lines::of(api.server.request(Method::GET, "/v1/deliveries?max=4")).await;
    let message = api.line("/v1/deliveries", &mut deliveries).await;
    let id = message["id"].as_str().unwrap();
    is(&api.give(Method::POST, "/v1/deliveries/{id}/accept", &[id], json!({"attempt": 1})).await, 200, "");

    let claim = json!({"sendId": "s1", "offset": message["offset"], "text": message["text"]});
    let first = json!({"type": "run_accepted", "runId": "r1", "sendId": "s1"});
    let batch =
        json!({"producer": {"id": "p", "seq": 1}, "events": [first], "leaseMs": 60_000, "claim": claim});
    is(&api.publish(batch.clone()).await, 200, "");
    assert_eq!(api.publish(batch).await.1["repeated"], 1);
    is(&api.ask(Method::GET, "/v1/threads/{key}/producers/{id}", &["ada%2Ft", "p"], "").await, 200, "");
    is(&api.ask(Method::GET, "/v1/threads/{key}/runs", &["ada%2Ft"], "").await, 200, "");
    is(
        &api.ask(Method::POST, "/v1/threads/{key}/runs/{run}/heartbeat", &["ada%2Ft", "r1"], "").await,
        200,
        "",
    );

    let approval =
        json!({"type": "approval_requested", "runId": "r1", "approvalId": "a1", "prompt": "Send it?"});
    is(&api.publish(json!({"events": [approval]})).await, 200, "");
    let mut signals = Lines::of(api.server.request(Method::GET, &filled(SIGNALS, &["ada%2Ft", "r1"]))).await;
    page.send(json!({"type": "approve", "id": "ap", "stream": "t", "runId": "r1", "approvalId": "a1", "decision": "approved", "reason": "fine"})).await;
    assert_eq!(page.until("receipt").await["status"], "accepted");
    assert_eq!(api.line(SIGNALS, &mut signals).await["type"], "approval_resolved");
    let answered = api.line("/v1/deliveries", &mut deliveries).await;
    assert_eq!(answered["type"], "approval_resolved");
    let id = answered["id"].as_str().unwrap();
    is(&api.give(Method::POST, "/v1/deliveries/{id}/accept", &[id], json!({"attempt": 1})).await, 200, "");
    page.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": "r1"})).await;
    assert_eq!(api.line(SIGNALS, &mut signals).await["type"], "cancelled");
    let cancelled = api.line("/v1/deliveries", &mut deliveries).await;
    assert_eq!(cancelled["type"], "run_cancelled");
    let refuse = json!({"attempt": cancelled["attempt"], "message": "no"});
    let id = cancelled["id"].as_str().unwrap();
    is(&api.give(Method::POST, "/v1/deliveries/{id}/refuse", &[id], refuse).await, 200, "");

    let lines = "{\"type\":\"note\",\"runId\":\"r1\"}\n\n{\"type\":\"agent_cancelled\",\"runId\":\"r1\"}\n";
    let path = filled(STREAM, &["ada%2Ft"]) + "?producer=q&seq=1";
    let stream = |body: &'static str| {
        api.server.request(Method::POST, &path).header("content-type", "application/x-ndjson").body(body)
    };
    is(&api.send(&Method::POST, STREAM, stream(lines)).await, 200, "");
    assert_eq!(api.line(SIGNALS, &mut signals).await["type"], "over");
    for path in ["/healthz", "/readyz"] {
        is(&api.ask(Method::GET, path, &[], "").await, 200, "");
    }
    api
}

/// What an administrator does.
async fn admin() -> Api {
    let api = Api::with(MEMBERS).await;
    let thread = ["team-7%2Fplan"];
    let members = json!({"members": {"ada": ["read", "write"], "bob": ["read"]}});
    is(&api.give(Method::PUT, "/v1/threads/{key}", &thread, members).await, 200, "");
    is(&api.ask(Method::GET, "/v1/threads", &[], "?limit=1").await, 200, "");
    let events = json!({"events": [{"type": "note"}, {"type": "note"}, {"type": "note"}]});
    is(&api.give(Method::POST, EVENTS, &thread, events).await, 200, "");
    is(&api.ask(Method::GET, "/v1/threads/{key}", &thread, "").await, 200, "");
    let offsets = ["team-7%2Fplan", "2"];
    is(&api.ask(Method::DELETE, "/v1/threads/{key}/events/{offset}", &offsets, "").await, 200, "");
    is(&api.give(Method::POST, "/v1/threads/{key}/trim", &thread, json!({"through": 1})).await, 200, "");
    is(&api.ask(Method::GET, EVENTS, &thread, "?from=1&limit=2").await, 200, "");
    let mut exported = Lines::of(api.server.request(Method::GET, "/v1/users/bob/export")).await;
    assert_eq!(api.line("/v1/users/{user}/export", &mut exported).await["thread"], "team-7/plan");
    is(&api.ask(Method::POST, "/v1/users/{user}/revoke", &["ada"], "").await, 200, "");
    is(&api.ask(Method::DELETE, "/v1/users/{user}", &["bob"], "").await, 200, "");
    is(&api.ask(Method::DELETE, "/v1/threads/{key}", &thread, "").await, 200, "");
    is(&api.ask(Method::GET, "/v1/threads/{key}", &["none"], "").await, 404, "not_found");
    api
}

#[tokio::test]
async fn errors_are_as_documented() {
    let api = Api::with(WORKER).await;
    let post = |path: &str| api.server.request(Method::POST, &filled(path, &["ada%2Ft"]));
    let end = json!({"type": "agent_completed", "runId": "r"});
    is(
        &api.publish(json!({"events": [{"type": "agent_started", "runId": "r", "agent": "x"}, end]})).await,
        200,
        "",
    );
    is(&api.publish(json!({"events": [end]})).await, 409, "run_over");
    is(
        &api.publish(json!({"producer": {"id": "p", "seq": 7}, "events": [{"type": "x"}]})).await,
        409,
        "producer_gap",
    );
    let invalid = json!({"events": [{"type": "x"}, {"type": "agent_started", "runId": 7}]});
    let request = post(EVENTS).json(&invalid);
    is(&api.send(&Method::POST, EVENTS, request).await, 422, "invalid_event");
    let request = post(EVENTS).body("{}").header("content-type", "text/plain");
    is(&api.send(&Method::POST, EVENTS, request).await, 415, "unsupported_media_type");
    is(&api.publish(json!({"events": [{"type": "x", "text": "a".repeat(5000)}]})).await, 413, "too_large");
    let idempotent = |text: &str| {
        let body = json!({"events": [{"type": "x", "text": text}]});
        post(EVENTS).header("idempotency-key", "k").json(&body)
    };
    is(&api.send(&Method::POST, EVENTS, idempotent("a")).await, 200, "");
    is(&api.send(&Method::POST, EVENTS, idempotent("b")).await, 409, "key_conflict");
    let request = api.server.bare(Method::GET, "/v1/threads");
    is(&api.send(&Method::GET, "/v1/threads", request).await, 401, "key_invalid");
    let request =
        api.server.bare(Method::GET, "/v1/threads/ada%2Ft").bearer_auth("key-that-may-read-one-team-alone");
    is(&api.send(&Method::GET, "/v1/threads/{key}", request).await, 403, "forbidden");
    is(&api.ask(Method::GET, "/v1/threads", &[], "?limit=0").await, 400, "bad_request");
    is(
        &api.ask(Method::GET, "/v1/threads/{key}/producers/{id}", &["ada%2Ft", "none"], "").await,
        404,
        "not_found",
    );
    is(&api.give(Method::PUT, "/v1/threads/{key}", &["ada%2Ft"], json!({})).await, 400, "bad_request");
    // The answer to a method that a path does not have is the same for all of them.
    let request = api.server.request(Method::PUT, &filled(EVENTS, &["ada%2Ft"]));
    is(&api.send(&Method::POST, EVENTS, request).await, 405, "method_not_allowed");
    let path = filled(STREAM, &["ada%2Ft"]) + "?producer=q&seq=1";
    for (body, status, code) in [
        ("{\"type\":\"x\"}\nno", 400, "bad_request"),
        ("", 400, "bad_request"),
        ("{\"type\":7}\n", 422, "invalid_event"),
    ] {
        let request =
            api.server.request(Method::POST, &path).header("content-type", "application/x-ndjson").body(body);
        is(&api.send(&Method::POST, STREAM, request).await, status, code);
    }
}

#[tokio::test]
async fn the_server_refuses_what_the_document_forbids() {
    let api = Api::with(WORKER).await;
    let event = json!({"type": "x"});
    for body in [
        json!({}),
        json!({"events": []}),
        json!({"events": [event], "more": 1}),
        json!({"events": [event], "leaseMs": 999}),
        json!({"events": [event], "leaseMs": 86_400_001}),
        json!({"events": [event], "producer": {"id": "p"}}),
        json!({"events": [event], "producer": {"id": "p", "seq": 0}}),
        json!({"events": [event], "producer": {"id": "", "seq": 1}}),
        json!({"events": [event], "producer": {"id": "p".repeat(129), "seq": 1}}),
        json!({"events": [event], "claim": {"sendId": "s"}}),
    ] {
        is(&api.publish(body).await, 400, "bad_request");
    }
    let path = "/v1/threads/{key}/trim";
    is(&api.give(Method::POST, path, &["ada%2Ft"], json!({"through": -1})).await, 400, "bad_request");
    let path = "/v1/deliveries/{id}/accept";
    is(&api.give(Method::POST, path, &["d"], json!({"done": true})).await, 400, "bad_request");
}
