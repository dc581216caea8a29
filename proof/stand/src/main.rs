//! A bridge with an agent, publishers and every limit as an option: what load, attacks and long runs are measured on.
//!
//! It prints `listening on http://127.0.0.1:PORT` when it listens, `counters {…}` for each SIGUSR1 and at its end, and ends
//! on SIGTERM and SIGINT. `POST /load/publish` starts publishers in its process:
//! `{"streams":1000,"events":50,"perSecond":10,"bytes":200}`.
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

mod agent;
mod fill;
mod leaks;
#[cfg(feature = "faults")]
mod lift;
mod publish;
mod shares;
mod trim;

use std::net::SocketAddr;
#[cfg(not(feature = "faults"))]
use std::path::Path;
use std::path::PathBuf;

use agentwire_bridge::{Bridge, Hs256, Limits, MemoryLog, Turn};
#[cfg(not(feature = "faults"))]
use agentwire_bridge::{BridgeBuilder, SqliteLog};
use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::routing::post;
use clap::Parser;
use leaks::{Leak, Leaking};
use shares::Shares;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use trim::Trimmer;

#[derive(Debug, Parser)]
#[command(name = "agentwire-stand", about, max_term_width = 110)]
struct Args {
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The SQLite file of the log. Without it the log is in memory.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The secret of the tokens (HS256), 32 bytes or more.
    #[arg(long, value_name = "TEXT")]
    secret: String,
    /// Limits that differ from the defaults, as JSON: `{"max_streams":3,"heartbeat":1000}`; times in milliseconds.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = limits)]
    limits: Limits,
    /// Messages stay accepted: no agent answers them.
    #[arg(long)]
    no_agent: bool,
    /// Writes so many events to the log, in 1,000 streams, and ends. A multiple of 1,000.
    #[arg(long, value_name = "EVENTS", requires = "log")]
    fill: Option<u64>,
    /// Bytes of the text of an event of `--fill`.
    #[arg(long, value_name = "N", default_value_t = 100)]
    fill_bytes: usize,
    /// A file with the threads that users share, as JSON: `{"plan":{"ada":["read","write"],"bob":["read"]}}`. The rights
    /// are `read`, `write`, `approve` and `manage`. All other threads belong to one user each.
    #[arg(long, value_name = "FILE")]
    shares: Option<PathBuf>,
    /// Trims each thread that the agent has worked in, and its user's inbox, once a second to so many events.
    #[arg(long, value_name = "EVENTS")]
    keep: Option<u64>,
    /// Loses something with each token that is checked, so that a check can prove that it notices.
    #[arg(long, value_enum)]
    leak: Vec<Leak>,
    /// Breaks the promise on purpose, so that a check can prove that it notices.
    #[cfg(feature = "faults")]
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
    /// Takes away one of the things that hold attacks, so that the attack can prove that it notices.
    #[cfg(feature = "faults")]
    #[arg(long, value_enum)]
    lift: Option<lift::Lift>,
}

/// How the promise is broken.
#[cfg(feature = "faults")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Sabotage {
    /// Now and then a read returns the events of another stream.
    Leak,
}

fn limits(json: &str) -> Result<Limits, serde_json::Error> {
    serde_json::from_str(json)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    if let (Some(events), Some(log)) = (args.fill, &args.log) {
        return fill::fill(log, events, args.fill_bytes).await;
    }
    let tokens = Leaking::new(Hs256::new(&args.secret)?, args.leak.clone());
    let builder = Bridge::builder().authenticator(tokens).limits(args.limits.clone());
    let builder = match &args.log {
        Some(path) => with_log(builder, path, &args)?,
        None => builder.log(MemoryLog::new()),
    };
    let trimmer = Trimmer::default();
    let trimmed = trimmer.clone();
    let answer = move |turn: Turn| {
        trimmed.note(&turn.message);
        agent::answer(turn)
    };
    let builder = if args.no_agent { builder } else { builder.agent(answer) };
    let builder = match &args.shares {
        Some(path) => builder.authorizer(Shares::read(path)?),
        None => builder,
    };
    #[cfg(feature = "faults")]
    let builder = match args.sabotage {
        Some(Sabotage::Leak) => builder.sabotage(agentwire_bridge::Sabotage::Leak),
        None => builder,
    };
    #[cfg(feature = "faults")]
    let builder = lift::build(builder, args.lift);
    let bridge = builder.build().await?;
    if let Some(keep) = args.keep {
        tokio::spawn(trimmer.run(bridge.clone(), keep));
    }
    tokio::spawn(count(bridge.clone()));
    let listener = TcpListener::bind(args.listen).await.context("the address cannot be used")?;
    // Before it says that it listens: who reads that may stop it at once.
    let stopped = stopped()?;
    println!("listening on http://{}", listener.local_addr()?);
    // The bridge has no route that reads a body; programs around it do.
    let body = post(async |body: Bytes| body.len().to_string());
    let router = bridge.router().merge(publish::router(bridge.clone())).route("/body", body);
    #[cfg(not(feature = "faults"))]
    let server = bridge.serve(listener, router);
    #[cfg(feature = "faults")]
    let server = lift::serve(&bridge, listener, router, args.lift);
    let stop = async {
        stopped.await;
        bridge.shutdown().await;
    };
    tokio::join!(stop, server).1?;
    say_counters(&bridge);
    Ok(())
}

#[cfg(not(feature = "faults"))]
fn with_log(builder: BridgeBuilder, path: &Path, _: &Args) -> Result<BridgeBuilder> {
    Ok(builder.log(SqliteLog::open(path)?))
}

#[cfg(feature = "faults")]
use lift::with_log;

/// Says for each SIGUSR1 what the bridge has made and given back.
async fn count(bridge: Bridge) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut asked) = signal(SignalKind::user_defined1()) else { return };
    while asked.recv().await.is_some() {
        say_counters(&bridge);
    }
}

#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn say_counters(bridge: &Bridge) {
    println!("counters {}", serde_json::json!(bridge.counters()));
}

/// Handles SIGTERM and SIGINT from now on; what it returns resolves on the first of them.
fn stopped() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}
