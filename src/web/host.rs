//! What the core asks of its host: `Host` of `pkg/src/raw.ts`, and the objects handed to it.

use js_sys::{Array, Object};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::WebSocket;

use crate::proto::{Gap, Verdict, wire::Writer as _};

use super::json::Built;

// The host promises not to throw. `catch` keeps a broken promise from leaving the driver in the middle of its loop.
#[wasm_bindgen]
extern "C" {
    /// The object of the package that the core calls.
    #[derive(Clone, Debug)]
    pub type Host;

    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn socket(this: &Host, socket: Option<WebSocket>) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = wellFormed)]
    pub(super) fn well_formed(this: &Host, frame: &JsValue) -> Result<bool, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn token(this: &Host) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn deliver(
        this: &Host,
        consumer: u32,
        frame: &JsValue,
        skip: u32,
        take: u32,
        offset: f64,
        replay_through: f64,
    ) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn position(this: &Host, stream: u32, epoch: &str, offset: f64) -> Result<(), JsValue>;
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
    pub(super) fn resumed(this: &Host, stream: u32, verdict: &JsValue) -> Result<(), JsValue>;
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

/// Offsets stay below 2^53, where an `f64` is exact.
#[allow(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) const fn number(number: u64) -> f64 {
    number as f64
}

fn build(members: &[(&str, JsValue)]) -> JsValue {
    let mut object = Built(Object::new().into());
    for (name, value) in members {
        object.set(name, Built(value.clone()));
    }
    object.0
}

fn optional<T: Into<JsValue>>(value: Option<T>) -> JsValue {
    value.map_or(JsValue::UNDEFINED, Into::into)
}

/// Makes a `RawGap`.
pub(super) fn gap(gap: &Gap) -> JsValue {
    build(&[
        ("from", number(gap.from).into()),
        ("to", optional(gap.to.map(number))),
        ("reason", gap.reason.as_str().into()),
        ("epoch", optional(gap.epoch.as_deref())),
        ("next", number(gap.next).into()),
    ])
}

/// Makes a `RawVerdict`.
pub(super) fn verdict(verdict: &Verdict) -> JsValue {
    let runs = verdict.open_runs.iter().map(|run| JsValue::from_str(run)).collect::<Array>();
    build(&[
        ("recovered", verdict.recovered.into()),
        ("epoch", verdict.epoch.as_str().into()),
        ("from", number(verdict.from).into()),
        ("to", number(verdict.to).into()),
        ("replayed", number(verdict.replayed).into()),
        ("duplicatesDropped", number(verdict.duplicates_dropped).into()),
        ("attempts", verdict.attempts.into()),
        ("openRuns", runs.into()),
        ("gap", verdict.gap.as_ref().map_or(JsValue::UNDEFINED, gap)),
    ])
}
