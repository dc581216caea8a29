//! One worker for each stream that may have work.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::stream::StreamKey;

/// Streams with a worker, and whether it has to look once more before it ends. Bounded by the streams that have work.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<HashMap<StreamKey, bool>>);

impl Workers {
    /// Says that a stream may have work. Returns whether a worker has to be started for it.
    pub(crate) fn wake(&self, key: &StreamKey) -> bool {
        let mut workers = self.0.lock();
        match workers.get_mut(key) {
            Some(again) => {
                *again = true;
                false
            }
            None => {
                workers.insert(key.clone(), false);
                true
            }
        }
    }

    /// A worker found no work. Returns whether it has to look again; otherwise it ends with this call.
    pub(crate) fn must_look_again(&self, key: &StreamKey) -> bool {
        let mut workers = self.0.lock();
        match workers.get_mut(key) {
            Some(again) if *again => {
                *again = false;
                true
            }
            _ => {
                workers.remove(key);
                false
            }
        }
    }
}
