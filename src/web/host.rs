//! What the core asks of its host: `Host` of `pkg/src/raw.ts`.

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::WebSocket;

// The host promises not to throw. `catch` keeps a broken promise from leaving the driver in the middle of its loop.
#[wasm_bindgen]
extern "C" {
    /// The object of the package that the core calls.
    #[derive(Clone, Debug)]
    pub type Host;

    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn socket(this: &Host, socket: Option<WebSocket>, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn frame(this: &Host, slot: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn release(this: &Host, slot: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = wellFormed)]
    pub(super) fn well_formed(this: &Host, frame: &JsValue) -> Result<bool, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn token(this: &Host) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn deliver(
        this: &Host,
        consumer: u32,
        slot: u32,
        skip: u32,
        take: u32,
        offset: f64,
        replay_through: f64,
    ) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn placed(this: &Host, consumer: u32, epoch: &str, offset: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn state(
        this: &Host,
        to: &str,
        reason: &str,
        retry_in_ms: Option<f64>,
        attempt: u32,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn welcome(
        this: &Host,
        session: &str,
        subject: &str,
        max_frame_bytes: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn gap(this: &Host, consumer: u32, gap: &JsValue) -> Result<bool, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn resumed(this: &Host, consumer: u32, result: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn ended(this: &Host, stream: u32, reason: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn settled(
        this: &Host,
        id: &str,
        receipt: &JsValue,
        error: Option<&str>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn message(this: &Host, frame: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn error(this: &Host, code: &str, message: &str, frame: &JsValue) -> Result<(), JsValue>;
}
