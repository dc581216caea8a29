//! Takes away what holds an attack, so that the attack can prove that it notices. Never in production builds.

mod groups;
mod relay;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agentwire_bridge::{
    AuthError, Authenticator, Bridge, BridgeBuilder, Identity, MemoryLog, Sabotage, SqliteLog,
};
use anyhow::Result;
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::net::TcpListener;

use self::groups::OneForAll;
use self::relay::Relay;
use crate::Args;

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lift {
    /// Every token opens every door: signatures, algorithms and times are not looked at.
    Tokens,
    /// What the server refuses looks as if it was not: no error, no close, no end reaches the client.
    Refusals,
    /// Everything that a connection sends or gets is kept, and connections that have ended stay open.
    Hoard,
    /// Connections have no deadlines: the router is served without the server of the bridge.
    Serve,
    /// The health check says that all is well.
    Health,
    /// A log that cannot be opened is replaced by an empty one.
    Open,
    /// Two events have exchanged their offsets.
    Offsets,
    /// A command that fails takes those of everybody else with it.
    Groups,
    /// Everybody may read the files.
    Modes,
}

/// Adds the log.
pub(crate) fn with_log(builder: BridgeBuilder, path: &Path, args: &Args) -> Result<BridgeBuilder> {
    let log = match SqliteLog::open(path) {
        Ok(log) => log,
        Err(error) if args.lift == Some(Lift::Open) => {
            eprintln!("an empty log takes the place of the one that cannot be opened: {error}");
            return Ok(builder.log(MemoryLog::new()));
        }
        Err(error) => return Err(error.into()),
    };
    if args.lift == Some(Lift::Modes) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(if args.lift == Some(Lift::Groups) { builder.log(OneForAll::new(log)) } else { builder.log(log) })
}

/// Changes the bridge.
pub(crate) fn build(builder: BridgeBuilder, lift: Option<Lift>) -> BridgeBuilder {
    match lift {
        Some(Lift::Tokens) => builder.authenticator(Anybody),
        Some(Lift::Offsets) => builder.sabotage(Sabotage::Swap),
        _ => builder,
    }
}

/// Serves the bridge.
pub(crate) async fn serve(
    bridge: &Bridge,
    listener: TcpListener,
    router: Router,
    lift: Option<Lift>,
) -> io::Result<()> {
    let relay = match lift {
        Some(Lift::Refusals) => Relay::HidesRefusals,
        Some(Lift::Hoard) => Relay::Hoards,
        Some(Lift::Serve) => return axum::serve(listener, router).await,
        Some(Lift::Health) => {
            let well = Router::new().route("/healthz", get(async || r#"{"status":"ok"}"#));
            return bridge.serve(listener, well.fallback_service(router)).await;
        }
        _ => return bridge.serve(listener, router).await,
    };
    let inner = TcpListener::bind("127.0.0.1:0").await?;
    let address = inner.local_addr()?;
    tokio::select! {
        served = bridge.serve(inner, router) => served,
        () = relay::run(listener, address, relay) => Ok(()),
    }
}

/// Believes every token.
struct Anybody;

impl Authenticator for Anybody {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let subject = claims["sub"].as_str().filter(|subject| !subject.is_empty()).unwrap_or("nobody");
        let identity = Identity { subject: subject.to_owned(), expires_at_ms: None };
        Box::pin(async move { Ok(identity) })
    }
}
