//! Requests of HTTP that are large, strange or ambiguous.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::attack::{Attack, Lift, Stage};
use super::peer::{Peer, SOON};
use super::tokens;

/// How long the server may take for an answer that refuses.
const AT_ONCE: Duration = Duration::from_secs(3);

const PARSER: &str = "the reader of HTTP";

/// What a connection gets that is refused: an error of the client, or its end.
const REFUSED: [u16; 9] = [0, 400, 404, 405, 408, 411, 414, 426, 431];

pub(super) fn attacks() -> Vec<Attack> {
    let http = |attack: Attack| attack.held(PARSER, "{}", Lift::Option("refusals"));
    vec![
        http(Attack::new("http-header-bombs", "sends 10,000 headers, and one of 2 MB", |stage| {
            Box::pin(async move {
                let many: String = (0..10_000).map(|n| format!("x{n}: y\r\n")).collect();
                let long = format!("x: {}\r\n", "y".repeat(2_000_000));
                for headers in [many, long] {
                    refused(&stage, format!("GET /healthz HTTP/1.1\r\nhost: stand\r\n{headers}\r\n").as_bytes()).await?;
                }
                Ok(())
            })
        })
        .quick()),
        http(Attack::new("http-long-uri", "asks for a path of 1 MB", |stage| {
            Box::pin(async move {
                let path = "x".repeat(1_000_000);
                refused(&stage, format!("GET /{path} HTTP/1.1\r\nhost: stand\r\n\r\n").as_bytes()).await
            })
        })),
        http(Attack::new("http-lengths", "announces bodies with lengths that contradict each other or are none", |stage| {
            Box::pin(async move {
                let lengths = [
                    "content-length: 5\r\ncontent-length: 6", "content-length: +5", "content-length: -1",
                    "content-length: 5, 6", "content-length: 99999999999999999999999", "content-length: 0x5",
                    "transfer-encoding: xchunked", "transfer-encoding: chunked, identity", "content-length : 5",
                    "content-length: 5\r\n x: y",
                ];
                for length in lengths {
                    let request = format!("POST /healthz HTTP/1.1\r\nhost: stand\r\n{length}\r\n\r\nGET /healthz HTTP/1.1\r\nhost: stand\r\n\r\n");
                    never_smuggles(&stage, &request).await.with_context(|| length.escape_debug().to_string())?;
                }
                Ok(())
            })
        })),
        http(Attack::new("http-chunks", "sends chunks whose sizes are no sizes", |stage| {
            Box::pin(async move {
                for chunk in ["ffffffffffffffffff\r\n", "-1\r\nx\r\n", "5;\u{0}\r\n", "g\r\nx\r\n", "\r\n\r\n"] {
                    let request = format!("POST /healthz HTTP/1.1\r\nhost: stand\r\ntransfer-encoding: chunked\r\n\r\n{chunk}GET /healthz HTTP/1.1\r\nhost: stand\r\n\r\n");
                    never_smuggles(&stage, &request).await.with_context(|| chunk.escape_debug().to_string())?;
                }
                Ok(())
            })
        })),
        http(Attack::new("http-other-versions", "speaks HTTP/0.9, HTTP/2, HTTP/9.9, TLS and garbage", |stage| {
            Box::pin(async move {
                let requests: [&[u8]; 7] = [
                    b"GET /healthz\r\n\r\n",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    b"GET /healthz HTTP/9.9\r\nhost: stand\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                    b"\x00\x00\x00\x00\r\n\r\n",
                    b"GET  /healthz HTTP/1.1\r\nhost: stand\r\n\r\n",
                    b"GET /healthz HTTP/1.1\r\nho\x00st: stand\r\n\r\n",
                ];
                for request in requests {
                    refused(&stage, request).await.with_context(|| request.escape_ascii().to_string())?;
                }
                Ok(())
            })
        })
        .quick()),
        http(Attack::new("http-bad-upgrades", "asks for WebSockets in wrong ways", |stage| {
            Box::pin(async move {
                let right = super::peer::UPGRADE;
                let requests = [
                    right.replace("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
                    right.replace("version: 13", "version: 12"),
                    right.replace("agentwire.v1", "agentwire.v2"),
                    right.replace("upgrade: websocket", "upgrade: h2c"),
                    right.replace("GET", "POST"),
                    right.replace("connection: upgrade\r\n", ""),
                ];
                for request in requests {
                    refused(&stage, request.as_bytes()).await.with_context(|| request.escape_debug().to_string())?;
                }
                Ok(())
            })
        })),
        http(Attack::new("http-bad-queries", "asks for events with paths and numbers that are none", |stage| {
            Box::pin(async move {
                let long = "x".repeat(300);
                let paths = [
                    "%00/events", "%ff/events", "a%0Ab/events", "t/events?from=0", "t/events?from=-1",
                    "t/events?from=1e400", "t/events?from=99999999999999999999", "t/events?limit=0",
                    "t/events?limit=1000000000", "t/events?limit=x", &format!("{long}/events"), "../../healthz/events/..",
                ];
                for path in paths {
                    let answer = stage.get(&format!("/v1/threads/{path}"), "eve").await?;
                    ensure!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
                }
                Ok(())
            })
        })
        .held("the checks of names and numbers", "{}", Lift::Option("refusals"))),
        Attack::new("http-pipelining", "pipelines 20,000 requests and never reads", |stage| {
            Box::pin(async move {
                let mut peer = stage.peer().await?;
                let token = tokens::of("eve");
                let request = format!("GET /v1/threads/t/events HTTP/1.1\r\nhost: stand\r\nauthorization: Bearer {token}\r\n\r\n");
                peer.flood(request.repeat(100).as_bytes(), super::attack::FLOOD).await;
                Ok(())
            })
        })
        .held("answers in turn: the next request is read when the answer before it is written", "{}", Lift::Option("hoard")),
    ]
}

async fn refused(stage: &Stage, request: &[u8]) -> Result<()> {
    let mut peer = stage.peer().await?;
    // The server may end it before everything was written.
    let _cut = peer.write(request).await;
    let answer = peer.answer(AT_ONCE).await?;
    ensure!(REFUSED.contains(&answer.status), "it was answered with {}: {}", answer.status, answer.body);
    Ok(())
}

/// The request is refused, or its body swallows what follows: that must not be answered as a request.
async fn never_smuggles(stage: &Stage, request: &str) -> Result<()> {
    let mut peer: Peer = stage.peer().await?;
    let _cut = peer.write(request.as_bytes()).await;
    let first = peer.answer(AT_ONCE).await?;
    ensure!(REFUSED.contains(&first.status), "it was answered with {}: {}", first.status, first.body);
    if let Ok(second) = peer.answer(SOON / 20).await {
        ensure!(second.status != 200, "what follows the body was answered: {}", second.body);
    }
    Ok(())
}
