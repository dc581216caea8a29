//! Tokens that can be recognised, in everything that a page may do with them, and a search for them in every place that
//! they must not get to (I11). It is a program of its own, because it hears all that is logged in its process.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

mod hearing;
mod sinks;

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use agentwire_bridge::{Bridge, Hs256, SqliteLog, Turn};
use futures_util::{SinkExt, StreamExt};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use sinks::{SINKS, Watched};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test may wait for one thing.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the tokens and the secret of one test have in them, each in its own form.
pub(crate) struct Marks {
    /// In tokens that are none, and in the secret.
    mark: String,
    secret: String,
    given: Vec<String>,
}

impl Marks {
    fn new(test: &str) -> Self {
        let mark = format!("marked-{test}-token");
        Self { secret: format!("{mark}-secret-of-32-bytes-or-more"), mark, given: Vec::new() }
    }

    /// A token with the signature of a secret.
    fn token_of(&mut self, claims: &Value, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), claims, &key).unwrap();
        self.given.push(token.clone());
        token
    }

    fn token(&mut self, user: &str, expires_in: i64) -> String {
        let claims = json!({"sub": user, "aud": "chat", "exp": in_seconds(expires_in), "jti": [self.given.len(), self.mark]});
        let secret = self.secret.clone();
        self.token_of(&claims, &secret)
    }

    /// What is looked for. The first part of a token is the same for all, and says nothing.
    fn forms(&self) -> Vec<String> {
        let parts = self.given.iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned);
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect();
        parts.flat_map(|part| [hex(&part), part]).chain([self.mark.clone(), hex(&self.mark)]).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens expire by the wall clock")]
fn in_seconds(seconds: i64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().checked_add_signed(seconds).unwrap()
}

/// A served bridge whose agent answers each message, and who hears what it says.
pub(crate) struct Server {
    pub(crate) bridge: Bridge,
    address: std::net::SocketAddr,
}

impl Server {
    async fn start(folder: &Path, marks: &Marks) -> Self {
        let bridge = Bridge::builder()
            .log(SqliteLog::open(folder.join("log.sqlite")).unwrap())
            .authenticator(Hs256::new(&marks.secret).unwrap().audience("chat"))
            .agent(async |turn: Turn| {
                let run = turn.run("echo").await?;
                // What an agent gets may be in its own logs.
                run.complete(format!("{turn:?}")).await?;
                Ok(())
            })
            .build()
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = bridge.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { bridge, address }
    }

    /// Sends a request, and notes the whole answer.
    pub(crate) async fn request(&self, watched: &mut Watched, path: &str, headers: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        watched.answers.push(answer.clone());
        answer
    }
}

/// One socket. All that comes on it is noted.
pub(crate) struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Page {
    pub(crate) async fn open(server: &Server) -> Self {
        let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "agentwire.v1".parse().unwrap());
        Self(tokio_tungstenite::connect_async(request).await.unwrap().0)
    }

    pub(crate) async fn send(&mut self, frame: impl ToString) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Reads up to a frame of a type; `None` when the socket closes instead.
    pub(crate) async fn until(&mut self, watched: &mut Watched, kind: &str) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("nothing came in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    watched.frames.push(text.to_string());
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] == kind {
                        return Some(frame);
                    }
                }
                Some(Ok(Message::Close(close))) => {
                    watched.closes.extend(close.map(|close| close.reason.to_string()));
                    return None;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Reads up to the close.
    async fn until_close(&mut self, watched: &mut Watched) {
        assert_eq!(self.until(watched, "no such frame").await, None);
    }
}

pub(crate) fn hello(token: impl Into<Value>) -> Value {
    json!({
        "type": "hello", "token": token.into(), "client": {"name": "test", "version": "0"},
        "window": {"events": 512, "bytes": 262_144}, "streams": [{"name": "t"}]
    })
}

/// A page that is welcomed, and has its stream.
pub(crate) async fn welcomed(server: &Server, watched: &mut Watched, token: &str) -> Page {
    let mut page = Page::open(server).await;
    page.send(hello(token)).await;
    assert!(page.until(watched, "caughtUp").await.is_some());
    page
}

/// All that concerns a token, on sockets and by requests.
async fn life(server: &Server, watched: &mut Watched) {
    // A page that lives well.
    let token = watched.marks.token("ada", 600);
    let mut page = welcomed(server, watched, &token).await;
    page.send(json!({"type": "send", "id": "s1", "stream": "t", "message": {"type": "user_message", "content": "hi"}})).await;
    while page.until(watched, "events").await.unwrap()["events"].to_string().find("agent_completed").is_none()
    {
    }
    let fresh = watched.marks.token("ada", 900);
    let others =
        [watched.marks.token("bob", 900), watched.marks.token("ada", -9), watched.marks.mark.clone()];
    page.send(json!({"type": "refresh", "token": fresh})).await;
    assert!(page.until(watched, "refreshed").await.is_some());
    for token in others {
        page.send(json!({"type": "refresh", "token": token})).await;
        assert!(page.until(watched, "error").await.is_some());
    }
    let soon = watched.marks.token("ada", 1);
    page.send(json!({"type": "refresh", "token": soon})).await;
    page.until_close(watched).await;

    // Hellos whose token is none, or not in its place.
    let mark = watched.marks.mark.clone();
    let forged = watched
        .marks
        .token_of(&json!({"sub": "ada", "aud": "chat"}), "another secret, which has 32 bytes or more");
    let elsewhere = watched.marks.secret.clone();
    let elsewhere = watched.marks.token_of(&json!({"sub": "ada", "aud": "mail"}), &elsewhere);
    let expired = watched.marks.token("ada", -9);
    let valid = watched.marks.token("ada", 600);
    let whole = hello(&*valid).to_string();
    for first in [
        hello(&*forged).to_string(),
        hello(elsewhere).to_string(),
        hello(expired).to_string(),
        hello(&*mark).to_string(),
        hello(json!({ &mark: &mark })).to_string(),
        hello(json!([mark])).to_string(),
        hello(mark.repeat(1_000)).to_string(),
        whole[..whole.len() - 9].to_owned(),
        whole.replacen("\"t\"", &format!("\"{valid}\\u0000\""), 1),
        json!({"type": "refresh", "token": valid}).to_string(),
        json!({"type": mark, "token": valid}).to_string(),
        valid.clone(),
    ] {
        let mut page = Page::open(server).await;
        page.send(first).await;
        page.until_close(watched).await;
    }
    for wrong in
        [json!({"type": "refresh", "token": [valid]}), hello(&*valid), json!({"type": "ping", "n": valid})]
    {
        let mut page = welcomed(server, watched, &valid).await;
        page.send(wrong).await;
        page.until_close(watched).await;
    }

    // Requests.
    let path = "/v1/threads/t/events";
    for token in [&*valid, &*forged, &*mark] {
        for scheme in ["Bearer", "bearer", "Basic"] {
            server.request(watched, path, &format!("Authorization: {scheme} {token}\r\n")).await;
        }
        server
            .request(watched, &format!("{path}?from={token}"), &format!("Authorization: Bearer {valid}\r\n"))
            .await;
        server
            .request(
                watched,
                &format!("{path}?limit=0&token={token}"),
                &format!("Authorization: Bearer {valid}\r\n"),
            )
            .await;
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        server.request(watched, "/ws", &format!("{upgrade}Sec-WebSocket-Protocol: {token}\r\n")).await;
        server.request(watched, &format!("/ws?token={token}"), "").await;
    }
    server.request(watched, "/healthz", &format!("Authorization: Bearer {valid}\r\n")).await;
    let identity = Hs256::new(&watched.marks.secret).unwrap();
    watched.values.push(format!("{:?} {identity:?} {:#?}", server.bridge, server.bridge));
}

// PROTOCOL: GEN-9
#[tokio::test]
async fn no_token_and_no_secret_gets_anywhere() {
    let mut watched = Watched::new("life");
    let server = Server::start(watched.folder.path(), &watched.marks).await;
    life(&server, &mut watched).await;
    server.bridge.shutdown().await;
    assert_eq!(watched.leaks(), Vec::<&str>::new());
    assert!(watched.marks.given.len() > 8 && watched.closes.len() > 12 && watched.answers.len() > 15);
}

#[tokio::test]
async fn the_search_finds_a_token_in_each_sink() {
    for (index, sink) in SINKS.iter().enumerate() {
        let mut watched = Watched::new(&format!("plant-{index}"));
        let server = Server::start(watched.folder.path(), &watched.marks).await;
        let token = watched.marks.token("ada", 600);
        let mut page = welcomed(&server, &mut watched, &token).await;
        assert_eq!(watched.leaks(), Vec::<&str>::new());
        let leaked = watched.marks.token("eve", 600);
        (sink.plant)(&mut watched, &server, &mut page, &leaked).await;
        let found = watched.leaks();
        assert!(found.contains(&sink.name), "{}: found in {found:?}", sink.name);
    }
}
