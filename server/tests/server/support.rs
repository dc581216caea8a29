//! A server of its own for each test, a backend that calls it, and a page.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use agentwire_server::Server;
use agentwire_server::config::Config;
use futures_util::{SinkExt, StreamExt};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const SECRET: &str = "a secret for tests, of 32 bytes or more";

/// How long anything may take before its test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a future comes to, before the test fails for want of it.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not happen in time")
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    folder: Option<TempDir>,
}

/// The configuration of a test: a file in a folder, a service key `all` with every right, and what a test adds.
fn config(folder: &Path, more: &str) -> Config {
    let log = folder.join("log.sqlite");
    let text = format!(
        r#"
        server.listen = "127.0.0.1:0"
        server.origins = ["*"]
        {more}
        [log]
        path = {log:?}
        [auth]
        secrets = [{SECRET:?}]
        [[keys]]
        name = "all"
        key = "key-with-all-rights-for-the-tests"
        rights = ["publish", "deliver", "read", "admin"]
        "#
    );
    toml::from_str(&text).unwrap()
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    pub(crate) async fn with(more: &str) -> Self {
        Self::on(tempfile::tempdir().unwrap(), more).await
    }

    async fn on(folder: TempDir, more: &str) -> Self {
        // The client needs one, and so does the server: the first that is set stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server::start(&config(folder.path(), more)).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            server.run(async { drop(stopped.await) }).await.unwrap();
        });
        Self { address, client: reqwest::Client::new(), stop: Some(stop), task, folder: Some(folder) }
    }

    /// Stops the server and starts another one on its files.
    pub(crate) async fn restart(mut self, more: &str) -> Self {
        drop(self.stop.take());
        within(&mut self.task).await.unwrap();
        Self::on(self.folder.take().unwrap(), more).await
    }

    /// A request with the key `all`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth("key-with-all-rights-for-the-tests")
    }

    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// Publishes to thread `t` of ada.
    pub(crate) async fn publish(&self, body: Value) -> (u16, Value) {
        self.post("/v1/threads/ada%2Ft/events", body).await
    }

    /// The types of the events of thread `t` of ada.
    pub(crate) async fn types(&self) -> Vec<String> {
        let (status, body) = self.get("/v1/threads/ada%2Ft/events?limit=1000").await;
        assert_eq!(status, 200, "{body}");
        let events = body["events"].as_array().unwrap();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for an event in thread `t` of ada, as a page does.
    pub(crate) async fn until_event(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut page = Page::open(self, "ada", json!([{"name": "t"}])).await;
        within(async {
            loop {
                let frame = page.next().await;
                if let Some(found) =
                    frame["events"].as_array().and_then(|events| events.iter().find(|one| is_it(one)))
                {
                    return found.clone();
                }
            }
        })
        .await
    }
}

/// The status and the body of an answer.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = within(request.send()).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Lines of JSON of an answer that goes on.
pub(crate) struct Lines {
    response: Response,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = within(request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { response, rest: Vec::new() }
    }

    /// The next line that is not empty; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        within(async {
            loop {
                if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.rest.drain(..=end).collect();
                    if !line.trim_ascii().is_empty() {
                        return Some(serde_json::from_slice(&line).unwrap());
                    }
                } else {
                    self.rest.extend(self.response.chunk().await.ok()??);
                }
            }
        })
        .await
    }
}

/// One socket of a user.
pub(crate) struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

pub(crate) fn token(user: &str, more: Value) -> String {
    let mut claims = json!({"sub": user, "exp": 4_000_000_000_u64});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

impl Page {
    pub(crate) async fn open(server: &Running, user: &str, streams: Value) -> Self {
        let mut page = Self::hello(server, &token(user, json!({})), streams).await;
        let welcome = page.next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        page
    }

    /// Says hello and takes no answer.
    pub(crate) async fn hello(server: &Running, token: &str, streams: Value) -> Self {
        let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("agentwire.v1"));
        let (socket, _) = within(tokio_tungstenite::connect_async(request)).await.unwrap();
        let mut page = Self(socket);
        page.send(json!({
            "type": "hello", "token": token, "client": {"name": "test", "version": "0"},
            "window": {"events": 65_536, "bytes": 16_777_216}, "streams": streams
        }))
        .await;
        page
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Sends a message to thread `t`.
    pub(crate) async fn message(&mut self, id: &str) {
        let message = json!({"type": "user_message", "content": id});
        self.send(json!({"type": "send", "id": id, "stream": "t", "message": message})).await;
        assert_eq!(self.until("receipt").await["id"], id);
    }

    /// The next frame; of a close, its code.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(Some(close)))) => return json!({"closed": u16::from(close.code)}),
                Some(Ok(_)) => {}
                other => panic!("no frame, but {other:?}"),
            }
        }
    }

    /// The next frame of a type. Heartbeats would keep it waiting for ever.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        within(async {
            loop {
                let frame = self.next().await;
                if frame["type"] == kind {
                    return frame;
                }
                assert!(frame.get("closed").is_none(), "{frame}");
            }
        })
        .await
    }
}
