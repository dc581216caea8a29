//! Carries out a plan: several pages, one server, the network between them, in virtual time.

mod network;
mod page;
mod steps;

use std::collections::{BTreeMap, VecDeque};

use agentwire::proto::Duration;

use agentwire::proto::{CloseCode, Input, Instant, State};

use crate::{
    coverage::Coverage,
    driver::{Driver, Note},
    oracle::{Counts, Judgement, Oracle, Violation, require},
    plan::{Phase, Plan},
    rng::Rng,
    server::{Outgoing, Peer, Server},
};
use network::{Item, Network, Undo};
use page::Page;

/// How long after the last fault everything must have come to rest.
/// A send may have to wait for ten minutes (SND-19).
const BOUND: Duration = Duration::from_secs(700);
/// How long a step waits for the phase it aims at.
const AIM_PATIENCE: Duration = Duration::from_millis(2_500);
/// Things that may happen at one point in time before the world counts as spinning.
const MOST_AT_ONCE: u32 = 50_000;

/// What a run counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What the oracle counted.
    pub counts: Counts,
    /// Faults by phase.
    pub coverage: Coverage,
}

impl Tally {
    /// Adds what another run has counted.
    pub fn add(&mut self, other: &Self) {
        self.counts.events += other.counts.events;
        self.counts.gaps += other.counts.gaps;
        self.counts.resumed += other.counts.resumed;
        self.counts.sends += other.counts.sends;
        self.coverage.add(&other.coverage);
    }
}

/// A promise that was broken, and when.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which.
    pub violation: Violation,
    /// The step after which it was noticed, from 1; past the last one: after the last fault.
    pub step: usize,
    /// The virtual time.
    pub at: Instant,
}

/// Carries out a plan.
///
/// # Errors
///
/// When a promise is broken.
pub fn run(plan: &Plan, trace: bool) -> Result<Tally, Box<Broken>> {
    let mut arena = Arena::new(plan, trace);
    let mut step = 0;
    arena
        .carry_out(plan, &mut step)
        .map_err(|violation| Box::new(Broken { violation, step, at: arena.now }))?;
    Ok(Tally { counts: arena.oracle.counts, coverage: arena.coverage })
}

struct Arena {
    now: Instant,
    rng: Rng,
    server: Server,
    pages: Vec<Page>,
    network: Network,
    oracle: Oracle,
    coverage: Coverage,
    lives: u32,
    streams: u32,
    window: u32,
    window_bytes: u32,
    window_total_bytes: u32,
    max_pending: usize,
    /// No socket opens before this.
    refusing_until: Instant,
    /// Until then the server neither reads nor writes.
    hung_until: Instant,
    /// What it did not read yet, in the order it came.
    unread: VecDeque<Item>,
    /// How late the server answers.
    lag: Duration,
    at_once: (Instant, u32),
    trace: bool,
}

fn stream_name(stream: u32) -> String {
    format!("t{stream}")
}

impl Arena {
    fn new(plan: &Plan, trace: bool) -> Self {
        let setting = &plan.setting;
        let server = Server::new(setting);
        Self {
            now: Instant::from_millis(1_000),
            rng: Rng::new(plan.seed ^ 0xa5a5_5a5a),
            server,
            pages: Vec::new(),
            network: Network::default(),
            oracle: Oracle::default(),
            coverage: Coverage::default(),
            lives: 0,
            streams: setting.streams,
            window: setting.window,
            window_bytes: setting.window_bytes,
            window_total_bytes: setting.window_total_bytes,
            max_pending: setting.max_pending,
            refusing_until: Instant::ZERO,
            hung_until: Instant::ZERO,
            unread: VecDeque::new(),
            lag: Duration::ZERO,
            at_once: (Instant::ZERO, 0),
            trace,
        }
    }

    fn carry_out(&mut self, plan: &Plan, at: &mut usize) -> Judgement {
        for stream in 1..=self.streams {
            self.server.publish(&stream_name(stream), plan.setting.events);
        }
        for index in 0..plan.setting.pages {
            let latency = Duration::from_millis(plan.setting.latency_ms);
            self.open_page(index, latency, BTreeMap::new())?;
        }
        self.run_for(Duration::from_millis(300))?;
        for (index, step) in plan.steps.iter().enumerate() {
            *at = index + 1;
            if self.trace {
                eprintln!("{:>8} ms  ── {}. {step}", self.now.as_millis(), index + 1);
            }
            self.step(step)?;
            self.run_for(Duration::from_millis(step.pause_ms))?;
        }
        *at = plan.steps.len() + 1;
        self.heal()
    }

    // --- Time ---

    fn run_for(&mut self, time: Duration) -> Judgement {
        self.run_until(self.now + time, |_| false)
    }

    /// Lets time pass up to `end`, or until something holds.
    fn run_until(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> Judgement {
        loop {
            self.take_from_server();
            if done(self) {
                return Ok(());
            }
            let awake = self.pages.iter().enumerate().filter(|(_, page)| !page.frozen);
            let timer = awake.filter_map(|(index, page)| Some((page.deadline?, index))).min();
            let (arrival, beat) = (self.network.next_arrival(), self.server.next_deadline());
            let next = [timer.map(|(at, _)| at), arrival, beat].into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else {
                self.now = self.now.max(end);
                return Ok(());
            };
            self.now = self.now.max(next);
            self.server.now = self.now;
            self.at_once =
                if self.at_once.0 == self.now { (self.now, self.at_once.1 + 1) } else { (self.now, 0) };
            require!(self.at_once.1 < MOST_AT_ONCE, "I7", "the client spins at {:?}", self.now);
            if arrival == Some(next) {
                if let Some(item) = self.network.take() {
                    self.arrive(item)?;
                }
            } else if let Some((_, index)) = timer.filter(|&(at, _)| at == next) {
                self.input(index, Input::Timeout)?;
            } else {
                self.server.on_time(self.now);
            }
            if let Some(broken) = &self.server.broken {
                return Err(Violation { rule: "protocol", text: broken.clone() });
            }
        }
    }

    // --- The network ---

    fn take_from_server(&mut self) {
        for (peer, what) in self.server.take_outgoing() {
            let Some(page) = self.pages.iter_mut().find(|page| page.life == peer.page) else { continue };
            let arrives = self.now.max(self.hung_until) + page.latency + self.lag;
            match what {
                Outgoing::Close(code) => {
                    let item = Item::ClosedByServer { peer, code };
                    self.network.down(arrives, peer, item);
                }
                Outgoing::Text(text) => {
                    for text in page.mangle(peer, text) {
                        self.network.down(arrives, peer, Item::ToPage { peer, text });
                    }
                }
            }
        }
    }

    fn arrive(&mut self, item: Item) -> Judgement {
        if let Some(life) = item.page() {
            let Some(index) = self.pages.iter().position(|page| page.life == life) else { return Ok(()) };
            if self.pages[index].frozen && !matches!(item, Item::Thaw { .. }) {
                self.pages[index].backlog.push_back(item);
                return Ok(());
            }
            return self.arrive_at_page(index, item);
        }
        match item {
            Item::ClosedByPage(_) | Item::ToServer { .. } if self.hung_until > self.now => {
                self.unread.push_back(item);
                self.network.at(self.hung_until, Item::Undo(Undo::Hang));
            }
            Item::ClosedByPage(peer) => self.server.disconnect(peer),
            Item::ToServer { peer, text } => self.server.on_text(peer, &text),
            Item::Undo(Undo::Hang) if self.hung_until <= self.now => {
                for item in std::mem::take(&mut self.unread) {
                    self.arrive(item)?;
                }
            }
            Item::Undo(undo) => self.undo(undo)?,
            Item::Away { .. }
            | Item::ClosedByServer { .. }
            | Item::Connect { .. }
            | Item::Online { .. }
            | Item::Opened(_)
            | Item::Pull { .. }
            | Item::Thaw { .. }
            | Item::ToPage { .. }
            | Item::Token { .. } => {}
        }
        Ok(())
    }

    fn arrive_at_page(&mut self, index: usize, item: Item) -> Judgement {
        match item {
            Item::ClosedByServer { peer, code } => {
                let page = &mut self.pages[index];
                let socket = peer.socket;
                if page.socket == Some(socket) {
                    (page.socket, page.opened) = (None, false);
                    self.oracle.causes(peer.page).rejected += u32::from(matches!(code, 4400 | 4402));
                    self.oracle.causes(peer.page).too_large |= matches!(code, 1009 | 4402);
                    if matches!(code, 4450 | 4451) {
                        self.oracle.causes(peer.page).tokens = true;
                    }
                    self.oracle.closed(peer.page, self.now);
                }
                self.input(index, Input::SocketClosed { socket, code: CloseCode(code) })
            }
            Item::Connect { .. } => self.input(index, Input::Connect),
            Item::Away { away, .. } => {
                self.pages[index].away = away;
                self.input(index, Input::Away(away))
            }
            Item::Online { online, .. } => {
                self.pages[index].online = online;
                self.oracle.hinted(self.pages[index].life, self.now);
                self.input(index, Input::Online(online))
            }
            Item::Opened(peer) => {
                let page = &mut self.pages[index];
                if page.socket == Some(peer.socket) {
                    page.opened = true;
                    self.server.connect(peer, self.now);
                }
                self.input(index, Input::SocketOpened { socket: peer.socket, subprotocol: true })
            }
            Item::Pull { .. } => {
                let delay = self.rng.millis(20, 250);
                self.network.at(self.now + delay, Item::Pull { page: self.pages[index].life });
                if self.pages[index].stalled_until > self.now {
                    return Ok(());
                }
                let most = self.rng.between(1, 80);
                self.pull(index, most)
            }
            Item::Thaw { .. } => self.thaw(index),
            Item::ToPage { peer, text } => {
                let page = &mut self.pages[index];
                let input = page.driver.read(peer.socket, &text);
                if self.trace {
                    let shown = text.chars().take(150).collect::<String>();
                    eprintln!("{:>8} ms  p{} ◀ {:?} {shown}", self.now.as_millis(), peer.page, peer.socket.0);
                }
                if page.socket == Some(peer.socket)
                    && let Some(frame) = Driver::frame_of(&input)
                {
                    self.oracle.heard(peer.page, frame, self.now);
                }
                self.input(index, input)
            }
            Item::Token { .. } => {
                let input = self.pages[index].answer_token();
                if matches!(input, Input::TokenFailed { retryable: false }) {
                    self.oracle.causes(self.pages[index].life).no_token = true;
                }
                self.input(index, input)
            }
            Item::ClosedByPage(_) | Item::ToServer { .. } | Item::Undo(_) => Ok(()),
        }
    }

    /// A page that was frozen gets everything at once, its timers first or last.
    fn thaw(&mut self, index: usize) -> Judgement {
        if self.pages[index].frozen_until > self.now {
            return Ok(());
        }
        self.pages[index].frozen = false;
        self.pages[index].overdue = true;
        self.oracle.hinted(self.pages[index].life, self.now);
        if self.rng.one_in(2) {
            self.input(index, Input::Timeout)?;
        }
        let life = self.pages[index].life;
        while let Some(item) = self.pages[index].backlog.pop_front() {
            self.arrive_at_page(index, item)?;
            if self.pages[index].life != life {
                return Ok(());
            }
        }
        self.pages[index].overdue = false;
        self.input(index, Input::Timeout)
    }

    fn undo(&mut self, undo: Undo) -> Judgement {
        match undo {
            // It hangs for longer than it seemed; the end has a message of its own.
            Undo::Hang => self.network.at(self.hung_until, Item::Undo(Undo::Hang)),
            Undo::IgnoreReplay => self.server.ignores_replay = false,
            Undo::IgnoreSubscribe => self.server.ignores_subscribes = false,
            Undo::Lag => self.lag = Duration::ZERO,
            Undo::Loop => self.server.looping = None,
            Undo::LostReceipts => self.server.no_receipts = false,
            Undo::Withdraw(stream) => {
                if !self.server.admit(&stream_name(stream)) {
                    return Ok(());
                }
                for index in 0..self.pages.len() {
                    if self.rng.one_in(2) {
                        self.ask_again(index)?;
                    }
                }
            }
        }
        Ok(())
    }

    // --- Pages ---

    fn pull(&mut self, index: usize, most: u64) -> Judgement {
        if self.pages[index].frozen {
            return Ok(());
        }
        for consumer in self.pages[index].pulling() {
            for _ in 0..most {
                let Some(input) = self.pages[index].driver.pull(consumer) else { break };
                self.input(index, input)?;
            }
        }
        Ok(())
    }

    /// Feeds a page's core, and judges what follows.
    fn input(&mut self, index: usize, input: Input) -> Judgement {
        let now = self.now;
        let page = &mut self.pages[index];
        page.deadline = page.driver.feed(&mut page.client, input, now);
        self.judge(index)
    }

    /// Judges what a page did, and puts on the wire what goes there.
    fn judge(&mut self, index: usize) -> Judgement {
        let now = self.now;
        let page = &mut self.pages[index];
        let notes = std::mem::take(&mut page.driver.notes);
        for note in &notes {
            if self.trace {
                Self::show(now, self.pages[index].life, note);
            }
            self.oracle.note(self.pages[index].life, note, &self.server, now)?;
        }
        for note in notes {
            self.follow(index, note);
        }
        let page = &self.pages[index];
        self.oracle.rest(
            page.life,
            (&page.client, &page.driver),
            page.deadline,
            page.online && !page.away,
            if page.overdue { Instant::ZERO } else { now },
        )
    }

    fn show(now: Instant, page: u32, note: &Note) {
        match note {
            Note::Delivered { .. } => {}
            Note::Sent { text, socket, .. } => {
                eprintln!("{:>8} ms  p{page} ▶ {:?} {text}", now.as_millis(), socket.0);
            }
            note => eprintln!("{:>8} ms  p{page}   {note:?}", now.as_millis()),
        }
    }

    fn follow(&mut self, index: usize, note: Note) {
        let page = &mut self.pages[index];
        let peer = |socket| Peer { page: page.life, socket };
        let arrives = self.now + page.latency;
        match note {
            Note::ClosedSocket { socket, .. } => {
                self.network.up(arrives, peer(socket), Item::ClosedByPage(peer(socket)));
                if page.socket == Some(socket) {
                    (page.socket, page.opened) = (None, false);
                }
            }
            Note::Opened(socket) => {
                page.socket = Some(socket);
                let item = if self.refusing_until > self.now {
                    Item::ClosedByServer { peer: peer(socket), code: 1006 }
                } else {
                    Item::Opened(peer(socket))
                };
                self.network.down(arrives, peer(socket), item);
            }
            Note::Sent { socket, text, .. } => {
                self.network.up(arrives, peer(socket), Item::ToServer { peer: peer(socket), text });
            }
            Note::TokenWanted => {
                let usual = self.rng.millis(0, 40);
                let delay = page.token_delay.take().unwrap_or(usual);
                self.network.at(self.now + delay, Item::Token { page: page.life });
            }
            Note::Attached { .. }
            | Note::Closing
            | Note::Declared { .. }
            | Note::Delivered { .. }
            | Note::Fact(_)
            | Note::Queued { .. }
            | Note::Left { .. }
            | Note::Made { .. }
            | Note::Settled { .. }
            | Note::Trapped => {}
        }
    }

    fn phase(&self, index: usize) -> Phase {
        let page = &self.pages[index];
        match page.client.state() {
            State::Closed => Phase::Closed,
            State::Connected if self.oracle.is_caught_up(page.life) => Phase::Live,
            State::Connected => Phase::CatchingUp,
            State::Connecting if page.socket.is_none() => Phase::Token,
            State::Connecting if page.opened => Phase::Greeting,
            State::Connecting => Phase::Opening,
            State::Failed => Phase::Failed,
            State::Idle => Phase::Idle,
            State::Offline => Phase::Offline,
            State::Waiting => Phase::Waiting,
        }
    }

    // --- The end ---

    /// Tells whether every page has everything, and the server knows it.
    fn is_at_rest(&self) -> bool {
        self.pages.iter().all(|page| {
            let peer = page.socket.map(|socket| Peer { page: page.life, socket });
            let mut subscribed = peer.into_iter().flat_map(|peer| self.server.subscriptions(peer));
            self.oracle.has_everything(page.life, &page.client, &self.server)
                && subscribed.all(|(_, acked, head)| acked >= head)
        })
    }

    /// The last fault is over: everything must come to rest, and then end without a trace.
    fn heal(&mut self) -> Judgement {
        for undo in [Undo::IgnoreReplay, Undo::IgnoreSubscribe, Undo::Lag, Undo::Loop, Undo::LostReceipts] {
            self.undo(undo)?;
        }
        self.server.refused.clear();
        (self.server.overloaded, self.server.refuses_replays) = (0, 0);
        self.server.forgets.clear();
        self.refusing_until = Instant::ZERO;
        self.hung_until = self.now;
        self.network.at(self.now, Item::Undo(Undo::Hang));
        for index in 0..self.pages.len() {
            let page = &mut self.pages[index];
            page.heal();
            if page.frozen {
                page.frozen_until = self.now;
                self.thaw(index)?;
            }
            self.arrive_at_page(index, Item::Away { page: self.pages[index].life, away: false })?;
            self.arrive_at_page(index, Item::Online { page: self.pages[index].life, online: true })?;
            if self.pages[index].client.state() == State::Idle {
                self.input(index, Input::Connect)?;
            }
            if self.rng.one_in(2) {
                self.ask_again(index)?;
            }
        }
        self.run_for(Duration::from_secs(2))?;
        for stream in 1..=self.streams {
            let name = stream_name(stream);
            if self.server.log(&name).went_back() {
                // Whoever saw what is lost has not come back: the operator gives the log another epoch (LIF-4).
                let epoch = format!("{}*", self.server.log(&name).life().epoch);
                self.server.renew(&name, &epoch);
            }
            let count = self.rng.between(1, 3);
            self.server.publish(&name, count);
        }
        let bound = self.now + BOUND;
        loop {
            self.run_until(bound, Self::is_at_rest)?;
            // A goaway may still be due.
            self.run_for(Duration::from_millis(1_200))?;
            if self.is_at_rest() || self.now >= bound {
                break;
            }
        }
        for index in 0..self.pages.len() {
            let page = &self.pages[index];
            self.oracle.end(page.life, &page.client, &self.server)?;
            if page.client.state() == State::Connected
                && let Some(socket) = page.socket
            {
                let peer = Peer { page: page.life, socket };
                let mut followed = self.oracle.followed(page.life);
                followed.sort_unstable();
                let subscribed = self.server.subscriptions(peer);
                let mut names = subscribed.iter().map(|(name, ..)| *name).collect::<Vec<_>>();
                names.sort_unstable();
                require!(
                    names == followed,
                    "SUB-12",
                    "the server serves {names:?}, the page follows {followed:?}"
                );
                for (name, acked, head) in subscribed {
                    require!(acked >= head, "FLO-2", "{name}: {acked} is acknowledged, all have {head}");
                }
            }
            self.input(index, Input::Close)?;
            let page = &self.pages[index];
            self.oracle.over(page.life, &page.driver)?;
        }
        let (in_flight, window) = (self.server.max_in_flight, u64::from(self.window));
        require!(in_flight <= window, "FLO-1", "{in_flight} events were under way, the window is {window}");
        let (in_flight, window) = (self.server.max_bytes_in_flight, u64::from(self.window_bytes));
        require!(in_flight <= window, "FLO-1", "{in_flight} bytes were under way, the window is {window}");
        let (in_flight, window) = (self.server.max_total_in_flight, u64::from(self.window_total_bytes));
        require!(
            in_flight <= window,
            "FLO-1",
            "{in_flight} bytes were under way over all, the window is {window}"
        );
        Ok(())
    }
}
