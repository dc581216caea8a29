//! Values of JavaScript that the core only moves around.

use wasm_bindgen::JsValue;

use super::host::Host;
use crate::proto::Slot;

/// Numbers from here on stand for frames, which the host keeps; smaller ones for values that are kept here.
const FRAMES: u32 = 1 << 31;

/// Bodies, tokens and parsed frames, by number. The values themselves never enter wasm memory.
///
/// The host keeps the frames: it parsed them, and it delivers from them, so a frame crosses the border only where the core
/// looks into it.
#[derive(Debug, Default)]
pub(super) struct Slots {
    values: Vec<Option<JsValue>>,
    free: Vec<u32>,
}

impl Slots {
    /// The slot of a frame that the host keeps under a number.
    pub(super) const fn of_frame(number: u32) -> Slot {
        Slot(number | FRAMES)
    }

    /// The number under which the host keeps a frame, if the slot is one of a frame.
    pub(super) const fn frame_in(slot: Slot) -> Option<u32> {
        if slot.0 >= FRAMES { Some(slot.0 & !FRAMES) } else { None }
    }

    pub(super) fn keep(&mut self, value: JsValue) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            // The outbox keeps this far below 2^31.
            (self.values.len() - 1) as u32
        });
        self.values[index as usize] = Some(value);
        Slot(index)
    }

    /// Looks a value up; `None` for a slot that was released.
    pub(super) fn get(&self, slot: Slot, host: &Host) -> Option<JsValue> {
        match Self::frame_in(slot) {
            Some(number) => host.frame(number).ok(),
            None => self.values.get(slot.0 as usize)?.clone(),
        }
    }

    /// Forgets a value that is kept here.
    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(value) = self.values.get_mut(slot.0 as usize)
            && value.take().is_some()
        {
            self.free.push(slot.0);
        }
    }
}
