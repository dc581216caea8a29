//! `cargo xtask alive`: how soon pages of a real browser are back after what servers, machines and windows do to them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agentwire_faults::proxy::{How, Proxy};
use agentwire_faults::server::{self, Server};
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use xtask::build;
use xtask::context::Context;
use xtask::demo::chat_server;
use xtask::setup::{self, Needs};

use crate::browser::{Browser, Engine, WindowHandle};
use crate::delivery::{Records, Site};

/// How long the server is away, in seconds.
const OUTAGES: [u64; 4] = [0, 2, 8, 30];

/// How long a page may take from the moment in which it can be back.
const BACK: Duration = Duration::from_secs(3);

/// A connection that lasts so long is a success (CLS-4).
const LASTING: Duration = Duration::from_secs(11);

/// How long anything may take that is not measured.
const DEADLINE: Duration = Duration::from_secs(60);

/// Clients of one window. Chromium makes the sockets of one process wait for seconds when many of them are opening.
const PER_WINDOW: u32 = 10;

/// How often the page is asked.
const ASK: Duration = Duration::from_millis(100);

/// Large events that a hidden page gets.
const LARGE_EVENTS: u32 = 400;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The browser that runs the page.
    #[arg(long, value_enum, default_value_t = Engine::Chromium)]
    engine: Engine,
    /// How many clients lose their server.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    clients: u32,
    /// How long all processes of the browser stand still, in seconds.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=600))]
    sleep: u64,
}

/// Runs the command.
///
/// # Errors
/// When something could not be built or started, and when a page was back too late.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    setup::ensure(ctx, &Needs::browsers(&[args.engine]))?;
    build::package(ctx, build::Variant::Default, build::Std::Auto)?;
    let folder = tempfile::Builder::new()
        .prefix("agentwire-alive-")
        .tempdir()
        .context("no temporary folder can be made")?;
    let program = chat_server(ctx, false, folder.path())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime can be made")?;
    let result = runtime.block_on(check(args, ctx, &program, folder.path()));
    runtime.shutdown_background();
    result
}

async fn check(args: &Args, ctx: &Context, program: &Path, folder: &Path) -> Result<()> {
    let address = server::free_address()?;
    let plan = server::Plan {
        program: program.to_owned(),
        address,
        log: folder.join("log.sqlite"),
        folder: ctx.root.clone(),
        page: ctx.root.join("tests/e2e"),
        pace_ms: 8,
        sabotage: None,
        stderr: folder.join("server.log"),
    };
    let server = Server::start(plan).await?;
    let proxy = Proxy::start(address).await.context("the proxy can't listen")?;
    let pages = std::fs::File::create(folder.join("page.log")).context("page.log can't be written")?;
    let site = Site::start(&ctx.root, &ctx.pkg(), Arc::new(Records::new(pages)), address).await?;
    let browser = Browser::start(args.engine, ctx, &folder.join("driver.log")).await?;
    let windows = vec![browser.window().await?];
    let mut stage = Stage { server, proxy, browser, windows };
    let mut late = Vec::new();
    if args.engine == Engine::Chromium {
        stage.open(args.clients, &site.alive(address)).await?;
        for away in OUTAGES {
            late.extend(stage.outage(args.clients, away).await?);
        }
        stage.clear(&site.away()).await?;
    } else {
        // Firefox lets one socket per server be opening, and makes that one wait for up to a minute after failures (docs/engines.md).
        println!("  outages: measured in Chromium only");
    }
    stage.load(&site.alive(stage.proxy.address())).await?;
    late.extend(stage.sleep(Duration::from_secs(args.sleep)).await?);
    late.extend(stage.hidden().await?);
    stage.browser.close().await;
    stage.server.stop().await?;
    let engine = args.engine.name();
    ensure!(late.is_empty(), "{engine}: {}", late.join("; "));
    println!("alive: {engine}: every page was back in time");
    Ok(())
}

struct Stage {
    server: Server,
    proxy: Proxy,
    browser: Browser,
    windows: Vec<WindowHandle>,
}

/// What the page says of its clients.
#[derive(Debug, Deserialize)]
struct Back {
    /// When each had caught up, in milliseconds since the Unix epoch.
    at: Vec<u64>,
    /// The states of the others.
    states: Vec<String>,
}

impl Stage {
    /// Opens so many clients, in as many windows as they need.
    async fn open(&mut self, clients: u32, page: &str) -> Result<()> {
        let mut left = clients;
        while left > 0 {
            if left < clients {
                self.windows.push(self.browser.another().await?);
            }
            self.load(page).await?;
            let count = left.min(PER_WINDOW);
            self.browser.execute(&format!("alive.open({count}, 'demo')")).await?;
            left -= count;
        }
        Ok(())
    }

    /// Loads the page with many clients, and waits until it can be driven.
    async fn load(&self, page: &str) -> Result<()> {
        self.browser.open(page).await?;
        let deadline = Instant::now() + DEADLINE;
        while self.browser.execute("return typeof alive").await? != "object" {
            ensure!(Instant::now() < deadline, "the page did not start");
            sleep(ASK).await;
        }
        Ok(())
    }

    /// Leaves the pages of all windows, and turns to the first one.
    async fn clear(&mut self, elsewhere: &str) -> Result<()> {
        for window in self.windows.iter().rev() {
            self.browser.turn_to(window).await?;
            self.browser.open(elsewhere).await?;
        }
        self.windows.truncate(1);
        Ok(())
    }

    /// Kills the server under all clients, starts it again after a while, and measures. Returns what was too late.
    async fn outage(&mut self, clients: u32, away: u64) -> Result<Option<String>> {
        self.all_back(clients).await?;
        // An answer streams, so that there is something to catch up with.
        let events = self.events().await?;
        self.browser.execute("alive.ask()").await?;
        self.events_beyond(events + 20).await?;
        sleep(LASTING).await;
        for window in &self.windows {
            self.browser.turn_to(window).await?;
            self.browser.execute("alive.forget()").await?;
        }
        self.server.kill_for(Duration::from_secs(away)).await?;
        let listening = now_ms();
        let back = self.all_back(clients).await?;
        let after = back.iter().map(|at| at.saturating_sub(listening));
        let mut after = after.collect::<Vec<_>>();
        after.sort_unstable();
        let (half, last) = (after[after.len() / 2], after[after.len() - 1]);
        println!(
            "  server away {away} s: {clients} pages caught up, half of them {half} ms, the last {last} ms after it listened"
        );
        let limit = BACK.as_millis() as u64;
        Ok((last > limit).then(|| format!("away {away} s: the last page was back after {last} ms")))
    }

    /// Halts the browser behind a connection that died unnoticed.
    async fn sleep(&self, time: Duration) -> Result<Option<String>> {
        self.browser.execute("alive.open(1, 'demo')").await?;
        self.all_back(1).await?;
        self.browser.execute("alive.ask()").await?;
        self.browser.execute("alive.forget()").await?;
        let cut = self.proxy.cut(How::Stall);
        ensure!(cut.connections > 0, "there was no connection to cut");
        let halted = self.browser.halt();
        if halted.count() == 0 {
            println!("  sleep: this system does not let processes be halted");
            return Ok(None);
        }
        sleep(time).await;
        let count = halted.count();
        drop(halted);
        let woke = now_ms();
        let back = self.all_back(1).await?[0].saturating_sub(woke);
        println!(
            "  {count} processes halted for {} s behind a half-open connection: caught up {back} ms after waking",
            time.as_secs()
        );
        Ok((u128::from(back) > BACK.as_millis())
            .then(|| format!("after a sleep the page was back after {back} ms")))
    }

    /// Compares how soon a hidden page gets large events with how soon a visible one does.
    async fn hidden(&self) -> Result<Option<String>> {
        let visible = self.drain("visible").await?;
        self.browser.minimize(true).await?;
        let state = self.browser.execute("return document.visibilityState").await?;
        ensure!(state == "hidden", "the page is {state} though its window is minimized");
        let hidden = self.drain("hidden").await?;
        self.browser.minimize(false).await?;
        let ratio = hidden / visible;
        println!(
            "  {LARGE_EVENTS} events of 8 kB: {visible:.0} ms visible, {hidden:.0} ms hidden, {ratio:.2} times as long"
        );
        // Below half a second the noise of the machine decides.
        let is_late = ratio > 1.5 && hidden > 500.0;
        Ok(is_late.then(|| format!("a hidden page took {ratio:.2} times as long")))
    }

    async fn drain(&self, thread: &str) -> Result<f64> {
        self.browser.execute(&format!("alive.drain({LARGE_EVENTS}, '{thread}')")).await?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let drained = self.browser.execute("return window.drained ?? null").await?;
            if let Some(ms) = drained.as_f64() {
                return Ok(ms);
            }
            ensure!(drained.is_null(), "the page says: {drained}");
            ensure!(Instant::now() < deadline, "the events did not come within {} s", DEADLINE.as_secs());
            sleep(ASK).await;
        }
    }

    /// Waits until so many clients have caught up.
    async fn all_back(&self, clients: u32) -> Result<Vec<u64>> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (mut at, mut states) = (Vec::new(), Vec::new());
            for window in &self.windows {
                self.browser.turn_to(window).await?;
                let said = self.browser.execute("return alive.back()").await?;
                let back: Back =
                    serde_json::from_value(said).context("the page does not say when it was back")?;
                at.extend(back.at);
                states.extend(back.states);
            }
            if at.len() >= clients as usize {
                return Ok(at);
            }
            if Instant::now() > deadline {
                bail!("{} of {clients} pages are back; the others: {states:?}", at.len());
            }
            sleep(ASK).await;
        }
    }

    async fn events(&self) -> Result<u64> {
        let events = self.browser.execute("return alive.events()").await?;
        events.as_u64().with_context(|| format!("the page has got {events} events"))
    }

    async fn events_beyond(&self, least: u64) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while self.events().await? < least {
            ensure!(Instant::now() < deadline, "no answer streams");
            sleep(ASK).await;
        }
        Ok(())
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
