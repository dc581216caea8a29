//! The server: the bridge with the agent, the page, and tokens for the demo.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentwire_bridge::{Bridge, BuildError, Hs256, Limits, OpenError, SqliteLog};
use axum::Router;
use tokio::net::TcpListener;

use crate::agent::FolderAgent;
use crate::args::Args;
use crate::secret::{Secret, SecretError, VARIABLE};
use crate::tools::{Folder, Toolbox};
use crate::{site, token};

/// How long connections may take to end once the bridge has stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the server does not run. Each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// Others could reach the address.
    #[error(
        "{0} can be reached from other machines and this demo gives everybody a token; listen on 127.0.0.1 or add --i-know-this-is-a-demo"
    )]
    NotLoopback(SocketAddr),
    /// The folder for the agent is not there.
    #[error("the folder {path:?} cannot be read: {source}; name another with --folder")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The folder with the page is not there.
    #[error("the page {0:?} is not a folder; name another with --page")]
    Page(PathBuf),
    /// The log would be served as a part of the page.
    #[error(
        "the log {0:?} would be served with the page; name another with --log, such as one that ends in .sqlite"
    )]
    LogInPage(PathBuf),
    /// The log cannot be used.
    #[error("the log {path:?} cannot be used: {source}; name another with --log")]
    Log {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret is too short to sign with.
    #[error("{0}; set {VARIABLE} to it")]
    ShortSecret(#[from] agentwire_bridge::SecretError),
    /// The port belongs to another program.
    #[error("the address {0} is in use; name another with --listen, or port 0 to get a free one")]
    AddressInUse(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}; name another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bridge does not start.
    #[error("the bridge does not start: {0}")]
    Bridge(#[from] BuildError),
    /// The server stopped by itself.
    #[error("the server stopped: {0}")]
    Stopped(#[source] io::Error),
}

/// Time between two heartbeats: short, so that whoever plays with a frozen connection need not wait long.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Serves until the process is asked to stop.
pub(crate) async fn run(args: Args) -> Result<(), ServeError> {
    // Asked before anything is announced, so that a stop right after it is not missed.
    let stop = StopSignal::listen().map_err(ServeError::Stopped)?;
    if !args.listen.ip().is_loopback() && !args.i_know_this_is_a_demo {
        return Err(ServeError::NotLoopback(args.listen));
    }
    let folder = Folder::open(&args.folder)
        .map_err(|source| ServeError::Folder { path: args.folder.clone(), source })?;
    if let Some(page) = args.page.as_ref().filter(|page| !page.is_dir()) {
        return Err(ServeError::Page(page.clone()));
    }
    if args.page.as_ref().is_some_and(|page| site::shows(page, &args.log)) {
        return Err(ServeError::LogInPage(args.log));
    }
    // Bound before the log is opened: of two servers by mistake, the second one leaves the log alone.
    let listener = TcpListener::bind(args.listen).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse(args.listen),
        _ => ServeError::Listen { address: args.listen, source },
    })?;
    let log =
        SqliteLog::open(&args.log).map_err(|source| ServeError::Log { path: args.log.clone(), source })?;
    let secret = Secret::load(std::env::var_os(VARIABLE), &args.log)?;
    let toolbox = Toolbox::new(folder.without(&args.log));
    let agent = FolderAgent::new(toolbox, Duration::from_millis(args.pace_ms));
    let limits = Limits { heartbeat: HEARTBEAT, ..Limits::default() };
    let builder =
        Bridge::builder().log(log).agent(agent).authenticator(Hs256::new(secret.bytes())?).limits(limits);
    #[cfg(feature = "faults")]
    let builder = match args.sabotage {
        Some(fault) => builder.sabotage(fault.into()),
        None => builder,
    };
    let bridge = builder.build().await?;
    let router = router(&bridge, &secret, !args.i_know_this_is_a_demo, args.page.as_deref());
    let address = listener.local_addr().map_err(ServeError::Stopped)?;
    announce(address).map_err(ServeError::Stopped)?;
    serve(listener, router, bridge, stop).await
}

fn router(bridge: &Bridge, secret: &Secret, loopback_only: bool, page: Option<&Path>) -> Router {
    let router = bridge.router().merge(token::router(secret, loopback_only));
    match page {
        Some(page) => router.fallback_service(site::router(page)),
        None => router,
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    bridge: Bridge,
    mut stop: StopSignal,
) -> Result<(), ServeError> {
    let serving = bridge.clone();
    let mut server = tokio::spawn(async move { serving.serve(listener, router).await });
    tokio::select! {
        ended = &mut server => {
            bridge.shutdown().await;
            return ended.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(ServeError::Stopped);
        }
        () = stop.recv() => {}
    }
    tracing::info!("stopping; stop again to end at once");
    let drain = async {
        bridge.shutdown().await;
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut server).await.is_err() {
            tracing::warn!("some connections did not end in time and are closed");
        }
    };
    tokio::select! {
        () = drain => {}
        () = stop.recv() => tracing::warn!("ending at once"),
    }
    Ok(())
}

/// Says where the server is: the only line on standard output.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}

/// Ctrl-C and, on Unix, SIGTERM and SIGHUP: this server reads nothing again, so a terminal that closes stops it.
struct StopSignal {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 3],
}

impl StopSignal {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    #[cfg(unix)]
    async fn recv(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn recv(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
