//! The loop between the browser and the core.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use gloo_timers::callback::Timeout;
use js_sys::JsString;
use wasm_bindgen::prelude::JsValue;
use web_sys::WebSocket;

use super::{
    clock::Clock,
    facts::{self, number},
    host::Host,
    json::{self, Built, Parsed},
    slots::Slots,
    socket::{self, Heard, Socket},
};
use crate::proto::{
    Client, ClientError, Config, Event, Input, Instant, Outcome, Output, Slot, SocketId,
    wire::{self, ClientFrame, ServerFrame},
};

/// The longest delay `setTimeout` takes, in milliseconds; a longer one would fire at once.
const MAX_TIMEOUT_MS: u64 = (1 << 31) - 1;

/// The number of the socket that the package opened itself.
const ADOPTED: SocketId = SocketId(0);

/// Owns the core, the socket, the timer and the slots.
///
/// Each `RefCell` is borrowed for one statement and never while JavaScript runs.
#[derive(Debug)]
pub(super) struct Driver {
    core: RefCell<Client>,
    host: Host,
    url: String,
    clock: Clock,
    slots: RefCell<Slots>,
    socket: RefCell<Option<Socket>>,
    timer: RefCell<Option<(Instant, Timeout)>>,
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
    pub(super) fn new(config: Config, url: String, host: Host) -> Rc<Self> {
        Rc::new(Self {
            core: RefCell::new(Client::new(config)),
            host,
            url,
            clock: Clock::new(),
            slots: RefCell::default(),
            socket: RefCell::default(),
            timer: RefCell::default(),
            inbox: RefCell::default(),
            now: Cell::new(Instant::ZERO),
            current: Cell::new(None),
            draining: Cell::new(false),
            entered: Cell::new(0),
        })
    }

    pub(super) fn keep(&self, value: JsValue) -> Slot {
        let _entered = self.enter();
        self.slots.borrow_mut().keep(value)
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

    /// Takes over the socket that the package opened while the wasm was loading.
    pub(super) fn adopt(self: &Rc<Self>, web: WebSocket, token: JsValue) {
        let _entered = self.enter();
        let token = self.keep(token);
        let socket = Socket::attach(ADOPTED, web, self.listener(ADOPTED));
        let missed = socket.missed();
        let _ = self.host.socket(Some(socket.web.clone()), ADOPTED.0);
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
        slot: u32,
        (ch, first, count): (u32, u64, u32),
        (bytes, now): (u32, f64),
    ) -> bool {
        let _entered = self.enter();
        let slot = Slots::of_frame(slot);
        let frame = ServerFrame::Events { ch, first, count };
        self.feed_frame(Input::Frame { socket, frame, slot, bytes }, slot, self.clock.at(now))
    }

    /// Takes any other frame; returns whether the core keeps it.
    pub(super) fn on_frame(self: &Rc<Self>, socket: SocketId, slot: u32, frame: JsValue) -> bool {
        let _entered = self.enter();
        let slot = Slots::of_frame(slot);
        let input = match wire::decode(&Parsed(frame, &self.host)) {
            Ok(frame) => Input::Frame { socket, frame, slot, bytes: 0 },
            Err(error) => {
                self.feed(Input::BadFrame { socket, error });
                return false;
            }
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
        self.inbox.borrow_mut().push_back(input);
        self.drain(now);
        self.current.take().is_some()
    }

    /// Feeds the core and does what it says, until there is nothing left to do.
    pub(super) fn feed(self: &Rc<Self>, input: Input) {
        let _entered = self.enter();
        self.inbox.borrow_mut().push_back(input);
        if !self.draining.get() {
            self.drain(self.clock.now());
        }
    }

    fn drain(self: &Rc<Self>, now: Instant) {
        self.draining.set(true);
        self.now.set(now);
        let mut deadline = None;
        loop {
            let Some(input) = self.inbox.borrow_mut().pop_front() else {
                break;
            };
            self.core.borrow_mut().handle_input(input, now);
            loop {
                let output = self.core.borrow_mut().poll_output();
                if let Output::Timeout(at) = output {
                    deadline = at;
                    break;
                }
                self.perform(output);
            }
        }
        self.draining.set(false);
        self.arm(deadline);
    }

    fn perform(self: &Rc<Self>, output: Output) {
        match output {
            Output::CloseSocket { socket, code } => {
                // Taken out first: closing must find no handler that could call back into the loop.
                let taken = self.socket.borrow_mut().take_if(|known| known.id == socket);
                if let Some(taken) = taken {
                    let _ = self.host.socket(None, socket.0);
                    taken.close(code);
                }
            }
            Output::Deliver { consumer, life, slot, skip, take, offset, replay_through } => {
                // Events are in frames.
                let Some(frame) = Slots::frame_in(slot) else { return };
                let (first, through) = (number(offset), number(replay_through));
                let delivered = self.host.deliver(consumer.0, frame, skip, take, first, through).unwrap_or(0);
                if delivered > 0 {
                    let through = offset + u64::from(delivered.min(take)) - 1;
                    // Nothing entered another epoch since the core sent these.
                    self.feed_running(Input::Delivered { consumer, life, through });
                }
            }
            Output::Event(event) => self.report(event),
            Output::OpenSocket(socket) => self.open(socket),
            Output::Release(slot) => self.release(slot),
            Output::RequestToken => {
                let _ = self.host.token();
            }
            Output::SendFrame { socket, frame } => self.send(socket, &frame),
            // The loop ends with it.
            Output::Timeout(_) => {}
        }
    }

    fn release(&self, slot: Slot) {
        match Slots::frame_in(slot) {
            None => self.slots.borrow_mut().release(slot),
            Some(_) if self.current.get() == Some(slot) => self.current.set(None),
            Some(frame) => {
                let _ = self.host.release(frame);
            }
        }
    }

    fn send(&self, socket: SocketId, frame: &ClientFrame) {
        let built = wire::encode(frame, |slot| self.slots.borrow().get(slot, &self.host).map(Built));
        let Some(text) = built.and_then(|built| json::stringify(&built.0).ok()) else { return };
        let web =
            self.socket.borrow().as_ref().filter(|known| known.id == socket).map(|known| known.web.clone());
        // The socket was left before its frames were written. The next one gets what they carried.
        let Some(web) = web else { return };
        let max_bytes = self.with_core(Client::max_frame_bytes);
        if let Some(id) = frame.send_id()
            && is_longer(&text, max_bytes)
        {
            self.feed_running(Input::SendTooLarge { id: id.into() });
            return;
        }
        // A socket that is closing takes no more; its close event follows.
        if web.ready_state() == WebSocket::OPEN {
            let _ = socket::send(&web, &text);
        }
    }

    fn open(self: &Rc<Self>, socket: SocketId) {
        match Socket::open(socket, &self.url, self.listener(socket)) {
            Ok(opened) => {
                let _ = self.host.socket(Some(opened.web.clone()), socket.0);
                *self.socket.borrow_mut() = Some(opened);
            }
            // A policy of the page can refuse the address; the core tries again by its backoff.
            Err(error) => {
                let message = js_sys::Reflect::get(&error, &"message".into());
                let message = message.ok().and_then(|message| message.as_string()).unwrap_or_default();
                let _ = self.host.error("socket_refused", &message, &JsValue::UNDEFINED);
                let code = crate::proto::CloseCode::ABNORMAL;
                self.inbox.borrow_mut().push_back(Input::SocketClosed { socket, code });
            }
        }
    }

    fn report(&self, event: Event) {
        // The host promises not to throw, and nothing here depends on it.
        let _ = match event {
            Event::Error(error) => self.report_error(error),
            Event::Ended { stream, reason } => self.host.ended(stream.0, &reason),
            Event::Gap { consumer, gap } => {
                if self.host.gap(consumer.0, &facts::gap(&gap)).unwrap_or(false) {
                    let (life, through) = (gap.life, gap.next - 1);
                    self.feed_running(Input::Delivered { consumer, life, through });
                }
                Ok(())
            }
            Event::Message { slot } => self.host.message(&self.value(slot)),
            Event::Placed { consumer, epoch, offset } => self.host.placed(consumer.0, &epoch, number(offset)),
            Event::Resumed { consumer, result, .. } => {
                self.host.resumed(consumer.0, &facts::resume_result(&result))
            }
            Event::Settled { id, outcome } => match outcome {
                Outcome::Failed(code) => self.host.settled(&id, &JsValue::UNDEFINED, Some(code)),
                Outcome::Receipt { slot } => self.host.settled(&id, &self.value(slot), None),
            },
            Event::StateChanged { state, reason, retry_in, attempt } => {
                let retry_in_ms = retry_in.map(|delay| delay.as_secs_f64() * 1_000.0);
                self.host.state(state.as_str(), reason, retry_in_ms, attempt)
            }
            Event::Welcomed { session, subject, max_frame_bytes } => {
                self.host.welcome(&session, &subject, number(max_frame_bytes))
            }
        };
    }

    fn report_error(&self, error: ClientError) -> Result<(), JsValue> {
        match error {
            ClientError::BadServerFrame(error) => {
                let mut message = String::from(error.field.as_str());
                message.push(' ');
                message.push_str(error.problem.as_str());
                self.host.error("bad_server_frame", &message, &JsValue::UNDEFINED)
            }
            ClientError::Contradiction(message) => {
                self.host.error("bad_server_frame", message, &JsValue::UNDEFINED)
            }
            ClientError::Server { code, message, slot } => {
                self.host.error(&code, &message, &self.value(slot))
            }
            ClientError::Token(code) => self.host.error(code, "", &JsValue::UNDEFINED),
        }
    }

    fn value(&self, slot: Slot) -> JsValue {
        self.slots.borrow().get(slot, &self.host).unwrap_or(JsValue::UNDEFINED)
    }

    /// Adds to what the core knows while the loop runs; what follows from it comes out of the same loop.
    fn feed_running(&self, input: Input) {
        self.core.borrow_mut().handle_input(input, self.now.get());
    }

    /// Arms the one timer for the next deadline; leaves it alone when it fires in time: one that fires early finds nothing to do
    /// and is armed again, which is cheaper than to arm it anew with each frame.
    fn arm(self: &Rc<Self>, deadline: Option<Instant>) {
        let armed = self.timer.borrow().as_ref().map(|(at, _)| *at);
        if armed.is_some() && armed <= deadline {
            return;
        }
        let timer = deadline.map(|at| {
            // One more than the rest: a timer may fire a fraction of a millisecond early.
            let delay = at.since(self.now.get()).as_millis() as u64 + 1;
            let driver = Rc::downgrade(self);
            let timeout = Timeout::new(delay.min(MAX_TIMEOUT_MS) as u32, move || {
                if let Some(driver) = driver.upgrade() {
                    // It has fired: dropping it clears nothing.
                    drop(driver.timer.borrow_mut().take());
                    driver.feed(Input::Timeout);
                }
            });
            (at, timeout)
        });
        drop(self.timer.replace(timer));
    }
}

/// Tells whether a text has more bytes of UTF-8 than that; copies it only where its length leaves a doubt.
fn is_longer(text: &JsString, max_bytes: u64) -> bool {
    // A unit of UTF-16 takes one to three bytes.
    let units = u64::from(text.length());
    units > max_bytes || (units * 3 > max_bytes && String::from(text).len() as u64 > max_bytes)
}
