//! The runs that live in this process, and the approvals they wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Decision;
use crate::stream::StreamKey;

/// Finds a live run by its stream and id. Bounded by what the agents of this process keep open.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Places<CancellationToken>,
    waiting: Arc<Places<oneshot::Sender<Decision>>>,
}

/// What is known by a stream and the id of a run or an approval.
type Places<T> = Mutex<HashMap<(StreamKey, Arc<str>), T>>;

impl Runs {
    pub(super) fn insert(&self, key: StreamKey, run: &Arc<str>, token: CancellationToken) {
        lock(&self.runs).insert((key, Arc::clone(run)), token);
    }

    pub(super) fn remove(&self, key: &StreamKey, run: &Arc<str>) {
        lock(&self.runs).remove(&(key.clone(), Arc::clone(run)));
    }

    /// Signals a run to stop. Returns whether it lives in this process.
    pub(crate) fn cancel(&self, key: &StreamKey, run: &str) -> bool {
        let token = lock(&self.runs).get(&(key.clone(), run.into())).cloned();
        // Outside the lock: waking runs code of others.
        token.as_ref().map(CancellationToken::cancel).is_some()
    }

    /// Waits for the answer to an approval; forgets it when the future is dropped.
    pub(super) fn wait_for(
        &self,
        key: StreamKey,
        approval: Arc<str>,
    ) -> impl Future<Output = Option<Decision>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let place = (key, approval);
        lock(&self.waiting).insert(place.clone(), sender);
        let entry = Waiting { waiting: Arc::clone(&self.waiting), place };
        async move {
            let _entry = entry;
            receiver.await.ok()
        }
    }

    /// Hands the answer to the run that waits for it, if one does.
    pub(crate) fn resolve(&self, key: &StreamKey, approval: &str, decision: Decision) {
        let waiting = lock(&self.waiting).remove(&(key.clone(), approval.into()));
        if let Some(waiting) = waiting {
            // The run may have stopped waiting; the answer is in the log either way.
            let _ = waiting.send(decision);
        }
    }
}

struct Waiting {
    waiting: Arc<Places<oneshot::Sender<Decision>>>,
    place: (StreamKey, Arc<str>),
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.place);
    }
}

/// The maps are whole between any two statements, so a panic elsewhere leaves them usable.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
