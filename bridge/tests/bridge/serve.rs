//! Connections that do not behave: `Bridge::serve` gives them up in time and keeps the others.

use std::time::Duration;

use agentwire_bridge::{Bridge, Hs256, Limits, MemoryLog};
use axum::body::Bytes;
use axum::routing::post;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Page, Server, within};

const SOON: Duration = Duration::from_millis(300);

async fn server(limits: Limits) -> Server {
    Server::with(|builder| builder.limits(limits)).await
}

/// What a connection is sent until it ends. A reset is an end.
async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = within(socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

// Faults D14.
#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_head_is_given_up() {
    let server = server(Limits { header_timeout: SOON, ..Limits::default() }).await;
    for said in ["", "GET /healthz", "GET /healthz HTTP/1.1\r\nhost: x\r\n"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        rest(&mut socket).await;
    }
    // And one that waits for long for its next request.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut socket).await.starts_with("HTTP/1.1 200"));
}

// Faults D14.
#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let limits = Limits { body_timeout: SOON, ..Limits::default() };
    let server = server(limits).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = server.bridge.router().route("/take", post(async |body: Bytes| body.len().to_string()));
    let bridge = server.bridge.clone();
    tokio::spawn(async move { bridge.serve(listener, app).await });
    let head = "POST /take HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
    for (body, status) in [("12345", "200"), ("123", "400")] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(body.as_bytes()).await.unwrap();
        let answer = rest(&mut socket).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
}

#[tokio::test]
async fn a_head_has_a_size() {
    let server = server(Limits::default()).await;
    let long = "x".repeat(20_000);
    let many = "a: b\r\n".repeat(100);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "4"),
        (format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n\r\n"), "431"),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let _ = socket.write_all(request.as_bytes()).await;
        let answer = rest(&mut socket).await;
        let found = answer.split(' ').nth(1).unwrap_or_default();
        // Or no answer at all: the connection was reset while the head was still written.
        assert!(answer.is_empty() || found.starts_with(status), "{answer}");
    }
}

// Faults D14.
#[tokio::test]
async fn connections_beyond_the_limit_are_answered_with_503_and_places_come_back() {
    let limits = Limits { max_connections: 1, max_opening: 1, max_requests: 1, ..Limits::default() };
    let server = server(limits).await;
    let page = Page::open(&server, "ada", json!([])).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut refused = TcpStream::connect(server.address).await.unwrap();
    assert!(rest(&mut refused).await.starts_with("HTTP/1.1 503"));
    drop(silent);
    // A place comes back when the server notices it.
    within(async {
        loop {
            let mut socket = TcpStream::connect(server.address).await.unwrap();
            let _ = socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            if rest(&mut socket).await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    })
    .await;
    // The page kept its place, also after its handshake was over.
    drop(page);
}

// Faults D11.
#[tokio::test]
async fn pings_before_the_welcome_are_read_up_to_a_bound() {
    let server = server(Limits::default()).await;
    let mut socket = handshake(&server).await;
    // A ping of 100 bytes, masked with zeros.
    let mut ping = vec![0x89, 0x80 | 100, 0, 0, 0, 0];
    ping.extend([b'x'; 100]);
    // More than the socket may take before its `hello`: nothing is read beyond it, and the socket ends.
    for _ in 0..2_000 {
        if socket.write_all(&ping).await.is_err() {
            break;
        }
    }
    let mut pongs = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = within(socket.read(&mut buffer)).await {
        pongs += read;
    }
    assert!(pongs <= 65_536 + 16_384, "{pongs} bytes of pongs");
}

// PROTOCOL: GEN-7
#[tokio::test]
async fn a_message_that_is_too_large_in_all_its_fragments_is_not_read_to_its_end() {
    let server = Server::start().await;
    let mut socket = handshake(&server).await;
    for n in 0..70 {
        // A fragment of 1,000 bytes, masked with zeros; the first one says that it is text.
        let mut fragment = vec![u8::from(n == 0), 0x80 | 126, 0x03, 0xe8, 0, 0, 0, 0];
        fragment.extend([b'x'; 1_000]);
        let _ = socket.write_all(&fragment).await;
    }
    let answer = rest(&mut socket).await;
    assert!(answer.contains("message_too_large"), "{answer}");
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_not_in_the_list_gets_403() {
    let server = Server::with(|builder| builder.origins(["https://chat.example.com"])).await;
    for (origin, status) in [
        ("Origin: https://chat.example.com\r\n", "101"),
        ("", "101"),
        ("Origin: https://evil.test\r\n", "403"),
        ("Origin: null\r\n", "403"),
    ] {
        let (head, mut socket) = handshake_of(&server, origin).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{origin}: {head}");
        if status == "403" {
            let mut code = vec![0; r#"{"code":"origin_not_allowed""#.len()];
            within(socket.read_exact(&mut code)).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&code), r#"{"code":"origin_not_allowed""#);
        }
    }
    let error = Bridge::builder()
        .log(MemoryLog::new())
        .authenticator(Hs256::new([7; 32]).unwrap())
        .origins(["https://chat.example.com/"])
        .build()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("without a path"), "{error}");
}

/// A WebSocket that was not welcomed.
async fn handshake(server: &Server) -> TcpStream {
    let (head, socket) = handshake_of(server, "").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    socket
}

/// The head of the answer to a handshake that has a header more.
async fn handshake_of(server: &Server, header: &str) -> (String, TcpStream) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: agentwire.v1\r\n{header}\r\n",
        server.address
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(socket.read_u8()).await.unwrap());
    }
    (String::from_utf8(head).unwrap(), socket)
}
