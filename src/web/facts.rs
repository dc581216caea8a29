//! The objects that the host is handed.

use js_sys::{Array, Object};
use wasm_bindgen::prelude::JsValue;

use super::json::Built;
use crate::proto::{Gap, Verdict, wire::Writer as _};

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
