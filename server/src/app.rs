//! Puts the server together from its configuration, and runs it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Bridge, BuildError, MemoryLog, OpenError, SqliteLog};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::auth::Auth;
use crate::config::{Config, DeliverMode, Problems, RetentionSection};
use crate::deliver::workers::Workers;
use crate::deliver::{Carrier, Deliverer, DeliveringAgent, Webhook, forward};
use crate::members::MemberStore;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::retention::keep;
use crate::state::Shared;

/// The largest body when the configuration does not say.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The file of events cannot be used.
    #[error("the log cannot be opened: {0}")]
    Log(#[from] OpenError),
    /// The file of threads cannot be used.
    #[error("{0}")]
    Members(String),
    /// Keys, secrets or rights cannot be used.
    #[error("{0}")]
    Auth(#[from] Problems),
    /// The bridge was not built.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// A part of the configuration that was not checked before.
    #[error("{0}")]
    Config(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`{key}`): {error}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// A server that listens.
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    path_prefix: Option<String>,
    retention: RetentionSection,
    more: Router,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the files, listens, and takes up what a former process left.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        // First: a second server must not touch the files of the first.
        let listener = listen("server.listen", config.server.listen).await?;
        let metrics_listener = match config.server.metrics_listen {
            Some(address) => Some(listen("server.metrics_listen", address).await?),
            None => None,
        };
        let metrics = Metrics::start().map_err(|error| StartError::Config(error.to_string()))?;
        let members = if config.log.memory {
            MemberStore::in_memory()
        } else {
            MemberStore::open(&config.threads_path())
        };
        let members = members.map_err(|error| StartError::Members(error.to_string()))?;
        let auth = Auth::start(config, Arc::new(members.clone())).await?;
        let revoked = members.revoked().await.map_err(|error| StartError::Members(error.to_string()))?;
        auth.restore(revoked);
        let (deliverer, workers) = deliverer(config)?;
        let limits = config.limits.limits();
        let (page_events, page_bytes) = (limits.http_page_events, limits.max_frame_bytes);
        let mut builder =
            Bridge::builder().limits(limits).authenticator(auth.tokens()).authorizer(auth.rights());
        builder = if config.log.memory {
            builder.log(MemoryLog::new())
        } else {
            builder.log(SqliteLog::open(&config.log.path)?)
        };
        if let Some(origins) = config.server.allowed_origins() {
            builder = builder.origins(origins);
        }
        if let Some(deliverer) = deliverer {
            let runtime = tokio::runtime::Handle::current();
            builder =
                builder.agent(DeliveringAgent::new(Arc::clone(&deliverer))).on_outside_run(move |run| {
                    runtime.spawn(forward(Arc::clone(&deliverer), run));
                });
        }
        let bridge = builder.build().await?;
        let max_body_bytes =
            config.limits.max_body_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let shared = Shared {
            pages: bridge.router(),
            bridge,
            auth,
            members,
            workers,
            metrics,
            closing: CancellationToken::new(),
            rights_mode: config.rights.mode,
            trusted_proxies: config.server.trusted_proxies.clone(),
            has_metrics_address: metrics_listener.is_some(),
            max_body_bytes: max_body_bytes.unwrap_or(MAX_BODY_BYTES),
            revoke_ms: config.auth.revoke_ms,
            lease: config.runs.lease(),
            max_lease: Duration::from_millis(config.runs.max_lease_ms),
            page_events,
            page_bytes,
        };
        let (path_prefix, retention) = (config.server.path_prefix.clone(), config.retention);
        let shared = Arc::new(shared);
        Ok(Self { shared, listener, metrics_listener, path_prefix, retention, more: Router::new() })
    }

    /// The address that it listens on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves other routes, too.
    #[must_use]
    pub fn with_routes(mut self, more: Router) -> Self {
        self.more = self.more.merge(more);
        self
    }

    /// Serves until `stop` resolves and what is under way has ended.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { shared, listener, metrics_listener, path_prefix, retention, more } = self;
        tokio::spawn(keep(Arc::clone(&shared), retention));
        let app = more.merge(api::router(Arc::clone(&shared), shared.pages.clone()));
        let app = match path_prefix {
            Some(prefix) => Router::new().nest(&prefix, app),
            None => app,
        };
        if let Some(listener) = metrics_listener {
            tokio::spawn(serve_metrics(listener, Arc::clone(&shared)));
        }
        let bridge = shared.bridge.clone();
        let stopping = async {
            stop.await;
            tracing::info!("the server stops: pages are told to come back, and what is under way ends");
            shared.closing.cancel();
            bridge.shutdown().await;
            Ok(())
        };
        tokio::try_join!(bridge.serve(listener, app), stopping).map(|_| ())
    }

    /// Lets the configuration be read again while the server runs.
    pub fn reload_handle(&self) -> ReloadHandle {
        ReloadHandle(Arc::clone(&self.shared))
    }
}

/// A server whose configuration can be read again.
#[derive(Clone)]
pub struct ReloadHandle(Arc<Shared>);

impl ReloadHandle {
    /// Takes what can be changed without a restart from a new configuration: keys, secrets and rights.
    pub async fn reload(&self, config: &Config) -> Result<(), StartError> {
        self.0.auth.reload(config).await.map_err(StartError::from)
    }
}

impl std::fmt::Debug for ReloadHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReloadHandle").finish_non_exhaustive()
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { key, address, error })
}

/// How deliveries are brought, if they are, and the workers that get them.
type Delivering = (Option<Arc<Deliverer>>, Option<Arc<Workers>>);

fn deliverer(config: &Config) -> Result<Delivering, StartError> {
    let deliver = &config.deliver;
    let (carrier, workers) = match deliver.mode {
        DeliverMode::None => return Ok((None, None)),
        DeliverMode::Worker => {
            let workers = Arc::<Workers>::default();
            (Carrier::Workers(Arc::clone(&workers)), Some(workers))
        }
        DeliverMode::Webhook => {
            let Some(url) = &deliver.url else {
                return Err(StartError::Config("`deliver.url` is missing: where the webhook is".to_owned()));
            };
            let outbound = Outbound::new(deliver.allow_private)
                .map_err(|error| StartError::Config(format!("`deliver`: {error}")))?
                .within(Duration::from_millis(deliver.timeout_ms));
            let (keys, problems) = deliver.signing_keys();
            if !problems.is_empty() {
                return Err(Problems(problems).into());
            }
            let Some(keys) = keys else {
                return Err(StartError::Config(
                    "`deliver.secrets` is missing: deliveries are signed".to_owned(),
                ));
            };
            (Carrier::Webhook(Webhook::new(url.url().clone(), keys, outbound)), None)
        }
    };
    let give_up_after = Duration::from_millis(deliver.give_up_after_ms);
    let lease = Duration::from_millis(deliver.lease_ms);
    let max_in_flight = usize::try_from(deliver.max_in_flight).unwrap_or(usize::MAX);
    Ok((Some(Arc::new(Deliverer::new(carrier, give_up_after, lease, max_in_flight))), workers))
}

async fn serve_metrics(listener: TcpListener, shared: Arc<Shared>) {
    let closing = shared.closing.clone();
    let render = move || {
        let shared = Arc::clone(&shared);
        async move { api::metrics_text(&shared) }
    };
    let app = Router::new().route("/metrics", get(render));
    let stop = closing.cancelled_owned();
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "metrics are not served any more");
    }
}
