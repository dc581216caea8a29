//! Lets the faults of a plan loose on the running system, one by one, each when it can do harm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentwire_faults::proxy::{Counts, How, Proxy, Spot, Weather};
use agentwire_faults::server::Server;
use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::log::LogFile;
use super::plan::{self, Fault, Place};
use super::records::{Mode, Records, View};
use super::report::Done;
use super::site::{Site, key};
use crate::browser::Browser;

mod signals;

/// How long a cut waits for the page to be back with an event before it goes on without.
const SETTLE: Duration = Duration::from_secs(3);

/// How long an armed cut waits for a frame of events.
const FRAME: Duration = Duration::from_millis(1500);

/// How long the last batch of a page may take.
const LEAVE: Duration = Duration::from_secs(10);

/// How often the server is killed at the most to end one run.
const KILLS: usize = 5;

/// How long the page may take to give up a connection that carries nothing: 10 seconds from the last frame (HBT-2), and
/// what a busy machine needs to say so.
const NOTICE: Duration = Duration::from_secs(12);

/// How many events are a long log to catch up with: some seconds' worth on a network in bad weather.
const BACKLOG: u64 = 2000;

/// The client's reason for leaving such a connection.
const SILENT: &str = "heartbeat_timeout";

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
    /// How many events the page had got when that changed last, and when it was.
    newest: (u64, Instant),
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
            newest: (0, now),
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
            self.proxy.weather(self.bearable(step));
            match step.fault {
                Fault::Cut { place, how, refuse } => self.cut(place, how, refuse).await?,
                Fault::Stall => self.stall().await?,
                Fault::Kill => self.kill().await?,
                Fault::Reload(mode) => self.reload(mode).await?,
                Fault::Trap => self.trap().await?,
            }
            self.progress();
        }
        self.proxy.weather(Weather::default());
        self.grow(events).await?;
        self.finish().await
    }

    /// The weather of a step; a clear one for a page that gets a long log again, which would take minutes otherwise.
    fn bearable(&self, step: &plan::Step) -> Weather {
        let view = self.view.borrow();
        let begins = step.fault == Fault::Reload(Mode::Start);
        let long = view.highest > BACKLOG && (begins || view.highest.saturating_sub(view.last) > BACKLOG);
        if long { Weather::default() } else { step.weather }
    }

    /// Waits until the log holds so many events.
    async fn grow(&mut self, events: u64) -> Result<()> {
        while self.view.borrow().highest < events {
            let highest = self.view.borrow().highest;
            self.until("another event", |view| view.highest > highest).await?;
            self.progress();
        }
        Ok(())
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
        let made = if let Place::Frame(spot) = place {
            let armed = self.proxy.arm(spot, how);
            timeout(FRAME, armed).await.ok().and_then(Result::ok)
        } else {
            None
        };
        self.proxy.disarm();
        let kind = match (made, place, how) {
            (Some(_), _, How::Close(code)) => format!("close frame {code}"),
            (Some(_), Place::Frame(Spot::Inside(_)), How::Reset) => "RST inside a frame".to_owned(),
            (Some(_), Place::Frame(Spot::Inside(_)), _) => "FIN inside a frame".to_owned(),
            (_, _, How::Reset) => "RST".to_owned(),
            _ => "FIN".to_owned(),
        };
        self.done.in_frame += usize::from(made.is_some() && matches!(place, Place::Frame(Spot::Inside(_))));
        let cut = made.unwrap_or_else(|| self.proxy.cut(how));
        if let Some(time) = refuse {
            self.proxy.refuse_for(time);
        }
        // Back, or three seconds later: a cut of a page that is still away changes nothing for it.
        let back = self
            .view
            .wait_for(|view| view.fatal.is_some() || view.connected && view.recoveries.len() > before);
        let _ = timeout(SETTLE, back).await;
        self.done.cut(&kind, cut.bit, &self.view.borrow().recoveries[before..]);
        self.fatal()
    }

    /// Leaves the connection half open, and waits until the page has found out by itself and is back.
    async fn stall(&mut self) -> Result<()> {
        let (cut, started, before, silent) = loop {
            self.streaming().await?;
            let (before, silent) = {
                let view = self.view.borrow();
                (view.recoveries.len(), silences(&view))
            };
            let started = Instant::now();
            let cut = self.proxy.cut(How::Stall);
            // Without one, the page lost it in this moment for another reason.
            if cut.connections > 0 {
                break (cut, started, before, silent);
            }
        };
        let noticed = self.view.wait_for(|view| view.fatal.is_some() || silences(view) > silent);
        if timeout(NOTICE, noticed).await.is_err() {
            bail!(
                "the page did not give up a half-open connection within {} s (HBT-2); it says: {:?}",
                NOTICE.as_secs(),
                *self.view.borrow()
            );
        }
        self.done.noticed.push(started.elapsed());
        let back = |view: &View| view.connected && view.recoveries.len() > before;
        self.until("the page to be back after a half-open connection", back).await?;
        self.done.cut("half-open", cut.bit, &self.view.borrow().recoveries[before..]);
        Ok(())
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
            // The restarted server has ended the run before it listens, so a page that has caught up knows.
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
            "the server was killed {KILLS} times while a run streamed, but its `agent_died` was never delivered to the page"
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
        let mut deadline = None;
        loop {
            // As long as events go on coming: a page that began again has the whole log to catch up with.
            self.progress_until("a run that streams", |view| {
                view.connected && view.caught_up && view.open > 0
            })
            .await?;
            // Heartbeats move bytes as well; a sabotaged server can replace the end of a run, for which the page waits in vain.
            let events = self.view.borrow().events;
            if events != self.newest.0 {
                self.newest = (events, Instant::now());
            } else if self.newest.1.elapsed() > self.deadline {
                bail!("no event came for {} s though a run is open", self.deadline.as_secs());
            }
            let moved = self.proxy.moved();
            if timeout(Duration::from_secs(1), moved).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + self.deadline) {
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
        // A page that came back from the cache has said good-bye before.
        let said = move |view: &View| view.ended.iter().filter(|ended| **ended == life).count();
        let before = said(&self.view.borrow());
        // Of the same site: when the last page of a site is left for another one, Firefox ends its process, and with it the
        // handlers of `pagehide` that are to say good-bye.
        self.browser.open(&self.site.away()).await?;
        let left = self.view.wait_for(|view| said(view) > before);
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
            "  {:3} s: {} events delivered, head {}, {} cuts, {} kills, {} reloads",
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
            // Without what is long and says nothing about now.
            let mut view = self.view.borrow().clone();
            view.recoveries.clear();
            view.ended.clear();
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

/// How often the client has given up a connection because nothing came.
fn silences(view: &View) -> u64 {
    view.losses.get(SILENT).copied().unwrap_or(0)
}
