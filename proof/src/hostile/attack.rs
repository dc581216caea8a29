//! What an attack is, and what it has at hand.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::peer::{Answer, Peer, SOON};
use super::stand::Order;
use super::tokens;

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// What holds it, in words.
    pub(super) held_by: &'static str,
    /// The limits that the server has, where they differ from the defaults.
    pub(super) limits: &'static str,
    /// How to take away what holds it.
    pub(super) lift: Lift,
    /// Whether the log is out of order for a while, so that honest messages are put off and come again.
    pub(super) is_outage: bool,
    /// Whether it is a part of the slice.
    pub(super) is_quick: bool,
    pub(super) run: Run,
}

/// Does the attack, and fails when the server did not treat it as it must.
pub(super) type Run = fn(Stage) -> BoxFuture<'static, Result<()>>;

/// How to take away what holds an attack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lift {
    /// By limits at the end of their range.
    Limits(&'static str),
    /// By this value of `--lift` of a server that was built with `faults`.
    Option(&'static str),
    /// Both.
    Both(&'static str, &'static str),
    /// The attack itself does it.
    Own,
}

/// The largest growth of memory that is allowed, in MiB.
pub(super) const MEMORY: f64 = 64.0;

impl Attack {
    pub(super) fn new(name: &'static str, about: &'static str, run: Run) -> Self {
        Self {
            name,
            about,
            held_by: "",
            limits: "{}",
            lift: Lift::Option("refusals"),
            is_outage: false,
            is_quick: false,
            run,
        }
    }

    /// What holds it, the limits that it is tried with, and how these are taken away.
    pub(super) fn held(mut self, by: &'static str, limits: &'static str, lift: Lift) -> Self {
        (self.held_by, self.limits, self.lift) = (by, limits, lift);
        self
    }

    pub(super) fn outage(mut self) -> Self {
        self.is_outage = true;
        self
    }

    pub(super) fn quick(mut self) -> Self {
        self.is_quick = true;
        self
    }
}

/// What an attack has at hand: the server, and how it was started.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) address: SocketAddr,
    pub(super) pid: u32,
    pub(super) order: Order,
    /// Whether what holds the attack is taken away.
    pub(super) is_lifted: bool,
}

impl Stage {
    /// A TCP connection.
    pub(super) async fn peer(&self) -> Result<Peer> {
        Peer::connect(self.address).await
    }

    /// A WebSocket that has said nothing.
    pub(super) async fn socket(&self) -> Result<Peer> {
        let mut peer = self.peer().await?;
        peer.upgrade().await?;
        Ok(peer)
    }

    /// A WebSocket of a user, welcomed.
    pub(super) async fn page(&self, user: &str) -> Result<Peer> {
        self.page_with(user, json!([])).await
    }

    /// The same, with requests for streams and the largest window.
    pub(super) async fn page_with(&self, user: &str, streams: Value) -> Result<Peer> {
        let mut peer = self.socket().await?;
        peer.json(&hello(&tokens::of(user), streams)).await?;
        peer.until("welcome").await?;
        Ok(peer)
    }

    /// Asks for a path with the token of a user.
    pub(super) async fn get(&self, path: &str, user: &str) -> Result<Answer> {
        let mut peer = self.peer().await?;
        let token = tokens::of(user);
        let request = format!("GET {path} HTTP/1.1\r\nhost: stand\r\nauthorization: Bearer {token}\r\n\r\n");
        peer.write(request.as_bytes()).await?;
        peer.answer(SOON).await
    }

    /// Requires that the health check answers with this status.
    pub(super) async fn health(&self, status: u16) -> Result<()> {
        let answer = self.get("/healthz", "nobody").await?;
        ensure!(
            answer.status == status,
            "/healthz answers {} instead of {status}: {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    /// Requires that somebody new is served: connects, sends and gets a receipt.
    pub(super) async fn serves(&self, user: &str) -> Result<()> {
        let mut page = self.page(user).await?;
        page.json(&send("serves", "a", "Is anybody there?")).await?;
        let receipt = page.until("receipt").await?;
        ensure!(receipt["status"] == "accepted", "a new user got {receipt}");
        Ok(())
    }
}

/// A `hello` with the largest window.
pub(super) fn hello(token: &str, streams: Value) -> Value {
    json!({
        "type": "hello",
        "token": token,
        "client": { "name": "attacker", "version": "1" },
        "window": { "events": 65_536, "bytes": 67_108_864 },
        "streams": streams,
    })
}

/// A `send` of a message.
pub(super) fn send(id: &str, stream: &str, content: &str) -> Value {
    let message = json!({ "type": "user_message", "content": content });
    json!({ "type": "send", "id": id, "stream": stream, "message": message })
}

/// How long a flood lasts.
pub(super) const FLOOD: Duration = Duration::from_millis(2_500);
