//! A server on this machine whose answers a test chooses, and which counts its requests.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

type Answer = dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync;

/// Ends when it is dropped.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    count: Arc<AtomicUsize>,
    seen: watch::Receiver<usize>,
    task: AbortHandle,
}

impl Site {
    pub(crate) async fn start(
        answer: impl Fn(Request) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let (say, seen) = watch::channel(0);
        let (counted, answer) = (Arc::clone(&count), Arc::new(answer) as Arc<Answer>);
        let router = Router::new().fallback(move |request: Request| {
            say.send_replace(counted.fetch_add(1, Ordering::SeqCst) + 1);
            answer(request)
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { address, count, seen, task }
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until this many requests came.
    pub(crate) async fn has(&mut self, requests: usize) {
        self.seen.wait_for(|seen| *seen >= requests).await.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with this status and body.
pub(crate) fn answer(status: u16, body: impl Into<axum::body::Body>) -> BoxFuture<'static, Response> {
    let response = Response::builder().status(status).body(body.into()).unwrap();
    Box::pin(std::future::ready(response))
}
