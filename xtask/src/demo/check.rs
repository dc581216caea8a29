//! Runs the check: brings everything up, lets the conductor do its work, and compares.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::checker::{Findings, compare};
use super::conductor::Conductor;
use super::log::{Facts, LogFile};
use super::plan;
use super::records::Records;
use super::report::{Done, Summary, times};
use super::server::{self, Server};
use super::site::{Site, key};
use super::{Args, file};
use crate::browser::{Browser, Engine};
use crate::context::Context;
use crate::proxy::Proxy;

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
pub(crate) async fn check(
    args: &Args,
    ctx: &Context,
    program: PathBuf,
    seed: u64,
    folder: &Path,
) -> Result<Summary> {
    println!(
        "check: {} events, {} cuts, {} kills, {} reloads, seed {seed}",
        args.events, args.cuts, args.kills, args.reloads
    );
    let mut interrupted = pin!(interrupted());
    let records = Arc::new(Records::new(create(&file(folder, "page.log"))?));
    let mut conductor = tokio::select! {
        started = start(args, ctx, program, folder, &records) => started?,
        interrupted = &mut interrupted => return Err(interrupted.into()),
    };
    let plan =
        plan::draw(&mut fastrand::Rng::with_seed(seed), args.cuts, args.kills, args.reloads, args.traps);
    let ended = tokio::select! {
        ended = conductor.run(&plan, args.events) => ended,
        interrupted = &mut interrupted => {
            // Nobody asks any more how the server stopped.
            let _ = conductor.close().await;
            return Err(interrupted.into());
        }
    };
    if ended.is_err() {
        // What the page still knows is worth having; the error stands whether it comes or not.
        let _ = conductor.leave().await;
    }
    let counts = conductor.counts();
    let (done, view, stopped) = conductor.close().await;

    let (logged, facts) = match LogFile::open(&file(folder, LOG), &key()).and_then(|log| log.read()) {
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
    println!("back with an event after a cut: {}", times(&done.after_cut));
    println!("back with an event after a kill: {}", times(&done.after_kill));
    if args.traps > 0 {
        println!("back with an event after a trap: {}", times(&done.after_trap));
    }
    for (code, count) in &view.errors {
        println!("the page's client reported {code}: {count}");
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
    if let Some(missed) = missed(args, &done, &facts, &findings, logged.bodies.len() as u64) {
        bail!("the check is worth nothing: {missed}");
    }
    if let Some(life) = lives.iter().find(|life| life.records.is_empty()) {
        bail!("the check is worth nothing: life {} was handed no event", life.number);
    }
    Ok(Summary { cuts: done.cuts, kills: done.kills, reloads: done.reloads, findings })
}

/// Brings up everything that the check needs.
async fn start(
    args: &Args,
    ctx: &Context,
    program: PathBuf,
    folder: &Path,
    records: &Arc<Records>,
) -> Result<Conductor> {
    let address = server::free_address(&mut fastrand::Rng::new())?;
    let server = Server::start(server::Plan {
        program,
        address,
        log: file(folder, LOG),
        folder: ctx.root.clone(),
        page: ctx.root.join("tests/e2e"),
        pace_ms: PACE_MS,
        sabotage: args.sabotage.map(super::Sabotage::name),
        stderr: file(folder, "server.log"),
    })
    .await?;
    let proxy = Proxy::start(address).await.context("the proxy can't listen")?;
    let package = if args.traps > 0 { ctx.trap_pkg() } else { ctx.pkg() };
    let site = Site::start(&ctx.root, &package, Arc::clone(records), address).await?;
    let browser = Browser::start(Engine::Chromium, &file(folder, "driver.log")).await?;
    let deadline = if args.sabotage.is_some() { SABOTAGED_DEADLINE } else { DEADLINE };
    let log = file(folder, LOG);
    Ok(Conductor::new(server, proxy, site, browser, Arc::clone(records), log, deadline))
}

/// Says what was asked for and not reached: a check without its faults proves nothing.
fn missed(args: &Args, done: &Done, facts: &Facts, findings: &Findings, head: u64) -> Option<String> {
    let wanted = [
        ("events in the log", head, args.events),
        ("cuts", done.cuts as u64, args.cuts as u64),
        ("cuts that bit", done.bit as u64, (args.cuts * BITE_PERCENT).div_ceil(100) as u64),
        ("kills", done.kills as u64, args.kills as u64),
        ("runs ended by a restart in the log", facts.died, args.kills as u64),
        ("reloads", done.reloads as u64, args.reloads as u64),
        ("traps", done.traps as u64, args.traps as u64),
        ("replayed events", findings.replayed, u64::from(args.cuts + args.kills + args.reloads > 0)),
    ];
    wanted
        .into_iter()
        .find(|(_, got, least)| got < least)
        .map(|(what, got, least)| format!("{got} {what}, at least {least} were due"))
}

/// Resolves when the user or the system asks this process to end.
pub(crate) async fn interrupted() -> Interrupted {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
    Interrupted
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

/// The user or the system wants the check to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the check was interrupted")
    }
}

impl std::error::Error for Interrupted {}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("{} can't be written", path.display()))
}
