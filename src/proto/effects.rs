//! What a step of the core leads to.

use super::{
    ids::Slot,
    output::{ClientError, Event, Output},
    stats::Stats,
};

/// The outputs of the core in the order in which the driver performs them, and the counters.
///
/// Every part of the core that does anything gets this one value, so no decision returns an output that a caller could
/// forget.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    outputs: Vec<Output>,
    /// How many of them were taken.
    taken: usize,
    pub(crate) stats: Stats,
}

impl Effects {
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Reports a fact to the application.
    pub(crate) fn report(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    pub(crate) fn error(&mut self, error: ClientError) {
        self.report(Event::Error(error));
    }

    pub(crate) fn release(&mut self, slot: Slot) {
        self.push(Output::Release(slot));
    }

    pub(crate) fn take(&mut self) -> Option<Output> {
        let Some(output) = self.outputs.get_mut(self.taken) else {
            self.outputs.clear();
            self.taken = 0;
            return None;
        };
        self.taken += 1;
        Some(std::mem::replace(output, Output::Timeout(None)))
    }
}
