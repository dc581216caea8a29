//! The chat page on one address, with switches that break its connection.
//!
//! The page talks to the chat server through the proxy; everything else of it comes from here, so that a page that is
//! cut off can still be told to stop being so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use tower_http::services::ServeDir;

use crate::interrupt::interrupted;
use crate::proxy::{How, Proxy};
use crate::server::{Plan, Server};

/// Who the page is.
const USER: &str = "ada";

/// The shortest time between two cuts, so that a page can say hello in between.
const MIN_CUT_EVERY: Duration = Duration::from_millis(250);

/// How long a request to the chat server may take.
const REQUEST: Duration = Duration::from_secs(10);

/// Starts the chat server and serves its page on `listener` until Ctrl-C.
///
/// # Errors
/// When something can't be started, and when the chat server ends by itself.
pub fn serve(listener: std::net::TcpListener, plan: Plan) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime can be made")?;
    runtime.block_on(async {
        listener.set_nonblocking(true).context("the port can't be listened on")?;
        run(TcpListener::from_std(listener).context("the port can't be listened on")?, plan).await
    })
}

async fn run(listener: TcpListener, plan: Plan) -> Result<()> {
    let Plan { address: upstream, log, folder, page, .. } = plan.clone();
    let server = Server::start(plan).await?;
    let proxy = Proxy::start(upstream).await.context("the fault proxy can't be started")?;
    let demo = Arc::new(Demo {
        upstream,
        proxy,
        server: Mutex::new(Some(server)),
        cutting: Mutex::new(None),
        every_ms: AtomicU64::new(0),
        kills: AtomicU64::new(0),
        cuts: AtomicU64::new(0),
    });
    let router = Router::new()
        .route("/demo/config", get(config))
        .route("/demo/token", post(token))
        .route("/v1/{*path}", get(read))
        .route("/faults", get(faults))
        .route("/faults/cut", post(cut))
        .route("/faults/cut-every", post(cut_every))
        .route("/faults/freeze", post(freeze))
        .route("/faults/offline", post(offline))
        .route("/faults/kill", post(kill))
        .fallback_service(ServeDir::new(page))
        .with_state(Arc::clone(&demo));
    let address = listener.local_addr().context("the address can't be read")?;
    println!("the agent answers about {}; conversations are kept in {}", folder.display(), log.display());
    println!("open http://{address}   (Ctrl-C stops it)");
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async {
            interrupted().await;
        })
        .await;
    *demo.cutting.lock().await = None;
    if let Some(server) = demo.server.lock().await.take() {
        server.stop().await?;
    }
    println!("stopped");
    served.context("the page can't be served any more")
}

struct Demo {
    upstream: SocketAddr,
    proxy: Proxy,
    /// `None` when it could not be started again.
    server: Mutex<Option<Server>>,
    /// Cuts the connections now and then.
    cutting: Mutex<Option<AbortOnDropHandle<()>>>,
    every_ms: AtomicU64,
    kills: AtomicU64,
    cuts: AtomicU64,
}

type Shared = State<Arc<Demo>>;

impl Demo {
    fn cut(&self) {
        let cut = self.proxy.cut(How::Reset);
        self.cuts.fetch_add(cut.connections as u64, Ordering::Relaxed);
    }

    fn report(&self) -> Json<serde_json::Value> {
        Json(json!({
            "everyMs": self.every_ms.load(Ordering::Relaxed),
            "frozen": self.proxy.is_frozen(),
            "offline": self.proxy.is_refusing(),
            "kills": self.kills.load(Ordering::Relaxed),
            "cuts": self.cuts.load(Ordering::Relaxed),
        }))
    }
}

/// What went wrong, as an answer to the page.
struct Failed(StatusCode, String);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

async fn config(State(demo): Shared) -> Json<serde_json::Value> {
    Json(json!({ "ws": format!("ws://{}/ws", demo.proxy.address()), "user": USER }))
}

#[derive(Deserialize)]
struct Switch {
    on: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Every {
    every_ms: u64,
}

async fn faults(State(demo): Shared) -> Json<serde_json::Value> {
    demo.report()
}

async fn cut(State(demo): Shared) -> Json<serde_json::Value> {
    demo.cut();
    demo.report()
}

async fn cut_every(State(demo): Shared, Json(every): Json<Every>) -> Json<serde_json::Value> {
    let mut cutting = demo.cutting.lock().await;
    *cutting = None;
    demo.every_ms.store(0, Ordering::Relaxed);
    if every.every_ms > 0 {
        let pause = Duration::from_millis(every.every_ms).max(MIN_CUT_EVERY);
        let cutter = Arc::downgrade(&demo);
        *cutting = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut clock = tokio::time::interval(pause);
            loop {
                clock.tick().await;
                let Some(demo) = cutter.upgrade() else { return };
                demo.cut();
            }
        })));
        demo.every_ms.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
    demo.report()
}

async fn freeze(State(demo): Shared, Json(switch): Json<Switch>) -> Json<serde_json::Value> {
    demo.proxy.freeze(switch.on);
    demo.report()
}

async fn offline(State(demo): Shared, Json(switch): Json<Switch>) -> Json<serde_json::Value> {
    demo.proxy.refuse(switch.on);
    if switch.on {
        demo.cut();
    }
    demo.report()
}

async fn kill(State(demo): Shared) -> Result<Json<serde_json::Value>, Failed> {
    let mut server = demo.server.lock().await;
    let Some(running) = server.as_mut() else {
        return Err(Failed(StatusCode::CONFLICT, "the server is not running; start the demo again".into()));
    };
    demo.kills.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = running.kill_and_restart().await {
        eprintln!("error: {error:#}");
        *server = None;
        return Err(Failed(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")));
    }
    Ok(demo.report())
}

async fn token(State(demo): Shared, body: Bytes) -> Response {
    let url = format!("http://{}/demo/token", demo.upstream);
    forward(move || {
        agent().post(url).header("content-type", "application/json").send(&body[..]).map_err(Into::into)
    })
    .await
}

/// Reads the log through the bridge, but not through the proxy: the truth must not depend on the faults.
async fn read(
    State(demo): Shared,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let url = format!("http://{}/v1/{}{query}", demo.upstream, encode_path(&path));
    let bearer =
        headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    forward(move || agent().get(url).header("authorization", bearer).call().map_err(Into::into)).await
}

/// Puts back what the router took off: the name of a thread may hold anything.
fn encode_path(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(REQUEST)).http_status_as_error(false).build().into()
}

type Answer = ureq::http::Response<ureq::Body>;

async fn forward(call: impl FnOnce() -> Result<Answer> + Send + 'static) -> Response {
    let answer = spawn_blocking(move || {
        let mut answer = call()?;
        let status = StatusCode::from_u16(answer.status().as_u16())?;
        let body = answer.body_mut().read_to_vec()?;
        Ok::<_, anyhow::Error>((status, body))
    });
    match answer.await {
        Ok(Ok((status, body))) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        // The server is being started again; the page asks once more.
        Ok(Err(error)) => Failed(StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
        Err(error) => Failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_threads_keep_what_they_hold() {
        assert_eq!(encode_path("threads/a b%ü/events"), "threads/a%20b%25%C3%BC/events");
    }
}
