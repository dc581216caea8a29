//! Slow bytes, half frames and silence, at every stage of a connection.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::json;
use tokio::time::Instant;

use super::attack::{Attack, Lift, hello};
use super::peer::{FIN, PING, Peer, TEXT, UPGRADE, frame, head, text};
use super::tokens;

/// How long after its deadline a connection may be open at the most.
const SLACK: Duration = Duration::from_millis(1_500);

/// The deadlines that these attacks are tried with.
const DEADLINE: Duration = Duration::from_secs(1);

const LIMITS: &str =
    r#"{"header_timeout":1000,"body_timeout":1000,"hello_timeout":1000,"heartbeat":300,"idle_timeout":1000}"#;
const LIFTED: &str = r#"{"header_timeout":300000,"body_timeout":3600000,"hello_timeout":60000,"heartbeat":300,"idle_timeout":3600000}"#;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("silent-tcp", "connects and says nothing", |stage| {
            Box::pin(async move { stage.peer().await?.gone(DEADLINE + SLACK).await })
        })
        .held("header_timeout", LIMITS, Lift::Limits(LIFTED))
        .quick(),
        Attack::new("slow-request-line", "sends the request line byte by byte", |stage| {
            Box::pin(async move { trickle(stage.peer().await?, &UPGRADE.as_bytes()[..20], true, None).await })
        })
        .held("header_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("slow-headers", "sends one header after the other without an end", |stage| {
            Box::pin(async move {
                let mut peer = stage.peer().await?;
                peer.write(b"GET /healthz HTTP/1.1\r\nhost: stand\r\n").await?;
                trickle(peer, b"x: y\r\n", false, None).await
            })
        })
        .held("header_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("slow-body", "announces a body and sends one byte of it at a time", |stage| {
            Box::pin(async move {
                let mut peer = stage.peer().await?;
                peer.write(b"POST /body HTTP/1.1\r\nhost: stand\r\ncontent-length: 100000\r\n\r\n").await?;
                trickle(peer, b"x", false, None).await
            })
        })
        .held("body_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("idle-http", "keeps a connection after an answer and asks nothing more", |stage| {
            Box::pin(async move {
                let mut peer = stage.peer().await?;
                peer.write(b"GET /healthz HTTP/1.1\r\nhost: stand\r\n\r\n").await?;
                peer.answer(super::peer::SOON).await?;
                peer.gone(DEADLINE + SLACK).await
            })
        })
        .held("header_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("no-hello", "opens a WebSocket and says nothing", |stage| {
            Box::pin(async move { stage.socket().await?.refused(DEADLINE + SLACK, "", 4452).await.map(drop) })
        })
        .held("hello_timeout", LIMITS, Lift::Limits(LIFTED))
        .quick(),
        Attack::new("slow-hello", "sends its hello byte by byte", |stage| {
            Box::pin(async move {
                let hello = text(&hello(&tokens::of("eve"), json!([])).to_string());
                trickle(stage.socket().await?, &hello[..100], true, Some(4452)).await
            })
        })
        .held("hello_timeout", LIMITS, Lift::Limits(LIFTED))
        .quick(),
        Attack::new("pings-for-hello", "sends pings in the place of its hello", |stage| {
            Box::pin(async move {
                trickle(stage.socket().await?, &frame(FIN | PING, b"x"), false, Some(4452)).await
            })
        })
        .held("hello_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("half-frame", "sends half a frame after the welcome, and is silent", |stage| {
            Box::pin(async move {
                let mut page = stage.page("eve").await?;
                page.write(&head(FIN | TEXT, 1_000)).await?;
                page.gone(DEADLINE + SLACK).await
            })
        })
        .held("idle_timeout: a frame is heard when it is whole", LIMITS, Lift::Limits(LIFTED))
        .quick(),
        Attack::new("slow-frame", "sends a frame byte by byte after the welcome", |stage| {
            Box::pin(async move {
                let mut page = stage.page("eve").await?;
                page.write(&head(FIN | TEXT, 1_000)).await?;
                trickle(page, b" ", false, None).await
            })
        })
        .held("idle_timeout: a frame is heard when it is whole", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("vanished", "does not answer pings after the welcome", |stage| {
            // Reads, so that no write stalls, but answers nothing.
            Box::pin(async move { stage.page("eve").await?.gone(DEADLINE + SLACK).await })
        })
        .held("idle_timeout", LIMITS, Lift::Limits(LIFTED)),
    ]
}

/// Writes the bytes one at a time, or all of them again and again. The server must end it within its deadline; a WebSocket
/// with this close code.
async fn trickle(mut peer: Peer, bytes: &[u8], is_single: bool, close: Option<u16>) -> Result<()> {
    let until = Instant::now() + DEADLINE + SLACK;
    let pause = Duration::from_millis(50);
    let mut parts = bytes.chunks(if is_single { 1 } else { bytes.len() }).cycle();
    let mut written = 0;
    while Instant::now() < until {
        // The last byte of a single sequence is never sent.
        if !is_single || written + 1 < bytes.len() {
            let Some(part) = parts.next() else { break };
            if peer.write(part).await.is_err() {
                return Ok(());
            }
            written += part.len();
        }
        match close {
            None if peer.gone(pause).await.is_ok() => return Ok(()),
            None => {}
            Some(code) => {
                if let Ok(ended) = peer.end(pause).await {
                    ensure!(ended.close == Some(code), "ended with {:?} instead of {code}", ended.close);
                    return Ok(());
                }
            }
        }
    }
    bail!("still open {} ms after it began", (DEADLINE + SLACK).as_millis())
}
