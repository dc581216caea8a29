//! What arrives: at the bridge, at pages and at raw clients.

use agentwire::proto::{CloseCode, Duration, Input, SocketId};
use agentwire_bridge::simulation::Received;
use agentwire_sim::Driver;
use agentwire_sim::oracle::Judgement;

use super::{Conn, Process, World};
use crate::audit::Wire;
use crate::network::Item;
use crate::socket::socket;

impl World {
    /// A page, or a raw client, opens a socket.
    pub(crate) fn open_socket(&mut self, life: u32, user: &str, of_core: SocketId, latency: Duration) -> u64 {
        self.sockets += 1;
        let number = self.sockets;
        let conn = Conn {
            life,
            socket: of_core,
            latency,
            far: None,
            wire: Wire::of(user),
            is_dead: false,
            is_closed: false,
            raw: None,
        };
        self.conns.insert(number, conn);
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.wire.is_strict = self.is_over;
        }
        self.network.up(self.now() + latency, number, Item::Asks { socket: number });
        number
    }

    fn asks(&mut self, number: u64) {
        let now = self.now();
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let arrives = now + conn.latency;
        match &self.process {
            Process::Up(bridge) | Process::Stopping(bridge) => {
                let (far, near) = socket(number, self.to_pages.clone());
                conn.far = Some(far);
                tokio::spawn(bridge.serve_socket(near));
                self.network.down(arrives, number, Item::Opened { socket: number });
            }
            Process::Starting | Process::Down => {
                conn.is_closed = true;
                self.network.down(arrives, number, Item::Closed { socket: number, code: 1006 });
            }
        }
    }

    pub(crate) fn arrive(&mut self, item: Item) -> Judgement {
        match item {
            Item::Asks { socket } => self.asks(socket),
            Item::Up { socket, text } => {
                if let Some(far) = self.conns.get(&socket).and_then(|conn| conn.far.as_ref()) {
                    far.arrive(Received::Text(text.into()));
                }
            }
            Item::Left { socket } => {
                if let Some(conn) = self.conns.get_mut(&socket) {
                    if let Some(far) = &mut conn.far {
                        far.arrive(Received::Close);
                        far.break_off();
                    }
                    (conn.is_dead, conn.is_closed, conn.far) = (true, true, None);
                }
            }
            Item::Broken { socket } => {
                if let Some(mut far) = self.conns.get_mut(&socket).and_then(|conn| conn.far.take()) {
                    far.break_off();
                }
            }
            Item::Start => self.start(),
            Item::Undo(undo) => self.undo(&undo)?,
            Item::Opened { socket } | Item::Closed { socket, .. } | Item::Down { socket, .. } => {
                let Some(conn) = self.conns.get(&socket) else { return Ok(()) };
                if conn.life == 0 {
                    return self.arrive_at_raw(socket, &item);
                }
                let life = conn.life;
                return self.arrive_at_life(life, item);
            }
            Item::Connect { life }
            | Item::Pull { life }
            | Item::AskAgain { life }
            | Item::Token { life }
            | Item::Thaw { life } => return self.arrive_at_life(life, item),
        }
        Ok(())
    }

    fn arrive_at_life(&mut self, life: u32, item: Item) -> Judgement {
        let Some(index) = self.pages.iter().position(|page| page.life == life) else { return Ok(()) };
        if self.pages[index].is_frozen() && !matches!(item, Item::Thaw { .. }) {
            self.pages[index].backlog.push_back(item);
            return Ok(());
        }
        self.arrive_at_page(index, item)
    }

    /// Something arrives at a page that runs.
    pub(crate) fn arrive_at_page(&mut self, index: usize, item: Item) -> Judgement {
        let now = self.now();
        match item {
            Item::Opened { socket } => {
                let Some(of_core) = self.conns.get(&socket).map(|conn| conn.socket) else { return Ok(()) };
                self.input(index, Input::SocketOpened { socket: of_core, subprotocol: true })
            }
            Item::Closed { socket, code } => {
                let Some(conn) = self.conns.get_mut(&socket) else { return Ok(()) };
                let of_core = conn.socket;
                if !conn.is_dead {
                    if let Some(far) = &mut conn.far {
                        // The browser answers the close, and lets go.
                        far.arrive(Received::Close);
                        far.break_off();
                    }
                    self.conns.remove(&socket);
                }
                self.say(&format!("{socket} is closed: {code}"));
                let page = &mut self.pages[index];
                if page.socket == Some(of_core) {
                    page.socket = None;
                    if matches!(code, 4450 | 4451) {
                        self.oracle.causes(page.life).tokens = true;
                    }
                    self.oracle.closed(page.life, now);
                }
                self.input(index, Input::SocketClosed { socket: of_core, code: CloseCode(code) })
            }
            Item::Down { socket, text } => {
                let Some(conn) = self.conns.get(&socket) else { return Ok(()) };
                if let Some(far) = &conn.far {
                    far.taken();
                }
                let page = &mut self.pages[index];
                let input = page.driver.read(conn.socket, &text);
                if page.socket == Some(conn.socket)
                    && let Some(frame) = Driver::frame_of(&input)
                {
                    self.oracle.heard(page.life, frame, now);
                }
                self.input(index, input)
            }
            Item::Connect { .. } => self.input(index, Input::Connect),
            Item::Token { .. } => {
                let input = self.pages[index].token();
                self.input(index, input)
            }
            Item::Pull { life } => {
                let delay = self.rng.millis(20, 250);
                self.network.at(now + delay, Item::Pull { life });
                if self.pages[index].stalled_until > now {
                    return Ok(());
                }
                let most = self.rng.between(1, 80);
                for consumer in self.pages[index].pulling() {
                    for _ in 0..most {
                        let Some(input) = self.pages[index].driver.pull(consumer) else { break };
                        self.input(index, input)?;
                    }
                }
                Ok(())
            }
            Item::AskAgain { life } => {
                let delay = self.rng.millis(400, 1_500);
                self.network.at(now + delay, Item::AskAgain { life });
                self.ask_again(index)
            }
            Item::Thaw { .. } => self.thaw(index),
            Item::Asks { .. }
            | Item::Broken { .. }
            | Item::Left { .. }
            | Item::Start
            | Item::Undo(_)
            | Item::Up { .. } => Ok(()),
        }
    }
}
