//! Lives of pages, and what they do.

use std::collections::BTreeMap;

use agentwire::proto::{Config, Duration, Input, Instant, SendKind, SocketId, StreamId};
use agentwire_sim::driver::Note;
use agentwire_sim::oracle::Judgement;

use super::{Conn, World};
use crate::doors::{self, USERS};
use crate::network::Item;
use crate::page::Page;

impl World {
    pub(crate) fn open_page(
        &mut self,
        index: usize,
        latency: Duration,
        stored: BTreeMap<StreamId, (String, u64)>,
    ) -> Judgement {
        self.lives += 1;
        let life = self.lives;
        let config = self.config();
        self.oracle.begin(life, &config);
        let user = USERS[index % USERS.len()];
        let page = Page::new(life, user, config, latency, stored);
        if index < self.pages.len() {
            self.pages[index] = page;
        } else {
            self.pages.push(page);
        }
        for stream in 1..=self.names.len() as u32 {
            if stream == 1 || !self.rng.one_in(4) {
                self.attach(index, stream)?;
            }
        }
        if self.rng.one_in(2) {
            self.attach(index, 0)?;
        }
        let at = self.now() + self.rng.millis(0, 120);
        for item in [Item::Connect { life }, Item::Pull { life }, Item::AskAgain { life }] {
            self.network.at(at, item);
        }
        Ok(())
    }

    pub(crate) fn config(&mut self) -> Config {
        let setting = &self.plan.setting;
        let mut config = Config::new(self.rng.below(1 << 50));
        (config.window_events, config.window_bytes, config.window_total_bytes) = setting.window;
        config.max_pending = setting.max_pending;
        config
    }

    /// Attaches a consumer to a thread by its number, or to the inbox: number 0.
    pub(crate) fn attach(&mut self, index: usize, stream: u32) -> Judgement {
        let page = &mut self.pages[index];
        let name = match stream {
            0 => doors::inbox_name(page.user),
            number => format!("t{number}"),
        };
        let input = page.attach(&mut self.rng, StreamId(stream + 1), &name);
        self.input(index, input)
    }

    /// Feeds a page's core, and judges what follows.
    pub(crate) fn input(&mut self, index: usize, input: Input) -> Judgement {
        let now = self.now();
        let page = &mut self.pages[index];
        page.deadline = page.driver.feed(&mut page.client, input, now);
        self.judge(index)
    }

    /// Judges what a page did, and puts on the wire what goes there.
    pub(crate) fn judge(&mut self, index: usize) -> Judgement {
        let now = self.now();
        let Self { pages, oracle, store, trace, .. } = self;
        let page = &mut pages[index];
        let notes = std::mem::take(&mut page.driver.notes);
        store.with_truth(|truth| {
            notes.iter().try_for_each(|note| {
                if trace.shows() && !matches!(note, Note::Sent { .. } | Note::Delivered { .. }) {
                    eprintln!("{:>8} ms  p{} {note:?}", now.as_millis(), page.life);
                }
                oracle.note(page.life, note, truth, now)
            })
        })?;
        for note in notes {
            self.follow(index, note);
        }
        let page = &self.pages[index];
        let at = if page.is_overdue { Instant::ZERO } else { now };
        self.oracle.rest(page.life, (&page.client, &page.driver), page.deadline, true, at)
    }

    fn follow(&mut self, index: usize, note: Note) {
        let now = self.now();
        let page = &mut self.pages[index];
        let (life, latency) = (page.life, page.latency);
        match note {
            Note::Opened(of_core) => {
                page.socket = Some(of_core);
                let user = page.user;
                self.open_socket(life, user, of_core, latency);
            }
            Note::ClosedSocket { socket, .. } => {
                page.socket.take_if(|known| *known == socket);
                if let Some(number) = self.number_of(life, socket) {
                    self.leave(number);
                }
            }
            Note::Sent { socket, text, .. } => {
                if let Some(number) = self.number_of(life, socket) {
                    self.say(&format!("{number} ▷ {text}"));
                    if !self.conns[&number].is_dead {
                        self.network.up(now + latency, number, Item::Up { socket: number, text });
                    }
                }
            }
            Note::Made { kind: SendKind::Message | SendKind::RunMessage, id, stream, .. } => {
                self.audit.sends.insert(id, stream);
            }
            Note::TokenWanted => {
                let delay = self.rng.millis(0, 40);
                self.network.at(now + delay, Item::Token { life });
            }
            _ => {}
        }
    }

    /// A page lets go of a socket.
    pub(crate) fn leave(&mut self, number: u64) {
        let now = self.now();
        let Some(conn) = self.conns.get_mut(&number) else { return };
        // What the bridge still sends is not read.
        let latency = conn.latency;
        if conn.is_dead {
            return;
        }
        self.network.up(now + latency, number, Item::Left { socket: number });
    }

    pub(crate) fn number_of(&self, life: u32, of_core: SocketId) -> Option<u64> {
        let of_life = |conn: &Conn| conn.life == life && conn.socket == of_core;
        self.conns.iter().find(|(_, conn)| of_life(conn)).map(|(number, _)| *number)
    }
}
