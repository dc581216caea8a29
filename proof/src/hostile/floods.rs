//! Floods: more of one thing than anybody needs.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::attack::{Attack, FLOOD, Lift, Stage, hello, send};
use super::peer::{FIN, PING, PONG, Peer, SOON, TEXT, frame, head, text};
use super::tokens;

/// Sockets that flood at once.
const SOCKETS: usize = 4;

/// The rates of a user that floods are tried with: so much in a second, and four times as much at once.
const RATES: &str = r#"{"max_frames_per_second":1000,"max_bytes_per_second":1048576}"#;

/// What these rates allow in the time of a flood, and a quarter more: a clock of the attacker measures it.
const FRAMES: usize = 1_000 * 13 / 2 * 5 / 4;
const BYTES: usize = 1_048_576 * 13 / 2 * 5 / 4;

/// No rates.
const LIFTED: Lift = Lift::Limits(
    r#"{"max_frames_per_second":1000000,"max_bytes_per_second":1073741824,"max_sends_per_minute":1000000}"#,
);

const FRAME_RATE: &str = "max_frames_per_second";
const BYTE_RATE: &str = "max_bytes_per_second";

pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks = unread();
    attacks.extend(frames());
    attacks.extend(messages());
    attacks.extend(connections());
    attacks
}

/// What is sent by those who never read.
fn unread() -> Vec<Attack> {
    vec![
        Attack::new(
            "pings-before-welcome",
            "sends WebSocket pings without a token and never reads",
            |stage| Box::pin(async move { never_read(stage.socket().await?).await }),
        )
        .held("bytes before the welcome", "{}", Lift::Option("hoard"))
        .quick(),
        Attack::new("pings-after-welcome", "sends WebSocket pings as a user and never reads", |stage| {
            Box::pin(async move { never_read(stage.page("eve").await?).await })
        })
        .held("pongs that wait", "{}", Lift::Option("hoard")),
        Attack::new("half-frames", "300 sockets without a token send half a frame of 1 MB each", |stage| {
            Box::pin(async move {
                let mut half = head(FIN | TEXT, 1_048_000);
                half.resize(1_000_000, b' ');
                let mut sockets = Vec::new();
                for _ in 0..300 {
                    let Ok(mut socket) = stage.socket().await else { continue };
                    // One that is not read, or refused, can't be written to.
                    let _refused = tokio::time::timeout(FLOOD / 100, socket.write(&half)).await;
                    sockets.push(socket);
                }
                stage.serves("friend").await
            })
        })
        .held("bytes before the welcome", "{}", Lift::Option("hoard"))
        .quick(),
        Attack::new(
            "half-frames-of-users",
            "30 users send half a frame of 1 MB on four sockets each",
            |stage| {
                Box::pin(async move {
                    let mut half = head(FIN | TEXT, 1_048_000);
                    half.resize(1_000_000, b' ');
                    let mut pages = Vec::new();
                    for number in 0..120 {
                        let mut page = stage.page(&format!("user-{}", number / 4)).await?;
                        let _held = tokio::time::timeout(FLOOD / 100, page.write(&half)).await;
                        pages.push(page);
                    }
                    stage.serves("friend").await
                })
            },
        )
        .held(
            "max_large_bytes_in_total",
            r#"{"max_large_bytes_in_total":16777216}"#,
            Lift::Option("hoard"),
        ),
    ]
}

/// Frames that cost work and that a user may send, but not as many.
fn frames() -> Vec<Attack> {
    let rated = |attack: Attack| attack.held(FRAME_RATE, RATES, LIFTED);
    vec![
        rated(
            Attack::new("ping-frames", "sends frames of type ping on four sockets", |stage| {
                Box::pin(frames_of(stage, text(r#"{"type":"ping","n":1}"#), 1, "pong"))
            })
            .quick(),
        ),
        rated(Attack::new("unknown-frames", "sends frames of unknown types on four sockets", |stage| {
            Box::pin(frames_of(stage, with_ping(r#"{"type":"nothing","a":[1,2,3]}"#, 99), 100, "pong"))
        })),
        rated(Attack::new("acks", "acknowledges streams that are not there on four sockets", |stage| {
            Box::pin(async move {
                let offsets: serde_json::Map<_, _> =
                    (101..=120).map(|ch| (ch.to_string(), json!(7))).collect();
                let ack = json!({ "type": "ack", "offsets": offsets }).to_string();
                frames_of(stage, with_ping(&ack, 99), 100, "pong").await
            })
        })),
        rated(Attack::new("signals", "sends signals on four sockets that all follow the stream", |stage| {
            Box::pin(async move {
                let signal = r#"{"type":"signal","stream":"t","signal":{"type":"typing"}}"#;
                // Each goes to the three others, as far as they keep up.
                frames_of(stage, with_ping(signal, 99), 100, "pong").await
            })
        })),
        rated(Attack::new("refreshes", "refreshes a valid token without an end on four sockets", |stage| {
            Box::pin(async move {
                let refresh = json!({ "type": "refresh", "token": tokens::of("eve") }).to_string();
                frames_of(stage, text(&refresh), 1, "refreshed").await
            })
        })),
        rated(Attack::new("subscribes", "subscribes and unsubscribes without an end", |stage| {
            Box::pin(async move {
                let subscribe = r#"{"type":"subscribe","streams":[{"name":"t"}]}"#;
                let unit: Vec<u8> =
                    (1..=20_000).flat_map(|ch| [text(subscribe), text(&unsubscribe(ch))].concat()).collect();
                let page = stage.page("eve").await?;
                let read = 2 * page.flood_and_count(&unit, FLOOD, "subscribed").await;
                ensure!(read <= FRAMES, "{read} frames were read, not {FRAMES} at the most");
                Ok(())
            })
        })),
        rated(Attack::new("replays", "asks for the same event again and again on four sockets", |stage| {
            Box::pin(async move {
                fill(&stage, "eve").await?;
                let replay = r#"{"type":"replay","req":1,"ch":1,"from":1,"to":1}"#;
                frames_of(stage, with_ping(replay, 99), 100, "pong").await
            })
        })),
        Attack::new("names", "asks for 55,000 streams in one frame and never reads", |stage| {
            Box::pin(async move {
                let mut page = stage.page("eve").await?;
                let streams: Vec<_> = (0..55_000).map(|n| json!({ "name": n.to_string() })).collect();
                page.json(&json!({ "type": "subscribe", "streams": streams })).await?;
                page.refused(FLOOD, "overloaded", 4455).await.map(drop)
            })
        })
        .held("1,024 names in one frame", "{}", Lift::Option("refusals")),
        Attack::new("pongs", "sends WebSocket pongs that nobody asked for on four sockets", |stage| {
            Box::pin(async move {
                let mut unit = frame(FIN | PONG, &[0; 125]).repeat(100);
                let bytes = unit.len();
                unit.extend(text(r#"{"type":"ping","n":1}"#));
                bytes_of(stage, unit, bytes, "pong").await
            })
        })
        .held(BYTE_RATE, RATES, LIFTED),
    ]
}

/// Messages.
fn messages() -> Vec<Attack> {
    vec![
        Attack::new("sends", "sends small messages without an end on four sockets of one user", |stage| {
            Box::pin(async move { sends(&stage).await })
        })
        .held("max_sends_per_minute", r#"{"max_sends_per_minute":600}"#, LIFTED)
        .quick(),
        Attack::new("waiting-messages", "sends 200 messages to a stream at once", |stage| {
            Box::pin(async move { waiting(&stage).await })
        })
        .held(
            "max_waiting_messages",
            r#"{"max_waiting_messages":10}"#,
            Lift::Limits(r#"{"max_waiting_messages":1000000}"#),
        ),
        Attack::new(
            "large-sends",
            "sends messages of 300 kB without an end on four sockets of one user",
            |stage| {
                Box::pin(async move {
                    let unit = text(&send("large", "t", &"x".repeat(300_000)).to_string());
                    let bytes = unit.len();
                    bytes_of(stage, unit, bytes, "receipt").await
                })
            },
        )
        .held(BYTE_RATE, RATES, LIFTED),
        Attack::new(
            "heavy-sends",
            "pipelines sends of 40,000 small values on four sockets of one user",
            |stage| {
                Box::pin(async move {
                    let values = vec![json!({ "a": 1 }); 40_000];
                    let mut message = send("heavy", "t", "x");
                    message["message"]["metadata"] = json!({ "values": values });
                    let unit = text(&message.to_string());
                    let bytes = unit.len();
                    bytes_of(stage, unit, bytes, "receipt").await
                })
            },
        )
        .held("max_bytes_per_second, and large frames off the reactor", RATES, LIFTED)
        .quick(),
        Attack::new("cancels", "cancels and withdraws what is not there on four sockets", |stage| {
            Box::pin(async move {
                let cancel = r#"{"type":"cancel","id":"c","stream":"t","runId":"nothing"}"#;
                let answers = count_on(&stage, "eve", json!([]), &text(cancel), "receipt").await?;
                // Also the refusals are frames that have to be read.
                ensure!(answers <= FRAMES, "{answers} cancels were answered, not {FRAMES} at the most");
                Ok(())
            })
        })
        .held(FRAME_RATE, RATES, LIFTED),
        Attack::new("new-streams", "sends to a new stream each time", |stage| {
            Box::pin(async move { new_streams(&stage).await })
        })
        .held(
            "new_streams_per_hour",
            r#"{"new_streams_per_hour":20}"#,
            Lift::Limits(r#"{"new_streams_per_hour":1000000}"#),
        )
        .quick(),
    ]
}

/// Connections of one user, and from one address.
fn connections() -> Vec<Attack> {
    vec![
        Attack::new("sockets-of-one-user", "opens 40 sockets as one user", |stage| {
            Box::pin(async move { sockets_of_one_user(&stage).await })
        })
        .held(
            "max_connections_per_user",
            r#"{"max_connections_per_user":16}"#,
            Lift::Limits(r#"{"max_connections_per_user":1000000}"#),
        )
        .quick(),
        Attack::new("connections", "holds 300 connections that have asked for nothing", |stage| {
            Box::pin(async move { connections_held(&stage).await })
        })
        .held(
            "max_requests",
            r#"{"max_connections":50,"max_opening":50,"max_requests":50}"#,
            Lift::Limits(r#"{"max_connections":1000000,"max_opening":1000000,"max_requests":1000000}"#),
        )
        .quick(),
    ]
}

/// Sends WebSocket pings and never reads. The server may stop to read, or end it; the memory is what counts.
async fn never_read(mut peer: Peer) -> Result<()> {
    peer.flood(&frame(FIN | PING, &[0; 125]).repeat(500), FLOOD).await;
    Ok(())
}

/// A frame so many times, and behind it one that is answered.
fn with_ping(frame: &str, times: usize) -> Vec<u8> {
    let mut unit = text(frame).repeat(times);
    unit.extend(text(r#"{"type":"ping","n":1}"#));
    unit
}

fn unsubscribe(ch: u32) -> String {
    format!(r#"{{"type":"unsubscribe","ch":{ch}}}"#)
}

/// Floods with a unit of frames that has one answer; all that is answered must be within the rate of frames.
async fn frames_of(stage: Stage, unit: Vec<u8>, frames: usize, kind: &'static str) -> Result<()> {
    let streams = json!([{ "name": "t", "open": { "from": "live" } }]);
    let read = frames * count_on(&stage, "eve", streams, &unit, kind).await?;
    ensure!(read <= FRAMES, "{read} frames were read, not {FRAMES} at the most");
    Ok(())
}

/// The same for the rate of bytes.
async fn bytes_of(stage: Stage, unit: Vec<u8>, bytes: usize, kind: &'static str) -> Result<()> {
    let read = bytes * count_on(&stage, "eve", json!([]), &unit, kind).await?;
    ensure!(read <= BYTES, "{read} bytes were read, not {BYTES} at the most");
    Ok(())
}

/// Floods on four sockets of a user, and counts the answers.
async fn count_on(
    stage: &Stage,
    user: &str,
    streams: Value,
    unit: &[u8],
    kind: &'static str,
) -> Result<usize> {
    // Few and large writes: the attacker must not be what is slow.
    let bytes = unit.repeat((32_768 / unit.len()).max(1));
    let mut floods = Vec::new();
    for _ in 0..SOCKETS {
        let page = stage.page_with(user, streams.clone()).await?;
        let bytes = bytes.clone();
        floods.push(tokio::spawn(async move { page.flood_and_count(&bytes, FLOOD, kind).await }));
    }
    let mut count = 0;
    for flood in floods {
        count += flood.await?;
    }
    Ok(count)
}

/// More messages than a user may send: those beyond the limit must be put off with a time.
async fn sends(stage: &Stage) -> Result<()> {
    let (mut accepted, mut put_off) = (0, 0);
    let mut page = stage.page("eve").await?;
    for round in 0..20 {
        let bytes: Vec<u8> = (0..100).flat_map(|n| text(&note(&format!("{round}-{n}")))).collect();
        page.write(&bytes).await?;
        for _ in 0..100 {
            let Ok(receipt) = page.either("receipt", "error").await else { break };
            if receipt["status"] == "accepted" {
                accepted += 1;
            } else {
                let error = if receipt["type"] == "error" { &receipt } else { &receipt["error"] };
                ensure!(
                    ["overloaded", "unavailable"].contains(&error["code"].as_str().unwrap_or_default()),
                    "{receipt}"
                );
                put_off += usize::from(error["retryAfterMs"].is_u64());
            }
        }
        if put_off > 0 {
            break;
        }
    }
    ensure!(accepted <= 700, "{accepted} messages were accepted, not 600 and those of a few seconds");
    ensure!(put_off > 0, "nothing was put off with a time");
    Ok(())
}

/// A message that no agent answers.
fn note(id: &str) -> String {
    let mut message = send(id, "t", "x");
    message["message"]["type"] = json!("note");
    message.to_string()
}

/// Sends more messages than may wait for an agent: those beyond the limit are refused.
async fn waiting(stage: &Stage) -> Result<()> {
    let mut page = stage.page("eve").await?;
    let bytes: Vec<u8> =
        (0..200).flat_map(|n| text(&send(&format!("waiting-{n}"), "t", "x").to_string())).collect();
    page.write(&bytes).await?;
    let mut refused = 0;
    for _ in 0..200 {
        let receipt = page.until("receipt").await?;
        refused += usize::from(receipt["error"]["code"] == "queue_full");
    }
    ensure!(refused > 0, "all of 200 messages wait for an agent");
    Ok(())
}

/// Gives stream `t` of a user an event.
async fn fill(stage: &Stage, user: &str) -> Result<()> {
    let mut page = stage.page(user).await?;
    page.json(&send("fill", "t", "x")).await?;
    let receipt = page.until("receipt").await?;
    ensure!(receipt["status"] == "accepted", "the stream can't be filled: {receipt}");
    Ok(())
}

async fn sockets_of_one_user(stage: &Stage) -> Result<()> {
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..40 {
        let mut socket = stage.socket().await?;
        socket.json(&hello(&tokens::of("eve"), json!([]))).await?;
        if open.len() < 16 {
            socket.until("welcome").await?;
            open.push(socket);
        } else {
            socket.refused(SOON, "overloaded", 4455).await?;
            refused += 1;
        }
    }
    ensure!(refused == 24, "{refused} of 40 sockets were refused instead of 24");
    Ok(())
}

/// Connections beyond the limit are answered with 503 at once, and the others keep their places.
async fn connections_held(stage: &Stage) -> Result<()> {
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..300 {
        let mut peer = stage.peer().await?;
        match peer.answer(FLOOD / 250).await {
            Ok(answer) => {
                ensure!([0, 503].contains(&answer.status), "it was answered with {}", answer.status);
                refused += 1;
            }
            Err(_) => held.push(peer),
        }
    }
    ensure!(refused >= 150, "{} of 300 connections have a place, {refused} were refused", held.len());
    drop(held);
    tokio::time::timeout(SOON, async { while stage.serves("friend").await.is_err() {} })
        .await
        .context("nobody is served after the connections are gone")
}

async fn new_streams(stage: &Stage) -> Result<()> {
    let mut page = stage.page("eve").await?;
    let mut accepted = 0;
    for n in 0..60 {
        page.json(&send("new", &format!("new-{n}"), "x")).await?;
        let receipt = page.until("receipt").await?;
        if receipt["status"] == "accepted" {
            accepted += 1;
        } else {
            ensure!(receipt["error"]["code"] == "overloaded", "got {receipt}");
            ensure!(receipt["error"]["retryAfterMs"].is_u64(), "no time to come again: {receipt}");
        }
    }
    ensure!(accepted <= 21, "{accepted} streams were begun");
    Ok(())
}
