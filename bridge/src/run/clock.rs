//! The time that a run has, and what it does with it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The longest time that is measured: what is longer never ends.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// Times of a run. The time for which it waits for a person does not count.
#[derive(Debug)]
pub(super) struct Clock {
    times: Mutex<Times>,
    /// Notified when the run waits for nobody any more.
    resumed: Notify,
    /// Cancelled when the run is over.
    over: CancellationToken,
    /// That of the run that it is a part of: a sign of life of a part is one of the whole.
    parent: Option<Arc<Self>>,
}

#[derive(Debug)]
struct Times {
    last_sign: Mark,
    /// How many questions wait for a person.
    questions: usize,
    /// Since when at least one does.
    since: Instant,
    /// For how long at least one did, before that.
    waited: Duration,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    at: Instant,
    /// For how long the run had waited for people.
    waited: Duration,
}

/// The run waits for a person, and so do the runs that it is a part of.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Clock>);

impl Clock {
    pub(super) fn new(parent: Option<Arc<Self>>) -> Arc<Self> {
        let now = Instant::now();
        let last_sign = Mark { at: now, waited: Duration::ZERO };
        let times = Times { last_sign, questions: 0, since: now, waited: Duration::ZERO };
        Arc::new(Self {
            times: Mutex::new(times),
            resumed: Notify::new(),
            over: CancellationToken::new(),
            parent,
        })
    }

    /// This moment.
    pub(super) fn now(&self) -> Mark {
        self.times.lock().now()
    }

    /// The last sign of life.
    pub(super) fn last_sign(&self) -> Mark {
        self.times.lock().last_sign
    }

    /// The run gives a sign of life.
    pub(super) fn sign(&self) {
        for clock in self.and_above() {
            let mut times = clock.times.lock();
            times.last_sign = times.now();
        }
    }

    /// A question of the run waits for a person.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        for clock in self.and_above() {
            let mut times = clock.times.lock();
            if times.questions == 0 {
                times.since = Instant::now();
            }
            times.questions += 1;
        }
        Waiting(Arc::clone(self))
    }

    /// Resolves when so much time has passed since then.
    pub(super) async fn reach(&self, since: Mark, limit: Duration) {
        loop {
            let resumed = self.resumed.notified();
            tokio::pin!(resumed);
            // Before the look, so that nothing falls between the two.
            resumed.as_mut().enable();
            let due = self.times.lock().due(since, limit);
            match due {
                None => resumed.await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => sleep_until(at).await,
            }
        }
    }

    /// The run is over.
    pub(super) fn end(&self) {
        self.over.cancel();
    }

    /// Cancelled when the run is over.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    fn and_above(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |clock| clock.parent.as_deref())
    }
}

impl Times {
    fn now(&self) -> Mark {
        let now = Instant::now();
        let waiting = if self.questions == 0 { Duration::ZERO } else { now - self.since };
        Mark { at: now, waited: self.waited + waiting }
    }

    /// When so much time will have passed since then; `None` while the run waits for a person.
    fn due(&self, since: Mark, limit: Duration) -> Option<Instant> {
        (self.questions == 0).then(|| since.at + limit.min(LONGEST) + (self.waited - since.waited))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for clock in self.0.and_above() {
            let mut times = clock.times.lock();
            times.questions -= 1;
            if times.questions == 0 {
                let waited = times.since.elapsed();
                times.waited += waited;
                clock.resumed.notify_waiters();
            }
        }
    }
}
