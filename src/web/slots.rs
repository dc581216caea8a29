//! Values of JavaScript that the core only moves around.

use wasm_bindgen::JsValue;

use crate::proto::Slot;

/// Bodies, tokens and parsed frames, by number. The values themselves never enter wasm memory.
#[derive(Debug, Default)]
pub(super) struct Slots {
    values: Vec<Option<JsValue>>,
    free: Vec<u32>,
}

impl Slots {
    pub(super) fn keep(&mut self, value: JsValue) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            // The window and the outbox keep this far below 2^32.
            (self.values.len() - 1) as u32
        });
        self.values[index as usize] = Some(value);
        Slot(index)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<JsValue> {
        self.values.get(slot.0 as usize)?.clone()
    }

    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(value) = self.values.get_mut(slot.0 as usize)
            && value.take().is_some()
        {
            self.free.push(slot.0);
        }
    }
}
