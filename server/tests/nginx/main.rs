//! `server/deploy/nginx.conf`, in front of a real server. Without nginx on this machine, nothing is tested.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

mod proxy;
#[path = "../server/support.rs"]
#[expect(dead_code, reason = "the tests of the server use all of it")]
mod support;

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::{Error, Message};

use self::proxy::{Proxy, config};
use self::support::{Lines, Page, Running, answer, token, within};

const FAST: &str = "limits.heartbeat_ms = 200";

/// A server, and nginx in front of it: requests go to nginx from now on. `None` without nginx.
async fn behind_nginx(more: &str, change: impl Fn(String) -> String) -> Option<(Running, Proxy)> {
    let mut server = Running::with(more).await;
    let proxy = Proxy::start(|port| change(config(server.address, port))).await?;
    server.address = proxy.address;
    Some((server, proxy))
}

fn handshake(address: SocketAddr, path: &str) -> Request<()> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("agentwire.v1"));
    request
}

/// A page gets what is published.
async fn is_live(server: &Running, page: &mut Page, text: &str) {
    let body = json!({"events": [{"type": "note", "text": text}]});
    // A connection of its own: a reload ends those that wait for another request.
    let publish = server.request(Method::POST, "/v1/threads/ada%2Ft/events").header("connection", "close");
    assert_eq!(answer(publish.json(&body)).await.0, 200);
    while page.until("events").await["events"][0]["text"] != text {}
}

#[tokio::test]
async fn heartbeats_keep_a_page_connected_and_a_reload_does_not_end_it() {
    let short = |config: String| config.replace("proxy_read_timeout 60s", "proxy_read_timeout 1s");
    let Some((server, mut proxy)) = behind_nginx(FAST, short).await else { return };
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    // Three times the timeout of nginx.
    for _ in 0..15 {
        page.until("heartbeat").await;
    }
    is_live(&server, &mut page, "one").await;
    proxy.reload().await;
    is_live(&server, &mut page, "two").await;
    Page::open(&server, "ada", json!([{"name": "t"}])).await;
}

#[tokio::test]
async fn lines_go_out_as_they_come() {
    let Some((server, _proxy)) = behind_nginx("deliver.mode = \"worker\"", |config| config).await else {
        return;
    };
    let mut lines = Lines::of(server.request(Method::GET, "/v1/deliveries")).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.message("s1").await;
    assert_eq!(lines.next().await.unwrap()["content"], "s1");
}

#[tokio::test]
async fn it_works_under_a_prefix() {
    let prefixed = "server.path_prefix = \"/agents\"";
    let Some((server, proxy)) = behind_nginx(prefixed, proxy::with_prefix).await else { return };
    let path = "/agents/v1/threads/ada%2Ft/events";
    let publish = server.request(Method::POST, path).json(&json!({"events": [{"type": "note"}]}));
    assert_eq!(answer(publish).await.0, 200);
    let (status, body) = server.get(path).await;
    assert_eq!((status, &body["head"]), (200, &json!(1)), "{body}");
    let (mut socket, _) =
        within(tokio_tungstenite::connect_async(handshake(proxy.address, "/agents/ws"))).await.unwrap();
    let hello = json!({
        "type": "hello", "token": token("ada", json!({})), "client": {"name": "test", "version": "0"},
        "window": {"events": 65_536, "bytes": 16_777_216}, "streams": []
    });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let welcome = within(socket.next()).await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&welcome).unwrap()["type"], "welcome");
}

#[tokio::test]
async fn without_the_lines_of_upgrade_the_answer_says_so() {
    let without = |config: String| {
        let is_kept = |line: &&str| {
            !line.contains("proxy_set_header Upgrade") && !line.contains("proxy_set_header Connection")
        };
        config.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
    };
    let Some((_server, proxy)) = behind_nginx("", without).await else { return };
    let refused = within(tokio_tungstenite::connect_async(handshake(proxy.address, "/ws"))).await;
    let Err(Error::Http(response)) = refused else { panic!("no answer of HTTP, but {refused:?}") };
    assert_eq!(response.status(), 426);
    let body: Value = serde_json::from_slice(response.body().as_deref().unwrap()).unwrap();
    assert_eq!(body["code"], "upgrade_required");
}
