//! Which turns agents may work on now: a bound for all and one for each user, and users are served in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// Turns of one user that there may be, for each one that may be worked on: the others wait for persons.
const TURNS_PER_PERMIT: usize = 8;

/// Counts turns. Those of one user are bounded by `max_per_user` and [`TURNS_PER_PERMIT`], whatever becomes of them.
#[derive(Debug)]
pub(crate) struct Turns {
    max: usize,
    max_per_user: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Turns that are worked on with a permit among all.
    running: usize,
    users: HashMap<Arc<str>, User>,
    /// Users of whom a turn waits, each once: the first one is served next.
    order: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct User {
    /// Turns that are worked on.
    running: usize,
    /// Turns that wait for a person.
    paused: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    rank: Rank,
    sender: oneshot::Sender<Permit>,
}

/// What one turn is counted as; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    /// `None` once it is given back.
    turns: Option<Arc<Turns>>,
    user: Arc<str>,
    part: Part,
}

/// What a turn takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A permit among all and one of its user: it is worked on.
    Full,
    /// A permit of its user only: it goes on without having waited for one, and must not hold up other users.
    Own,
    /// None: it waits for a person.
    Paused,
}

/// Where a turn waits among those of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Behind the others: it is new.
    New,
    /// Before the others: it was begun.
    Begun,
}

impl Turns {
    pub(crate) fn new(max: usize, max_per_user: usize) -> Self {
        Self { max, max_per_user, state: Mutex::default() }
    }

    /// Waits until a turn of a user may be worked on. One that stops waiting takes nothing.
    pub(crate) async fn permit(self: &Arc<Self>, user: &Arc<str>, rank: Rank) -> Permit {
        let (sender, permit) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let entry = state.users.entry(Arc::clone(user)).or_default();
            let is_first = entry.waiting.is_empty();
            let waiting = Waiting { rank, sender };
            match rank {
                Rank::New => entry.waiting.push_back(waiting),
                Rank::Begun => entry.waiting.push_front(waiting),
            }
            if is_first {
                state.order.push_back(Arc::clone(user));
            }
            self.admit(&mut state);
        }
        permit
            .await
            .expect("a sender leaves its queue only with a permit, and the queue lives as long as `self`")
    }

    /// Counts a turn now, whatever the bounds of those that are worked on say.
    fn count(self: &Arc<Self>, user: &Arc<str>, part: Part) -> Permit {
        self.state.lock().change(user, part, |count| *count += 1);
        Permit { turns: Some(Arc::clone(self)), user: Arc::clone(user), part }
    }

    /// Hands out permits as long as there are some, to one user after the other.
    fn admit(self: &Arc<Self>, state: &mut State) {
        // Users who may have no more; each of them has turns, so they are few.
        let mut passed_over = 0;
        while state.running < self.max && passed_over < state.order.len() {
            let Some(user) = state.order.pop_front() else { return };
            let Some(entry) = state.users.get_mut(&user) else { continue };
            if !entry.may_have_more(self.max_per_user) {
                state.order.push_back(user);
                passed_over += 1;
                continue;
            }
            if let Some(waiting) = entry.waiting.pop_front() {
                let permit =
                    Permit { turns: Some(Arc::clone(self)), user: Arc::clone(&user), part: Part::Full };
                match waiting.sender.send(permit) {
                    Ok(()) => {
                        entry.running += 1;
                        state.running += 1;
                    }
                    // It waits no more. It was not counted, and its drop must not take the lock that is held here.
                    Err(mut permit) => drop(permit.turns.take()),
                }
            }
            if !entry.waiting.is_empty() {
                state.order.push_back(user);
            } else if entry.is_idle() {
                state.users.remove(&user);
            }
            passed_over = 0;
        }
    }
}

impl State {
    /// Changes the counts that a part is counted in.
    fn change(&mut self, user: &Arc<str>, part: Part, change: impl Fn(&mut usize)) {
        if part == Part::Full {
            change(&mut self.running);
        }
        let entry = self.users.entry(Arc::clone(user)).or_default();
        change(if part == Part::Paused { &mut entry.paused } else { &mut entry.running });
        if entry.is_idle() {
            self.users.remove(user);
        }
    }
}

impl User {
    /// Whether the turn that waits for longest may be worked on, as far as its user goes.
    fn may_have_more(&self, max_per_user: usize) -> bool {
        let is_new = self.waiting.front().is_some_and(|waiting| waiting.rank == Rank::New);
        let turns = self.running + self.paused;
        self.running < max_per_user && (!is_new || turns < max_per_user.saturating_mul(TURNS_PER_PERMIT))
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.paused == 0 && self.waiting.is_empty()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        let mut state = turns.state.lock();
        state.change(&self.user, self.part, |count| *count -= 1);
        turns.admit(&mut state);
    }
}

/// The permit of a running turn, which it gives up while it waits for a person.
#[derive(Debug)]
pub(crate) struct TurnPermit {
    turns: Arc<Turns>,
    user: Arc<str>,
    held: Mutex<Held>,
    /// Notified when the turn waits for a person no more.
    resumed: Notify,
}

#[derive(Debug)]
enum Held {
    /// The agent works.
    Working(#[expect(dead_code, reason = "held, not read")] Permit),
    /// The agent waits for a person.
    Waiting(#[expect(dead_code, reason = "held, not read")] Permit),
    /// The turn is over; what it left behind is not counted.
    Over,
}

/// A turn waits for a person until this is over. A drop ends it, too: the agent goes on at once.
#[derive(Debug)]
pub(crate) struct Pause(Option<Arc<TurnPermit>>);

impl TurnPermit {
    pub(crate) fn new(turns: Arc<Turns>, user: Arc<str>, permit: Permit) -> Arc<Self> {
        Arc::new(Self { turns, user, held: Mutex::new(Held::Working(permit)), resumed: Notify::new() })
    }

    /// Gives the permit up while a person is asked.
    pub(crate) fn pause(self: Arc<Self>) -> Pause {
        // Counted before its permit is free, so that no other turn is begun in between.
        let paused = self.turns.count(&self.user, Part::Paused);
        drop(self.replace(|held| matches!(held, Held::Working(_)), Held::Waiting(paused)));
        Pause(Some(self))
    }

    /// Gives the permit up for good.
    pub(crate) fn end(&self) {
        drop(self.replace(|_| true, Held::Over));
        self.resumed.notify_waiters();
    }

    /// Goes on with a permit, unless another question of the turn has one already.
    fn resume(&self, permit: Permit) {
        drop(self.replace(|held| matches!(held, Held::Waiting(_)), Held::Working(permit)));
        self.resumed.notify_waiters();
    }

    fn is_waiting(&self) -> bool {
        matches!(*self.held.lock(), Held::Waiting(_))
    }

    /// Returns what is held no more, to be dropped outside of the lock.
    fn replace(&self, applies: impl FnOnce(&Held) -> bool, new: Held) -> Held {
        let mut held = self.held.lock();
        if applies(&held) { std::mem::replace(&mut *held, new) } else { new }
    }
}

impl Pause {
    /// Takes the permit again, before the agent goes on. Another question of the turn may take it meanwhile.
    pub(crate) async fn end(mut self) {
        if let Some(turn) = &self.0 {
            loop {
                // Before the look, so that nothing falls between the two.
                let resumed = turn.resumed.notified();
                if !turn.is_waiting() {
                    break;
                }
                tokio::select! {
                    biased;
                    // A second permit of the same turn may never come.
                    () = resumed => {}
                    permit = turn.turns.permit(&turn.user, Rank::Begun) => turn.resume(permit),
                }
            }
        }
        self.0 = None;
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(turn) = self.0.take()
            && turn.is_waiting()
        {
            // A drop cannot wait.
            turn.resume(turn.turns.count(&turn.user, Part::Own));
        }
    }
}

#[cfg(test)]
mod tests;
