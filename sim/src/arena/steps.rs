//! What each kind of step does.

use std::collections::BTreeMap;

use agentwire::proto::Duration;

use agentwire::proto::{Begin, Config, ConsumerId, Input, SendKind, State, StreamId, wire::Open};
use serde_json::json;

use super::{
    AIM_PATIENCE, Arena,
    network::{Item, Undo},
    page::{Mangle, Page},
    stream_name,
};
use crate::{
    driver::{Call, Receiver},
    oracle::{Judgement, Violation},
    plan::{Fault, Phase, Place, Step},
    server::{Loop, Peer},
};

/// Consumers a page may have at once.
const MOST_CONSUMERS: usize = 6;

/// What garbage arrives.
const GARBAGE: [&str; 6] = [
    "{",
    "[]",
    r#"{"type":"events"}"#,
    r#"{"type":"events","ch":1,"first":1,"count":2,"events":[{"type":"a"}]}"#,
    r#"{"type":"receipt","id":5}"#,
    "\u{0}\u{1}not a frame",
];

impl Arena {
    // --- Page lives ---

    pub(super) fn open_page(
        &mut self,
        index: usize,
        latency: Duration,
        stored: BTreeMap<StreamId, (String, u64)>,
    ) -> Judgement {
        self.lives += 1;
        let life = self.lives;
        let config = self.config();
        self.oracle.begin(life, &config);
        let mut page = Page::new(life, config, format!("u{}", index % 2));
        (page.latency, page.stored) = (latency, stored);
        if index < self.pages.len() {
            self.pages[index] = page;
        } else {
            self.pages.push(page);
        }
        for stream in 1..=self.streams {
            if stream == 1 || !self.rng.one_in(4) {
                self.attach(index, stream)?;
            }
        }
        let delay = self.rng.millis(0, 120);
        self.network.at(self.now + delay, Item::Connect { page: life });
        self.network.at(self.now + delay, Item::Pull { page: life });
        Ok(())
    }

    fn config(&mut self) -> Config {
        let mut config = Config::new(self.rng.below(1 << 50));
        config.window_events = self.window;
        config.window_bytes = self.window_bytes;
        config.window_total_bytes = self.window_total_bytes;
        config.max_pending = self.max_pending;
        config
    }

    /// The core of a page is lost. What the package does then is in `Driver::rebuild`; what the browser does is here.
    fn trap(&mut self, index: usize) -> Result<bool, Violation> {
        let ended = matches!(self.pages[index].client.state(), State::Closed | State::Failed);
        if ended || self.pages[index].frozen || self.pages[index].away {
            return Ok(false);
        }
        if let Some(peer) = self.peer(index) {
            self.network.up(self.now + self.pages[index].latency, peer, Item::ClosedByPage(peer));
        }
        let config = self.config();
        let page = &mut self.pages[index];
        let was_idle = page.client.state() == State::Idle;
        (page.socket, page.opened) = (None, false);
        page.driver.rebuild(&mut page.client, config, self.now);
        let online = page.online;
        page.deadline = None;
        self.judge(index)?;
        if !online {
            self.input(index, Input::Online(false))?;
        }
        if !was_idle {
            self.input(index, Input::Connect)?;
        }
        Ok(true)
    }

    /// Attaches somebody to each stream that the server ended: that asks for it again (SUB-11).
    pub(super) fn ask_again(&mut self, index: usize) -> Judgement {
        let page = &self.pages[index];
        let ended = matches!(page.client.state(), State::Closed | State::Failed);
        if page.frozen || ended {
            return Ok(());
        }
        for StreamId(stream) in self.oracle.ended(page.life) {
            self.attach(index, stream)?;
        }
        Ok(())
    }

    fn reload(&mut self, index: usize, graceful: bool) -> Judgement {
        if graceful && !self.pages[index].frozen {
            self.input(index, Input::Close)?;
        }
        let page = &self.pages[index];
        let (life, latency, stored) = (page.life, page.latency, page.positions());
        if let Some(socket) = page.socket {
            let peer = Peer { page: life, socket };
            self.network.up(self.now + latency, peer, Item::ClosedByPage(peer));
        }
        self.oracle.gone(life);
        self.open_page(index, latency, stored)
    }

    // --- Consumers ---

    fn attach(&mut self, index: usize, stream: u32) -> Judgement {
        let pulls = self.rng.one_in(3);
        let input = self.new_consumer(index, stream, pulls);
        self.input(index, input)
    }

    /// Makes a consumer with a start that an application can ask for.
    fn new_consumer(&mut self, index: usize, stream: u32, pulls: bool) -> Input {
        let rng = &mut self.rng;
        let page = &mut self.pages[index];
        let id = StreamId(stream);
        let first = !page.opens.contains_key(&id);
        let open = *page.opens.entry(id).or_insert_with(|| match rng.below(8) {
            0 => Open::Live,
            1 => Open::Last(rng.between(1, 30) as u32),
            _ => Open::Start,
        });
        let stored = page.positions().remove(&id);
        let consumer = ConsumerId(page.next_consumer);
        let begin = match (first, stored) {
            (true, Some((epoch, offset))) => Begin::Position { epoch: epoch.into(), offset },
            (_, None) => Begin::Stream,
            (false, Some((epoch, offset))) => match rng.below(4) {
                0 => Begin::Stream,
                1 | 2 => Begin::After(rng.below(offset + 1)),
                _ => {
                    // Some bring more than the page has, as if another page had stored it.
                    let beyond = if consumer.0.is_multiple_of(3) { offset } else { 0 };
                    Begin::Position { epoch: epoch.into(), offset: beyond + rng.below(offset + 1) }
                }
            },
        };
        page.next_consumer += 1;
        let max_queued = rng.pick(&[1, 4, 16, 64]);
        let receiver = if pulls { Receiver::pulling(max_queued) } else { Receiver::default() };
        page.driver.subscribe(receiver, (id, consumer, &stream_name(stream)), open, begin)
    }

    fn any_consumer(&mut self, index: usize, pulls: bool) -> Option<ConsumerId> {
        let receivers = self.pages[index].driver.receivers.iter();
        let ids =
            receivers.filter(|(_, receiver)| pulls || !receiver.pulls).map(|(id, _)| *id).collect::<Vec<_>>();
        (!ids.is_empty()).then(|| self.rng.pick(&ids))
    }

    fn call(&mut self, index: usize, call: Call) -> bool {
        let Some(consumer) = self.any_consumer(index, false) else { return false };
        let after = self.rng.between(1, 4);
        if let Some(receiver) = self.pages[index].driver.receivers.get_mut(&consumer) {
            receiver.call_after(after, call);
        }
        true
    }

    // --- Steps ---

    pub(super) fn step(&mut self, step: &Step) -> Judgement {
        let index = step.page;
        let ended = matches!(self.pages[index].client.state(), State::Closed | State::Failed);
        if ended && !matches!(step.aim, Some(Phase::Closed | Phase::Failed)) && self.rng.below(4) > 0 {
            self.coverage.hit(Fault::Reload, self.phase(index));
            self.reload(index, true)?;
        }
        if let Some(aim) = step.aim {
            self.bring(index, aim)?;
        }
        let phase = self.phase(index);
        if step.fault.impossible_in(phase).is_some() && step.fault.place() != Place::Work {
            return Ok(());
        }
        if self.apply(index, step)? {
            self.coverage.hit(step.fault, phase);
        }
        Ok(())
    }

    /// Brings a page into a phase, if that can be done in time.
    fn bring(&mut self, index: usize, aim: Phase) -> Judgement {
        let phase = self.phase(index);
        if phase == aim || self.pages[index].frozen {
            return Ok(());
        }
        let ended = matches!(phase, Phase::Closed | Phase::Failed);
        match aim {
            Phase::Idle => {
                self.reload(index, false)?;
                return Ok(());
            }
            Phase::Closed if !ended => self.input(index, Input::Close)?,
            Phase::Failed if !ended => {
                self.close_by_server(index, 4403);
                self.oracle.causes(self.pages[index].life).refused = true;
            }
            Phase::Offline if !ended => {
                self.arrive_at_page(index, Item::Online { page: self.pages[index].life, online: false })?;
                self.cut(index, 0)?;
            }
            Phase::Token | Phase::Opening | Phase::Greeting | Phase::CatchingUp | Phase::Waiting
                if matches!(phase, Phase::Live | Phase::CatchingUp) =>
            {
                self.cut(index, 0)?;
            }
            _ => {}
        }
        let life = self.pages[index].life;
        self.run_until(self.now + AIM_PATIENCE, |arena| {
            arena.pages[index].life != life || arena.phase(index) == aim
        })?;
        if aim == Phase::Offline {
            let later = self.now + self.rng.millis(300, 4_000);
            self.network.at(later, Item::Online { page: life, online: true });
        }
        Ok(())
    }

    fn peer(&self, index: usize) -> Option<Peer> {
        let page = &self.pages[index];
        page.socket.map(|socket| Peer { page: page.life, socket })
    }

    /// The socket breaks: the page hears of it now.
    fn cut(&mut self, index: usize, server_hears_ms: u64) -> Judgement {
        let Some(peer) = self.peer(index) else { return Ok(()) };
        self.network.kill(peer);
        self.lose(peer, server_hears_ms)
    }

    fn lose(&mut self, peer: Peer, server_hears_ms: u64) -> Judgement {
        self.network.at(self.now + Duration::from_millis(server_hears_ms), Item::ClosedByPage(peer));
        self.arrive(Item::ClosedByServer { peer, code: 1006 })?;
        Ok(())
    }

    fn close_by_server(&mut self, index: usize, code: u16) {
        let Some(peer) = self.peer(index) else { return };
        let arrives = self.now + self.pages[index].latency;
        self.server.disconnect(peer);
        self.network.down(arrives, peer, Item::ClosedByServer { peer, code });
    }

    fn restart(&mut self) {
        let silent = self.rng.one_in(3);
        for index in 0..self.pages.len() {
            let Some(peer) = self.peer(index) else { continue };
            self.server.disconnect(peer);
            if silent {
                self.network.kill(peer);
            } else {
                let arrives = self.now + self.pages[index].latency;
                self.network.down(arrives, peer, Item::ClosedByServer { peer, code: 1006 });
            }
        }
        self.server.restart();
        self.refusing_until = self.now + self.rng.millis(0, 600);
    }

    /// The iterators of a page hold a part of an epoch when it ends, and have not taken note of the next one.
    fn end_epoch_of_iterators(&mut self, index: usize, step: &Step) -> Judgement {
        let (name, latency) = (stream_name(step.stream), self.pages[index].latency);
        self.pages[index].stalled_until = self.now + latency * 12;
        if self.pages[index].driver.receivers.len() < MOST_CONSUMERS && !self.pages[index].frozen {
            let input = self.new_consumer(index, step.stream, true);
            self.input(index, input)?;
        }
        if !self.server.log(&name).went_back() {
            self.server.publish(&name, 3);
        }
        self.run_for(latency * 4)?;
        self.new_epoch(&name, step.b);
        self.run_for(latency * 5)
    }

    fn new_epoch(&mut self, name: &str, events: u64) {
        let epoch = format!("e{}", self.server.log(name).lives.len() + 1);
        self.server.new_epoch(name, &epoch, events);
    }

    fn page_input(&mut self, index: usize, input: Input) -> Judgement {
        // A frozen page runs no script.
        if self.pages[index].frozen { Ok(()) } else { self.input(index, input) }
    }

    fn send(&mut self, index: usize, stream: u32) -> Judgement {
        let page = &mut self.pages[index];
        if page.frozen {
            return Ok(());
        }
        let id = |number: u32| format!("p{}-m{number}", page.life);
        let number = page.next_send;
        let (own, before) = (id(number), id(number - 1));
        page.next_send += 1;
        let name = stream_name(stream);
        let of_before = stream_name(page.sent_to);
        let input = match number % 5 {
            2 => page.driver.send(SendKind::Cancel, &own, &of_before, json!({ "runId": "r1" })),
            // About a message that may wait beside it.
            4 => page.driver.send(SendKind::Withdraw, &own, &of_before, json!({ "sendId": before })),
            _ => page.driver.message(&own, &name, &own),
        };
        page.sent_to = stream;
        self.input(index, input)
    }

    /// Does what the step says; tells whether there was anything to do.
    #[allow(clippy::too_many_lines, reason = "one arm per kind of step, each of a few lines")]
    fn apply(&mut self, index: usize, step: &Step) -> Result<bool, Violation> {
        let name = stream_name(step.stream);
        let for_a = Duration::from_millis(step.a);
        let until = self.now + for_a;
        let life = self.pages[index].life;
        match step.fault {
            Fault::Publish => {
                // A log that went back may not be written before everyone has noticed (SUB-6).
                if !self.server.log(&name).went_back() {
                    self.server.publish(&name, step.a);
                }
            }
            Fault::Pull => self.pull(index, step.a)?,
            Fault::Attach => {
                let page = &self.pages[index];
                if page.driver.receivers.len() >= MOST_CONSUMERS || page.frozen {
                    return Ok(false);
                }
                self.attach(index, step.stream)?;
            }
            Fault::Detach => {
                if let Some(consumer) = self.any_consumer(index, true)
                    && self.pages[index].driver.receivers.len() > 1
                {
                    self.page_input(index, Input::Unsubscribe { consumer })?;
                }
            }
            Fault::Send => self.send(index, step.stream)?,
            Fault::Cut => self.cut(index, step.a)?,
            Fault::CutLate => {
                let Some(peer) = self.peer(index) else { return Ok(false) };
                let late = self.rng.millis(0, 3_000);
                self.network.kill_late(peer, late);
                self.lose(peer, 0)?;
            }
            Fault::HalfOpen => {
                let Some(peer) = self.peer(index) else { return Ok(false) };
                self.network.kill(peer);
                self.network.at(self.now + self.rng.millis(0, 5_000), Item::ClosedByPage(peer));
            }
            Fault::Refuse => self.refusing_until = until,
            Fault::Latency => self.pages[index].latency = Duration::from_millis(step.b),
            Fault::Duplicate => self.pages[index].mangles.push_back(Mangle::Duplicate),
            Fault::Swap => self.pages[index].mangles.push_back(Mangle::Swap),
            Fault::Truncate => self.pages[index].mangles.push_back(Mangle::Truncate(step.b as usize)),
            Fault::Garbage => {
                let Some(peer) = self.peer(index) else { return Ok(false) };
                let text = GARBAGE[step.b as usize % GARBAGE.len()].to_owned();
                self.network.down(self.now + self.pages[index].latency, peer, Item::ToPage { peer, text });
            }
            Fault::Restart => self.restart(),
            Fault::RestartEmpty => {
                let epoch = format!("e{}", self.server.log(&name).lives.len() + 1);
                self.restart();
                self.server.lose(&name, &epoch);
            }
            Fault::RestartBack | Fault::RestartRenewed => {
                let life = self.server.log(&name).life();
                let head = life.head.saturating_sub(step.b).max(life.oldest - 1);
                self.restart();
                self.server.roll_back(&name, head);
                if step.fault == Fault::RestartRenewed {
                    let epoch = format!("{}*", self.server.log(&name).life().epoch);
                    self.server.renew(&name, &epoch);
                }
            }
            Fault::Epoch => {
                if step.b.is_multiple_of(3) {
                    self.end_epoch_of_iterators(index, step)?;
                }
                self.new_epoch(&name, step.b);
            }
            Fault::Trim => {
                let through = self.server.log(&name).life().head.saturating_sub(step.b);
                self.server.trim(&name, through);
            }
            Fault::Withhold => {
                let head = self.server.log(&name).life().head;
                if head == 0 {
                    return Ok(false);
                }
                let from = self.rng.between(1, head);
                let subject = self.pages[index].subject.clone();
                self.server.withhold(&name, &subject, from, head.min(from + step.b - 1));
            }
            Fault::Withdraw => {
                let reasons = ["forbidden", "unknown_stream", "too_many_streams", "deleted", "unavailable"];
                let reason = self.rng.pick(&reasons);
                self.server.refuse(&name, reason);
                if reason == "deleted" {
                    let epoch = format!("e{}", self.server.log(&name).lives.len() + 1);
                    self.server.lose(&name, &epoch);
                }
                self.network.at(until, Item::Undo(Undo::Withdraw(step.stream)));
            }
            Fault::Redact => {
                let head = self.server.log(&name).life().head;
                if head == 0 {
                    return Ok(false);
                }
                let offset = self.rng.between(1, head);
                self.server.redact(&name, offset);
            }
            Fault::Slow => {
                self.lag = Duration::from_millis(step.b);
                self.network.at(until, Item::Undo(Undo::Lag));
            }
            Fault::Mute => self.hung_until = self.hung_until.max(until),
            Fault::Forget => {
                let head = self.server.log(&name).life().head;
                self.server.forgets = vec![head + self.rng.between(1, 5)];
            }
            Fault::IgnoreReplay => {
                self.server.ignores_replay = true;
                self.network.at(until, Item::Undo(Undo::IgnoreReplay));
            }
            Fault::IgnoreSubscribe => {
                self.server.ignores_subscribes = true;
                self.network.at(until, Item::Undo(Undo::IgnoreSubscribe));
            }
            Fault::RefuseReplay => self.server.refuses_replays = step.b as u32 % 5 + 1,
            Fault::TokenExpires => self.close_by_server(index, 4451),
            Fault::TokenRefused => self.pages[index].bad_tokens = step.b,
            Fault::TokenSlow => self.pages[index].token_delay = Some(for_a),
            Fault::TokenFails => self.pages[index].fails_once = true,
            Fault::NoToken => self.pages[index].denies = true,
            Fault::CloseCode => {
                let codes = [1000, 1001, 1006, 1007, 1009, 1011, 4452, 4453, 4454, 4455, 4456, 4499, 4999];
                let code = self.rng.pick(&codes);
                self.close_by_server(index, code);
            }
            Fault::Loop => {
                self.server.looping = Some(Loop::ALL[step.b as usize % Loop::ALL.len()]);
                self.network.at(until, Item::Undo(Undo::Loop));
            }
            Fault::Reject => {
                let code = self.rng.pick(&[4400, 4402]);
                self.close_by_server(index, code);
            }
            Fault::Wake => {
                if self.pages[index].frozen {
                    return Ok(false);
                }
                self.oracle.hinted(life, self.now);
                self.input(index, Input::Wake)?;
            }
            Fault::Forbid => {
                let code = self.rng.pick(&[4403, 4449]);
                self.close_by_server(index, code);
                self.oracle.causes(life).refused = true;
            }
            Fault::Sleep => {
                if let Some(peer) = self.peer(index) {
                    self.network.kill(peer);
                    self.network.at(self.now + self.rng.millis(0, 20_000), Item::ClosedByPage(peer));
                }
                self.freeze(index, Duration::from_secs(step.a));
            }
            Fault::Freeze => self.freeze(index, for_a * 3),
            Fault::Away => {
                if self.pages[index].frozen {
                    return Ok(false);
                }
                self.arrive_at_page(index, Item::Away { page: life, away: true })?;
                self.network.at(until, Item::Away { page: life, away: false });
            }
            Fault::Offline => {
                if self.pages[index].frozen {
                    return Ok(false);
                }
                self.arrive_at_page(index, Item::Online { page: life, online: false })?;
                self.network.at(until, Item::Online { page: life, online: true });
            }
            Fault::Online => self.arrive(Item::Online { page: life, online: true })?,
            Fault::Stall => self.pages[index].stalled_until = until,
            Fault::CallClose => return Ok(self.call(index, Call::Close)),
            Fault::CallLeave => return Ok(self.call(index, Call::Leave)),
            Fault::CallSubscribe => {
                if self.pages[index].driver.receivers.len() >= MOST_CONSUMERS {
                    return Ok(false);
                }
                let consumer = ConsumerId(self.pages[index].next_consumer);
                let opens = &self.pages[index].opens;
                let Some(&open) = opens.get(&StreamId(step.stream)) else { return Ok(false) };
                self.pages[index].next_consumer += 1;
                let call = Call::Subscribe {
                    stream: StreamId(step.stream),
                    consumer,
                    name,
                    open,
                    begin: if self.rng.one_in(2) { Begin::Stream } else { Begin::After(0) },
                    pulls: self.rng.one_in(2),
                };
                return Ok(self.call(index, call));
            }
            Fault::CallSend => {
                let id = format!("p{life}-m{}", self.pages[index].next_send);
                self.pages[index].next_send += 1;
                return Ok(self.call(index, Call::Send { id, stream: name }));
            }
            Fault::GoAway => {
                let Some(peer) = self.peer(index) else { return Ok(false) };
                let frame = json!({"type": "goaway", "reason": "deploy", "reconnectAfterMs": step.a, "spreadMs": step.b * 20});
                if self.phase(index) == Phase::Greeting {
                    // It may come before the welcome.
                    self.network.down(
                        self.now + self.pages[index].latency,
                        peer,
                        Item::ToPage { peer, text: frame.to_string() },
                    );
                } else {
                    self.server.say(peer, &frame);
                }
            }
            Fault::Overloaded => self.server.overloaded = step.b as u32 % 5 + 1,
            Fault::LostReceipts => {
                self.server.no_receipts = true;
                self.network.at(until, Item::Undo(Undo::LostReceipts));
            }
            Fault::Subject => {
                self.pages[index].subject = format!("eve{}", self.rng.below(1_000));
                self.oracle.causes(life).subject = true;
            }
            Fault::Trap => {
                if self.rng.one_in(4) {
                    // Best while iterators have not taken note of a new epoch, and handlers are in it.
                    self.pages[index].stalled_until = self.now + self.pages[index].latency * 8;
                    self.new_epoch(&name, step.b);
                    self.run_for(self.pages[index].latency * 4)?;
                }
                return self.trap(index);
            }
            Fault::Reload => self.reload(index, true)?,
            Fault::Crash => self.reload(index, false)?,
            Fault::Close => self.page_input(index, Input::Close)?,
        }
        Ok(true)
    }

    fn freeze(&mut self, index: usize, time: Duration) {
        let page = &mut self.pages[index];
        page.frozen = true;
        page.frozen_until = page.frozen_until.max(self.now + time);
        let item = Item::Thaw { page: page.life };
        self.network.at(page.frozen_until, item);
    }
}
