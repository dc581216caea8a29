//! Work on large frames: not on the threads that serve sockets, and fair to all users.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::bounds::users::User;

/// Bytes from which on a frame is heavy: below, reading it takes less time than to hand it over and back.
const HEAVY_BYTES: usize = 16_384;

type Job = Box<dyn FnOnce() + Send>;

/// Runs heavy work on threads of its own, for half of the processors, so that the other half serves sockets. They are
/// always the same threads: an allocator keeps memory for each thread, and such work needs much of it. They start with
/// the first heavy frame and end with the bridge.
#[derive(Default)]
pub(crate) struct Heavy {
    /// `None` if the system gives no thread.
    jobs: OnceLock<Option<Sender<Job>>>,
}

impl Heavy {
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
        let Some(jobs) = self.jobs.get_or_init(start) else { return work() };
        // Nobody closes it.
        let _own = user.heavy.acquire().await;
        let (answer, worked) = oneshot::channel();
        let job = move || {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        };
        // The threads end when this is dropped, and not before.
        let _ = jobs.send(Box::new(job));
        match worked.await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => std::future::pending().await,
        }
    }
}

fn start() -> Option<Sender<Job>> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (jobs, waiting) = channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut started = 0;
    for _ in 0..(processors / 2).max(1) {
        let waiting = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("agentwire-heavy".to_owned());
        match thread.spawn(move || work(&waiting)) {
            Ok(_) => started += 1,
            Err(error) => tracing::error!(%error, "no thread for large frames"),
        }
    }
    (started > 0).then_some(jobs)
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    // The lock is not held while a job runs.
    while let Ok(job) = { waiting.lock().recv() } {
        job();
    }
}

impl fmt::Debug for Heavy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heavy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::users::Users;
    use crate::limits::Limits;

    #[tokio::test]
    async fn heavy_work_leaves_its_thread_and_a_panic_comes_back() {
        let (heavy, user) = (Heavy::default(), Users::new(&Limits::default()).of("ada"));
        let here = std::thread::current().id();
        let thread = || std::thread::current().id();
        assert_eq!(heavy.run(&user, HEAVY_BYTES - 1, thread).await, here);
        assert_ne!(heavy.run(&user, HEAVY_BYTES, thread).await, here);
        let panics = heavy.run(&user, HEAVY_BYTES, || panic!("as expected"));
        let ended = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(panics)).await;
        assert!(ended.is_err());
        // The next one is served all the same.
        assert_eq!(heavy.run(&user, HEAVY_BYTES, || 7).await, 7);
    }

    #[tokio::test]
    async fn a_user_has_one_heavy_work_at_a_time_and_others_come_between() {
        let (heavy, users) = (Heavy::default(), Users::new(&Limits::default()));
        let (ada, bob) = (users.of("ada"), users.of("bob"));
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().push(name)
        };
        let work = [(&ada, "a1"), (&ada, "a2"), (&bob, "b1")];
        let work = work.map(|(user, name)| heavy.run(user, HEAVY_BYTES, note(name)));
        futures_util::future::join_all(work).await;
        let order = order.lock();
        assert!(
            order.iter().position(|one| *one == "b1") < order.iter().position(|one| *one == "a2"),
            "{order:?}"
        );
    }
}
