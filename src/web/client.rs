//! `RawClient`, the class that the package drives (`pkg/src/core/border.ts`).

use std::rc::Rc;

use crate::proto::Duration;

use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::WebSocket;

use super::{driver::Driver, host::Host, report::number};
use crate::proto::{
    Begin, Config, ConsumerId, FirstSent, Input, SendKind, Slot, SocketId, StreamId,
    wire::{Fields, Open},
};

/// The core as the package sees it. Every method may be called from within a callback; it then takes effect when the running
/// call is over.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawClient {
    driver: Rc<Driver>,
}

/// The calls without a method of their own; `pkg/src/core/border.ts` has the same list.
mod call {
    pub(super) const AWAY: u32 = 0;
    pub(super) const BAD_FRAME: u32 = 1;
    pub(super) const CLOSE: u32 = 2;
    pub(super) const CONNECT: u32 = 3;
    pub(super) const FLUSH: u32 = 4;
    pub(super) const ONLINE: u32 = 5;
    pub(super) const SEND: u32 = 6;
    pub(super) const SIGNAL: u32 = 7;
    pub(super) const SUBSCRIBE: u32 = 8;
    pub(super) const TOKEN_FAILED: u32 = 9;
    pub(super) const TOKEN_READY: u32 = 10;
    pub(super) const UNSUBSCRIBE: u32 = 11;
    pub(super) const RECONNECT: u32 = 12;
    pub(super) const RETRY_IN: u32 = 13;
    pub(super) const WAKE: u32 = 14;
    pub(super) const TAKE_BACK: u32 = 15;
}

#[wasm_bindgen]
impl RawClient {
    /// Makes an idle client. The host gives the configuration, which was validated where the user can read the error.
    #[wasm_bindgen(constructor)]
    pub fn new(host: Host) -> Self {
        let mut fields = Fields(|| host.next());
        let mut config = Config::new(fields.integer());
        config.window_events = fields.narrow();
        config.window_bytes = fields.narrow();
        config.window_total_bytes = fields.narrow();
        config.max_pending = fields.narrow() as usize;
        config.backoff_base = Duration::from_millis(fields.integer());
        config.backoff_max = fields.optional().map(Duration::from_millis);
        config.backoff_growth = fields.narrow();
        config.backoff_jitter = fields.narrow();
        config.attempt_burst = fields.narrow();
        config.max_uploads = fields.narrow();
        config.is_local = fields.flag();
        config.connect_timeout = Duration::from_millis(fields.integer());
        config.token_timeout = Duration::from_millis(fields.integer());
        config.subject = fields.optional_text();
        let address = fields.text();
        Self { driver: Driver::new(config, address, host) }
    }

    /// Leaves the idle state with a socket that is opening or open, and the slot of its token.
    pub fn adopt(&self, socket: WebSocket, token: u32) {
        self.driver.adopt(socket, Slot(token));
    }

    /// Takes a frame of events that came on a socket, by its numbers; the host keeps it in `slot`. `wall` is
    /// `Date.now()`, `bytes` about the length of the message. Returns whether the host has to keep it until
    /// [`Host::release`].
    #[allow(clippy::too_many_arguments, reason = "numbers cross the border, and nothing else")]
    pub fn events(
        &self,
        socket: u32,
        slot: u32,
        ch: u32,
        first: f64,
        count: u32,
        bytes: u32,
        wall: f64,
    ) -> bool {
        self.driver.on_events(SocketId(socket), Slot(slot), (ch, first as u64, count), (bytes, wall))
    }

    /// Takes any other frame, whose numbers the host gives. Returns whether the host has to keep it.
    pub fn frame(&self, socket: u32, slot: u32, kind: u32) -> bool {
        self.driver.on_frame(SocketId(socket), Slot(slot), kind)
    }

    /// Takes note that an iterator has pulled everything up to an offset of the epoch that `life` counts.
    pub fn delivered(&self, consumer: u32, life: u32, offset: f64) {
        let (consumer, through) = (ConsumerId(consumer), offset as u64);
        self.driver.feed(Input::Delivered { consumer, life, through });
    }

    /// Takes a call whose numbers the host gives.
    pub fn call(&self, kind: u32) {
        let mut fields = Fields(|| self.driver.host.next());
        let input = match kind {
            call::AWAY => Input::Away(fields.flag()),
            call::BAD_FRAME => {
                Input::BadFrame { socket: SocketId(fields.narrow()), slot: Slot(fields.narrow()) }
            }
            call::CLOSE => Input::Close,
            call::CONNECT => Input::Connect,
            call::FLUSH => Input::Flush,
            call::ONLINE => Input::Online(fields.flag()),
            call::SEND => Input::Send {
                kind: match fields.narrow() {
                    1 => SendKind::Cancel,
                    2 => SendKind::Approve,
                    3 => SendKind::Withdraw,
                    4 => SendKind::Edit,
                    5 => SendKind::RunMessage,
                    _ => SendKind::Message,
                },
                id: fields.text(),
                stream: fields.text(),
                body: Slot(fields.narrow()),
                bytes: fields.narrow(),
                about: fields.optional_text(),
                first_sent: FirstSent {
                    ago: fields.optional().map(Duration::from_millis),
                    at: fields.optional(),
                },
            },
            call::SIGNAL => Input::Signal { stream: fields.text(), signal: Slot(fields.narrow()) },
            call::SUBSCRIBE => subscription(&mut fields),
            call::TOKEN_FAILED => Input::TokenFailed { retryable: fields.flag() },
            call::TOKEN_READY => Input::TokenReady { token: Slot(fields.narrow()) },
            call::RECONNECT => Input::Reconnect,
            call::RETRY_IN => Input::RetryIn(Duration::from_millis(fields.integer())),
            call::WAKE => Input::Wake,
            call::UNSUBSCRIBE => Input::Unsubscribe { consumer: ConsumerId(fields.narrow()) },
            call::TAKE_BACK => Input::TakeBack { id: fields.text(), reason: fields.text() },
            _ => return,
        };
        self.driver.feed(input);
    }

    /// Gives the host the number of each text that the core holds, and returns whether that is all: not while it runs.
    pub fn texts(&self) -> bool {
        self.driver.texts()
    }

    /// Tells whether the core can go on: it cannot after a trap that left a call in the middle. To be asked outside of the
    /// core's own calls.
    pub fn alive(&self) -> bool {
        self.driver.is_at_rest()
    }

    /// Returns a counter by its place in [`Stats::NAMES`](crate::proto::Stats::NAMES).
    pub fn counter(&self, place: usize) -> f64 {
        let values = self.driver.with_core(|core| core.stats().values());
        values.get(place).map_or(0.0, |&value| number(value))
    }

    /// Traps, to test that the package recovers.
    #[cfg(feature = "__trap")]
    pub fn trap(&self) {
        let _entered = self.driver.enter();
        panic!("a trap that was asked for");
    }
}

/// The subscription of a consumer: stream, consumer, name, bytes of the name, `open` (0 the start, -1 live, or the last n), epoch or
/// -1, offset or -1, and the events that may wait to be delivered to it, or 0 if none ever waits.
#[allow(clippy::cast_possible_truncation, reason = "validated by the package")]
fn subscription<F: FnMut() -> f64>(fields: &mut Fields<F>) -> Input {
    let (stream, consumer) = (StreamId(fields.narrow()), ConsumerId(fields.narrow()));
    let (name, name_bytes) = (fields.text(), fields.narrow());
    let open = match fields.optional() {
        None => Open::Live,
        Some(0) => Open::Start,
        Some(count) => Open::Last(count as u32),
    };
    let begin = match (fields.optional_text(), fields.optional()) {
        (Some(epoch), offset) => Begin::Position { epoch, offset: offset.unwrap_or(0) },
        (None, Some(offset)) => Begin::After(offset),
        (None, None) => Begin::Stream,
    };
    let max_queued = Some(fields.narrow()).filter(|&most| most > 0);
    Input::Subscribe { stream, consumer, name, name_bytes, open, begin, max_queued }
}
