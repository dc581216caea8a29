//! What a session answers and has not sent yet.

use std::collections::VecDeque;

/// Answers that may wait for the socket; beyond it the socket is not read.
const MAX_ANSWERS: usize = 64;

/// Frames beside those of the streams, in order.
#[derive(Debug, Default)]
pub(super) struct Control {
    frames: VecDeque<String>,
    bytes: usize,
}

impl Control {
    pub(super) fn push_back(&mut self, frame: String) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(super) fn pop_front(&mut self) -> Option<String> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the socket is read although these wait.
    pub(super) fn has_room(&self, max_bytes: usize) -> bool {
        self.frames.len() < MAX_ANSWERS && self.bytes < max_bytes
    }
}

impl Extend<String> for Control {
    fn extend<T: IntoIterator<Item = String>>(&mut self, frames: T) {
        frames.into_iter().for_each(|frame| self.push_back(frame));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_not_read_while_many_answers_or_long_ones_wait() {
        let mut control = Control::default();
        assert!(control.has_room(10));
        control.push_back("0123456789".to_owned());
        assert!(!control.has_room(10) && control.has_room(11));
        control.extend((1..MAX_ANSWERS).map(|_| String::new()));
        assert!(!control.has_room(11));
        assert_eq!(control.pop_front().as_deref(), Some("0123456789"));
        assert!(control.has_room(1));
        assert_eq!(control.bytes(), 0);
    }
}
