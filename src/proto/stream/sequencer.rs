//! Puts what arrives on one stream into order.

use crate::proto::{config::MAX_PARKED, ids::Slot};

/// How a range of offsets relates to what is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It lies beyond the next offset: something before it is missing.
    Early,
    /// It brings the next offset, perhaps behind some that came before.
    Next,
    /// All of it came before.
    Old,
}

/// A frame, which may have to wait for what comes before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) slot: Slot,
    /// About how many bytes it has.
    pub(crate) bytes: u32,
}

impl Parked {
    pub(crate) fn last(self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

/// The stream keeps as many early frames as it may (RPL-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParkedFull;

/// The order of one stream: the next offset, and frames that came too early.
#[derive(Debug, Default)]
pub(crate) struct Sequencer {
    next: u64,
    /// By their first offset. At most a few dozen, so a sorted list is both smaller and faster than a tree.
    parked: Vec<Parked>,
}

impl Sequencer {
    /// The offset that is expected next; 0 while the stream has no position.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn parked_frames(&self) -> usize {
        self.parked.len()
    }

    /// Starts at an offset. Whatever is parked must have been taken before.
    pub(crate) fn start_at(&mut self, next: u64) {
        debug_assert!(self.parked.is_empty(), "parked frames would be lost with their slots");
        self.next = next;
    }

    /// Moves past `last`; never back.
    pub(crate) fn advance_past(&mut self, last: u64) {
        self.next = self.next.max(last + 1);
    }

    pub(crate) fn classify(&self, first: u64, count: u32) -> Arrival {
        if first > self.next {
            Arrival::Early
        } else if first + u64::from(count) > self.next {
            Arrival::Next
        } else {
            Arrival::Old
        }
    }

    /// Keeps an early frame. Returns the slot that is not needed, if a frame with this beginning is kept already.
    pub(crate) fn park(&mut self, frame: Parked) -> Result<Option<Slot>, ParkedFull> {
        match self.parked.binary_search_by_key(&frame.first, |kept| kept.first) {
            Ok(index) => {
                let kept = &mut self.parked[index];
                let shorter = if frame.count > kept.count { std::mem::replace(kept, frame) } else { frame };
                Ok(Some(shorter.slot))
            }
            Err(_) if self.parked.len() >= MAX_PARKED => Err(ParkedFull),
            Err(index) => {
                self.parked.insert(index, frame);
                Ok(None)
            }
        }
    }

    /// Takes the first parked frame that is no longer early.
    pub(crate) fn take_ready(&mut self) -> Option<Parked> {
        let first = self.parked.first()?.first;
        (first <= self.next).then(|| self.parked.remove(0))
    }

    /// Takes every parked frame, so that its slot can be released.
    pub(crate) fn take_parked(&mut self) -> impl Iterator<Item = Parked> {
        std::mem::take(&mut self.parked).into_iter()
    }

    /// The last offset of the parked frames; 0 without any.
    pub(crate) fn last_parked(&self) -> u64 {
        self.parked.iter().map(|frame| frame.last()).max().unwrap_or(0)
    }

    /// Returns the offsets that are missing before the first parked frame.
    pub(crate) fn hole(&self) -> Option<(u64, u64)> {
        let first = self.parked.first()?.first;
        (first > self.next).then(|| (self.next, first - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(first: u64, count: u32) -> Parked {
        Parked { first, count, slot: Slot(u32::try_from(first).expect("small")), bytes: 0 }
    }

    #[test]
    fn ranges_are_classified_at_their_edges() {
        let mut sequencer = Sequencer::default();
        sequencer.start_at(5);
        assert_eq!(sequencer.classify(1, 4), Arrival::Old);
        assert_eq!(sequencer.classify(4, 1), Arrival::Old);
        assert_eq!(sequencer.classify(4, 2), Arrival::Next);
        assert_eq!(sequencer.classify(5, 1), Arrival::Next);
        assert_eq!(sequencer.classify(1, 100), Arrival::Next);
        assert_eq!(sequencer.classify(6, 1), Arrival::Early);
    }

    #[test]
    fn parked_frames_come_back_in_order_once_the_hole_is_closed() {
        let mut sequencer = Sequencer::default();
        sequencer.start_at(1);
        sequencer.park(parked(9, 1)).expect("room");
        sequencer.park(parked(5, 2)).expect("room");
        assert_eq!(sequencer.hole(), Some((1, 4)));
        assert!(sequencer.take_ready().is_none());
        sequencer.advance_past(4);
        assert_eq!(sequencer.hole(), None);
        assert_eq!(sequencer.take_ready().map(|frame| frame.first), Some(5));
        sequencer.advance_past(6);
        assert!(sequencer.take_ready().is_none());
        assert_eq!(sequencer.hole(), Some((7, 8)));
    }

    #[test]
    fn of_two_frames_with_one_beginning_the_longer_stays() {
        let mut sequencer = Sequencer::default();
        sequencer.start_at(1);
        assert_eq!(sequencer.park(Parked { first: 5, count: 1, slot: Slot(1), bytes: 0 }), Ok(None));
        assert_eq!(sequencer.park(Parked { first: 5, count: 3, slot: Slot(2), bytes: 0 }), Ok(Some(Slot(1))));
        assert_eq!(sequencer.park(Parked { first: 5, count: 2, slot: Slot(3), bytes: 0 }), Ok(Some(Slot(3))));
    }

    #[test]
    fn the_window_of_early_frames_is_bounded() {
        // PROTOCOL: RPL-6
        let mut sequencer = Sequencer::default();
        sequencer.start_at(1);
        for index in 0..MAX_PARKED as u64 {
            sequencer.park(parked(10 + 2 * index, 1)).expect("room");
        }
        assert_eq!(sequencer.park(parked(5_000, 1)), Err(ParkedFull));
        assert_eq!(sequencer.parked_frames(), MAX_PARKED);
    }

    #[test]
    fn the_position_never_moves_back() {
        let mut sequencer = Sequencer::default();
        sequencer.start_at(10);
        sequencer.advance_past(3);
        assert_eq!(sequencer.next(), 10);
    }
}
