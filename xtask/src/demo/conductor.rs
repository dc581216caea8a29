//! Lets the faults of a plan loose on the running system, one by one, each when it can do harm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::log::LogFile;
use super::plan::{self, Fault, Place};
use super::records::{Mode, Records, View};
use super::report::Done;
use super::server::Server;
use super::site::{Site, key};
use crate::browser::Browser;
use crate::proxy::{Counts, How, Proxy};

/// How long a cut waits for the page to be back with an event before it goes on without.
const SETTLE: Duration = Duration::from_secs(3);

/// How long an armed cut waits for a frame of events.
const FRAME: Duration = Duration::from_millis(1500);

/// How long the last batch of a page may take.
const LEAVE: Duration = Duration::from_secs(10);

/// How often the server is killed at the most to end one run.
const KILLS: usize = 5;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(3);

/// Everything that runs during a check.
pub(crate) struct Conductor {
    server: Server,
    proxy: Proxy,
    site: Site,
    browser: Browser,
    records: Arc<Records>,
    log: PathBuf,
    deadline: Duration,
    view: watch::Receiver<View>,
    done: Done,
    /// The number of the newest life.
    life: usize,
    started: Instant,
    /// When progress was shown last.
    shown: Instant,
}

impl Conductor {
    /// Takes over what was started; `log` is the file that the server writes, `deadline` the
    /// longest that anything may take that must happen.
    pub(crate) fn new(
        server: Server,
        proxy: Proxy,
        site: Site,
        browser: Browser,
        records: Arc<Records>,
        log: PathBuf,
        deadline: Duration,
    ) -> Self {
        let view = records.watch();
        let now = Instant::now();
        Self {
            server,
            proxy,
            site,
            browser,
            records,
            log,
            deadline,
            view,
            done: Done::default(),
            life: 0,
            started: now,
            shown: now,
        }
    }

    /// Does everything in the plan, waits for so many events, and then for the end.
    ///
    /// # Errors
    /// With what went wrong first; what the page recorded may say more.
    pub(crate) async fn run(&mut self, plan: &[plan::Step], events: u64) -> Result<()> {
        self.open(Mode::Store).await?;
        for step in plan {
            // Part of the plan: when the fault comes, not waiting for anything.
            sleep(step.pause).await;
            match step.fault {
                Fault::Cut { place, how, refuse } => self.cut(place, how, refuse).await?,
                Fault::Kill => self.kill().await?,
                Fault::Reload(mode) => self.reload(mode).await?,
                Fault::Trap => self.trap().await?,
            }
            self.progress();
        }
        while self.view.borrow().highest < events {
            let highest = self.view.borrow().highest;
            self.until("another event", |view| view.highest > highest).await?;
            self.progress();
        }
        self.finish().await
    }

    /// Loads the page of the next life and waits for its first event.
    async fn open(&mut self, mode: Mode) -> Result<()> {
        let life = self.life;
        self.records.expect(life, mode);
        let mode = match mode {
            Mode::Start => "start",
            Mode::Store => "store",
        };
        let url = self.site.page(life, mode, self.proxy.address());
        self.browser.open(&url).await?;
        self.until("the page's first event", |view| view.life == Some(life) && view.events_of_life > 0).await
    }

    async fn cut(&mut self, place: Place, how: How, refuse: Option<Duration>) -> Result<()> {
        if place != Place::Anywhere {
            self.streaming().await?;
        }
        let before = self.view.borrow().recoveries.len();
        let made = if let Place::InFrame(place) = place {
            let armed = self.proxy.arm(place, how);
            timeout(FRAME, armed).await.ok().and_then(Result::ok)
        } else {
            None
        };
        self.proxy.disarm();
        self.done.in_frame += usize::from(made.is_some());
        let cut = made.unwrap_or_else(|| self.proxy.cut(how));
        if let Some(time) = refuse {
            self.proxy.refuse_for(time);
        }
        self.done.cuts += 1;
        self.done.bit += usize::from(cut.bit);
        // Back, or three seconds later: a cut of a page that is still away changes nothing for it.
        let back = self
            .view
            .wait_for(|view| view.fatal.is_some() || view.connected && view.recoveries.len() > before);
        let _ = timeout(SETTLE, back).await;
        self.done.after_cut.extend(&self.view.borrow().recoveries[before..]);
        self.fatal()
    }

    /// Kills the server until that has ended a run: one can end by itself while the kill is on its way.
    async fn kill(&mut self) -> Result<()> {
        for _ in 0..KILLS {
            self.streaming().await?;
            let (before, highest) = {
                let view = self.view.borrow();
                (view.recoveries.len(), view.highest)
            };
            self.server.kill_and_restart().await?;
            // The restarted server has ended the run before it listens, so a page that has caught up was told.
            let back = |view: &View| view.recoveries.len() > before && view.connected && view.caught_up;
            self.until("the page to be back after a kill", back).await?;
            let view = self.view.borrow();
            self.done.after_kill.extend(&view.recoveries[before..]);
            if view.died > highest {
                self.done.kills += 1;
                return Ok(());
            }
        }
        bail!(
            "the server was killed {KILLS} times while a run streamed, but the page was never handed its `agent_died`"
        )
    }

    async fn reload(&mut self, mode: Mode) -> Result<()> {
        self.streaming().await?;
        self.life += 1;
        self.open(mode).await?;
        self.done.reloads += 1;
        Ok(())
    }

    /// Makes the wasm core trap, and waits until another one has brought an event.
    async fn trap(&mut self) -> Result<()> {
        self.streaming().await?;
        let before = self.view.borrow().recoveries.len();
        self.browser.execute("trap()").await?;
        let back = |view: &View| view.recoveries.len() > before && view.connected && view.caught_up;
        self.until("the page to be back after a trap", back).await?;
        self.done.traps += 1;
        self.done.after_trap.extend(&self.view.borrow().recoveries[before..]);
        Ok(())
    }

    /// Waits until the page has caught up with a run that streams, and bytes for it move.
    async fn streaming(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.deadline;
        loop {
            self.until("a run that streams", |view| view.connected && view.caught_up && view.open > 0)
                .await?;
            let moved = self.proxy.moved();
            if timeout(Duration::from_secs(1), moved).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "no bytes came from the server within {} s though a run is open",
                    self.deadline.as_secs()
                );
            }
        }
    }

    /// Ends the questions, waits until the page has the whole log, and leaves the page.
    async fn finish(&mut self) -> Result<()> {
        self.site.stop_asking();
        loop {
            let (last, events) = {
                let view = self.view.borrow();
                (view.last, view.events)
            };
            // The page's word that it is idle, and the log's that there is no more.
            self.progress_until("the last run to end", View::idle).await?;
            let head = LogFile::open(&self.log, &key())?.head()?;
            self.until("the page to have the whole log", |view| view.last >= head).await?;
            let view = self.view.borrow().clone();
            if view.idle() && view.last == head && (view.last, view.events) == (last, events) {
                break;
            }
        }
        self.leave().await?;
        self.fatal()
    }

    /// Leaves the page and waits for its last batch.
    pub(crate) async fn leave(&mut self) -> Result<()> {
        let life = self.life;
        self.browser.open("about:blank").await?;
        let left = self.view.wait_for(|view| view.ended.contains(&life));
        timeout(LEAVE, left).await.with_context(|| format!("the last batch of life {life} never came"))??;
        Ok(())
    }

    /// Ends the browser, the server and everything between.
    pub(crate) async fn close(self) -> (Done, View, Result<()>) {
        self.browser.close().await;
        let stopped = self.server.stop().await;
        let view = self.view.borrow().clone();
        (self.done, view, stopped)
    }

    /// Returns what went through the proxy.
    pub(crate) fn counts(&self) -> Counts {
        self.proxy.counts()
    }

    /// Shows how far the check is, every few seconds.
    fn progress(&mut self) {
        if self.shown.elapsed() < PROGRESS {
            return;
        }
        self.shown = Instant::now();
        let (view, done) = (self.view.borrow(), &self.done);
        println!(
            "  {:3} s: {} events handed over, head {}, {} cuts, {} kills, {} reloads",
            self.started.elapsed().as_secs(),
            view.events,
            view.highest,
            done.cuts,
            done.kills,
            done.reloads
        );
    }

    /// Waits for `condition`, as long as events go on coming.
    async fn progress_until(&mut self, what: &str, condition: impl Fn(&View) -> bool) -> Result<()> {
        loop {
            let events = self.view.borrow().events;
            self.until(what, |view| condition(view) || view.events > events).await?;
            self.progress();
            if condition(&self.view.borrow()) {
                return Ok(());
            }
        }
    }

    /// Waits for `condition`; what ends the check ends the wait.
    async fn until(&mut self, what: &str, condition: impl Fn(&View) -> bool) -> Result<()> {
        let met = self.view.wait_for(|view| view.fatal.is_some() || condition(view));
        if timeout(self.deadline, met).await.is_err() {
            let view = self.view.borrow().clone();
            bail!("waited {} s for {what}; the page says: {view:?}", self.deadline.as_secs());
        }
        self.fatal()
    }

    fn fatal(&self) -> Result<()> {
        match &self.view.borrow().fatal {
            Some(fatal) => bail!("{fatal}"),
            None => Ok(()),
        }
    }
}
