//! One socket of a page: frames in, frames out, and how far each stream has come.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long a page waits for anything at all. Long, because a thousand of them share a machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Events after which a page acknowledges.
const ACK_EVENTS: u64 = 64;

/// Events that may be on their way to one stream.
const WINDOW_EVENTS: u64 = 512;

/// Where a page is in a stream.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
    /// The newest seal that the page was given.
    pub(crate) seal: Option<String>,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Got {
    /// A frame, and the stream that its `ch` stands for.
    Frame(Value, Option<String>),
    /// The end, with the code of the close frame if there was one.
    Closed(Option<u16>),
}

/// A stream on this socket.
#[derive(Debug)]
struct Stream {
    name: String,
    next: u64,
    acked: u64,
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    streams: HashMap<u64, Stream>,
    /// Where the page is in each stream, by name: to resume from.
    pub(crate) places: HashMap<String, Place>,
}

impl Page {
    /// Opens a socket at `ws://…` and sends nothing.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let mut request = url.into_client_request().with_context(|| format!("{url} is no address"))?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("agentwire.v1"));
        let host = request.uri().authority().context("the address names no host")?.to_string();
        let stream = timeout(PATIENCE, TcpStream::connect(&host)).await??;
        // Frames are small, and their answers are waited for.
        stream.set_nodelay(true)?;
        let (socket, _) = timeout(PATIENCE, client_async(request, stream))
            .await
            .context("the server did not answer the handshake in time")?
            .context("the server refused the handshake")?;
        Ok(Self { socket, streams: HashMap::new(), places: HashMap::new() })
    }

    /// Opens a socket, says hello and takes the welcome.
    pub(crate) async fn open(url: &str, token: &str, streams: Value) -> Result<Self> {
        let mut page = Self::connect(url).await?;
        page.hello(token, streams).await?;
        match page.next().await? {
            Got::Frame(frame, _) if frame["type"] == "welcome" => Ok(page),
            other => bail!("instead of a welcome came {other:?}"),
        }
    }

    pub(crate) async fn hello(&mut self, token: &str, streams: Value) -> Result<()> {
        let frame = json!({
            "type": "hello", "token": token, "client": { "name": "agentwire-proof", "version": "0" },
            "window": { "events": WINDOW_EVENTS, "bytes": 1_048_576 }, "streams": streams,
        });
        self.send(&frame).await
    }

    pub(crate) async fn send(&mut self, frame: &Value) -> Result<()> {
        self.socket.send(Message::text(frame.to_string())).await.context("the socket can't be written to")
    }

    /// The next frame. Pings are answered and events acknowledged by themselves.
    pub(crate) async fn next(&mut self) -> Result<Got> {
        loop {
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .with_context(|| format!("nothing came for {} s", PATIENCE.as_secs()))?;
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    return Ok(Got::Closed(frame.map(|frame| frame.code.into())));
                }
                None | Some(Err(_)) => return Ok(Got::Closed(None)),
                Some(Ok(_)) => continue,
            };
            let frame: Value = serde_json::from_str(&text)
                .with_context(|| format!("the server sent what is no JSON: {text:.100}"))?;
            let stream = self.follow(&frame).await?;
            return Ok(Got::Frame(frame, stream));
        }
    }

    /// Closes the socket and waits for the answer.
    pub(crate) async fn close(mut self) {
        // It may be gone already.
        let _ = timeout(PATIENCE, async {
            self.socket.close(None).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<_, tokio_tungstenite::tungstenite::Error>(())
        })
        .await;
    }

    /// Keeps count; returns the name of the stream that the frame is of.
    async fn follow(&mut self, frame: &Value) -> Result<Option<String>> {
        let ch = frame["ch"].as_u64().unwrap_or_default();
        match frame["type"].as_str().unwrap_or_default() {
            "subscribed" => self.subscribed(ch, frame),
            "events" => {
                let (first, count) = (number(frame, "first")?, number(frame, "count")?);
                let last = (first + count).checked_sub(1).context("an empty events frame")?;
                let Some(stream) = self.streams.get_mut(&ch) else {
                    bail!("events came for the channel {ch}, which is not in use")
                };
                if first > stream.next {
                    bail!("{}: offset {} is missing before {first}", stream.name, stream.next);
                }
                // The answer to a replay request brings what is known.
                stream.next = stream.next.max(last + 1);
                self.moved(ch).await?;
            }
            "gap" => {
                let to = number(frame, "to")?;
                if let Some(stream) = self.streams.get_mut(&ch) {
                    stream.next = stream.next.max(to + 1);
                    self.moved(ch).await?;
                }
            }
            "caughtUp" => {
                self.sealed(ch, &frame["seal"]);
                self.ack(ch).await?;
            }
            "heartbeat" => {
                for (ch, seal) in frame["seals"].as_object().into_iter().flatten() {
                    self.sealed(ch.parse().unwrap_or_default(), seal);
                }
                let streams: Vec<u64> = self.streams.keys().copied().collect();
                for ch in streams {
                    self.ack(ch).await?;
                }
            }
            "unsubscribed" => return Ok(self.streams.remove(&ch).map(|stream| stream.name)),
            "ping" => self.send(&json!({ "type": "pong", "n": frame["n"] })).await?,
            _ => {}
        }
        Ok(self.streams.get(&ch).map(|stream| stream.name.clone()))
    }

    fn subscribed(&mut self, ch: u64, frame: &Value) {
        let name = frame["name"].as_str().unwrap_or_default().to_owned();
        let next = frame["next"].as_u64().unwrap_or(1);
        let epoch = frame["epoch"].as_str().unwrap_or_default().to_owned();
        let seal = self.places.remove(&name).filter(|place| place.epoch == epoch).and_then(|old| old.seal);
        self.places.insert(name.clone(), Place { epoch, offset: next - 1, seal });
        self.streams.insert(ch, Stream { name, next, acked: next - 1 });
    }

    /// Notes how far a stream has come, and acknowledges if it is time.
    async fn moved(&mut self, ch: u64) -> Result<()> {
        let Some(stream) = self.streams.get(&ch) else { return Ok(()) };
        if let Some(place) = self.places.get_mut(&stream.name) {
            place.offset = stream.next - 1;
        }
        if stream.next > stream.acked + ACK_EVENTS { self.ack(ch).await } else { Ok(()) }
    }

    async fn ack(&mut self, ch: u64) -> Result<()> {
        let Some(stream) = self.streams.get_mut(&ch).filter(|stream| stream.next > stream.acked + 1) else {
            return Ok(());
        };
        stream.acked = stream.next - 1;
        let offsets = Map::from_iter([(ch.to_string(), stream.acked.into())]);
        self.send(&json!({ "type": "ack", "offsets": offsets })).await
    }

    fn sealed(&mut self, ch: u64, seal: &Value) {
        let name = self.streams.get(&ch).map(|stream| &stream.name);
        if let (Some(place), Some(seal)) = (name.and_then(|name| self.places.get_mut(name)), seal.as_str()) {
            place.seal = Some(seal.to_owned());
        }
    }
}

impl Place {
    /// The request for a stream that continues here.
    pub(crate) fn request(&self, name: &str) -> Value {
        let mut request = json!({ "name": name, "position": { "epoch": self.epoch, "offset": self.offset } });
        if let Some(seal) = &self.seal {
            request["seal"] = seal.as_str().into();
        }
        request
    }
}

fn number(frame: &Value, field: &str) -> Result<u64> {
    frame[field].as_u64().with_context(|| format!("a frame has no number `{field}`: {frame:.100}"))
}
