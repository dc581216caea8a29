//! A page in a few lines: a WebSocket that speaks the protocol and keeps every event of one thread.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::server::Server;
use crate::within;

/// The thread of every test.
pub(crate) const THREAD: &str = "thread-1";

/// A socket that is subscribed to [`THREAD`] from its start.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ch: Value,
    /// Every event so far; the offset of the first is 1.
    pub(crate) events: Vec<Value>,
    /// Answers to sends and cancels.
    pub(crate) receipts: Vec<Value>,
    /// What it said hello with.
    pub(crate) token: String,
    /// The code of the close frame, once it came.
    pub(crate) closed: Option<u16>,
}

impl Page {
    /// Connects, and waits until the thread is caught up.
    pub(crate) async fn open(server: &Server, user: &str) -> Self {
        let token = server.token(user).await;
        let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "agentwire.v1".parse().unwrap());
        let (socket, _) = within(connect_async(request)).await.unwrap();
        let mut page =
            Self { socket, ch: Value::Null, events: Vec::new(), receipts: Vec::new(), token, closed: None };
        page.write(json!({
            "type": "hello", "token": page.token, "client": { "name": "test", "version": "1" }, "features": [],
            "window": { "events": 65536, "bytes": 67_108_864 },
            "streams": [{ "name": THREAD, "open": { "from": "start" } }]
        }))
        .await;
        page.until_frame("caughtUp").await;
        page
    }

    /// Sends a question and returns the id of the run that takes it up.
    pub(crate) async fn ask(&mut self, id: &str, question: &str) -> String {
        self.write(json!({
            "type": "send", "id": id, "stream": THREAD,
            "message": { "type": "user_message", "content": question }
        }))
        .await;
        let started = self.until(|event| event["type"] == "agent_started" && event["sendId"] == id).await;
        started["runId"].as_str().unwrap().to_owned()
    }

    /// Asks, waits for the end of the run, and returns its events with those of its sub-agents.
    pub(crate) async fn answer(&mut self, id: &str, question: &str) -> Vec<Value> {
        let run = self.ask(id, question).await;
        let end = self.until(|event| event["runId"] == run.as_str() && ends_run(event)).await;
        assert_eq!(end["type"], "agent_completed", "{end}");
        self.of_run(&run)
    }

    /// Sends a message that is for a run.
    pub(crate) async fn steer(&mut self, id: &str, run: &str, text: &str) {
        self.write(json!({
            "type": "send", "id": id, "stream": THREAD, "mode": "steer", "runId": run,
            "message": { "type": "user_message", "content": text }
        }))
        .await;
    }

    /// Asks again what came to nothing; returns the id of the run.
    pub(crate) async fn ask_again(&mut self, id: &str, question: &str, run: &str) -> String {
        self.write(json!({
            "type": "send", "id": id, "stream": THREAD,
            "message": { "type": "user_message", "content": question, "metadata": { "againOf": run } }
        }))
        .await;
        let started = self.until(|event| event["type"] == "agent_started" && event["sendId"] == id).await;
        started["runId"].as_str().unwrap().to_owned()
    }

    /// Answers what a run asks.
    pub(crate) async fn approve(&mut self, asked: &Value, mut answer: Value) {
        answer["type"] = json!("approve");
        answer["id"] = json!("approve-1");
        answer["stream"] = json!(THREAD);
        for field in ["runId", "approvalId"] {
            answer[field] = asked[field].clone();
        }
        self.write(answer).await;
    }

    /// The events of a run and of its sub-agents so far.
    pub(crate) fn of_run(&self, run: &str) -> Vec<Value> {
        let mut runs = vec![run.to_owned()];
        for event in &self.events {
            if event["parentRunId"].as_str().is_some_and(|parent| runs.iter().any(|run| run == parent)) {
                runs.push(event["runId"].as_str().unwrap().to_owned());
            }
        }
        let belongs =
            |event: &&Value| event["runId"].as_str().is_some_and(|run| runs.iter().any(|known| known == run));
        self.events.iter().filter(belongs).cloned().collect()
    }

    /// Asks the server to cancel a run.
    pub(crate) async fn cancel(&mut self, id: &str, run: &str) {
        self.write(json!({ "type": "cancel", "id": id, "stream": THREAD, "runId": run })).await;
    }

    /// Returns the first event that fits, from the start of the thread on, waiting for it if necessary.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = 0;
        loop {
            if let Some(event) = self.events[seen..].iter().find(|event| fits(event)) {
                return event.clone();
            }
            seen = self.events.len();
            assert!(self.read().await.is_some(), "the socket closed before the event came");
        }
    }

    /// Reads until the socket is closed.
    pub(crate) async fn until_closed(&mut self) {
        while self.read().await.is_some() {}
    }

    async fn until_frame(&mut self, kind: &str) {
        while let Some(frame) = self.read().await {
            if frame["type"] == kind {
                return;
            }
        }
        panic!("the socket closed before {kind:?} came");
    }

    async fn write(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn read(&mut self) -> Option<Value> {
        loop {
            let frame = match within(self.socket.next()).await? {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
                Ok(Message::Close(close)) => {
                    self.closed = close.map(|close| close.code.into());
                    continue;
                }
                Ok(_) => continue,
                Err(_) => return None,
            };
            match frame["type"].as_str().unwrap() {
                "subscribed" => self.ch = frame["ch"].clone(),
                "events" => {
                    assert_eq!(frame["ch"], self.ch);
                    assert_eq!(frame["first"], self.events.len() + 1, "offsets go up by one");
                    self.events.extend(frame["events"].as_array().unwrap().iter().cloned());
                    // So that the window never fills, whatever its size.
                    let ack = json!({ "type": "ack", "offsets": { self.ch.to_string(): self.events.len() } });
                    self.write(ack).await;
                }
                "receipt" => self.receipts.push(frame.clone()),
                "error" => panic!("the server refused a frame: {frame}"),
                _ => {}
            }
            return Some(frame);
        }
    }
}

/// Says whether an event ends its run.
pub(crate) fn ends_run(event: &Value) -> bool {
    event["recoverable"] != true
        && ["agent_completed", "agent_error", "agent_cancelled", "agent_died"]
            .iter()
            .any(|kind| event["type"] == *kind)
}
