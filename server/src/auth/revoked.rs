//! Users whose tokens were revoked.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::clock::now_ms;

/// Revocations that are remembered.
const MAX: usize = 100_000;

/// Longest name of a user, in bytes: no token names a longer one (GEN-6).
const MAX_NAME_BYTES: usize = 256;

/// Refuses tokens that were issued before their user was revoked.
///
/// A revocation is forgotten after a time that is as long as tokens are valid. If there are more than 100,000, the oldest
/// is forgotten earlier, and then all tokens that are as old as it are refused: those of no user are valid by mistake.
#[derive(Debug)]
pub struct Revoked {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keep_ms: u64,
    /// When each user was revoked for the last time.
    users: HashMap<String, u64>,
    /// The same by time; one that was revoked again is in it twice.
    order: VecDeque<(u64, String)>,
    /// Tokens that were issued up to here are refused, whoever has them.
    floor: Option<u64>,
}

impl Revoked {
    /// Remembers each revocation for `keep_ms`.
    pub fn new(keep_ms: u64) -> Self {
        Self::with(keep_ms, MAX)
    }

    fn with(keep_ms: u64, max: usize) -> Self {
        let state = State { keep_ms, users: HashMap::new(), order: VecDeque::new(), floor: None };
        Self { max, state: Mutex::new(state) }
    }

    pub(super) fn keep(&self, keep_ms: u64) {
        self.state.lock().keep_ms = keep_ms;
    }

    /// Refuses the tokens of a user that were issued up to now. Returns this time, in milliseconds since the Unix epoch.
    pub fn revoke(&self, user: &str) -> u64 {
        let now = now_ms();
        self.add(user, now);
        self.state.lock().forget(now);
        now
    }

    /// Takes in revocations of another process, with their times in milliseconds since the Unix epoch.
    pub fn restore(&self, revoked: impl IntoIterator<Item = (String, u64)>) {
        for (user, at) in revoked {
            self.add(&user, at);
        }
        self.state.lock().forget(now_ms());
    }

    fn add(&self, user: &str, at: u64) {
        if user.len() > MAX_NAME_BYTES {
            return;
        }
        let mut state = self.state.lock();
        let last = state.users.entry(user.to_owned()).or_insert(at);
        *last = at.max(*last);
        // Most are later than all others. Those of a clock that was set back, or of another process, are not.
        let place = state.order.partition_point(|(other, _)| *other <= at);
        state.order.insert(place, (at, user.to_owned()));
        // Beside the limit itself: a user that is revoked again and again is one user, and many entries.
        while state.order.len() > self.max {
            if let Some(at) = state.forget_oldest() {
                tracing::warn!(
                    max = self.max,
                    "too many users were revoked: all tokens as old as the oldest are refused"
                );
                state.floor = Some(at);
            }
        }
    }

    /// Whether a token of this user is refused. `issued` is its `iat` in milliseconds; one without is refused while the
    /// revocation is remembered.
    pub fn is_revoked(&self, user: &str, issued: Option<u64>) -> bool {
        self.is_revoked_at(user, issued, now_ms())
    }

    fn is_revoked_at(&self, user: &str, issued: Option<u64>, now: u64) -> bool {
        let mut state = self.state.lock();
        state.forget(now);
        let is_before = |at: &u64| issued.is_none_or(|issued| issued <= *at);
        state.users.get(user).is_some_and(is_before) || state.floor.as_ref().is_some_and(is_before)
    }
}

impl State {
    fn forget(&mut self, now: u64) {
        while self.order.front().is_some_and(|(at, _)| at.saturating_add(self.keep_ms) <= now) {
            self.forget_oldest();
        }
        self.floor = self.floor.filter(|at| at.saturating_add(self.keep_ms) > now);
    }

    /// Forgets the oldest entry. Returns its time if it was the last one of its user.
    fn forget_oldest(&mut self) -> Option<u64> {
        let (at, user) = self.order.pop_front()?;
        if self.users.get(&user) != Some(&at) {
            return None;
        }
        self.users.remove(&user);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_from_before_a_revocation_are_refused() {
        let revoked = Revoked::with(1_000, 10);
        revoked.add("ada", 5_000);
        assert!(revoked.is_revoked_at("ada", Some(4_999), 5_100));
        assert!(revoked.is_revoked_at("ada", Some(5_000), 5_100), "issued at the same time");
        assert!(revoked.is_revoked_at("ada", None, 5_100), "nobody knows when it was issued");
        assert!(!revoked.is_revoked_at("ada", Some(5_001), 5_100));
        assert!(!revoked.is_revoked_at("bob", Some(1), 5_100));
        revoked.add("ada", 5_500);
        assert!(revoked.is_revoked_at("ada", Some(5_400), 5_600), "a second time");
        assert!(
            revoked.is_revoked_at("ada", Some(5_400), 6_499),
            "the first revocation is over, the second is not"
        );
        assert!(!revoked.is_revoked_at("ada", Some(5_400), 6_500), "forgotten");
        assert!(!revoked.is_revoked_at("ada", None, 6_500));
        assert!(revoked.state.lock().users.is_empty() && revoked.state.lock().order.is_empty());
    }

    #[test]
    fn too_many_revocations_refuse_more_and_never_less() {
        let revoked = Revoked::with(1_000, 2);
        for (user, at) in [("ada", 10), ("bob", 20), ("cyd", 30)] {
            revoked.add(user, at);
        }
        assert_eq!(revoked.state.lock().order.len(), 2);
        assert!(revoked.is_revoked_at("ada", Some(10), 40), "forgotten, but below the floor");
        assert!(revoked.is_revoked_at("dan", Some(9), 40), "below the floor");
        assert!(!revoked.is_revoked_at("dan", Some(11), 40));
        assert!(revoked.is_revoked_at("dan", None, 40));
        assert!(!revoked.is_revoked_at("dan", Some(9), 1_010), "the floor is forgotten in its time");
    }

    #[test]
    fn revocations_of_another_process_are_taken_in_in_any_order() {
        let revoked = Revoked::with(u64::MAX, 10);
        let list = [("ada", 30), ("bob", 10), ("ada", 20)].map(|(user, at)| (user.to_owned(), at));
        revoked.restore(list);
        assert!(revoked.is_revoked("ada", Some(30)) && revoked.is_revoked("bob", Some(10)));
        assert!(!revoked.is_revoked("ada", Some(31)) && !revoked.is_revoked("bob", Some(11)));
        assert!(revoked.state.lock().order.iter().is_sorted());
        let now = revoked.revoke("bob");
        assert!(revoked.is_revoked("bob", Some(now)) && !revoked.is_revoked("bob", Some(now + 1)));
    }

    #[test]
    fn one_user_does_not_fill_it() {
        let revoked = Revoked::with(1_000, 2);
        for at in 1..100 {
            revoked.add("ada", at);
        }
        assert_eq!(revoked.state.lock().order.len(), 2);
        assert!(!revoked.is_revoked_at("bob", Some(1), 100), "no floor");
        assert!(revoked.is_revoked_at("ada", Some(99), 100));
    }
}
