//! Many pages in one process: they count events, check their order, acknowledge as the npm client does, and measure how
//! long each event was on its way.
//!
//! It prints a line of JSON when all pages are connected, and one for each command on standard input: `mark` answers with
//! what came since the mark before, `until N` waits until each page has N events. It ends with its input.
#![allow(clippy::print_stdout, reason = "answers are lines")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

mod bridge;
mod connect;
mod frames;
mod socketio;
mod tally;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::tally::Tally;

/// Pages that connect at the same time.
const OPENING: usize = 50;

/// How long all pages together may take until they are connected.
const CONNECTED: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
#[command(name = "agentwire-crowd", about, max_term_width = 110)]
struct Args {
    /// What the server speaks.
    #[arg(long, value_enum, default_value_t = Dialect::Bridge)]
    dialect: Dialect,
    /// The host and port of the server.
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    /// The secret that the bridge checks tokens with.
    #[arg(long, value_name = "TEXT", default_value = "")]
    secret: String,
    /// How many pages.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pages: u32,
    /// Page number i reads stream number i modulo this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    streams: u32,
    /// The pages do not offer `deltas`.
    #[arg(long)]
    no_deltas: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dialect {
    Bridge,
    Socketio,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Rc::new(Args::parse());
    LocalSet::new().run_until(run(args)).await
}

async fn run(args: Rc<Args>) -> Result<()> {
    let tally = Rc::new(Tally::new(args.pages));
    let connected = stream::iter(0..args.pages)
        .map(|page| open(Rc::clone(&args), page, Rc::clone(&tally)))
        .buffer_unordered(OPENING)
        .collect::<Vec<Result<()>>>();
    let connected = timeout(CONNECTED, connected).await.context("the pages were not connected in time")?;
    connected.into_iter().collect::<Result<Vec<()>>>()?;
    println!("{}", json!({ "ready": args.pages }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.context("standard input can't be read")? {
        let answer = match line.split_once(' ') {
            None if line == "mark" => tally.mark(),
            Some(("until", events)) => {
                let events = events.parse().context("`until` takes a number of events")?;
                tally.until(events).await
            }
            _ => bail!("there is no command {line:?}; there are `mark` and `until N`"),
        };
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

/// Connects a page. It goes on by itself when it has caught up.
async fn open(args: Rc<Args>, page: u32, tally: Rc<Tally>) -> Result<()> {
    let stream = page % args.streams;
    let opened = match args.dialect {
        Dialect::Bridge => {
            bridge::open(&args.server, &args.secret, stream, !args.no_deltas).await.map(Opened::Bridge)
        }
        Dialect::Socketio => socketio::open(&args.server, stream).await.map(Opened::Socketio),
    };
    let opened = opened.with_context(|| format!("page {page}"))?;
    spawn_local(async move {
        let ended = match opened {
            Opened::Bridge(socket) => bridge::read(socket, page, &tally).await,
            Opened::Socketio(socket) => socketio::read(socket, page, &tally).await,
        };
        if let Err(error) = ended {
            tally.fault(format!("page {page}: {error:#}"));
        }
    });
    Ok(())
}

enum Opened {
    Bridge(bridge::Page),
    Socketio(connect::Socket),
}
