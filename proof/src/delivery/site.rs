//! The recorder page's own server: its files, the built package, a token, and the place where it reports.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use tower_http::services::ServeDir;

use super::records::{Batch, Records};

/// The user that the recorder page is, and the user's thread that it follows.
pub(crate) const USER: &str = "ada";
pub(crate) const THREAD: &str = "demo";

/// Returns the key of the page's stream in the log.
pub(crate) fn key() -> String {
    format!("{USER}/{THREAD}")
}

/// The most that a batch may hold, in bytes; a page of 1,000 records is about 40 KB.
const MAX_BATCH: usize = 4 * 1024 * 1024;

/// The most that a token's answer may hold, in bytes.
const MAX_TOKEN: u64 = 64 * 1024;

/// What writes the bodies of events in the page, below the site and below the checkout.
const CANONICALIZE: &str = "/pkg/node_modules/canonicalize";

/// The running site; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    /// The package is the copy that can trap.
    traps: bool,
    shared: Arc<Shared>,
    _serve: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    records: Arc<Records>,
    chat: SocketAddr,
    ask: AtomicBool,
}

impl Site {
    /// Serves the page from the checkout at `root` with the built `package`, on a loopback port chosen by the system; tokens
    /// come from `chat`.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub(crate) async fn start(
        root: &Path,
        package: &Path,
        records: Arc<Records>,
        chat: SocketAddr,
    ) -> Result<Self> {
        let shared = Arc::new(Shared { records, chat, ask: AtomicBool::new(true) });
        let router = Router::new()
            .route("/record", post(record))
            .route("/renewed", post(renewed))
            .route("/token", post(token))
            .nest_service("/pkg/dist", ServeDir::new(package.join("dist")))
            .nest_service("/pkg/wasm", ServeDir::new(package.join("wasm")))
            .nest_service(CANONICALIZE, ServeDir::new(root.join(&CANONICALIZE[1..])))
            .fallback_service(ServeDir::new(root.join("tests/e2e")))
            .layer(DefaultBodyLimit::max(MAX_BATCH))
            .with_state(Arc::clone(&shared));
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("the recorder page can't be served")?;
        let address = listener.local_addr().context("the recorder page can't be served")?;
        let serve = AbortOnDropHandle::new(tokio::spawn(async move {
            // Ends with the task only; axum answers errors of single connections itself.
            let _ = axum::serve(listener, router).await;
        }));
        let traps = package != root.join("pkg");
        Ok(Self { address, traps, shared, _serve: serve })
    }

    /// Returns where the page of one life is.
    pub(crate) fn page(&self, life: usize, mode: &str, proxy: SocketAddr) -> String {
        format!(
            "http://{}/recorder.html?life={life}&mode={mode}&thread={THREAD}&ws=ws://{proxy}/ws&trap={}",
            self.address,
            u8::from(self.traps)
        )
    }

    /// Returns where the page with many clients is, which connects to `server`.
    pub(crate) fn alive(&self, server: SocketAddr) -> String {
        format!("http://{}/alive.html?ws=ws://{server}/ws", self.address)
    }

    /// Returns where a page is that has nothing to do with the other.
    pub(crate) fn away(&self) -> String {
        format!("http://{}/away.html", self.address)
    }

    /// Tells the page not to ask any more questions.
    pub(crate) fn stop_asking(&self) {
        self.shared.ask.store(false, Ordering::Relaxed);
    }
}

async fn record(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    // Read as bytes: a beacon calls its content text.
    let taken = serde_json::from_slice::<Batch>(&body)
        .map_err(Into::into)
        .and_then(|batch| shared.records.take(batch));
    match taken {
        Ok(()) => {
            let answer = serde_json::json!({ "ask": shared.ask.load(Ordering::Relaxed) });
            ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

async fn renewed(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(page) => {
            shared.records.renewed(page);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn token(State(shared): State<Arc<Shared>>) -> Response {
    match fetch_token(shared.chat).await {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        // The server is away: a page must live with that.
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

/// Asks the chat server for a token: one request on one connection, which the answer ends.
async fn fetch_token(chat: SocketAddr) -> Result<String> {
    let body = serde_json::json!({ "user": USER }).to_string();
    let request = format!(
        "POST /demo/token HTTP/1.0\r\nHost: {chat}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(chat).await.context("the chat server does not answer")?;
    stream.write_all(request.as_bytes()).await.context("the chat server ended the request")?;
    let mut answer = String::new();
    stream.take(MAX_TOKEN).read_to_string(&mut answer).await.context("the chat server ended its answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the chat server ended its answer")?;
    let status = head.lines().next().unwrap_or_default();
    anyhow::ensure!(status.split(' ').nth(1) == Some("200"), "the chat server answered {status}");
    Ok(body.to_owned())
}
