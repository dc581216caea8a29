//! Serves HTTP: connections with deadlines, and no more of them than the process can have.

mod admission;
mod body;
mod descriptors;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub(crate) use self::admission::Admitted;
use self::admission::{Admission, Refused};
pub use self::body::LongBody;
use self::body::WithDeadline;
use crate::context::Context;
use crate::limits::Limits;

/// Largest head of a request, in bytes: the smallest that hyper takes.
const MAX_HEAD_BYTES: usize = 8_192;

/// Fields of a head.
const MAX_HEADERS: usize = 64;

/// What a client is answered that has no place. It is not read.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How long to wait when no connection can be accepted and none ends.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves `app` until the bridge shuts down and the connections have ended.
pub(crate) async fn serve(context: &Context, listener: TcpListener, app: Router) -> io::Result<()> {
    let limits = &context.limits;
    let most = descriptors::sockets(limits.max_connections + limits.max_opening + limits.max_requests);
    let admission = Admission::new(most, limits.max_connections_per_address);
    tracing::debug!(most, "connections that are served at once");
    let server = Server {
        app,
        http: http(limits),
        limits: limits.clone(),
        closing: context.closing.clone(),
        connections: TaskTracker::new(),
    };
    // A page that comes while the bridge stops gets a `goaway`, which says when to come back.
    let mut stopped = pin!(async {
        context.closing.cancelled().await;
        let _ = timeout(limits.shutdown_timeout, context.tasks.ended()).await;
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match admission.admit(peer.ip()) {
                Ok(admitted) => server.start(stream, peer, admitted),
                Err(refused) => refuse(&stream, peer, refused),
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted now");
                // Another part of the process has taken the descriptors.
                let _ = timeout(PAUSE, admission.one_ends()).await;
            }
        }
    }
    drop(listener);
    server.connections.close();
    if timeout(limits.shutdown_timeout, server.connections.wait()).await.is_err() {
        tracing::warn!("some requests did not end in time and are given up");
    }
    Ok(())
}

/// Where a connection comes from: an extension of each request that [`Bridge::serve`](crate::Bridge::serve) passes on.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

struct Server {
    app: Router,
    http: http1::Builder,
    limits: Limits,
    closing: CancellationToken,
    connections: TaskTracker,
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    http
}

impl Server {
    fn start(&self, stream: TcpStream, peer: SocketAddr, admitted: Admitted) {
        // Small frames do not wait for others.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke at once");
            return;
        }
        let mut io = Box::pin(TimeoutStream::new(stream));
        io.as_mut().set_write_timeout_pinned(Some(self.limits.write_timeout));
        let (app, body_timeout) = (self.app.clone(), self.limits.body_timeout);
        let admitted = Arc::new(admitted);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let long = LongBody::default();
            let with_deadline = |body| WithDeadline::new(body, body_timeout, long.clone());
            let mut request: Request = request.map(|body| Body::new(with_deadline(body)));
            request.extensions_mut().insert(long);
            request.extensions_mut().insert(Peer(peer));
            // A socket has its place as long as it lives, and not only until the handshake is over.
            request.extensions_mut().insert(Arc::clone(&admitted));
            app.clone().oneshot(request)
        });
        let connection = self.http.serve_connection(TokioIo::new(io), service).with_upgrades();
        let closing = self.closing.clone();
        self.connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = closing.cancelled() => {
                    // A request that is under way is answered.
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a connection ended");
            }
        });
    }
}

/// Says that there is no place, if that can be said at once.
fn refuse(stream: &TcpStream, peer: SocketAddr, refused: Refused) {
    match refused {
        Refused::All => tracing::warn!("a connection was refused: there are too many"),
        Refused::Address => {
            tracing::warn!(address = %peer.ip(), "a connection was refused: its address has too many")
        }
    }
    let _ = stream.try_write(FULL);
}

/// Errors of a connection that was about to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
