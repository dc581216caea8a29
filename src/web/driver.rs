//! The loop between the browser and the core.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
};

use web_sys::WebSocket;

use super::{
    clock::Clock,
    host::Host,
    report::{Report, number},
    socket::{self, Heard, Socket},
    timer::Timer,
};
use crate::proto::{
    Client, CloseCode, Config, Event, Input, Instant, Output, Slot, SocketId, Text,
    wire::{self, ClientFrame, ServerFrame},
};

/// The number of the socket that the package opened itself.
const ADOPTED: SocketId = SocketId(0);

/// Owns the core, the socket and the timer. The host keeps what slots hold.
///
/// Each `RefCell` is borrowed for one statement and never while JavaScript runs.
#[derive(Debug)]
pub(super) struct Driver {
    core: RefCell<Client>,
    pub(super) host: Host,
    /// Where sockets are opened.
    address: Text,
    clock: Clock,
    socket: RefCell<Option<Socket>>,
    timer: Timer,
    /// What came while the loop ran: calls made inside a handler only queue (I10).
    inbox: RefCell<VecDeque<Input>>,
    /// The time of the step that runs: read once for all that the step leads to.
    now: Cell<Instant>,
    /// The frame that came last, until the core releases it: it then never has to be kept.
    current: Cell<Option<Slot>>,
    draining: Cell<bool>,
    /// Calls into the driver that have not returned.
    entered: Cell<u32>,
}

/// A call into the driver that has not returned. A trap runs no destructor, so the count then stays up.
pub(super) struct Entered<'a>(&'a Cell<u32>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Driver {
    pub(super) fn new(config: Config, address: Text, host: Host) -> Rc<Self> {
        Rc::new_cyclic(|driver: &Weak<Self>| {
            let driver = driver.clone();
            let timer = Timer::new(move |_| {
                if let Some(driver) = driver.upgrade() {
                    driver.timer.fired();
                    driver.feed(Input::Timeout);
                }
            });
            Self {
                core: RefCell::new(Client::new(config)),
                host,
                address,
                clock: Clock::new(),
                socket: RefCell::default(),
                timer,
                inbox: RefCell::default(),
                now: Cell::new(Instant::ZERO),
                current: Cell::new(None),
                draining: Cell::new(false),
                entered: Cell::new(0),
            }
        })
    }

    pub(super) fn with_core<T>(&self, look: impl FnOnce(&Client) -> T) -> T {
        let _entered = self.enter();
        look(&self.core.borrow())
    }

    /// Tells whether every call into the driver has returned: one that has not, and is not on the stack, has trapped.
    pub(super) const fn is_at_rest(&self) -> bool {
        self.entered.get() == 0
    }

    pub(super) fn enter(&self) -> Entered<'_> {
        self.entered.set(self.entered.get() + 1);
        Entered(&self.entered)
    }

    /// Gives the host each text that the core holds, unless inputs or outputs wait, which hold others.
    pub(super) fn texts(&self) -> bool {
        if self.draining.get() {
            return false;
        }
        self.host.put(self.address.0.into());
        let texts = self.with_core(|core| {
            let mut texts = Vec::new();
            core.texts(&mut |text| texts.push(text));
            texts
        });
        for text in texts {
            self.host.put(text.0.into());
        }
        true
    }

    /// Takes over the socket that the package opened while the wasm was loading.
    pub(super) fn adopt(self: &Rc<Self>, web: WebSocket, token: Slot) {
        let _entered = self.enter();
        let socket = Socket::attach(ADOPTED, web, &self.host, self.listener(ADOPTED));
        let missed = socket.missed(&self.host);
        self.host.socket(Some(&socket.web), ADOPTED.0);
        *self.socket.borrow_mut() = Some(socket);
        self.feed(Input::Adopt { socket: ADOPTED, token });
        if let Some(heard) = missed {
            self.on_heard(ADOPTED, heard);
        }
    }

    /// Hears a socket for as long as the driver lives.
    fn listener(self: &Rc<Self>, socket: SocketId) -> impl Fn(Heard) + Clone + 'static {
        let driver = Rc::downgrade(self);
        move |heard| {
            if let Some(driver) = driver.upgrade() {
                driver.on_heard(socket, heard);
            }
        }
    }

    fn on_heard(self: &Rc<Self>, socket: SocketId, heard: Heard) {
        let _entered = self.enter();
        match heard {
            Heard::Opened { subprotocol } => self.feed(Input::SocketOpened { socket, subprotocol }),
            Heard::Closed(code) => self.feed(Input::SocketClosed { socket, code }),
        }
    }

    /// Takes a frame of events by its numbers; returns whether the core keeps it.
    pub(super) fn on_events(
        self: &Rc<Self>,
        socket: SocketId,
        slot: Slot,
        (ch, first, count): (u32, u64, u32),
        (bytes, wall): (u32, f64),
    ) -> bool {
        let _entered = self.enter();
        let frame = ServerFrame::Events { ch, first, count };
        self.feed_frame(Input::Frame { socket, frame, slot, bytes }, slot, self.clock.at_wall(wall))
    }

    /// Takes any other frame; returns whether the core keeps it.
    pub(super) fn on_frame(self: &Rc<Self>, socket: SocketId, slot: Slot, kind: u32) -> bool {
        let _entered = self.enter();
        let input = match wire::from_numbers(kind, || self.host.next()) {
            Ok(frame) => Input::Frame { socket, frame, slot, bytes: 0 },
            Err(contradiction) => Input::Contradiction { socket, contradiction, slot },
        };
        self.feed_frame(input, slot, self.clock.now())
    }

    fn feed_frame(self: &Rc<Self>, input: Input, slot: Slot, now: Instant) -> bool {
        if self.draining.get() {
            // It waits in the inbox, and is released from there.
            self.inbox.borrow_mut().push_back(input);
            return true;
        }
        self.current.set(Some(slot));
        self.drain(input, now);
        self.current.take().is_some()
    }

    /// Feeds the core and does what it says, until there is nothing left to do.
    pub(super) fn feed(self: &Rc<Self>, input: Input) {
        let _entered = self.enter();
        if self.draining.get() {
            self.inbox.borrow_mut().push_back(input);
        } else {
            self.drain(input, self.clock.now());
        }
    }

    fn drain(self: &Rc<Self>, input: Input, now: Instant) {
        self.draining.set(true);
        self.now.set(now);
        let mut next = Some(input);
        let mut deadline = None;
        while let Some(input) = next {
            self.core.borrow_mut().handle_input(input, now);
            loop {
                let output = self.core.borrow_mut().poll_output();
                if let Output::Timeout(at) = output {
                    deadline = at;
                    break;
                }
                self.perform(output);
            }
            next = self.inbox.borrow_mut().pop_front();
        }
        self.draining.set(false);
        self.timer.arm(deadline, self.now.get());
    }

    fn perform(self: &Rc<Self>, output: Output) {
        match output {
            Output::CloseSocket { socket, code } => {
                // Taken out first: closing must find no handler that could call back into the loop.
                let taken = self.socket.borrow_mut().take_if(|known| known.id == socket);
                if let Some(taken) = taken {
                    self.host.socket(None, socket.0);
                    taken.close(code, &self.host);
                }
            }
            Output::Deliver { consumer, life, slot, skip, take, offset, replay_through } => {
                let (first, through) = (number(offset), number(replay_through));
                let delivered = self.host.deliver(consumer.0, slot.0, skip, take, first, through);
                if delivered > 0 {
                    let through = offset + u64::from(delivered.min(take)) - 1;
                    // Nothing entered another epoch since the core sent these.
                    self.feed_running(Input::Delivered { consumer, life, through });
                }
            }
            Output::Event(event) => self.report(event),
            Output::Measure(socket) => {
                // A socket that was left has no bytes to wait for.
                let bytes = self.web_of(socket).map_or(0, |web| web.buffered_amount());
                self.feed_running(Input::Buffered(bytes));
            }
            Output::OpenSocket(socket) => self.open(socket),
            Output::Release(slot) => self.release(slot),
            Output::RequestToken => {
                self.host.report(Report::Token as u32);
            }
            Output::SendFrame { socket, frame } => self.send(socket, &frame),
            // The loop ends with it.
            Output::Timeout(_) => {}
        }
    }

    fn release(&self, slot: Slot) {
        if self.current.get() == Some(slot) {
            self.current.set(None);
        } else {
            self.host.release(slot.0);
        }
    }

    /// The browser's end of a socket, if it is the one in use.
    fn web_of(&self, socket: SocketId) -> Option<WebSocket> {
        self.socket.borrow().as_ref().filter(|known| known.id == socket).map(|known| known.web.clone())
    }

    fn send(&self, socket: SocketId, frame: &ClientFrame) {
        let web = self.web_of(socket);
        // The socket was left before its frames were written. The next one gets what they carried.
        let Some(web) = web else { return };
        let kind = wire::to_numbers(frame, |number| self.host.put(number));
        let text = self.host.write(kind as u32);
        if text.is_undefined() {
            if let Some((id, stream)) = frame.key() {
                self.feed_running(Input::SendTooLarge { id, stream });
            }
            return;
        }
        // A socket that is closing takes no more; its close event follows.
        if web.ready_state() == WebSocket::OPEN {
            socket::send(&web, &text);
        }
    }

    fn open(self: &Rc<Self>, socket: SocketId) {
        if let Some(web) = self.host.open(self.address.0) {
            let opened = Socket::attach(socket, web, &self.host, self.listener(socket));
            self.host.socket(Some(&opened.web), socket.0);
            *self.socket.borrow_mut() = Some(opened);
        } else {
            // A policy of the page can refuse the address; the core tries again by its backoff.
            self.inbox.borrow_mut().push_back(Input::SocketClosed { socket, code: CloseCode::ABNORMAL });
        }
    }

    fn report(&self, event: Event) {
        let gap = if let Event::Gap { consumer, gap } = event { Some((consumer, gap)) } else { None };
        let is_delivered = self.host.tell(event);
        if let Some((consumer, gap)) = gap.filter(|_| is_delivered) {
            self.feed_running(Input::Delivered { consumer, life: gap.life, through: gap.next - 1 });
        }
    }

    /// Adds to what the core knows while the loop runs; what follows from it comes out of the same loop.
    fn feed_running(&self, input: Input) {
        self.core.borrow_mut().handle_input(input, self.now.get());
    }
}
