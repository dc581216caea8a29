//! Background work that a shutdown waits for.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::counters::{Counter, Handles};

/// Runs tasks and counts them. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
    counter: Counter,
}

impl Tasks {
    /// # Panics
    /// Panics outside of a tokio runtime.
    pub(crate) fn new() -> Self {
        Self { tracker: TaskTracker::new(), runtime: Handle::current(), counter: Counter::default() }
    }

    /// Runs a task. Works outside of the runtime, too: in the drop of a run.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let counted = self.counter.count();
        let task = async move {
            let ended = task.await;
            drop(counted);
            ended
        };
        self.tracker.spawn_on(task, &self.runtime)
    }

    /// Counts a future that is driven by others.
    #[cfg(feature = "__simulation")]
    pub(crate) fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let counted = self.counter.count();
        self.tracker.track_future(async move {
            let ended = future.await;
            drop(counted);
            ended
        })
    }

    /// Counts the tasks.
    pub(crate) fn handles(&self) -> Handles {
        self.counter.handles(self.tracker.len())
    }

    /// Waits until nothing runs any more.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
