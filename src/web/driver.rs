//! The loop between the browser and the core.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use gloo_timers::callback::Timeout;
use js_sys::JsString;
use wasm_bindgen::prelude::{JsCast, JsValue};
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
    wire::{self, ClientFrame, DecodeError, Name, Problem},
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
        let _ = self.host.socket(Some(socket.web.clone()));
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
            Heard::Message(data) => self.on_message(socket, &data),
            Heard::Closed(code) => self.feed(Input::SocketClosed { socket, code }),
        }
    }

    /// Takes a message of a socket: parsed once, by the browser.
    fn on_message(self: &Rc<Self>, socket: SocketId, data: &JsValue) {
        let not_a_frame = DecodeError { field: Name::Type, problem: Problem::NotAnObject };
        let text = data.dyn_ref::<JsString>();
        let max_bytes = self.with_core(Client::max_frame_bytes);
        if text.is_some_and(|text| is_longer(text, max_bytes)) {
            let error = DecodeError { field: Name::Type, problem: Problem::TooLarge };
            self.feed(Input::BadFrame { socket, error });
            return;
        }
        let parsed = text.and_then(|text| json::parse(text).ok());
        let Some(value) = parsed else {
            self.feed(Input::BadFrame { socket, error: not_a_frame });
            return;
        };
        let parsed = Parsed(value, &self.host);
        match wire::decode(&parsed) {
            Ok(frame) => {
                let slot = self.keep(parsed.0);
                self.feed(Input::Frame { socket, frame, slot });
            }
            Err(error) => self.feed(Input::BadFrame { socket, error }),
        }
    }

    /// Feeds the core and does what it says, until there is nothing left to do.
    pub(super) fn feed(self: &Rc<Self>, input: Input) {
        let _entered = self.enter();
        self.inbox.borrow_mut().push_back(input);
        if self.draining.replace(true) {
            return;
        }
        let mut deadline = None;
        loop {
            let Some(input) = self.inbox.borrow_mut().pop_front() else {
                break;
            };
            self.core.borrow_mut().handle_input(input, self.clock.now());
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
                    let _ = self.host.socket(None);
                    taken.close(code);
                }
            }
            Output::Deliver { consumer, life, slot, skip, take, offset, replay_through } => {
                let frame = self.slots.borrow().get(slot);
                let Some(frame) = frame else { return };
                let (first, through) = (number(offset), number(replay_through));
                let delivered =
                    self.host.deliver(consumer.0, &frame, skip, take, first, through).unwrap_or(0);
                if delivered > 0 {
                    let through = offset + u64::from(delivered.min(take)) - 1;
                    // Nothing entered another epoch since the core sent these.
                    self.feed_running(Input::Delivered { consumer, life, through });
                }
            }
            Output::Event(event) => self.report(event),
            Output::OpenSocket(socket) => self.open(socket),
            Output::Release(slot) => self.slots.borrow_mut().release(slot),
            Output::RequestToken => {
                let _ = self.host.token();
            }
            Output::SendFrame { socket, frame } => self.send(socket, &frame),
            // The loop ends with it.
            Output::Timeout(_) => {}
        }
    }

    fn send(&self, socket: SocketId, frame: &ClientFrame) {
        let built = wire::encode(frame, |slot| self.slots.borrow().get(slot).map(Built));
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
                let _ = self.host.socket(Some(opened.web.clone()));
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
        self.slots.borrow().get(slot).unwrap_or(JsValue::UNDEFINED)
    }

    /// Adds to what the core knows while the loop runs; what follows from it comes out of the same loop.
    fn feed_running(&self, input: Input) {
        self.core.borrow_mut().handle_input(input, self.clock.now());
    }

    /// Arms the one timer for the next deadline; leaves it alone when it is armed for the same.
    fn arm(self: &Rc<Self>, deadline: Option<Instant>) {
        let armed = self.timer.borrow().as_ref().map(|(at, _)| *at);
        if armed == deadline {
            return;
        }
        let timer = deadline.map(|at| {
            // One more than the rest: a timer may fire a fraction of a millisecond early.
            let delay = at.since(self.clock.now()).as_millis() as u64 + 1;
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
