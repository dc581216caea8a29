//! How far each producer of a stream is: what makes a batch that is sent again happen once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stream::Position;

/// Producers of a stream that are remembered: about 200 bytes each. Of more, the one that was silent for longest is forgotten.
const MAX_PRODUCERS: usize = 4_096;

/// The producers of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Producers {
    #[serde(with = "super::pairs")]
    rows: HashMap<Arc<str>, Row>,
    /// When each was heard, once per producer; the row knows whether it was heard later.
    heard: VecDeque<(u64, Arc<str>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    seq: u64,
    epoch: Arc<str>,
    offset: u64,
    at_ms: u64,
}

impl Producers {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Notes the last event of a producer.
    pub(super) fn note(&mut self, producer: &Arc<str>, seq: u64, position: &Position, at_ms: u64) {
        let row = Row { seq, epoch: Arc::clone(&position.epoch), offset: position.offset, at_ms };
        if self.rows.insert(Arc::clone(producer), row).is_some() {
            return;
        }
        self.heard.push_back((at_ms, Arc::clone(producer)));
        while self.rows.len() > MAX_PRODUCERS && self.forget_first(None) {}
    }

    /// The last number of a producer, and its place.
    pub(super) fn last(&self, producer: &str) -> Option<(u64, Position)> {
        let row = self.rows.get(producer)?;
        Some((row.seq, Position { epoch: Arc::clone(&row.epoch), offset: row.offset }))
    }

    /// Forgets those that were silent for longer than the horizon.
    pub(super) fn forget(&mut self, now_ms: u64, horizon: Duration) {
        let horizon_ms = u64::try_from(horizon.as_millis()).unwrap_or(u64::MAX);
        let before = now_ms.saturating_sub(horizon_ms);
        while self.heard.front().is_some_and(|(at_ms, _)| *at_ms < before) && self.forget_first(Some(before))
        {
        }
    }

    /// Forgets the first one that was not heard later, or later than `before`. Returns whether there was one to look at.
    fn forget_first(&mut self, before: Option<u64>) -> bool {
        let Some((at_ms, producer)) = self.heard.pop_front() else { return false };
        match self.rows.get(&producer) {
            Some(row) if row.at_ms > at_ms && before.is_none_or(|before| row.at_ms >= before) => {
                self.heard.push_back((row.at_ms, producer));
            }
            _ => drop(self.rows.remove(&producer)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: "e".into(), offset }
    }

    #[test]
    fn a_producer_is_forgotten_after_the_horizon_of_its_last_event() {
        let mut producers = Producers::default();
        let (old, busy): (Arc<str>, Arc<str>) = ("old".into(), "busy".into());
        producers.note(&old, 3, &at(3), 1_000);
        producers.note(&busy, 1, &at(4), 1_000);
        producers.note(&busy, 2, &at(5), 6_000);
        let horizon = Duration::from_secs(5);
        producers.forget(6_000, horizon);
        assert_eq!(producers.last("old"), Some((3, at(3))));
        producers.forget(6_001, horizon);
        assert_eq!((producers.last("old"), producers.last("busy")), (None, Some((2, at(5)))));
        producers.forget(11_001, horizon);
        assert_eq!((producers.len(), producers.heard.len()), (0, 0));
    }

    #[test]
    fn the_producers_of_a_stream_are_bounded() {
        let mut producers = Producers::default();
        for n in 0..2 * MAX_PRODUCERS as u64 {
            producers.note(&"busy".into(), n, &at(n), 2 * n);
            producers.note(&format!("p{n}").into(), 1, &at(n), 2 * n + 1);
        }
        assert_eq!((producers.len(), producers.heard.len()), (MAX_PRODUCERS, MAX_PRODUCERS));
        assert!(producers.last("busy").is_some() && producers.last("p0").is_none());
        assert!(producers.last("p8191").is_some());
    }
}
