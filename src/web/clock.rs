//! The time since the client was made, sleep included.

use std::cell::Cell;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::proto::Instant;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn date_now() -> f64;
}

/// A difference between the two clocks above which the machine was asleep, in milliseconds.
const ASLEEP_MS: f64 = 1_000.0;

/// A clock that never goes back and counts the time asleep.
///
/// `performance.now()` alone stands still while some systems sleep; `Date.now()` alone goes back when the user sets the
/// clock. Where the second runs ahead of the first by more than a second, the machine slept for the difference.
#[derive(Debug)]
pub(super) struct Clock {
    start: f64,
    last: Cell<(f64, f64)>,
    slept: Cell<f64>,
}

impl Clock {
    pub(super) fn new() -> Self {
        let now = performance_now();
        Self { start: now, last: Cell::new((now, date_now())), slept: Cell::new(0.0) }
    }

    pub(super) fn now(&self) -> Instant {
        let (steady, wall) = (performance_now(), date_now());
        let (last_steady, last_wall) = self.last.replace((steady, wall));
        let ahead = (wall - last_wall) - (steady - last_steady);
        if ahead > ASLEEP_MS {
            self.slept.set(self.slept.get() + ahead);
        }
        self.at(steady)
    }

    /// The time at a reading of `Date.now()`: for the frames of events, because `performance.now()` takes a quarter of a
    /// microsecond in Chromium and this one nothing that can be measured. Until the next [`now`](Self::now), which an
    /// acknowledgement brings within a second, a clock that the user set back stands still, and one set forward is ahead.
    pub(super) fn at_wall(&self, wall: f64) -> Instant {
        let (steady, last_wall) = self.last.get();
        self.at(steady + (wall - last_wall).max(0.0))
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds of a page's life"
    )]
    fn at(&self, steady: f64) -> Instant {
        Instant::from_millis((steady - self.start + self.slept.get()).max(0.0) as u64)
    }
}
