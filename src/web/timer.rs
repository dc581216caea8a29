//! The one timer of a client. A function for it is made once: to arm it is one call, and one more to take back what was armed
//! before.

use std::cell::RefCell;

use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};

use crate::proto::{Duration, Instant};

#[wasm_bindgen]
extern "C" {
    // Of windows and workers alike.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(run: &JsValue, delay_ms: u32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
}

/// The longest delay `setTimeout` takes, in milliseconds; a longer one would fire at once.
const MAX_DELAY_MS: u64 = (1 << 31) - 1;

#[derive(Debug)]
pub(super) struct Timer {
    run: Closure<dyn Fn(JsValue)>,
    /// When it fires, and its number.
    armed: RefCell<Option<(Instant, JsValue)>>,
}

impl Timer {
    /// Makes a timer that calls `run`, which takes note by [`fired`](Self::fired).
    pub(super) fn new(run: impl Fn(JsValue) + 'static) -> Self {
        Self { run: Closure::new(run), armed: RefCell::default() }
    }

    /// It has fired.
    pub(super) fn fired(&self) {
        self.armed.take();
    }

    /// Arms it for a deadline; leaves it alone when it fires in time: one that fires early finds nothing to do and is armed again,
    /// which is cheaper than to arm it anew with each frame.
    pub(super) fn arm(&self, deadline: Option<Instant>, now: Instant) {
        let armed = self.armed.borrow().as_ref().map(|(at, _)| *at);
        if armed.is_some() && armed <= deadline {
            return;
        }
        self.stop();
        if let Some(at) = deadline {
            // One more than the rest: a timer may fire a fraction of a millisecond early.
            let delay = at.since(now) + Duration::from_millis(1);
            let id = set_timeout(self.run.as_ref(), delay.as_millis().min(MAX_DELAY_MS) as u32);
            self.armed.replace(Some((at, id)));
        }
    }

    fn stop(&self) {
        if let Some((_, id)) = self.armed.take() {
            clear_timeout(&id);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}
