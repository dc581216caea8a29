//! What the core asks of its host: `CoreHost` of `pkg/src/core/border.ts`.
//!
//! Only numbers cross, and the socket. A text is a number ([`Text`](crate::proto::Text)), a body or a frame is the number of
//! its slot. Where a call has many parts, they are given one after the other before it.

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::socket::WebSocket;

// The host promises not to throw: what its callbacks throw ends in the package.
#[wasm_bindgen]
extern "C" {
    /// The object of the package that the core calls.
    #[derive(Clone, Debug)]
    pub type Host;

    /// The next number of the frame or the configuration that is given to the core.
    #[wasm_bindgen(method, structural)]
    pub(super) fn next(this: &Host) -> f64;
    /// One more number for the call that follows.
    #[wasm_bindgen(method, structural)]
    pub(super) fn put(this: &Host, number: f64);
    /// Reports a fact, by the number of its kind ([`Report`](super::report::Report)).
    #[wasm_bindgen(method, structural)]
    pub(super) fn report(this: &Host, kind: u32) -> bool;
    /// Writes a frame of the page, by the number of its kind. `undefined`: it is larger than the server takes.
    #[wasm_bindgen(method, structural)]
    pub(super) fn write(this: &Host, kind: u32) -> JsValue;
    /// The text of a number.
    #[wasm_bindgen(method, structural)]
    pub(super) fn text(this: &Host, text: u32) -> JsValue;
    /// Opens a socket at the address of this number. `undefined`: the page may not open it.
    #[wasm_bindgen(method, structural)]
    pub(super) fn open(this: &Host, address: u32) -> Option<WebSocket>;
    #[wasm_bindgen(method, structural)]
    pub(super) fn socket(this: &Host, socket: Option<&WebSocket>, id: u32);
    #[wasm_bindgen(method, structural)]
    pub(super) fn release(this: &Host, slot: u32);
    #[wasm_bindgen(method, structural)]
    pub(super) fn deliver(
        this: &Host,
        consumer: u32,
        slot: u32,
        skip: u32,
        take: u32,
        offset: f64,
        replay_through: f64,
    ) -> u32;
}
