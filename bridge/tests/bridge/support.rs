//! A served bridge and a page that speaks to it frame by frame.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Bridge, BridgeBuilder, Hs256, MemoryLog, SqliteLog, StreamKey};
use futures_util::{SinkExt, StreamExt};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) const SECRET: &str = "a secret for tests, of 32 bytes or more";

/// How long a page may live before its test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// Explains each code that a page can get.
const ERRORS: &str = include_str!("../../../docs/ERRORS.md");

/// Far enough ahead for a token that does not expire within a test.
pub(crate) const LATER: u64 = 4_000_000_000;

pub(crate) struct Server {
    pub(crate) bridge: Bridge,
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves a bridge with a log in memory.
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// Serves a bridge that `build` has changed.
    pub(crate) async fn with(build: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> Self {
        let builder = Bridge::builder().log(MemoryLog::new()).authenticator(Hs256::new(SECRET).unwrap());
        Self::serve(build(builder).build().await.unwrap()).await
    }

    /// Serves a log of a former process, with notes in thread `t` of ada.
    pub(crate) async fn of_former(path: &Path, notes: u64) -> Self {
        Self::of_former_with(path, notes, |builder| builder).await
    }

    pub(crate) async fn of_former_with(
        path: &Path,
        notes: u64,
        build: impl FnOnce(BridgeBuilder) -> BridgeBuilder,
    ) -> Self {
        let former = Self::with(|builder| builder.log(SqliteLog::open(path).unwrap())).await;
        former.publish("t", notes).await;
        former.stop().await;
        Self::with(|builder| build(builder.log(SqliteLog::open(path).unwrap()))).await
    }

    pub(crate) async fn serve(bridge: Bridge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = bridge.clone();
        let task = tokio::spawn(async move {
            let router = served.router();
            served.serve(listener, router).await.unwrap();
        });
        Self { bridge, address, task }
    }

    /// Stops serving and drops the bridge, so that its log can be opened again.
    pub(crate) async fn stop(self) {
        self.bridge.shutdown().await;
        self.task.await.unwrap();
    }

    /// Publishes `count` notes to a thread of ada.
    pub(crate) async fn publish(&self, thread: &str, count: u64) {
        let first = self.head(thread).await + 1;
        let notes = (first..first + count).map(note).collect();
        self.bridge.emitter("ada", thread).publish_all(notes).await.unwrap();
    }

    /// Publishes deltas between two notes, in one record, and returns all of them as the log has them.
    pub(crate) async fn publish_deltas(&self, thread: &str, count: u64) -> Vec<Value> {
        let delta = |n: u64| json!({"type": "message_delta", "runId": "r", "messageId": "m", "time": n, "text": n.to_string()});
        let events: Vec<_> =
            [note(0)].into_iter().chain((1..=count).map(delta)).chain([note(count + 1)]).collect();
        self.bridge.emitter("ada", thread).publish_all(events.clone()).await.unwrap();
        events
    }

    pub(crate) async fn head(&self, thread: &str) -> u64 {
        self.bridge.log().head(&key(thread)).await.unwrap().offset
    }

    /// All events of a thread of ada. Each is as the table of events says, whoever wrote it.
    pub(crate) async fn events(&self, thread: &str) -> Vec<Value> {
        let page = self.bridge.log().read(&key(thread), 1, usize::MAX, usize::MAX).await.unwrap();
        let read = |body: &Arc<str>| {
            let event: Map<String, Value> = serde_json::from_str(body).unwrap();
            agentwire_bridge::events::check(&event).unwrap();
            event.into()
        };
        page.bodies.iter().map(read).collect()
    }

    /// Waits until an event of a thread of ada is of a type.
    pub(crate) async fn until_event(&self, thread: &str, kind: &str) -> Value {
        let mut page = Page::open(self, "ada", json!([{"name": thread}])).await;
        loop {
            let frame = page.until("events").await;
            let found =
                frame["events"].as_array().unwrap().iter().find(|event| event["type"] == kind).cloned();
            if let Some(event) = found {
                return event;
            }
            let last = frame["first"].as_u64().unwrap() + frame["count"].as_u64().unwrap() - 1;
            page.ack(frame["ch"].as_u64().unwrap(), last).await;
        }
    }
}

/// What a future comes to, before the test fails for want of it.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not happen in time")
}

/// Reads a frame. A code in it, of an `error` or a receipt, has to be explained.
fn read(text: &str) -> Value {
    let frame: Value = serde_json::from_str(text).unwrap();
    if let Some(code) = frame["code"].as_str().or_else(|| frame["error"]["code"].as_str()) {
        let has_row = ERRORS.contains(&format!("<a id=\"{code}\"></a>`{code}` |"));
        assert!(has_row, "docs/ERRORS.md has no row for `{code}`");
    }
    frame
}

/// The events of an `events` frame, or those that a `deltas` frame represents (DLT-1).
pub(crate) fn events_of(frame: &Value) -> Vec<Value> {
    if let Some(events) = frame["events"].as_array() {
        return events.clone();
    }
    let (times, texts) = (frame["times"].as_array().unwrap(), frame["texts"].as_array().unwrap());
    assert_eq!([times.len(), texts.len()], [frame["count"].as_u64().unwrap() as usize; 2]);
    let event = |(time, text): (&Value, &Value)| {
        let mut event = frame["head"].clone();
        (event["time"], event["text"]) = (time.clone(), text.clone());
        event
    };
    times.iter().zip(texts).map(event).collect()
}

pub(crate) fn key(thread: &str) -> StreamKey {
    StreamKey::new("ada", thread).unwrap()
}

pub(crate) fn note(n: u64) -> Value {
    json!({"type": "note", "n": n, "time": 1})
}

pub(crate) fn token(user: &str) -> String {
    token_until(user, LATER)
}

/// A token that expires at a second of the Unix epoch.
pub(crate) fn token_until(user: &str, exp: u64) -> String {
    token_of(&json!({"sub": user, "exp": exp}), SECRET)
}

pub(crate) fn token_of(claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

pub(crate) fn hello(token: &str, streams: Value) -> Value {
    hello_with(token, streams, 512, 262_144)
}

pub(crate) fn hello_with(token: &str, streams: Value, events: u64, bytes: u64) -> Value {
    json!({
        "type": "hello", "token": token, "client": {"name": "test", "version": "0"},
        "window": {"events": events, "bytes": bytes}, "streams": streams
    })
}

/// One socket.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    deadline: Instant,
    /// The newest seal of each `ch`.
    pub(crate) seals: HashMap<String, String>,
}

impl Page {
    /// Opens a socket and sends nothing.
    pub(crate) async fn connect(server: &Server) -> Self {
        let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("agentwire.v1"));
        let (socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "agentwire.v1");
        Self { socket, deadline: Instant::now() + DEADLINE, seals: HashMap::new() }
    }

    /// Opens a socket, says hello and takes the welcome.
    pub(crate) async fn open(server: &Server, user: &str, streams: Value) -> Self {
        Self::open_with(server, hello(&token(user), streams)).await
    }

    pub(crate) async fn open_with(server: &Server, hello: Value) -> Self {
        let mut page = Self::connect(server).await;
        page.send(hello).await;
        let welcome = page.next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        page
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send_raw(Message::text(text)).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn ack(&mut self, ch: u64, offset: u64) {
        self.send(json!({"type": "ack", "offsets": {ch.to_string(): offset}})).await;
    }

    pub(crate) async fn try_send(&mut self, frame: Value) -> Result<(), tungstenite::Error> {
        self.socket.send(Message::text(frame.to_string())).await
    }

    /// Whether the next message is the transport's pong.
    pub(crate) async fn is_ponged(&mut self) -> bool {
        matches!(self.message().await, Some(Ok(Message::Pong(_))))
    }

    async fn message(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        tokio::time::timeout_at(self.deadline, self.socket.next()).await.expect("nothing came in time")
    }

    /// The next frame, heartbeats left out.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let frame = self.next_text().await;
            let frame = self.unsealed(&frame);
            if frame["type"] != "heartbeat" {
                return frame;
            }
        }
    }

    /// A frame without the seals in it, which are kept: no test knows them.
    pub(crate) fn unsealed(&mut self, text: &str) -> Value {
        let mut frame = read(text);
        let fields = frame.as_object_mut().unwrap();
        if let Some(Value::String(seal)) = fields.remove("seal") {
            self.seals.insert(fields["ch"].to_string(), seal);
        }
        if let Some(Value::Object(seals)) = fields.remove("seals") {
            let seals = seals.into_iter().map(|(ch, seal)| (ch, seal.as_str().unwrap().to_owned()));
            self.seals.extend(seals);
        }
        frame
    }

    pub(crate) async fn next_text(&mut self) -> String {
        loop {
            match self.message().await {
                Some(Ok(Message::Text(text))) => return text.as_str().to_owned(),
                // Answered by the transport.
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("no frame, but {other:?}"),
            }
        }
    }

    /// The next frame of a type; others are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let text = self.next_text().await;
            let frame = self.unsealed(&text);
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Events of one channel up to an offset, acknowledged; checks that they are contiguous from `first`.
    pub(crate) async fn events(&mut self, ch: u64, first: u64, to: u64) -> Vec<Value> {
        let mut next = first;
        let mut events = Vec::new();
        while next <= to {
            let frame = self.until("events").await;
            assert_eq!((frame["ch"].as_u64(), frame["first"].as_u64()), (Some(ch), Some(next)), "{frame}");
            let more = frame["events"].as_array().unwrap();
            assert_eq!(frame["count"].as_u64().unwrap(), more.len() as u64);
            next += more.len() as u64;
            events.extend(more.iter().cloned());
            self.ack(ch, next - 1).await;
        }
        assert_eq!(next, to + 1);
        events
    }

    /// Events of one channel from the first offset on, acknowledged, until `is_enough`.
    pub(crate) async fn events_until(&mut self, ch: u64, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        while !is_enough(&events) {
            let frame = self.until("events").await;
            assert_eq!(frame["first"], events.len() as u64 + 1, "{frame}");
            events.extend(frame["events"].as_array().unwrap().iter().cloned());
            self.ack(ch, events.len() as u64).await;
        }
        events
    }

    /// Waits until the server has dropped the socket; nothing is answered meanwhile, not even a ping.
    pub(crate) async fn until_dropped(&self) {
        let MaybeTlsStream::Plain(socket) = self.socket.get_ref() else { panic!("the tests use no TLS") };
        let dropped = async {
            loop {
                socket.readable().await.unwrap();
                match socket.try_read(&mut [0; 4_096]) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Ok(0) | Err(_) => return,
                }
            }
        };
        tokio::time::timeout_at(self.deadline, dropped).await.expect("the server kept the socket");
    }

    /// Proves that nothing else is on its way: what was sent before the answer to a ping would have come.
    pub(crate) async fn nothing_before_pong(&mut self, n: u64) {
        self.send(json!({"type": "ping", "n": n})).await;
        let frame = self.next().await;
        assert_eq!(frame, json!({"type": "pong", "n": n}));
    }

    /// Frames up to the close, and its code.
    pub(crate) async fn until_close(&mut self) -> (Vec<Value>, u16) {
        let mut frames = Vec::new();
        loop {
            match self.message().await {
                Some(Ok(Message::Text(text))) => frames.push(read(&text)),
                Some(Ok(Message::Close(Some(close)))) => return (frames, close.code.into()),
                Some(Ok(_)) => {}
                other => panic!("no close, but {other:?} after {frames:?}"),
            }
        }
    }

    /// The code of the `error` frame before the close, and the code of the close.
    pub(crate) async fn ends_with(&mut self) -> (String, u16) {
        let (frames, code) = self.until_close().await;
        let error = frames.last().filter(|frame| frame["type"] == "error");
        (error.map(|frame| frame["code"].as_str().unwrap().to_owned()).unwrap_or_default(), code)
    }
}
