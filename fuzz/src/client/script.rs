//! What happens, as the fuzzer's bytes say it: each step is a byte that names it and bytes for its numbers, all taken from
//! the front, so that a script can also be written (`seeds`).

use arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

use crate::MAX_INTEGER;

/// What receipts say.
const STATUSES: [&str; 12] = [
    "accepted",
    "already_claimed",
    "already_finished",
    "already_resolved",
    "cancelled",
    "rejected",
    "run_over",
    "unknown_approval",
    "unknown_run",
    "unknown_send",
    "void",
    "withdrawn",
];

/// One thing that happens.
#[derive(Debug)]
pub(super) enum Step {
    Adopt,
    Away(bool),
    Close,
    Connect,
    Deliver { consumer: u8, all: bool },
    Delivered { consumer: u8, life: Life, through: u64 },
    Flush,
    Frame { socket: Which, frame: Value },
    Online(bool),
    Send { kind: u8, stream: u8, id: u8 },
    SendTooLarge { stream: u8, id: u8 },
    Settle,
    Signal { stream: u8 },
    SocketClosed { socket: Which, code: u16 },
    SocketOpened { socket: Which, subprotocol: bool },
    Subscribe { stream: u8, open: u8, begin: u8, offset: Offset },
    Text { socket: Which, text: Vec<u8> },
    Timeout,
    TokenFailed { retryable: bool },
    TokenReady,
    Unsubscribe { consumer: u8 },
    Wait { ms: u64, notice: bool },
}

/// A socket: the one in use or one before it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Current,
    Former(u8),
}

/// The life that a report names: the consumer's own, or any.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    Any(u32),
    Own,
}

/// An offset: small, or counted from the end of what the wire can say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(pub(super) u64);

/// The bytes that name the steps that seeds are made of.
pub(crate) mod code {
    pub(crate) const CONNECT: u8 = 3;
    pub(crate) const DELIVER: u8 = 5;
    pub(crate) const DELIVERED: u8 = 6;
    pub(crate) const FLUSH: u8 = 21;
    pub(crate) const SOCKET_CLOSED: u8 = 12;
    pub(crate) const SOCKET_OPENED: u8 = 13;
    pub(crate) const SEND: u8 = 8;
    pub(crate) const SUBSCRIBE: u8 = 14;
    pub(crate) const TEXT: u8 = 15;
    pub(crate) const TOKEN_READY: u8 = 18;
    pub(crate) const WAIT: u8 = 20;
}

const KINDS: u8 = 22;

impl Step {
    pub(super) fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let kind: u8 = u.arbitrary()?;
        Ok(match kind % KINDS {
            0 => Self::Adopt,
            1 => Self::Away(u.arbitrary()?),
            2 => Self::Close,
            code::CONNECT => Self::Connect,
            4 => Self::Frame { socket: Which::read(u)?, frame: frame(u)? },
            code::DELIVER => Self::Deliver { consumer: u.arbitrary()?, all: u.arbitrary()? },
            code::DELIVERED => Self::Delivered {
                consumer: u.arbitrary()?,
                life: Life::read(u)?,
                through: Offset::read(u)?.0,
            },
            7 => Self::Online(u.arbitrary()?),
            code::SEND => Self::Send { kind: u.arbitrary()?, stream: u.arbitrary()?, id: u.arbitrary()? },
            9 => Self::SendTooLarge { stream: u.arbitrary()?, id: u.arbitrary()? },
            10 => Self::Settle,
            11 => Self::Signal { stream: u.arbitrary()? },
            code::SOCKET_CLOSED => Self::SocketClosed { socket: Which::read(u)?, code: close_code(u)? },
            code::SOCKET_OPENED => {
                // Nearly always ours: another one ends the client.
                Self::SocketOpened { socket: Which::read(u)?, subprotocol: u.arbitrary::<u8>()? != 255 }
            }
            code::SUBSCRIBE => Self::Subscribe {
                stream: u.arbitrary()?,
                open: u.arbitrary()?,
                begin: u.arbitrary()?,
                offset: Offset::read(u)?,
            },
            code::TEXT => {
                let socket = Which::read(u)?;
                let len = usize::from(u.arbitrary::<u16>()?).min(u.len());
                Self::Text { socket, text: u.bytes(len)?.to_vec() }
            }
            16 => Self::Timeout,
            17 => Self::TokenFailed { retryable: u.arbitrary::<u8>()? != 255 },
            code::TOKEN_READY => Self::TokenReady,
            19 => Self::Unsubscribe { consumer: u.arbitrary()? },
            code::FLUSH => Self::Flush,
            _ => Self::Wait { ms: wait(u)?, notice: u.arbitrary()? },
        })
    }
}

impl Which {
    fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let byte: u8 = u.arbitrary()?;
        Ok(if byte < 224 { Self::Current } else { Self::Former(byte - 224) })
    }
}

impl Life {
    fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let byte: u8 = u.arbitrary()?;
        Ok(if byte < 128 { Self::Own } else { Self::Any(u32::from(byte % 4)) })
    }
}

impl Offset {
    fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let byte: u8 = u.arbitrary()?;
        Ok(Self(match byte {
            0..240 => u64::from(byte),
            240..255 => MAX_INTEGER - u64::from(254 - byte),
            255 => u64::from(u.arbitrary::<u32>()?),
        }))
    }
}

/// How long nothing happens: from a millisecond to some days.
fn wait(u: &mut Unstructured<'_>) -> Result<u64> {
    let byte: u8 = u.arbitrary()?;
    Ok(1 << (byte % 30))
}

fn close_code(u: &mut Unstructured<'_>) -> Result<u16> {
    let byte: u8 = u.arbitrary()?;
    Ok(match byte {
        0..100 => 4400 + u16::from(byte),
        100..116 => 900 + u16::from(byte),
        _ => 1006,
    })
}

/// The name of a stream; a few, so that they meet.
pub(super) fn stream_name(stream: u8) -> String {
    format!("s{}", stream % 4)
}

/// The name of an epoch.
pub(super) fn epoch_name(epoch: u8) -> String {
    format!("e{}", epoch % 4)
}

/// A frame of a server that says what it likes: each of its fields is well-formed by itself.
fn frame(u: &mut Unstructured<'_>) -> Result<Value> {
    let kind: u8 = u.arbitrary()?;
    let ch = |u: &mut Unstructured<'_>| -> Result<u8> { Ok(1 + u.arbitrary::<u8>()? % 8) };
    let offset = |u: &mut Unstructured<'_>| -> Result<u64> { Ok(Offset::read(u)?.0) };
    let reason = |u: &mut Unstructured<'_>| -> Result<&str> {
        u.choose(&["trimmed", "epoch", "ahead", "forbidden", "requested"]).copied()
    };
    Ok(match kind % 19 {
        0 => {
            let mut frame = json!({"type": "caughtUp", "ch": ch(u)?, "offset": offset(u)?});
            if u.arbitrary()? {
                frame["openRuns"] = json!(["r1"]);
            }
            frame
        }
        1 => {
            let codes = ["token_invalid", "too_many_requests", "overloaded", "internal", "token_expired"];
            let mut frame =
                json!({"type": "error", "code": u.choose(&codes)?, "message": "m", "retryable": true});
            if u.arbitrary()? {
                frame["retryAfterMs"] = wait(u)?.min(86_400_000).into();
            }
            if u.arbitrary()? {
                frame["req"] = u.arbitrary::<u8>()?.into();
            }
            frame
        }
        2..6 => {
            let count = 1 + u.arbitrary::<u8>()? % 8;
            let events = vec![json!({"type": "a"}); usize::from(count)];
            json!({"type": "events", "ch": ch(u)?, "first": offset(u)?.max(1), "count": count, "events": events})
        }
        6 => {
            json!({"type": "deltas", "ch": ch(u)?, "first": offset(u)?.max(1), "count": 2,
                "head": {"type": "message_delta"}, "times": [1, 2], "texts": ["a", "b"]})
        }
        7 => {
            json!({"type": "gap", "ch": ch(u)?, "from": offset(u)?.max(1), "to": offset(u)?, "reason": reason(u)?})
        }
        8 => {
            json!({"type": "unsubscribed", "ch": ch(u)?, "name": stream_name(u.arbitrary()?), "reason": "epoch"})
        }
        9 => {
            json!({"type": "goaway", "reason": "deploy", "reconnectAfterMs": wait(u)?.min(300_000), "spreadMs": 5_000})
        }
        10 => {
            let heads = (0..u.arbitrary::<u8>()? % 4)
                .map(|_| Ok((ch(u)?.to_string(), offset(u)?.into())))
                .collect::<Result<serde_json::Map<String, Value>>>()?;
            json!({"type": "heartbeat", "heads": heads})
        }
        11 => match u.arbitrary::<u8>()? % 5 {
            0 => json!({"type": "history", "req": 1, "items": [], "more": false}),
            1 => json!({"type": "notice", "kind": "degraded"}),
            2 => json!({"type": "signal", "stream": "s0", "signal": {"type": "typing"}}),
            3 => json!({"type": "ping", "n": offset(u)?}),
            _ => json!({"type": "pong", "n": 1}),
        },
        12 => {
            let (stream, id) = (stream_name(u.arbitrary()?), send_id(u.arbitrary()?));
            let status = STATUSES[usize::from(u.arbitrary::<u8>()?) % STATUSES.len()];
            let mut frame = json!({"type": "receipt", "id": id, "stream": stream, "status": status});
            if status == "rejected" {
                frame["error"] =
                    json!({"code": "overloaded", "message": "m", "retryable": u.arbitrary::<bool>()?});
            } else if u.arbitrary()? {
                frame["decision"] = "approved".into();
                frame["position"] = json!({"epoch": epoch_name(u.arbitrary()?), "offset": offset(u)?.max(1)});
            }
            frame
        }
        13 => json!({"type": "refreshed", "tokenExpiresInMs": wait(u)?}),
        14 => {
            json!({"type": "replayEnd", "req": u.arbitrary::<u8>()? % 16, "to": offset(u)?, "oldest": offset(u)?.max(1)})
        }
        15 | 16 => {
            let head = offset(u)?;
            let oldest = offset(u)?.clamp(1, head + 1);
            let base = offset(u)?.min(head);
            // Often what the rules say, or the page would refuse nearly all of them.
            let next = match u.arbitrary::<u8>()? % 5 {
                0 => oldest,
                1 => head + 1,
                2 => oldest.max(base + 1),
                _ => offset(u)?.clamp(oldest, head + 1),
            };
            let mut frame = json!({"type": "subscribed", "ch": ch(u)?, "name": stream_name(u.arbitrary()?),
                "epoch": epoch_name(u.arbitrary()?), "oldest": oldest, "head": head, "next": next,
                "recovered": u.arbitrary::<bool>()?, "reason": reason(u)?});
            if u.arbitrary()? {
                frame["base"] = base.into();
            }
            frame
        }
        17 => {
            let mut frame =
                json!({"type": "unsubscribed", "name": stream_name(u.arbitrary()?), "reason": reason(u)?});
            if u.arbitrary()? {
                frame["ch"] = ch(u)?.into();
            }
            frame
        }
        _ => json!({"type": "welcome", "session": "s", "subject": u.choose(&["ada", "ada", "ada", "bob"])?,
            "heartbeatMs": wait(u)?.clamp(100, 300_000), "maxFrameBytes": 4_096, "maxStreams": 64,
            "sendHorizonMs": wait(u)?, "tokenExpiresInMs": wait(u)?}),
    })
}

/// An id of a send; every stream has the same ones.
pub(super) fn send_id(id: u8) -> String {
    format!("m{}", id % 8)
}
