//! Work on large frames: not on the threads that serve sockets, and fair to all users.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::users::User;

/// Bytes from which on a frame is heavy: below, reading it takes less time than to hand it over and back.
const HEAVY_BYTES: usize = 16_384;

/// Runs heavy work on a few threads of its own: half of the processors, so that the other half serves sockets.
#[derive(Debug)]
pub(crate) struct Heavy {
    permits: Arc<Semaphore>,
}

impl Heavy {
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new((processors / 2).max(1))) }
    }

    /// Runs work on so many bytes. Each user has one heavy work at a time, and the users come in turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        user: &User,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if bytes < HEAVY_BYTES {
            return work();
        }
        // Nobody closes them.
        let _own = user.heavy.acquire().await;
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let worked = tokio::task::spawn_blocking(move || {
            // Also when nobody waits for the answer any more.
            let _permit = permit;
            work()
        });
        match worked.await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
