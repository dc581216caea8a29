//! A page of agentwire.v1: it follows one stream from its start.
//!
//! It acknowledges when the npm client does: at the end of a catch-up, when a quarter of a window is used up, with a
//! heartbeat, and otherwise a second after the first event that it has not acknowledged (FLO-2).

use std::future::pending;
use std::time::Duration;

use agentwire_crowd::stamp::{THREAD, user};
use anyhow::{Context as _, Result, bail, ensure};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use crate::connect::{Socket, connect};
use crate::frames::Frame;
use crate::tally::Tally;

/// The defaults of the npm client.
const WINDOW_EVENTS: u64 = 32_768;
const WINDOW_BYTES: u64 = 8 << 20;
const WINDOW_TOTAL_BYTES: u64 = 16 << 20;
const ACK_DELAY: Duration = Duration::from_secs(1);

/// When the tokens expire: far enough ahead, in seconds of the Unix epoch.
const LATER: u64 = 4_000_000_000;

/// A page whose request for its stream was answered.
pub(crate) struct Page {
    socket: Socket,
    ch: u32,
    /// The offset that comes next.
    next: u64,
    /// Up to here everything is acknowledged.
    acked: u64,
    unacked_bytes: u64,
    ack_at: Option<Instant>,
}

/// Connects as the user of the stream and subscribes.
pub(crate) async fn open(server: &str, secret: &str, stream: u32, deltas: bool) -> Result<Page> {
    let mut socket = connect(server, "/ws", Some("agentwire.v1")).await?;
    let features: &[&str] = if deltas { &["deltas"] } else { &[] };
    let hello = json!({
        "type": "hello",
        "token": token(secret, &user(stream))?,
        "client": { "name": "agentwire-crowd", "version": env!("CARGO_PKG_VERSION") },
        "features": features,
        "window": { "events": WINDOW_EVENTS, "bytes": WINDOW_BYTES, "totalBytes": WINDOW_TOTAL_BYTES },
        "streams": [{ "name": THREAD }],
    });
    socket.send(hello.to_string()).await?;
    loop {
        let text = socket.text().await?;
        let frame = read_frame(&text)?;
        match frame.kind {
            "subscribed" => {
                let ch = frame.ch.context("`subscribed` without `ch`")?;
                let next = frame.next.context("`subscribed` without `next`")?;
                ensure!(next == 1, "the stream begins at {next} instead of 1");
                return Ok(Page { socket, ch, next, acked: 0, unacked_bytes: 0, ack_at: None });
            }
            "error" | "unsubscribed" => return refused(&frame),
            _ => {}
        }
    }
}

fn token(secret: &str, user: &str) -> Result<String> {
    let claims = json!({ "sub": user, "exp": LATER });
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).context("a token can't be signed")
}

fn read_frame(text: &Utf8Bytes) -> Result<Frame<'_>> {
    serde_json::from_str(text.as_str())
        .with_context(|| format!("a frame can't be read: {}", text.chars().take(300).collect::<String>()))
}

fn refused<T>(frame: &Frame<'_>) -> Result<T> {
    let why = frame.code.as_deref().or(frame.reason.as_deref()).unwrap_or("no reason");
    bail!("the server sent `{}`: {why}: {}", frame.kind, frame.message.as_deref().unwrap_or("no message"))
}

/// Reads until the socket ends, which is an error: it is the crowd that ends first.
pub(crate) async fn read(mut page: Page, number: u32, tally: &Tally) -> Result<()> {
    loop {
        let ack_at = page.ack_at;
        let is_due = async {
            match ack_at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            text = page.socket.text() => page.on_text(&text?, number, tally).await?,
            () = is_due => page.ack(tally).await?,
        }
    }
}

impl Page {
    async fn on_text(&mut self, text: &Utf8Bytes, number: u32, tally: &Tally) -> Result<()> {
        let frame = read_frame(text)?;
        match frame.kind {
            "events" | "deltas" => {
                ensure!(frame.ch == Some(self.ch), "events of channel {:?}", frame.ch);
                let first = frame.first.context("events without `first`")?;
                ensure!(first == self.next, "a frame begins at {first} instead of {}", self.next);
                let events = (frame.events.len() + frame.texts.len()) as u64;
                ensure!(frame.count == Some(events), "count {:?} of {events} events", frame.count);
                let texts = frame.events.iter().map(|event| event.text).chain(frame.texts.iter().copied());
                tally.frame(number, text.len(), texts);
                self.next += events;
                self.unacked_bytes += text.len() as u64;
                let is_due = self.next - 1 - self.acked >= WINDOW_EVENTS / 4
                    || self.unacked_bytes >= WINDOW_BYTES / 4
                    || self.unacked_bytes >= WINDOW_TOTAL_BYTES / 4;
                if is_due {
                    self.ack(tally).await?;
                } else if self.ack_at.is_none() {
                    self.ack_at = Some(Instant::now() + ACK_DELAY);
                }
            }
            "caughtUp" | "heartbeat" => self.ack(tally).await?,
            "ping" => {
                let n = frame.n.context("`ping` without `n`")?;
                self.socket.send(json!({ "type": "pong", "n": n }).to_string()).await?;
            }
            "gap" => bail!("the server declared a gap: {:?}", frame.reason),
            "error" | "unsubscribed" => return refused(&frame),
            _ => {}
        }
        Ok(())
    }

    /// Acknowledges everything, if there is something.
    async fn ack(&mut self, tally: &Tally) -> Result<()> {
        self.ack_at = None;
        self.unacked_bytes = 0;
        if self.next - 1 > self.acked {
            self.acked = self.next - 1;
            let offsets = Value::from_iter([(self.ch.to_string(), self.acked)]);
            tally.ack();
            self.socket.send(json!({ "type": "ack", "offsets": offsets }).to_string()).await?;
        }
        Ok(())
    }
}
