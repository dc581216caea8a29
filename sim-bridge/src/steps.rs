//! What each kind of step does.

use agentwire::proto::{ConsumerId, Duration, Input, Instant, SocketId, State};
use agentwire_bridge::Bridge;
use agentwire_bridge::simulation::now_ms;
use agentwire_sim::oracle::{Judgement, Violation};
use serde_json::{Value, json};

use crate::acts::nth;
use crate::audit::require;
use crate::doors;
use crate::faulty::Mood;
use crate::network::{Item, Undo};
use crate::page::Mode;
use crate::plan::{Fault, Step};
use crate::receipts::{Asked, What};
use crate::world::{Process, Report, World};

/// Consumers a page may have at once.
const MOST_CONSUMERS: usize = 6;

impl World {
    /// Does what a step says.
    pub(crate) fn step(&mut self, step: &Step) -> Judgement {
        let index = step.page;
        let is_over = matches!(self.pages[index].client.state(), State::Closed | State::Failed);
        if is_over {
            self.reload(index, true)?;
        }
        if self.apply(index, step)? {
            *self.steps.entry(step.fault).or_default() += 1;
        }
        Ok(())
    }

    #[allow(clippy::too_many_lines, reason = "one arm per kind of step, each of a few lines")]
    fn apply(&mut self, index: usize, step: &Step) -> Result<bool, Violation> {
        let name = format!("t{}", step.stream);
        let for_a = Duration::from_millis(step.a);
        let until = self.now() + for_a;
        let is_frozen = self.pages[index].is_frozen();
        match step.fault {
            Fault::Publish => return Ok(self.publish(&name, step.b.min(12))),
            Fault::Send | Fault::Sends => {
                if is_frozen {
                    return Ok(false);
                }
                for _ in 0..if step.fault == Fault::Send { 1 } else { step.b.min(9) } {
                    self.send(index, &name, &Mode::Queue)?;
                }
            }
            Fault::Attach => {
                if is_frozen || self.pages[index].driver.receivers.len() >= MOST_CONSUMERS {
                    return Ok(false);
                }
                let stream = if step.b.is_multiple_of(5) { 0 } else { step.stream as u32 };
                self.attach(index, stream)?;
            }
            Fault::Detach => {
                let ids: Vec<ConsumerId> = self.pages[index].driver.receivers.keys().copied().collect();
                if is_frozen || ids.len() < 2 {
                    return Ok(false);
                }
                let consumer = self.rng.pick(&ids);
                self.input(index, Input::Unsubscribe { consumer })?;
            }
            Fault::CancelRun if step.b.is_multiple_of(2) => return Ok(self.cancel_run(index, &name, step.b)),
            Fault::CancelRun
            | Fault::CancelMessage
            | Fault::TakeBack
            | Fault::Edit
            | Fault::Interrupt
            | Fault::Steer
            | Fault::Answer => return if is_frozen { Ok(false) } else { self.act(index, &name, step) },
            Fault::Cut | Fault::HalfOpen => {
                let page = &self.pages[index];
                let number = page.socket.and_then(|socket| self.number_of(page.life, socket));
                let Some(number) = number else { return Ok(false) };
                self.kill(number, step.a);
                if step.fault == Fault::Cut {
                    // The page hears of it now, or when it runs again.
                    self.arrive(Item::Closed { socket: number, code: 1006 })?;
                }
            }
            Fault::Latency => {
                self.pages[index].latency = Duration::from_millis(step.b * 5);
                let life = self.pages[index].life;
                for conn in self.conns.values_mut().filter(|conn| conn.life == life) {
                    conn.latency = Duration::from_millis(step.b * 5);
                }
            }
            Fault::Freeze => {
                self.pages[index].frozen_until = Some(until);
                self.network.at(until, Item::Thaw { life: self.pages[index].life });
            }
            Fault::Reload => self.reload(index, step.b.is_multiple_of(2))?,
            Fault::Stall => self.pages[index].stalled_until = until,
            Fault::Trap => return self.trap(index),
            Fault::Shutdown => return Ok(self.shut_down()),
            Fault::Kill => {
                if matches!(self.process, Process::Down) {
                    return Ok(false);
                }
                self.say("the bridge is killed");
                self.die();
                self.network.at(self.now() + Duration::from_millis(step.b * 20), Item::Start);
            }
            Fault::Restore => {
                self.say("the bridge is killed, and its log is put back");
                self.die();
                self.restore(step.b);
                self.network.at(self.now() + Duration::from_millis(step.b * 10), Item::Start);
            }
            Fault::LogSlow => self.mood(until, Mood { slow_ms: step.b * 10, ..Mood::default() }),
            Fault::LogFails => self.mood(until, Mood { fails: step.b % 6 + 1, ..Mood::default() }),
            Fault::LogLoses => {
                self.mood(until, Mood { loses: step.b % 6 + 1, slow_ms: step.b, ..Mood::default() })
            }
            Fault::LogHangs => self.mood(until, Mood { hangs: step.b % 6 + 1, ..Mood::default() }),
            Fault::LogComesLate => {
                self.mood(until, Mood { comes_late: step.b % 6 + 1, slow_ms: step.b, ..Mood::default() });
            }
            Fault::Trim | Fault::Redact => return Ok(self.change_log(step, &name)),
            Fault::Epoch => {
                let key = doors::key_of(&name);
                if self.moods.is_written(&key) {
                    // What is decided in an epoch is written in it: nothing else begins one while a record is under way.
                    return Ok(false);
                }
                let epoch = self.store.head(&key).epoch;
                self.store.new_epoch(&key, &epoch);
            }
            Fault::Foreign => {
                let event = format!(r#"{{"type":"note","by":"another process","n":{}}}"#, step.b);
                self.store.append_foreign(&doors::key_of(&name), &event, now_ms().unwrap_or(0));
            }
            Fault::Withdraw => {
                let user = self.pages[index].user;
                let name = if step.b.is_multiple_of(6) { doors::inbox_name(user) } else { name };
                return Ok(self.withdraw(user, &name, until));
            }
            Fault::DoorsSlow => {
                self.doors.set(step.b * 6, 0);
                self.network.at(until, Item::Undo(Undo::Doors));
            }
            Fault::DoorsUnsure => {
                self.doors.set(step.b, step.b % 4 + 1);
                self.network.at(until, Item::Undo(Undo::Doors));
            }
            Fault::TokenShort => self.pages[index].token_ms = Some(step.a.max(300)),
            Fault::TokenBad => self.pages[index].bad_tokens = step.b % 4,
        }
        Ok(true)
    }

    // --- Work ---

    /// Somebody publishes to a stream.
    pub(crate) fn publish(&mut self, name: &str, count: u64) -> bool {
        let Some(bridge) = self.bridge() else { return false };
        let emitter = bridge.stream_emitter(doors::key_of(name));
        let size = if self.rng.one_in(8) { self.rng.between(200, 3_000) } else { self.rng.between(0, 40) };
        let event = |n: u64| json!({ "type": "note", "n": n, "text": "y".repeat(size as usize) });
        let events: Vec<Value> = (0..count).map(event).collect();
        let (name, report) = (name.to_owned(), self.report.clone());
        tokio::spawn(async move {
            if let Ok(position) = emitter.publish_all(events).await {
                let epoch = position.epoch.to_string();
                let _ = report.send(Report::Published { name, epoch, offset: position.offset });
            }
        });
        true
    }

    fn bridge(&self) -> Option<Bridge> {
        if let Process::Up(bridge) = &self.process { Some(bridge.clone()) } else { None }
    }

    /// Another client of the user cancels a run: one that knows no more than the frames it needs.
    fn cancel_run(&mut self, index: usize, name: &str, n: u64) -> bool {
        let turns = self.turns(name);
        let Some(run) = nth(turns.runs_in_order().into_iter().filter(|(_, run)| run.is_open()), n) else {
            return false;
        };
        let (run, user) = (run.0.clone(), self.pages[index].user);
        let number = self.open_socket(0, user, SocketId(0), Duration::from_millis(10));
        let id = format!("c{number}");
        self.audit
            .asked
            .insert(id.clone(), Asked { name: name.to_owned(), what: What::CancelRun(run.clone()) });
        let cancel = json!({ "type": "cancel", "id": id, "stream": name, "runId": run });
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.raw = Some(cancel.to_string());
        }
        true
    }

    /// Something arrives at a raw client.
    pub(crate) fn arrive_at_raw(&mut self, number: u64, item: &Item) -> Judgement {
        match item {
            Item::Opened { .. } => {
                let token = doors::token(&self.conns[&number].wire.user, None);
                let hello = json!({ "type": "hello", "token": token, "client": { "name": "raw", "version": "1" },
                    "features": [], "window": { "events": 10, "bytes": 4096 }, "streams": [] });
                self.say_up(number, &hello);
            }
            Item::Closed { .. } => {
                if let Some(mut conn) = self.conns.remove(&number)
                    && let Some(far) = &mut conn.far
                {
                    far.break_off();
                }
            }
            Item::Down { text, .. } => {
                let Some(conn) = self.conns.get_mut(&number) else { return Ok(()) };
                if let Some(far) = &conn.far {
                    far.taken();
                }
                let frame: Value = serde_json::from_str(text).unwrap_or_default();
                match frame["type"].as_str().unwrap_or_default() {
                    "welcome" => {
                        if let Some(cancel) = conn.raw.take() {
                            let cancel = serde_json::from_str(&cancel).unwrap_or_default();
                            self.say_up(number, &cancel);
                        }
                    }
                    "receipt" => self.leave(number),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    // --- The network and pages ---

    /// A socket dies, and the bridge hears of it after some time.
    fn kill(&mut self, number: u64, hears_ms: u64) {
        self.network.kill(number);
        let at = self.now() + Duration::from_millis(hears_ms);
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.is_dead = true;
        }
        self.network.at(at, Item::Broken { socket: number });
    }

    fn reload(&mut self, index: usize, graceful: bool) -> Judgement {
        if graceful && !self.pages[index].is_frozen() {
            self.input(index, Input::Close)?;
        }
        let page = &self.pages[index];
        let (life, latency, stored) = (page.life, page.latency, page.positions());
        if let Some(number) = page.socket.and_then(|socket| self.number_of(life, socket)) {
            self.leave(number);
        }
        self.oracle.gone(life);
        self.open_page(index, latency, stored)
    }

    /// The core of a page is lost, and another one takes its place.
    fn trap(&mut self, index: usize) -> Result<bool, Violation> {
        if self.pages[index].is_frozen() || self.pages[index].client.state() == State::Idle {
            return Ok(false);
        }
        let page = &self.pages[index];
        if let Some(number) = page.socket.and_then(|socket| self.number_of(page.life, socket)) {
            self.leave(number);
        }
        let (config, now) = (self.config(), self.now());
        let page = &mut self.pages[index];
        page.socket = None;
        page.driver.rebuild(&mut page.client, config, now);
        page.deadline = None;
        self.judge(index)?;
        self.input(index, Input::Connect)?;
        Ok(true)
    }

    /// A page that was frozen gets everything at once, its timers first or last.
    pub(crate) fn thaw(&mut self, index: usize) -> Judgement {
        if self.pages[index].frozen_until.is_none_or(|until| until > self.now()) {
            return Ok(());
        }
        self.pages[index].frozen_until = None;
        self.pages[index].is_overdue = true;
        self.oracle.hinted(self.pages[index].life, self.now());
        if self.rng.one_in(2) {
            self.input(index, Input::Timeout)?;
        }
        while let Some(item) = self.pages[index].backlog.pop_front() {
            self.arrive_at_page(index, item)?;
        }
        self.pages[index].is_overdue = false;
        self.input(index, Input::Timeout)
    }

    /// Attaches somebody to each stream that the server ended: that asks for it again (SUB-11).
    pub(crate) fn ask_again(&mut self, index: usize) -> Judgement {
        let page = &self.pages[index];
        if matches!(page.client.state(), State::Closed | State::Failed) {
            return Ok(());
        }
        for stream in self.oracle.ended(page.life) {
            let page = &self.pages[index];
            let receivers = page.driver.receivers.keys();
            if let Some(consumer) =
                receivers.copied().next().filter(|_| page.driver.receivers.len() > MOST_CONSUMERS)
            {
                self.input(index, Input::Unsubscribe { consumer })?;
            }
            self.attach(index, stream.0 - 1)?;
        }
        Ok(())
    }

    // --- The bridge and its log ---

    /// The operator stops the bridge, and another one is started when it has stopped.
    pub(crate) fn shut_down(&mut self) -> bool {
        let Some(bridge) = self.bridge() else { return false };
        self.say("the bridge shuts down");
        self.process = Process::Stopping(bridge.clone());
        let report = self.report.clone();
        tokio::spawn(async move {
            let began = tokio::time::Instant::now();
            bridge.shutdown().await;
            let took = Duration::from_millis(began.elapsed().as_millis() as u64);
            let _ = report.send(Report::Stopped(took));
        });
        true
    }

    fn restore(&mut self, back: u64) {
        for name in &self.names {
            self.restored.insert(self.store.head(&doors::key_of(name)).epoch.to_string());
        }
        let lost = self.store.restore(self.store.commits().saturating_sub(back));
        self.say(&format!("{lost} events are lost"));
    }

    fn mood(&mut self, until: Instant, mood: Mood) {
        self.moods.set(mood);
        self.network.at(until, Item::Undo(Undo::Mood));
    }

    fn change_log(&mut self, step: &Step, name: &str) -> bool {
        let Some(bridge) = self.bridge() else { return false };
        let key = doors::key_of(name);
        let head = self.store.head(&key).offset;
        let back = head.saturating_sub(step.b);
        let is_trim = step.fault == Fault::Trim;
        let gone = if is_trim { 1..=back } else { back.max(1)..=back.max(1) };
        self.audit.spared.push((name.to_owned(), gone));
        tokio::spawn(async move {
            let _ = if is_trim {
                bridge.trim(&key, back).await.map(drop)
            } else {
                bridge.redact(&key, back.max(1)).await.map(drop)
            };
        });
        true
    }

    // --- Rights ---

    fn withdraw(&mut self, user: &str, name: &str, until: Instant) -> bool {
        if !self.doors.withdraw(user, name) {
            return false;
        }
        self.say(&format!("{user} loses the right to {name}"));
        let key = doors::key_of(name);
        if let Process::Up(bridge) | Process::Stopping(bridge) = &self.process {
            bridge.revoke(user, &key);
        }
        let (head, now) = (self.store.head(&key).offset, self.now());
        self.withdrawn.insert((user.to_owned(), name.to_owned()), (head, now));
        for conn in self.conns.values_mut().filter(|conn| conn.wire.user == user) {
            conn.wire.withdrawn(name, head);
        }
        let right = Undo::Right { user: user.to_owned(), name: name.to_owned() };
        self.network.at(until, Item::Undo(right));
        true
    }

    pub(crate) fn undo(&mut self, undo: &Undo) -> Judgement {
        match undo {
            Undo::Mood => self.moods.set(Mood::default()),
            Undo::Doors => self.doors.set(0, 0),
            Undo::Right { user, name } => {
                let right = (user.clone(), name.clone());
                let Some((_, since)) = self.withdrawn.remove(&right) else { return Ok(()) };
                self.doors.give_back(user, name);
                // Nothing may take a session longer than this to look at what was withdrawn.
                let limits = &self.plan.setting.limits;
                let patience = (limits.log_timeout + limits.auth_timeout) * 4;
                if self.now().since(since) < Duration::from_millis(patience.as_millis() as u64 + 2_000) {
                    return Ok(());
                }
                for (number, conn) in &self.conns {
                    let has = conn.wire.channels.values().any(|channel| channel.name == *name);
                    let is_served =
                        !conn.is_dead && !conn.is_closed && conn.life != 0 && !self.is_clogged(conn.life);
                    require!(
                        !(has && is_served && conn.wire.user == *user),
                        "revoke",
                        "{number}: {user} still follows {name}, withdrawn at {since:?}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether a page does not take what is sent to it, so that it cannot have been told.
    fn is_clogged(&self, life: u32) -> bool {
        self.pages.iter().any(|page| page.life == life && page.is_frozen())
    }

    // --- The end ---

    /// The faults are over.
    pub(crate) fn cure(&mut self) -> Judgement {
        self.undo(&Undo::Mood)?;
        self.undo(&Undo::Doors)?;
        for (user, name) in self.doors.withdrawn() {
            self.withdrawn.remove(&(user.clone(), name.clone()));
            self.doors.give_back(&user, &name);
        }
        for index in 0..self.pages.len() {
            if matches!(self.pages[index].client.state(), State::Closed | State::Failed) {
                self.reload(index, true)?;
            }
            let now = self.now();
            let page = &mut self.pages[index];
            (page.bad_tokens, page.token_ms, page.stalled_until) = (0, None, Instant::ZERO);
            page.latency = page.latency.min(Duration::from_millis(50));
            let life = page.life;
            for conn in self.conns.values_mut().filter(|conn| conn.life == life) {
                conn.latency = conn.latency.min(Duration::from_millis(50));
            }
            if self.pages[index].is_frozen() {
                self.pages[index].frozen_until = Some(now);
                self.thaw(index)?;
            }
        }
        for far in self.conns.values_mut().filter(|conn| conn.is_dead).filter_map(|conn| conn.far.as_mut()) {
            far.break_off();
        }
        self.start();
        Ok(())
    }
}
