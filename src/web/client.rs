//! `RawClient`, the class that the package drives (`pkg/src/raw.ts`).

use std::{rc::Rc, time::Duration};

use js_sys::Reflect;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::WebSocket;

use super::{driver::Driver, facts::number, host::Host};
use crate::proto::{
    Begin, Config, ConsumerId, Input, SendKind, SocketId, StreamId,
    wire::{DecodeError, Name, Open, Problem},
};

/// The core as the package sees it. Every method may be called from within a callback; it then takes effect when the running
/// call is over.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawClient {
    driver: Rc<Driver>,
}

#[wasm_bindgen]
impl RawClient {
    /// Makes an idle client. `config` was validated where the user can read the error.
    #[wasm_bindgen(constructor)]
    pub fn new(host: Host, config: &JsValue) -> Self {
        let mut settings = Config::new(integer(config, "seed"));
        settings.client_version = text(config, "clientVersion");
        settings.window_events = integer(config, "windowEvents") as u32;
        settings.window_bytes = integer(config, "windowBytes") as u32;
        settings.window_total_bytes = integer(config, "windowTotalBytes") as u32;
        settings.max_pending = integer(config, "maxPending") as usize;
        settings.backoff_base = Duration::from_millis(integer(config, "backoffBaseMs"));
        settings.backoff_max = Duration::from_millis(integer(config, "backoffMaxMs"));
        settings.connect_timeout = Duration::from_millis(integer(config, "connectTimeoutMs"));
        settings.token_timeout = Duration::from_millis(integer(config, "tokenTimeoutMs"));
        settings.subject = member(config, "subject").as_string();
        Self { driver: Driver::new(settings, text(config, "url"), host) }
    }

    /// Leaves the idle state.
    pub fn connect(&self) {
        self.driver.feed(Input::Connect);
    }

    /// Leaves the idle state with a socket that is opening or open.
    pub fn adopt(&self, socket: WebSocket, token: JsValue) {
        self.driver.adopt(socket, token);
    }

    /// Closes for good.
    pub fn close(&self) {
        self.driver.feed(Input::Close);
    }

    /// Takes a frame of events that came on a socket, by its numbers; the host keeps it under `slot`. `now` is
    /// `performance.now()`, `bytes` about the length of the message. Returns whether the host has to keep it until
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
        now: f64,
    ) -> bool {
        self.driver.on_events(SocketId(socket), slot, (ch, first as u64, count), (bytes, now))
    }

    /// Takes any other frame. Returns whether the host has to keep it.
    pub fn frame(&self, socket: u32, slot: u32, frame: JsValue) -> bool {
        self.driver.on_frame(SocketId(socket), slot, frame)
    }

    /// Takes a message that is no frame: 0, not one JSON object; 1, larger than a frame may be.
    #[wasm_bindgen(js_name = badFrame)]
    pub fn bad_frame(&self, socket: u32, problem: u32) {
        let problem = if problem == 1 { Problem::TooLarge } else { Problem::NotAnObject };
        let error = DecodeError { field: Name::Type, problem };
        self.driver.feed(Input::BadFrame { socket: SocketId(socket), error });
    }

    /// Attaches a consumer, with the events that may wait to be delivered to it, or 0 if none ever waits. [`flush`](Self::flush)
    /// asks the server for its stream.
    #[allow(clippy::too_many_arguments, reason = "numbers and texts cross the border, and no objects")]
    pub fn subscribe(
        &self,
        stream: u32,
        consumer: u32,
        name: String,
        open: f64,
        epoch: Option<String>,
        offset: f64,
        max_queued: u32,
    ) {
        let begin = match epoch {
            Some(epoch) => Begin::Position { epoch, offset: offset as u64 },
            None if offset < 0.0 => Begin::Stream,
            None => Begin::After(offset as u64),
        };
        let open = if open < 0.0 {
            Open::Live
        } else if open > 0.0 {
            Open::Last(open as u32)
        } else {
            Open::Start
        };
        let (stream, consumer) = (StreamId(stream), ConsumerId(consumer));
        let max_queued = (max_queued > 0).then_some(max_queued);
        self.driver.feed(Input::Subscribe { stream, consumer, name, open, begin, max_queued });
    }

    /// Asks the server for the streams that were attached since the last call: one request for all of a turn.
    pub fn flush(&self) {
        self.driver.feed(Input::Flush);
    }

    /// Detaches a consumer.
    pub fn unsubscribe(&self, consumer: u32) {
        self.driver.feed(Input::Unsubscribe { consumer: ConsumerId(consumer) });
    }

    /// Takes note that an iterator has pulled everything up to an offset of the epoch that `life` counts.
    pub fn delivered(&self, consumer: u32, life: u32, offset: f64) {
        let (consumer, through) = (ConsumerId(consumer), offset as u64);
        self.driver.feed(Input::Delivered { consumer, life, through });
    }

    /// Queues a message (0), a cancel (1) or an approval (2).
    ///
    /// `sent_ago_ms`: how long ago it may have gone out for the first time; negative when it cannot have.
    pub fn send(&self, kind: u32, id: String, stream: String, body: JsValue, sent_ago_ms: f64) {
        let kind = match kind {
            1 => SendKind::Cancel,
            2 => SendKind::Approve,
            _ => SendKind::Message,
        };
        let body = self.driver.keep(body);
        let sent_ago = (sent_ago_ms >= 0.0).then(|| Duration::from_millis(sent_ago_ms as u64));
        self.driver.feed(Input::Send { kind, id, stream, body, sent_ago });
    }

    /// Sends a signal now, or not at all.
    pub fn signal(&self, stream: String, signal: JsValue) {
        let signal = self.driver.keep(signal);
        self.driver.feed(Input::Signal { stream, signal });
    }

    /// Gives the token that was asked for.
    #[wasm_bindgen(js_name = tokenReady)]
    pub fn token_ready(&self, token: JsValue) {
        let token = self.driver.keep(token);
        self.driver.feed(Input::TokenReady { token });
    }

    /// Says that there is no token.
    #[wasm_bindgen(js_name = tokenFailed)]
    pub fn token_failed(&self, retryable: bool) {
        self.driver.feed(Input::TokenFailed { retryable });
    }

    /// Says whether there is a network.
    pub fn online(&self, online: bool) {
        self.driver.feed(Input::Online(online));
    }

    /// Says whether the page is away: in the back/forward cache, or on its way out.
    pub fn away(&self, away: bool) {
        self.driver.feed(Input::Away(away));
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

fn member(config: &JsValue, name: &str) -> JsValue {
    Reflect::get(config, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "validated by the package")]
fn integer(config: &JsValue, name: &str) -> u64 {
    member(config, name).as_f64().unwrap_or(0.0) as u64
}

fn text(config: &JsValue, name: &str) -> String {
    member(config, name).as_string().unwrap_or_default()
}
