//! Clients that do not read what they asked for.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::attack::{Attack, Lift, Stage, hello, send};
use super::peer::{FIN, Peer, TEXT, text};
use super::tokens;

/// The deadline of a write that these attacks are tried with.
const WRITE: Duration = Duration::from_secs(1);

/// How long after it a socket may be open at the most.
const SLACK: Duration = Duration::from_secs(3);

const LIMITS: &str = r#"{"write_timeout":1000,"max_bytes_per_second":1073741824}"#;
const LIFTED: &str = r#"{"write_timeout":300000,"max_bytes_per_second":1073741824}"#;

/// The same for one that asks more often than a user may.
const FAST: &str =
    r#"{"write_timeout":1000,"max_bytes_per_second":1073741824,"max_frames_per_second":1000000}"#;
const FAST_LIFTED: &str =
    r#"{"write_timeout":300000,"max_bytes_per_second":1073741824,"max_frames_per_second":1000000}"#;

/// What is asked for: more than the buffers of the system take.
const MEGABYTES: usize = 12;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("stall-in-replay", "asks for 12 MB and never reads", |stage| {
            Box::pin(async move {
                fill(&stage, "eve", "t", MEGABYTES).await?;
                let mut page = narrow(&stage).await?;
                page.json(&hello(&tokens::of("eve"), json!([{ "name": "t" }]))).await?;
                unread(page).await
            })
        })
        .held("write_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("stall-in-live", "follows a stream of 12 MB and never reads", |stage| {
            Box::pin(async move {
                let mut page = narrow(&stage).await?;
                page.json(&hello(&tokens::of("eve"), json!([{ "name": "t" }]))).await?;
                page.until("caughtUp").await?;
                fill(&stage, "eve", "t", MEGABYTES).await?;
                unread(page).await
            })
        })
        .held("write_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("stall-of-http", "asks for 12 MB over HTTP and never reads", |stage| {
            Box::pin(async move {
                fill(&stage, "eve", "t", MEGABYTES).await?;
                let mut peer = Peer::narrow(stage.address).await?;
                let token = tokens::of("eve");
                let path = "/v1/threads/t/events?limit=1000";
                let request = format!("GET {path} HTTP/1.1\r\nhost: stand\r\nauthorization: Bearer {token}\r\n\r\n");
                // Each answer has at most one frame's worth of events.
                peer.write(request.repeat(MEGABYTES * 2).as_bytes()).await?;
                unread(peer).await
            })
        })
        .held("write_timeout", LIMITS, Lift::Limits(LIFTED)),
        Attack::new("stall-in-answers", "sends pings of the protocol and never reads the pongs", |stage| {
            Box::pin(async move {
                let mut page = narrow(&stage).await?;
                page.json(&hello(&tokens::of("eve"), json!([]))).await?;
                // It is not read any more when its answers wait.
                let pings = text(r#"{"type":"ping","n":9007199254740991}"#).repeat(1_000);
                page.flood(&pings, WRITE + SLACK * 2).await;
                page.gone(Duration::from_secs(1)).await
            })
        })
        .held("write_timeout", FAST, Lift::Limits(FAST_LIFTED)),
        Attack::new("unread-streams", "12 sockets of one user ask for 12 MB each and never read", |stage| {
            Box::pin(async move {
                fill(&stage, "eve", "t", MEGABYTES).await?;
                let mut pages = Vec::new();
                for _ in 0..12 {
                    let mut page = narrow(&stage).await?;
                    page.json(&hello(&tokens::of("eve"), json!([{ "name": "t" }]))).await?;
                    pages.push(page);
                }
                sleep(SLACK).await;
                Ok(())
            })
        })
        .held(
            "bytes that wait per socket, user and process",
            r#"{"max_bytes_per_second":1073741824}"#,
            Lift::Limits(
                r#"{"max_bytes_per_second":1073741824,"max_buffered_bytes":1073741824,"max_buffered_bytes_per_user":1073741824,"max_buffered_bytes_in_total":68719476736}"#,
            ),
        ),
        Attack::new("unread-refusals", "breaks the rules before the welcome and never reads why", |stage| {
            Box::pin(async move {
                let mut peers = Vec::new();
                for _ in 0..50 {
                    let mut peer = stage.socket().await?;
                    peer.frame(FIN | TEXT, b"x").await?;
                    peers.push(peer);
                }
                sleep(SLACK).await;
                for peer in &mut peers {
                    peer.gone(SLACK).await?;
                }
                Ok(())
            })
        })
        .held("the time that an end may take", "{}", Lift::Option("refusals")),
    ]
}

/// A WebSocket whose buffer for reading is as small as the system allows.
async fn narrow(stage: &Stage) -> Result<Peer> {
    let mut peer = Peer::narrow(stage.address).await?;
    peer.upgrade().await?;
    Ok(peer)
}

/// Fills a stream with so many megabytes.
async fn fill(stage: &Stage, user: &str, stream: &str, megabytes: usize) -> Result<()> {
    let mut page = stage.page(user).await?;
    for n in 0..megabytes {
        let mut message = send(&format!("fill-{n}"), stream, &"x".repeat(1_000_000));
        // No agent answers a message of another type.
        message["message"]["type"] = json!("note");
        page.json(&message).await?;
        let receipt = page.until("receipt").await?;
        ensure!(receipt["status"] == "accepted", "the stream can't be filled: {receipt}");
    }
    Ok(())
}

/// Does not read until the server must have ended it. Then it reads: the end must be there, and what the server did not
/// write must be missing.
async fn unread(mut peer: Peer) -> Result<()> {
    sleep(WRITE + SLACK).await;
    let (mut bytes, until) = (0, Instant::now() + Duration::from_secs(2));
    while Instant::now() < until {
        match peer.some(Duration::from_secs(1)).await {
            Some(0) => {
                ensure!(
                    bytes < MEGABYTES * 1_000_000,
                    "all {bytes} bytes were written in time: it did not stall"
                );
                return Ok(());
            }
            Some(read) => bytes += read,
            None => break,
        }
    }
    bail!("still open after {} ms; {bytes} bytes came", (WRITE + SLACK).as_millis())
}
