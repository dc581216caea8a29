//! Runs the check: brings everything up, lets the conductor do its work, and compares.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use agentwire_faults::interrupt::interrupted;
use agentwire_faults::proxy::Proxy;
use agentwire_faults::server::{self, Server};
use anyhow::{Context as _, Result, bail};
use xtask::context::Context;
use xtask::demo::Sabotage;

use super::checker::{Findings, compare};
use super::conductor::Conductor;
use super::log::{Facts, LogFile};
use super::order::{Order, Work};
use super::plan::{self, Faults};
use super::records::Records;
use super::report::{Done, Summary, times};
use super::site::{Site, key};
use crate::browser::Browser;

/// The server's log, among the files of the check.
const LOG: &str = "log.sqlite";

/// The pause between two deltas of an answer, in milliseconds: fast enough that some byte is always in flight.
const PACE_MS: u64 = 8;

/// How long anything may take that must happen: a page to start, a run to stream, a death to be seen.
const DEADLINE: Duration = Duration::from_secs(30);

/// The same when the server is sabotaged: it may replace the end of a run, for which the page then waits in vain.
const SABOTAGED_DEADLINE: Duration = Duration::from_secs(8);

/// The share of cuts, in percent, that must have bitten.
const BITE_PERCENT: usize = 80;

/// Runs one check in `folder` and returns its summary.
///
/// # Errors
/// With the first thing found; also when something did not start or the run is interrupted. Nothing is left running.
pub(crate) async fn check(order: &Order, ctx: &Context, program: PathBuf, folder: &Path) -> Result<Summary> {
    let faults = order.faults();
    let Faults { cuts, kills, reloads, chaos, .. } = faults;
    println!(
        "check: {}, {} events, {cuts} cuts, {kills} kills, {reloads} reloads, seed {}",
        order.engine.name(),
        order.events,
        order.seed
    );
    let mut interrupted = pin!(interrupted());
    let records = Arc::new(Records::new(create(&folder.join("page.log"))?));
    let mut conductor = tokio::select! {
        started = start(order, ctx, program, folder, &records) => started?,
        interrupted = &mut interrupted => return Err(interrupted.into()),
    };
    let work = async {
        match order.work {
            Work::Faults(faults) => {
                let plan = plan::draw(&mut fastrand::Rng::with_seed(order.seed), &faults);
                conductor.run(&plan, order.events).await
            }
            Work::Signals => conductor.signals(order.engine, order.events).await,
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        interrupted = &mut interrupted => {
            // Nobody asks any more how the server stopped.
            let _ = conductor.close().await;
            return Err(interrupted.into());
        }
    };
    if ended.is_err() {
        // What the page still knows is worth having; the error remains whether it comes or not.
        let _ = conductor.leave().await;
    }
    let counts = conductor.counts();
    let (done, view, stopped) = conductor.close().await;

    let (logged, facts) = match LogFile::open(&folder.join(LOG), &key()).and_then(|log| log.read()) {
        Ok(read) => read,
        Err(error) => return Err(ended.err().unwrap_or(error)),
    };
    let lives = records.lives();
    let findings = compare(&lives, &logged, ended.is_ok());
    println!(
        "log: head {}, {} runs, {} of them ended by a restart",
        logged.bodies.len(),
        facts.runs,
        facts.died
    );
    println!(
        "cuts: {} of {} bit, {} inside a frame of events; {} connections, {} refused, {} bytes to the page",
        done.bit, done.cuts, done.in_frame, counts.connections, counts.refused, counts.to_page
    );
    if chaos {
        print!("{}", done.table());
        println!("half-open connections noticed: {}", times(&done.noticed));
    }
    println!("back with an event after a cut: {}", times(&done.after_cut));
    println!("back with an event after a kill: {}", times(&done.after_kill));
    if order.traps() {
        println!("back with an event after a trap: {}", times(&done.after_trap));
    }
    for (code, count) in &view.errors {
        println!("the page's client reported {code}: {count}");
    }
    for (reason, count) in view.losses.iter().filter(|_| chaos) {
        println!("the client waited because of {reason}: {count}");
    }
    if let Some(first) = &findings.first {
        let ended =
            ended.err().map(|error| format!("\n  the run ended early: {error:#}")).unwrap_or_default();
        let Findings { changed, faults, .. } = findings;
        return Err(Found(format!(
            "the check found: {findings}, {changed} different, {faults} recordings with holes
  first: {first}{ended}"
        ))
        .into());
    }
    ended?;
    stopped?;
    if let Some(missed) = missed(order, &done, &facts, &findings, logged.bodies.len() as u64) {
        bail!("the check is worth nothing: {missed}");
    }
    if let Some(life) = lives.iter().find(|life| life.records.is_empty()) {
        bail!("the check is worth nothing: life {} got no event", life.number);
    }
    Ok(Summary { order: order.clone(), done, findings })
}

/// Brings up everything that the check needs.
async fn start(
    order: &Order,
    ctx: &Context,
    program: PathBuf,
    folder: &Path,
    records: &Arc<Records>,
) -> Result<Conductor> {
    let address = server::free_address()?;
    let server = Server::start(server::Plan {
        program,
        address,
        log: folder.join(LOG),
        folder: ctx.root.clone(),
        page: ctx.root.join("tests/e2e"),
        pace_ms: PACE_MS,
        sabotage: order.sabotage.map(Sabotage::name),
        stderr: folder.join("server.log"),
    })
    .await?;
    let proxy = Proxy::start(address).await.context("the proxy can't listen")?;
    let package = if order.traps() { ctx.trap_pkg() } else { ctx.pkg() };
    let site = Site::start(&ctx.root, &package, Arc::clone(records), address).await?;
    let browser = Browser::start(order.engine, ctx, &folder.join("driver.log")).await?;
    let deadline = if order.sabotage.is_some() { SABOTAGED_DEADLINE } else { DEADLINE };
    let log = folder.join(LOG);
    Ok(Conductor::new(server, proxy, site, browser, Arc::clone(records), log, deadline))
}

/// Says what was asked for and not reached: a check without its faults proves nothing.
fn missed(order: &Order, done: &Done, facts: &Facts, findings: &Findings, head: u64) -> Option<String> {
    let faults = order.faults();
    let Faults { cuts, kills, reloads, .. } = faults;
    let replayed = order.work == Work::Signals || cuts + kills + reloads > 0;
    let wanted = [
        ("events in the log", head, order.events),
        ("cuts", done.cuts as u64, faults.cuts as u64),
        ("cuts that bit", done.bit as u64, (faults.cuts * BITE_PERCENT).div_ceil(100) as u64),
        ("kills", done.kills as u64, faults.kills as u64),
        ("runs ended by a restart in the log", facts.died, faults.kills as u64),
        ("reloads", done.reloads as u64, faults.reloads as u64),
        ("traps", done.traps as u64, faults.traps as u64),
        ("replayed events", findings.replayed, u64::from(replayed)),
    ];
    wanted
        .into_iter()
        .find(|(_, got, least)| got < least)
        .map(|(what, got, least)| format!("{got} {what}, at least {least} were due"))
}

/// The check judged, and the promise was not kept.
#[derive(Debug)]
pub(crate) struct Found(String);

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Found {}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("{} can't be written", path.display()))
}
