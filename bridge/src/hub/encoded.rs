//! Frames of live events that several sessions send: each is written once.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::wire::encode;

/// Frames of one stream that are kept: sessions have the stream under different numbers, and differ in how far they are.
const MAX_FRAMES: usize = 4;

/// Largest frame that is kept, in bytes.
const MAX_BYTES: usize = 16_384;

/// A frame of events.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    /// The frame, an `events` or a `deltas`.
    pub(crate) text: Bytes,
    /// Bytes of each event.
    pub(crate) sizes: Arc<[usize]>,
}

/// How the frames of a session are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) ch: u32,
    /// Whether the page reads `deltas`.
    pub(crate) deltas: bool,
}

impl Encoded {
    /// Writes the next frame of these events: as many as fit into one.
    pub(crate) fn new(shape: Shape, first: u64, bodies: &[Arc<str>]) -> Self {
        let (text, count) = encode::next_events(shape.ch, first, bodies, shape.deltas);
        Self { text: text.into(), sizes: bodies[..count].iter().map(|body| body.len()).collect() }
    }
}

/// The frames that were written last.
#[derive(Debug, Default)]
pub(super) struct Frames(VecDeque<(Place, Encoded)>);

/// What makes frames of one stream the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    shape: Shape,
    first: u64,
    count: usize,
}

impl Frames {
    /// The next frame of these events, which is written if it is not there.
    pub(super) fn get(&mut self, shape: Shape, first: u64, bodies: &[Arc<str>]) -> Encoded {
        let place = Place { shape, first, count: bodies.len() };
        if let Some((_, encoded)) = self.0.iter().find(|(of, _)| *of == place) {
            return encoded.clone();
        }
        let encoded = Encoded::new(shape, first, bodies);
        if encoded.text.len() <= MAX_BYTES {
            if self.0.len() >= MAX_FRAMES {
                self.0.pop_front();
            }
            self.0.push_back((place, encoded.clone()));
        }
        encoded
    }

    /// Bytes of all frames.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(_, encoded)| encoded.text.len()).sum()
    }

    /// Forgets all: an event has another text now.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(ch: u32) -> Shape {
        Shape { ch, deltas: false }
    }

    #[test]
    fn a_frame_is_written_once_for_all_who_send_it() {
        let bodies: [Arc<str>; 2] = [r#"{"type":"a"}"#.into(), r#"{"type":"bc"}"#.into()];
        let mut frames = Frames::default();
        let first = frames.get(shape(1), 7, &bodies);
        assert_eq!(
            (&*first.sizes, &first.text[..]),
            (&[12, 13][..], encode::next_events(1, 7, &bodies, false).0.as_bytes())
        );
        assert_eq!(frames.get(shape(1), 7, &bodies).text.as_ptr(), first.text.as_ptr());
        for (ch, first_offset, count) in [(2, 7, 2), (1, 8, 2), (1, 7, 1)] {
            assert_ne!(frames.get(shape(ch), first_offset, &bodies[..count]).text, first.text);
        }
        frames.get(shape(9), 7, &bodies);
        assert_eq!(frames.0.len(), MAX_FRAMES);
        let large = [Arc::<str>::from("x".repeat(MAX_BYTES))];
        frames.get(shape(1), 9, &large);
        assert!(frames.0.iter().all(|(place, _)| place.first != 9));
        frames.clear();
        assert_ne!(frames.get(shape(1), 7, &bodies).text.as_ptr(), first.text.as_ptr());
    }
}
