//! Gives the page what browsers give pages, as really as the engine allows, and asserts what the client makes of it.

use std::time::Duration;

use agentwire_faults::proxy::How;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::Conductor;
use crate::browser::Engine;
use crate::delivery::log::LogFile;
use crate::delivery::records::{Mode, View};
use crate::delivery::report::{Seen, Source};
use crate::delivery::site::key;

/// How long the client may take to close its socket when the page is put away.
const CLOSED: Duration = Duration::from_secs(5);

/// How many events the log must have got while the page was away: there is something to miss.
const MISSED: u64 = 40;

/// How long a page is frozen or asleep: longer than the server may be silent (HBT-2).
const STILL: Duration = Duration::from_secs(12);

/// How long a page that is being frozen may still get events that were on their way.
const FREEZING: Duration = Duration::from_secs(1);

/// How long a page without a network is watched.
const OFFLINE: Duration = Duration::from_secs(3);

/// How often a page may try to connect in that time: as often as may be at once, and what has been refilled.
const ATTEMPTS: u64 = 8;

/// How many events a hidden page must get.
const HIDDEN: u64 = 100;

/// How often the log is asked for its head.
const ASK: Duration = Duration::from_millis(50);

impl Conductor {
    /// Gives the page one signal after the other while events stream, waits for so many events, and then for the end.
    ///
    /// # Errors
    /// With the first thing that was not as it should be.
    pub(crate) async fn signals(&mut self, engine: Engine, events: u64) -> Result<()> {
        self.open(Mode::Store).await?;
        self.back_forward(engine).await.context("back/forward cache")?;
        self.hidden().await.context("hidden")?;
        self.offline(engine).await.context("offline")?;
        self.asleep().await.context("sleep")?;
        // Last: a page that was frozen by DevTools stays hidden.
        self.frozen(engine).await.context("freeze")?;
        self.grow(events).await?;
        self.finish().await
    }

    /// Waits for an answer to begin: it goes on for hundreds of events, also while the page asks nothing.
    async fn begun(&mut self) -> Result<()> {
        let began = self.view.borrow().began;
        self.progress_until("an answer to begin", |view| {
            view.began > began && view.connected && view.caught_up
        })
        .await
    }

    fn seen(&mut self, name: &'static str, source: Source, note: String) {
        let seen = Seen { name, source, note };
        println!("  {seen}");
        self.done.signals.push(seen);
    }

    /// Shows another page and comes back.
    async fn back_forward(&mut self, engine: Engine) -> Result<()> {
        self.begun().await?;
        let (shown, renewed, highest, put_away) = {
            let view = self.view.borrow();
            (signalled(&view, "pageshow"), view.renewed.len(), view.highest, leavings(&view))
        };
        let left = Instant::now();
        self.browser.open(&self.site.away()).await?;
        timeout(CLOSED, self.proxy.quiet())
            .await
            .context("the client kept its socket when the page was left")?;
        let closed = left.elapsed();
        // Some browsers close the sockets of pages that they keep: the client must have done so before.
        self.until("the client's word that it closed its socket", |view| leavings(view) > put_away).await?;
        self.log_beyond(highest + MISSED).await?;
        let returned = Instant::now();
        self.browser.back().await?;
        self.until("the page to be back", |view| {
            signalled(view, "pageshow") > shown || view.renewed.len() > renewed
        })
        .await?;
        let why = self.view.borrow().renewed.get(renewed).map(|(_, reasons)| reasons.clone());
        let Some(why) = why else {
            self.caught_up_beyond(highest + MISSED).await?;
            let note = format!(
                "pageshow.persisted, the socket was closed within {} ms, caught up {} ms after going back",
                closed.as_millis(),
                returned.elapsed().as_millis()
            );
            self.seen("bfcache", Source::Real, note);
            return Ok(());
        };
        // Firefox decides before `pagehide`: a page whose socket is open at that moment is never kept.
        ensure!(engine == Engine::Firefox, "the browser did not keep the page; it says why: {why}");
        // The page was made anew and rests; another life goes on from the stored position.
        self.life += 1;
        self.open(Mode::Store).await?;
        let note = self.away_and_back().await?;
        self.seen("bfcache", Source::Dispatched, format!("the page was made anew and went on; {note}"));
        Ok(())
    }

    /// Has the page believe that it goes into the cache and comes out again, without either.
    async fn away_and_back(&mut self) -> Result<String> {
        self.begun().await?;
        let highest = self.view.borrow().highest;
        let dispatch =
            |name| format!("dispatchEvent(new PageTransitionEvent('{name}', {{ persisted: true }}))");
        let left = Instant::now();
        self.browser.execute(&dispatch("pagehide")).await?;
        timeout(CLOSED, self.proxy.quiet()).await.context("the client kept its socket after pagehide")?;
        let closed = left.elapsed();
        self.log_beyond(highest + MISSED).await?;
        let returned = Instant::now();
        self.browser.execute(&dispatch("pageshow")).await?;
        self.caught_up_beyond(highest + MISSED).await?;
        Ok(format!(
            "after a dispatched pagehide the socket was closed within {} ms, caught up {} ms after pageshow",
            closed.as_millis(),
            returned.elapsed().as_millis()
        ))
    }

    /// Freezes the page by the DevTools protocol, longer than the server may be silent.
    async fn frozen(&mut self, engine: Engine) -> Result<()> {
        if engine != Engine::Chromium {
            self.seen("freeze", Source::Lacking, "the engine has no page lifecycle".to_owned());
            return Ok(());
        }
        self.begun().await?;
        let frozen = signalled(&self.view.borrow(), "freeze");
        self.browser.devtools("Page.setWebLifecycleState", json!({ "state": "frozen" })).await?;
        let (events, rested) = self.rest().await?;
        self.browser.devtools("Page.setWebLifecycleState", json!({ "state": "active" })).await?;
        let woken = Instant::now();
        self.until("the page to say that it was frozen", |view| signalled(view, "freeze") > frozen).await?;
        self.caught_up_beyond(events.logged).await?;
        ensure!(
            events.delivered == 0,
            "{} events were delivered to the page while it was frozen",
            events.delivered
        );
        let note = format!(
            "the page ran nothing for {} s while {} events were logged, caught up {} ms after it went on",
            rested.as_secs(),
            events.written,
            woken.elapsed().as_millis()
        );
        self.seen("freeze", Source::Real, note);
        Ok(())
    }

    /// Halts all processes of the browser, as a machine does that sleeps.
    async fn asleep(&mut self) -> Result<()> {
        self.begun().await?;
        let halted = self.browser.halt();
        let count = halted.count();
        if count == 0 {
            self.seen("sleep", Source::Lacking, "this system does not let processes be halted".to_owned());
            return Ok(());
        }
        let (events, rested) = self.rest().await?;
        ensure!(
            events.delivered == 0,
            "{} events were delivered to the page while its browser was halted",
            events.delivered
        );
        drop(halted);
        let woken = Instant::now();
        self.caught_up_beyond(events.logged).await?;
        let note = format!(
            "{count} processes halted for {} s while {} events were logged, caught up {} ms after they went on",
            rested.as_secs(),
            events.written,
            woken.elapsed().as_millis()
        );
        self.seen("sleep", Source::Real, note);
        Ok(())
    }

    /// Takes the network away, with the browser's word for it, and brings it back.
    async fn offline(&mut self, engine: Engine) -> Result<()> {
        self.begun().await?;
        let (before, highest, signalled_before) = {
            let view = self.view.borrow();
            (view.recoveries.len(), view.highest, signalled(&view, "online"))
        };
        // The socket is broken first, or the word would be a hint only: a socket that is open proves it wrong.
        self.proxy.refuse(true);
        self.network(engine, false).await?;
        self.proxy.cut(How::Reset);
        timeout(CLOSED, self.proxy.quiet()).await.context("the connection outlived its cut")?;
        // Asked in the page: one that the browser keeps from the network can't report, and does not reach the proxy.
        sleep(FREEZING).await;
        let attempts = self.attempts().await?;
        sleep(OFFLINE).await;
        // A server on the machine itself needs no network: what the browser says is no reason to wait.
        let more = self.attempts().await? - attempts;
        ensure!(
            (1..=ATTEMPTS).contains(&more),
            "the client tried to connect {more} times in {} s, 1 to {ATTEMPTS} were due",
            OFFLINE.as_secs()
        );
        self.log_beyond(highest + MISSED).await?;
        self.proxy.refuse(false);
        let back = Instant::now();
        self.network(engine, true).await?;
        let online = |view: &View| view.recoveries.len() > before && view.connected && view.caught_up;
        self.until("the page to be back online", online).await?;
        let elapsed = back.elapsed();
        self.until("the page to say that it was offline", |view| {
            signalled(view, "online") > signalled_before
        })
        .await?;
        let trusted = {
            let view = self.view.borrow();
            ["offline", "online"]
                .iter()
                .all(|name| view.signals.get(*name).is_some_and(|signalled| signalled.trusted))
        };
        let source = if trusted { Source::Real } else { Source::Dispatched };
        let note = format!(
            "{more} attempts in {} s offline, back with an event {} ms after `online`",
            OFFLINE.as_secs(),
            elapsed.as_millis()
        );
        self.seen("offline", source, note);
        Ok(())
    }

    /// Switches the network of the browser; where that can't be done, only tells the page.
    async fn network(&self, engine: Engine, on: bool) -> Result<()> {
        if engine == Engine::Chromium {
            let conditions =
                json!({ "offline": !on, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
            self.browser.devtools("Network.enable", json!({})).await?;
            return self.browser.devtools("Network.emulateNetworkConditions", conditions).await;
        }
        let name = if on { "online" } else { "offline" };
        let script = format!("dispatchEvent(new Event('{name}'))");
        self.browser.execute(&script).await.map(drop)
    }

    async fn attempts(&self) -> Result<u64> {
        let attempts = self.browser.execute("return attempts()").await?;
        attempts.as_u64().with_context(|| format!("the client says that it made {attempts} attempts"))
    }

    /// Hides the page, and breaks its connection while nobody sees it.
    async fn hidden(&mut self) -> Result<()> {
        self.begun().await?;
        let hidden = signalled(&self.view.borrow(), "hidden");
        self.browser.minimize(true).await?;
        self.until("the page to say that it is hidden", |view| signalled(view, "hidden") > hidden).await?;
        let state = self.browser.execute("return document.visibilityState").await?;
        ensure!(state == "hidden", "the page is {state} though its window is minimized");
        // From the log: the page may be late to say what it had while it was seen.
        let head = self.head()?;
        self.caught_up_beyond(head + HIDDEN).await?;
        self.streaming().await?;
        let before = self.view.borrow().recoveries.len();
        self.proxy.cut(How::Reset);
        let back = |view: &View| view.recoveries.len() > before && view.connected && view.caught_up;
        self.until("the hidden page to be back after a cut", back).await?;
        let needed = self.view.borrow().recoveries[before];
        self.browser.minimize(false).await?;
        let state = self.browser.execute("return document.visibilityState").await?;
        ensure!(state == "visible", "the page is {state} after its window was brought back");
        let note = format!(
            "{HIDDEN} events and more delivered while hidden, back with an event {} ms after a cut",
            needed.as_millis()
        );
        self.seen("hidden", Source::Real, note);
        Ok(())
    }

    /// Leaves a page alone that stands still, and says what came meanwhile.
    async fn rest(&self) -> Result<(Rested, Duration)> {
        let started = Instant::now();
        let before = self.head()?;
        sleep(FREEZING).await;
        let delivered = self.view.borrow().events;
        sleep(STILL - FREEZING).await;
        let logged = self.head()?;
        ensure!(
            logged >= before + MISSED,
            "the log got {} events while the page stood still: too few to miss",
            logged - before
        );
        let delivered = self.view.borrow().events - delivered;
        Ok((Rested { delivered, written: logged - before, logged }, started.elapsed()))
    }

    fn head(&self) -> Result<u64> {
        LogFile::open(&self.log, &key())?.head()
    }

    /// Waits until the log has this offset.
    async fn log_beyond(&self, offset: u64) -> Result<()> {
        let deadline = Instant::now() + self.deadline;
        while self.head()? < offset {
            ensure!(Instant::now() < deadline, "the log did not reach offset {offset}; a run should go on");
            sleep(ASK).await;
        }
        Ok(())
    }

    /// Waits until the page is connected and has everything up to this offset.
    async fn caught_up_beyond(&mut self, offset: u64) -> Result<()> {
        let deadline = Instant::now() + self.deadline;
        loop {
            let events = self.view.borrow().events;
            let met = |view: &View| view.connected && view.caught_up && view.last >= offset;
            self.until("the page to have caught up", |view| met(view) || view.events > events).await?;
            if met(&self.view.borrow()) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "offset {offset} was not delivered to the page in time");
        }
    }
}

/// What came while a page stood still.
struct Rested {
    /// Events that were delivered to the page all the same.
    delivered: u64,
    /// Events that the log got.
    written: u64,
    /// The head of the log in the end.
    logged: u64,
}

/// How often the client closed its socket because the page was put away.
fn leavings(view: &View) -> u64 {
    view.losses.get("page_left").copied().unwrap_or(0)
}

/// How often the browser signalled this to the page.
fn signalled(view: &View, name: &str) -> u64 {
    view.signals.get(name).map_or(0, |signalled| signalled.count)
}
