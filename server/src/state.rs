//! What the parts of the server share.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::Bridge;
use axum::Router;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::config::RightsMode;
use crate::deliver::workers::Workers;
use crate::members::MemberStore;
use crate::metrics::Metrics;

/// What the parts of the server share.
pub(crate) struct Shared {
    pub(crate) bridge: Bridge,
    pub(crate) auth: Arc<Auth>,
    pub(crate) members: MemberStore,
    /// Those that hold a connection, if deliveries go to them.
    pub(crate) workers: Option<Arc<Workers>>,
    pub(crate) metrics: Metrics,
    /// The routes of the bridge.
    pub(crate) pages: Router,
    /// Cancelled when the server stops: long answers end.
    pub(crate) closing: CancellationToken,
    pub(crate) rights_mode: RightsMode,
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whether metrics are served elsewhere.
    pub(crate) has_metrics_address: bool,
    pub(crate) max_body_bytes: usize,
    /// How long a revocation is remembered, in milliseconds.
    pub(crate) revoke_ms: u64,
    /// The lease of runs whose batch names none, and the longest one.
    pub(crate) lease: Duration,
    pub(crate) max_lease: Duration,
    /// Events and bytes of an answer.
    pub(crate) page_events: usize,
    pub(crate) page_bytes: usize,
}
