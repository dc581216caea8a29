//! Which turns agents may work on now: a bound for all and one for each user, and users are served in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Counts turns. Bounded by `max` and `max_per_user`, apart from turns that go on without being asked, which count too.
#[derive(Debug)]
pub(crate) struct Turns {
    max: usize,
    max_per_user: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    users: HashMap<Arc<str>, User>,
    /// Users of whom a turn waits, each once: the first one is served next.
    order: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct User {
    running: usize,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// The right of one turn to be worked on; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    /// `None` once it is given back.
    turns: Option<Arc<Turns>>,
    user: Arc<str>,
}

/// Where a turn waits among those of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Behind the others: it is new.
    New,
    /// Before the others: it was begun.
    Begun,
}

impl Turns {
    pub(super) fn new(max: usize, max_per_user: usize) -> Self {
        Self { max, max_per_user, state: Mutex::default() }
    }

    /// Waits until a turn of a user may be worked on. One that stops waiting takes nothing.
    pub(super) async fn permit(self: &Arc<Self>, user: &Arc<str>, rank: Rank) -> Permit {
        let (sender, permit) = oneshot::channel();
        {
            let mut state = self.lock();
            let entry = state.users.entry(Arc::clone(user)).or_default();
            let is_first = entry.waiting.is_empty();
            match rank {
                Rank::New => entry.waiting.push_back(sender),
                Rank::Begun => entry.waiting.push_front(sender),
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

    /// Counts a turn that goes on now, whatever the bounds say: others wait for it.
    fn permit_now(self: &Arc<Self>, user: &Arc<str>) -> Permit {
        let mut state = self.lock();
        state.running += 1;
        state.users.entry(Arc::clone(user)).or_default().running += 1;
        Permit { turns: Some(Arc::clone(self)), user: Arc::clone(user) }
    }

    /// Hands out permits as long as there are some, to one user after the other.
    fn admit(self: &Arc<Self>, state: &mut State) {
        // Users who may have no more; each of them has turns running, so they are few.
        let mut passed_over = 0;
        while state.running < self.max && passed_over < state.order.len() {
            let Some(user) = state.order.pop_front() else { return };
            let Some(entry) = state.users.get_mut(&user) else { continue };
            if entry.running >= self.max_per_user {
                state.order.push_back(user);
                passed_over += 1;
                continue;
            }
            if let Some(waiting) = entry.waiting.pop_front() {
                let permit = Permit { turns: Some(Arc::clone(self)), user: Arc::clone(&user) };
                match waiting.send(permit) {
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
            } else if entry.running == 0 {
                state.users.remove(&user);
            }
            passed_over = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        let mut state = turns.lock();
        state.running -= 1;
        if let Some(user) = state.users.get_mut(&self.user) {
            user.running -= 1;
            if user.running == 0 && user.waiting.is_empty() {
                state.users.remove(&self.user);
            }
        }
        turns.admit(&mut state);
    }
}

/// The place of a running turn, which it gives up while it waits for a person.
#[derive(Debug)]
pub(crate) struct Place {
    turns: Arc<Turns>,
    user: Arc<str>,
    held: Mutex<Held>,
}

#[derive(Debug)]
enum Held {
    /// The agent works.
    Working(#[expect(dead_code, reason = "held, not read")] Permit),
    /// The agent waits for a person.
    Waiting,
    /// The turn is over; what it left behind is not counted.
    Over,
}

/// A turn waits for a person until this is over. A drop ends it, too: the agent goes on at once.
pub(crate) struct Pause(Option<Arc<Place>>);

impl Place {
    pub(super) fn new(turns: Arc<Turns>, user: Arc<str>, permit: Permit) -> Arc<Self> {
        Arc::new(Self { turns, user, held: Mutex::new(Held::Working(permit)) })
    }

    /// Gives the place up while a person is asked.
    pub(crate) fn pause(self: Arc<Self>) -> Pause {
        drop(self.replace(|held| matches!(held, Held::Working(_)), Held::Waiting));
        Pause(Some(self))
    }

    /// Gives the place up for good.
    pub(super) fn end(&self) {
        drop(self.replace(|_| true, Held::Over));
    }

    fn is_waiting(&self) -> bool {
        matches!(*self.lock(), Held::Waiting)
    }

    /// Returns what is held no more, to be dropped outside of the lock.
    fn replace(&self, applies: impl FnOnce(&Held) -> bool, new: Held) -> Held {
        let mut held = self.lock();
        if applies(&held) { std::mem::replace(&mut *held, new) } else { new }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pause {
    /// Takes the place again, before the agent goes on. Another question of the turn may have taken it already.
    pub(crate) async fn end(mut self) {
        if let Some(place) = &self.0
            && place.is_waiting()
        {
            let permit = place.turns.permit(&place.user, Rank::Begun).await;
            drop(place.replace(|held| matches!(held, Held::Waiting), Held::Working(permit)));
        }
        self.0 = None;
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(place) = self.0.take()
            && place.is_waiting()
        {
            // A drop cannot wait.
            let permit = place.turns.permit_now(&place.user);
            drop(place.replace(|held| matches!(held, Held::Waiting), Held::Working(permit)));
        }
    }
}

#[cfg(test)]
mod tests;
