//! What was sent of a stream and is not acknowledged: the part of the window that is used (FLO-1).

use std::collections::VecDeque;

/// Parts that a full window is counted in. What is acknowledged inside a part counts when all of it is; so a window of
/// any size costs some hundred bytes.
const PARTS: usize = 64;

/// Events and bytes above the last acknowledged offset.
#[derive(Debug)]
pub(super) struct InFlight {
    parts: VecDeque<Part>,
    events: usize,
    bytes: usize,
    /// Most events of one part.
    part_events: usize,
}

#[derive(Debug)]
struct Part {
    last: u64,
    events: usize,
    bytes: usize,
}

impl InFlight {
    /// `window`: events that may be in flight.
    pub(super) fn new(window: usize) -> Self {
        Self { parts: VecDeque::new(), events: 0, bytes: 0, part_events: (window / PARTS).max(1) }
    }

    pub(super) const fn events(&self) -> usize {
        self.events
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// An event was sent; they come in the order of their offsets.
    pub(super) fn sent(&mut self, offset: u64, bytes: usize) {
        match self.parts.back_mut().filter(|part| part.events < self.part_events) {
            Some(part) => {
                part.last = offset;
                part.events += 1;
                part.bytes += bytes;
            }
            None => self.parts.push_back(Part { last: offset, events: 1, bytes }),
        }
        self.events += 1;
        self.bytes += bytes;
    }

    /// Everything up to an offset was acknowledged.
    pub(super) fn acked(&mut self, through: u64) {
        while let Some(part) = self.parts.pop_front_if(|part| part.last <= through) {
            self.events -= part.events;
            self.bytes -= part.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PROTOCOL: FLO-1, FLO-2
    #[test]
    fn a_small_window_is_counted_by_the_event_and_a_large_one_in_parts() {
        let mut small = InFlight::new(16);
        (1..=16).for_each(|offset| small.sent(offset, 10));
        small.acked(5);
        assert_eq!((small.events(), small.bytes()), (11, 110));
        let mut large = InFlight::new(65_536);
        (1..=65_536).for_each(|offset| large.sent(offset, 10));
        assert!(large.parts.len() <= PARTS + 1, "{} parts", large.parts.len());
        large.acked(1_500);
        assert_eq!(large.events(), 65_536 - 1_024);
        large.acked(65_536);
        assert_eq!((large.events(), large.bytes(), large.parts.len()), (0, 0, 0));
    }
}
