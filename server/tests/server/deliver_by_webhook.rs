//! Deliveries that are posted to a backend.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::support::{Page, Running, within};

const SECRET: &[u8] = b"a secret for webhooks of tests!!";

/// A backend that answers with each of these statuses, and then with 200.
struct Backend {
    statuses: Vec<u16>,
    asked: AtomicUsize,
    seen: mpsc::UnboundedSender<Value>,
}

async fn backend(statuses: &[u16]) -> (SocketAddr, mpsc::UnboundedReceiver<Value>) {
    let (seen, deliveries) = mpsc::unbounded_channel();
    let backend = Backend { statuses: statuses.to_vec(), asked: AtomicUsize::new(0), seen };
    let app = Router::new().route("/hook", post(take)).with_state(Arc::new(backend));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, deliveries)
}

async fn take(State(backend): State<Arc<Backend>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&body);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
    let delivery: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(delivery["id"], header("webhook-id"));
    backend.seen.send(delivery).unwrap();
    let status = backend.statuses.get(backend.asked.fetch_add(1, Ordering::Relaxed)).copied().unwrap_or(200);
    let status = StatusCode::from_u16(status).unwrap();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return (status, [("retry-after", "1")]).into_response();
    }
    status.into_response()
}

fn config(address: SocketAddr) -> String {
    let secret = BASE64_STANDARD.encode(SECRET);
    format!(
        "deliver.mode = \"webhook\"\ndeliver.url = \"http://{address}/hook\"\ndeliver.secrets = [\"whsec_{secret}\"]\n\
         deliver.allow_private = true\ndeliver.lease_ms = 60000\ndeliver.give_up_after_ms = 8000"
    )
}

#[tokio::test]
async fn a_message_is_posted_signed_until_it_is_accepted() {
    let (address, mut seen) = backend(&[500, 503]).await;
    let server = Running::with(&config(address)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let mut last = json!(null);
    for attempt in 1..=3 {
        last = within(seen.recv()).await.unwrap();
        assert_eq!(
            (&last["type"], &last["content"], &last["attempt"]),
            (&json!("message"), &json!("s1"), &json!(attempt))
        );
    }
    let started = json!({"type": "agent_started", "runId": "r", "agent": "x", "sendId": "s1"});
    let claim = json!({"sendId": "s1", "offset": last["offset"], "text": last["text"]});
    server
        .publish(json!({"events": [started, {"type": "agent_completed", "runId": "r"}], "claim": claim}))
        .await;
    page.message("s2").await;
    assert_eq!(within(seen.recv()).await.unwrap()["content"], "s2");
}

#[tokio::test]
async fn a_message_that_is_refused_is_not_tried_again() {
    let (address, mut seen) = backend(&[410]).await;
    let server = Running::with(&config(address)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let error = server.until_event(|event| event["type"] == "agent_error").await;
    assert_eq!(error["code"], "backend_refused");
    page.message("s2").await;
    assert_eq!(within(seen.recv()).await.unwrap()["content"], "s1");
    assert_eq!(within(seen.recv()).await.unwrap()["content"], "s2");
}

#[tokio::test]
async fn a_message_is_given_up_when_nobody_answers() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let server = Running::with(&config(address)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let error = server.until_event(|event| event["type"] == "agent_error").await;
    assert_eq!(error["code"], "backend_unreachable");
}

#[tokio::test]
async fn a_private_address_is_refused_unless_it_is_allowed() {
    let (address, mut seen) = backend(&[]).await;
    let config = config(address).replace("deliver.allow_private = true", "deliver.allow_private = false");
    let server = Running::with(&config).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    let error = server.until_event(|event| event["type"] == "agent_error").await;
    assert_eq!(error["code"], "backend_unreachable");
    assert!(seen.try_recv().is_err());
}
