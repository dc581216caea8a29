//! The objects that the host gets.

use js_sys::{Array, Object};
use wasm_bindgen::prelude::JsValue;

use super::json::Built;
use crate::proto::{Gap, ResumeResult, wire::Writer as _};

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
        ("life", gap.life.into()),
        ("next", number(gap.next).into()),
    ])
}

/// Makes a `RawResumeResult`.
pub(super) fn resume_result(result: &ResumeResult) -> JsValue {
    let texts = |runs: &Vec<String>| runs.iter().map(|run| JsValue::from_str(run)).collect::<Array>();
    let range = |(from, to): (u64, u64)| build(&[("from", number(from).into()), ("to", number(to).into())]);
    build(&[
        ("recovered", result.recovered.into()),
        ("epoch", result.epoch.as_str().into()),
        ("from", number(result.from).into()),
        ("to", number(result.to).into()),
        ("replayed", number(result.replayed).into()),
        ("duplicatesDropped", number(result.duplicates_dropped).into()),
        ("attempts", result.attempts.into()),
        ("openRuns", optional(result.open_runs.as_ref().map(texts))),
        ("gap", optional(result.gap.as_ref().map(gap))),
        ("skipped", optional(result.skipped.map(range))),
    ])
}
