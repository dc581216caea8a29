//! Frames that RFC 6455 or the protocol forbids.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::attack::{Attack, FLOOD, Lift, Stage, hello, send};
use super::peer::{BINARY, CLOSE, CONTINUATION, Ended, FIN, PING, Peer, TEXT, frame, head, text};
use super::tokens;

/// How long a server may take to end a WebSocket that broke the rules.
const AT_ONCE: Duration = Duration::from_secs(3);

/// What may end one that broke RFC 6455; the connection may also end without a code.
const CODES: [u16; 6] = [1002, 1003, 1007, 1009, 4400, 4402];

const RFC: &str = "the reader of RFC 6455";
const JSON: &str = "the reader of frames";

pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks = websocket();
    attacks.extend(frames());
    attacks
}

/// Breaks the rules of RFC 6455, before and after the welcome.
fn websocket() -> Vec<Attack> {
    let rfc = |attack: Attack| attack.held(RFC, "{}", Lift::Option("refusals"));
    vec![
        rfc(Attack::new("ws-unmasked", "sends a frame without a mask", |stage| {
            Box::pin(broken(stage, b"\x81\x02{}".to_vec()))
        })),
        rfc(Attack::new("ws-reserved-bits", "sets bits that no extension uses", |stage| {
            Box::pin(broken(
                stage,
                [frame(FIN | 0x40 | TEXT, b"{}"), frame(FIN | 0x10 | TEXT, b"{}")].concat(),
            ))
        })),
        rfc(Attack::new("ws-opcodes", "uses opcodes that are not defined", |stage| {
            Box::pin(async move {
                for opcode in [3, 7, 11, 15] {
                    broken(stage.clone(), frame(FIN | opcode, b"x")).await?;
                }
                Ok(())
            })
        })),
        rfc(Attack::new("ws-fragmented-control", "sends half a ping", |stage| {
            Box::pin(broken(stage, frame(PING, b"x")))
        })),
        rfc(Attack::new("ws-long-control", "sends a ping of 126 bytes", |stage| {
            Box::pin(broken(stage, frame(FIN | PING, &[0; 126])))
        })),
        rfc(Attack::new("ws-huge-length", "announces 2^63 bytes, and 10 TB", |stage| {
            Box::pin(async move {
                for length in [1 << 63, u64::MAX, 10 << 40] {
                    broken(stage.clone(), head(FIN | TEXT, length)).await?;
                }
                Ok(())
            })
        })
        .quick()),
        rfc(Attack::new("ws-bad-text", "sends text that is not UTF-8", |stage| {
            Box::pin(async move {
                for bytes in [&b"\xff\xfe"[..], b"{\"type\":\"\xc0\x80\"}", b"\xed\xa0\x80"] {
                    broken(stage.clone(), frame(FIN | TEXT, bytes)).await?;
                }
                Ok(())
            })
        })
        .quick()),
        rfc(Attack::new(
            "ws-bad-close",
            "closes with codes that are not for frames, and with half a code",
            |stage| {
                Box::pin(async move {
                    for payload in [&[3, 231][..], &[3, 237], &[3, 238], &[0, 0], &[3], &[3, 232, 0xff]] {
                        let mut page = stage.page("eve").await?;
                        page.frame(CLOSE, payload).await?;
                        // Whatever the answer is, it has to end.
                        page.end(AT_ONCE).await?;
                    }
                    Ok(())
                })
            },
        )),
        rfc(Attack::new(
            "ws-continuations",
            "begins with a continuation, and interleaves two messages",
            |stage| {
                Box::pin(async move {
                    broken(stage.clone(), frame(FIN | CONTINUATION, b"{}")).await?;
                    broken(stage, [frame(TEXT, b"{"), frame(FIN | TEXT, b"{}")].concat()).await
                })
            },
        )),
        Attack::new("ws-endless-message", "sends fragments of one message without an end", |stage| {
            Box::pin(async move {
                for (mut peer, when) in
                    [(stage.socket().await?, "before"), (stage.page("eve").await?, "after")]
                {
                    peer.write(&frame(TEXT, b"{")).await?;
                    peer.flood(&frame(CONTINUATION, &[b' '; 32_768]), FLOOD).await;
                    allowed(&peer.end(AT_ONCE).await?).with_context(|| format!("{when} the welcome"))?;
                }
                Ok(())
            })
        })
        .held("the largest frame", "{}", Lift::Both(r#"{"max_frame_bytes":16777216}"#, "refusals")),
        Attack::new("ws-tiny-fragments", "sends a message in fragments of one byte", |stage| {
            Box::pin(async move {
                let mut page = stage.page("eve").await?;
                page.write(&frame(TEXT, b"{")).await?;
                // Each costs seven bytes on the line. The server may read them, but at the pace of the user's bytes.
                page.flood(&frame(CONTINUATION, b" ").repeat(5_000), FLOOD).await;
                Ok(())
            })
        })
        .held("a rate of frames per socket", "{}", Lift::Option("hoard")),
        Attack::new(
            "oversized-frames",
            "sends frames larger than the limit, before and after the welcome",
            |stage| {
                Box::pin(async move {
                    let mut socket = stage.socket().await?;
                    let long = hello(&tokens::of("eve"), json!([{ "name": "t", "pad": "x".repeat(66_000) }]));
                    socket.json(&long).await?;
                    too_large(&socket.end(AT_ONCE).await?)?;
                    let mut page = stage.page("eve").await?;
                    // The end may come before the last byte was written.
                    let _cut = page.json(&send("a", "t", &"x".repeat(70_000))).await;
                    too_large(&page.end(AT_ONCE).await?)
                })
            },
        )
        .held(
            "max_frame_bytes",
            r#"{"max_frame_bytes":65536}"#,
            Lift::Both(r#"{"max_frame_bytes":16777216}"#, "refusals"),
        )
        .quick(),
    ]
}

/// Breaks the rules of the protocol.
fn frames() -> Vec<Attack> {
    let json = |attack: Attack| attack.held(JSON, "{}", Lift::Option("refusals"));
    vec![
        json(Attack::new("binary", "sends binary messages", |stage| {
            Box::pin(broken(stage, frame(FIN | BINARY, b"{}")))
        })),
        json(
            Attack::new("json-depth", "nests lists and objects deeply", |stage| {
                Box::pin(async move {
                    let lists = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
                    let deep = format!(r#"{{"type":"nothing","a":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
                    let objects = format!("{}1{}", r#"{"type":"#.repeat(100_000), "}".repeat(100_000));
                    bad_frames(&stage, [lists, "[".repeat(900_000), deep, objects]).await
                })
            })
            .quick(),
        ),
        json(Attack::new("json-numbers", "writes numbers that no double holds", |stage| {
            Box::pin(async move {
                let long = "9".repeat(400);
                let longer = "1".repeat(500_000);
                let body = |number: &str| {
                    format!(
                        r#"{{"type":"send","id":"a","stream":"t","message":{{"type":"user_message","content":"x","a":{number}}}}}"#
                    )
                };
                bad_frames(&stage, ["1e400", "-1e999999999", &long, &longer, "NaN", "01", "+1"].map(body))
                    .await
            })
        })),
        json(
            Attack::new("json-not-objects", "sends what is no frame", |stage| {
                Box::pin(async move {
                    let texts = [
                        "",
                        " ",
                        "null",
                        "1",
                        "\"ping\"",
                        "[]",
                        "{",
                        "{}",
                        r#"{"type":1}"#,
                        r#"{"type":null}"#,
                        r#"{"type":"ping","n":1}x"#,
                        "\u{feff}{\"type\":\"ping\",\"n\":1}",
                        "{'type':'ping'}",
                        r#"{"type":"ping","n":1,}"#,
                        r#"{"type":"ping" "n":1}"#,
                        "\u{0}",
                    ];
                    bad_frames(&stage, texts.map(str::to_owned)).await
                })
            })
            .quick(),
        ),
        json(Attack::new("json-wrong-types", "puts a wrong type into every field of every frame", |stage| {
            Box::pin(async move { bad_frames(&stage, wrong_types()).await })
        })),
        json(Attack::new("json-lengths", "exceeds each length of GEN-6", |stage| {
            Box::pin(async move {
                let (id, name) = ("x".repeat(129), "x".repeat(257));
                let texts = [
                    send(&id, "t", "x"),
                    send("", "t", "x"),
                    send("a", &name, "x"),
                    send("a", "", "x"),
                    send("a", "a\u{0}b", "x"),
                    send("a", "a\nb", "x"),
                    json!({ "type": "subscribe", "streams": [{ "name": name }] }),
                    json!({ "type": "subscribe", "streams": [{ "name": "t", "position": { "epoch": "e".repeat(65), "offset": 1 } }] }),
                    json!({ "type": "refresh", "token": "x".repeat(16_385) }),
                    json!({ "type": "cancel", "id": "a", "stream": "t", "runId": id }),
                ];
                bad_frames(&stage, texts.map(|frame| frame.to_string())).await
            })
        })),
        json(Attack::new(
            "contradictions",
            "sends frames that contradict themselves or earlier ones",
            |stage| {
                Box::pin(async move {
                    let again = hello(&tokens::of("eve"), json!([]));
                    let texts = [
                        again.to_string(),
                        r#"{"type":"subscribe","streams":[{"name":"t"},{"name":"t"}]}"#.to_owned(),
                        r#"{"type":"replay","req":1,"ch":1,"from":5,"to":4}"#.to_owned(),
                        r#"{"type":"subscribe","streams":[{"name":"t","open":{"last":0}}]}"#.to_owned(),
                        r#"{"type":"subscribe","streams":[{"name":"t","seen":4}]}"#.to_owned(),
                    ];
                    // A second hello is no frame of an open connection, but GEN-4 gives it the same end.
                    bad_frames(&stage, texts).await
                })
            },
        )),
        json(
            Attack::new("first-frames", "sends something else than hello first", |stage| {
                Box::pin(async move {
                    for first in [r#"{"type":"ping","n":1}"#, r#"{"type":"nothing"}"#] {
                        let mut socket = stage.socket().await?;
                        socket.text(first).await?;
                        socket.refused(AT_ONCE, "hello_expected", 4400).await?;
                    }
                    let mut socket = stage.socket().await?;
                    socket.text(r#"{"type":"hello"}"#).await?;
                    socket.refused(AT_ONCE, "bad_frame", 4400).await.map(drop)
                })
            })
            .quick(),
        ),
        Attack::new(
            "json-odd-but-legal",
            "uses equal keys, lone surrogates, NUL, unknown fields and large keys",
            |stage| Box::pin(async move { odd_but_legal(&stage).await }),
        )
        .held("GEN-3 and GEN-8: it is read as JSON.parse reads it", "{}", Lift::Option("refusals")),
        Attack::new("events-of-agents", "writes events that only agents may write", |stage| {
            Box::pin(async move {
                let mut page = stage.page("eve").await?;
                for kind in
                    ["agent_started", "agent_completed", "approval_resolved", "void", "thread_changed"]
                {
                    let mut frame = send(kind, "t", "x");
                    frame["message"]["type"] = json!(kind);
                    page.json(&frame).await?;
                    let receipt = page.until("receipt").await?;
                    ensure!(receipt["error"]["code"] == "invalid_message", "{kind}: {receipt}");
                }
                Ok(())
            })
        })
        .held("SND-6", "{}", Lift::Option("refusals")),
    ]
}

/// Sends bytes that break RFC 6455 before and after the welcome; each time the connection has to end.
async fn broken(stage: Stage, bytes: Vec<u8>) -> Result<()> {
    for (mut peer, when) in [(stage.socket().await?, "before"), (stage.page("eve").await?, "after")] {
        peer.write(&bytes).await?;
        let ended = peer.end(AT_ONCE).await.with_context(|| format!("{when} the welcome"))?;
        allowed(&ended).with_context(|| format!("{when} the welcome"))?;
    }
    Ok(())
}

fn allowed(ended: &Ended) -> Result<()> {
    ensure!(ended.close.is_none_or(|code| CODES.contains(&code)), "closed with {:?}", ended.close);
    let bad = ended.frames.iter().find(|kind| !["error", "heartbeat"].contains(&kind.as_str()));
    ensure!(bad.is_none(), "it was answered with {bad:?}");
    Ok(())
}

fn too_large(ended: &Ended) -> Result<()> {
    // The library may see it first (GEN-7), and a connection that ends in the middle of a frame may lose the code.
    ensure!(matches!(ended.close, None | Some(4402 | 1009)), "closed with {:?} instead of 4402", ended.close);
    Ok(())
}

/// Sends each text on a page of its own; each must end with `bad_frame`.
async fn bad_frames(stage: &Stage, texts: impl IntoIterator<Item = String>) -> Result<()> {
    for text in texts {
        let brief: String = text.chars().take(80).collect();
        let mut page = stage.page("eve").await?;
        page.text(&text).await?;
        page.refused(AT_ONCE, "bad_frame", 4400).await.with_context(|| format!("after {brief}"))?;
    }
    Ok(())
}

/// Each frame with each of its fields, in turn, of each type that it must not have.
fn wrong_types() -> Vec<String> {
    let key = json!({ "id": "a", "stream": "t" });
    let with = |kind: &str, fields: Value| {
        let mut frame = fields;
        frame["type"] = json!(kind);
        frame
    };
    let sent = |kind: &str, fields: Value| {
        let mut frame = with(kind, fields);
        (frame["id"], frame["stream"]) = (key["id"].clone(), key["stream"].clone());
        frame
    };
    let message = json!({ "type": "user_message", "content": "x" });
    let frames = [
        with("ping", json!({ "n": 1 })),
        with("pong", json!({ "n": 1 })),
        with("ack", json!({ "offsets": { "1": 1 } })),
        with("refresh", json!({ "token": "x" })),
        with("replay", json!({ "req": 1, "ch": 1, "from": 1, "to": 1 })),
        with("unsubscribe", json!({ "ch": 1 })),
        with("subscribe", json!({ "streams": [{ "name": "t" }] })),
        with("signal", json!({ "stream": "t", "signal": { "type": "typing" } })),
        with("history", json!({ "req": 1, "stream": "t", "limit": 1 })),
        sent("send", json!({ "message": message })),
        sent("cancel", json!({ "runId": "r" })),
        sent("withdraw", json!({ "sendId": "s" })),
        sent("edit", json!({ "sendId": "s", "message": message })),
        sent("approve", json!({ "runId": "r", "approvalId": "a", "decision": "approved" })),
    ];
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!("\u{1}"),
        json!([7]),
        json!({ "7": 7 }),
    ];
    let mut texts = Vec::new();
    for frame in &frames {
        for (field, right) in frame.as_object().into_iter().flatten() {
            let fits = |value: &Value| match right {
                Value::String(_) => value.is_string(),
                Value::Number(_) => value.as_u64().is_some(),
                Value::Array(_) => value.is_array(),
                // An acknowledgement of a channel that is not in use.
                _ => field == "offsets" && value.is_object(),
            };
            for value in wrong.iter().filter(|value| !fits(value)) {
                let mut frame = frame.clone();
                frame[field.as_str()] = value.clone();
                texts.push(frame.to_string());
            }
        }
    }
    texts
}

async fn odd_but_legal(stage: &Stage) -> Result<()> {
    let mut page = stage.page_with("eve", json!([{ "name": "t" }])).await?;
    page.text(r#"{"type":"nothing","n":1,"type":"ping","n":5,"more":[1,{"a":null}]}"#).await?;
    let pong = page.until("pong").await?;
    ensure!(pong["n"] == 5, "the last of equal keys does not count: {pong}");
    let keys: String = (0..50_000).map(|n| format!(r#""k{n}":{n},"#)).collect();
    page.text(&format!(r#"{{{keys}"type":"ping","n":6}}"#)).await?;
    ensure!(page.until("pong").await?["n"] == 6, "a frame of many keys has the wrong answer");
    page.text(
        r#"{"type":"send","id":"a","stream":"t","message":{"type":"note","content":"\ud800 \u0000 \ud83d\ude00"}}"#,
    )
    .await?;
    let events = read_one(&mut page).await?;
    ensure!(
        events["content"] == "\u{fffd} \u{0} \u{1f600}",
        "lone surrogates and NUL became {:?}",
        events["content"]
    );
    page.write(&text(r#"{"type":"ping","n":7}"#)).await?;
    ensure!(page.until("pong").await?["n"] == 7, "the page is not served any more");
    Ok(())
}

/// The first event that comes.
async fn read_one(page: &mut Peer) -> Result<Value> {
    let mut events = page.until("events").await?;
    Ok(events["events"][0].take())
}
