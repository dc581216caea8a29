//! The last events of a stream, and frames of them, in memory: bounded for one stream and for all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::encoded::{Encoded, Frames, Shape};
use crate::limits::Limits;
use crate::log::take;

/// How much is kept. Shared by all streams of a hub.
#[derive(Debug)]
pub(crate) struct CacheBounds {
    events: usize,
    bytes: usize,
    bytes_in_total: usize,
    /// What all streams keep.
    total: AtomicUsize,
}

/// The last events of a stream.
pub(super) struct Recent {
    bodies: VecDeque<Arc<str>>,
    bytes: usize,
    frames: Frames,
    /// The part of the total that is its own.
    counted: usize,
    bounds: Arc<CacheBounds>,
}

impl CacheBounds {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            events: limits.cache_events,
            bytes: limits.cache_bytes,
            bytes_in_total: limits.cache_bytes_in_total,
            total: AtomicUsize::new(0),
        }
    }

    fn is_over(&self) -> bool {
        self.total.load(Ordering::Relaxed) > self.bytes_in_total
    }
}

impl Recent {
    pub(super) fn new(bounds: Arc<CacheBounds>) -> Self {
        Self { bodies: VecDeque::new(), bytes: 0, frames: Frames::default(), counted: 0, bounds }
    }

    pub(super) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Appends events, and forgets the oldest ones of this stream beyond a bound. Beyond the one in total, the stream that
    /// grows gives up its own.
    pub(super) fn extend<'a>(&mut self, bodies: impl Iterator<Item = &'a Arc<str>>) {
        for body in bodies {
            self.bytes += body.len();
            self.bodies.push_back(Arc::clone(body));
        }
        while self.bodies.len() > self.bounds.events || self.bytes > self.bounds.bytes {
            self.forget_oldest();
        }
        self.count();
        while self.bounds.is_over() && !self.bodies.is_empty() {
            self.forget_oldest();
            self.count();
        }
    }

    fn forget_oldest(&mut self) {
        self.bytes -= self.bodies.pop_front().map_or(0, |body| body.len());
    }

    /// Forgets all: an event has another text now, or is missing.
    pub(super) fn clear(&mut self) {
        self.bodies.clear();
        self.bytes = 0;
        self.frames.clear();
        self.count();
    }

    /// Events from one on, by its place among these.
    pub(super) fn page(&self, skip: usize, max_events: usize, max_bytes: usize) -> Vec<Arc<str>> {
        take(self.bodies.iter().skip(skip).cloned(), max_events, max_bytes)
    }

    /// The next frame of all events from `skip` on, if they are within what is asked for.
    pub(super) fn frame(
        &mut self,
        skip: usize,
        (shape, first): (Shape, u64),
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Encoded> {
        let bodies = self.bodies.make_contiguous().get(skip..)?;
        let bytes: usize = bodies.iter().map(|body| body.len()).sum();
        if bodies.is_empty() || bodies.len() > max_events || bytes > max_bytes {
            return None;
        }
        let frame = self.frames.get(shape, first, bodies);
        self.count();
        if self.bounds.is_over() {
            self.frames.clear();
            self.count();
        }
        Some(frame)
    }

    /// Keeps its part of the total as it is. All streams share the total, so it is left alone if nothing has changed, as with
    /// a frame that was there already.
    fn count(&mut self) {
        let now = self.bytes + self.frames.bytes();
        if now == self.counted {
            return;
        }
        self.bounds.total.fetch_add(now, Ordering::Relaxed);
        self.bounds.total.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = now;
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        self.bounds.total.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: usize) -> Arc<str> {
        "x".repeat(bytes).into()
    }

    #[test]
    fn a_stream_keeps_its_last_events_within_its_bounds_and_that_of_all() {
        let limits =
            Limits { cache_events: 4, cache_bytes: 100, cache_bytes_in_total: 150, ..Limits::default() };
        let bounds = Arc::new(CacheBounds::new(&limits));
        let total = || bounds.total.load(Ordering::Relaxed);
        let (mut one, mut other) = (Recent::new(Arc::clone(&bounds)), Recent::new(Arc::clone(&bounds)));
        one.extend([&body(10); 6].into_iter());
        assert_eq!((one.len(), total()), (4, 40), "events");
        one.extend([&body(80)].into_iter());
        assert_eq!((one.len(), total()), (3, 100), "bytes");
        other.extend([&body(30), &body(30)].into_iter());
        assert_eq!((one.len(), other.len(), total()), (3, 1, 130), "the one that grows gives up its own");
        // A frame counts, and is not kept when there is no room for it.
        let shape = Shape { ch: 1, deltas: false };
        assert!(other.frame(0, (shape, 1), 10, 1_000).is_some());
        assert_eq!(total(), 130);
        one.clear();
        let frame = other.frame(0, (shape, 1), 10, 1_000).unwrap();
        assert_eq!(total(), 30 + frame.text.len());
        drop((one, other));
        assert_eq!(total(), 0);
    }

    #[test]
    fn a_frame_has_all_events_from_one_on_or_none() {
        let mut recent = Recent::new(Arc::new(CacheBounds::new(&Limits::default())));
        recent.extend([&body(10), &body(20), &body(30)].into_iter());
        let mut sizes = |skip, max_events, max_bytes| {
            let shape = Shape { ch: 1, deltas: false };
            recent
                .frame(skip, (shape, 1 + skip as u64), max_events, max_bytes)
                .map(|frame| frame.sizes.to_vec())
        };
        assert_eq!(sizes(1, 2, 50), Some(vec![20, 30]));
        assert_eq!([sizes(1, 1, 50), sizes(1, 2, 49), sizes(3, 9, 999)], [None, None, None]);
    }
}
