//! What attackers know of others: everything but the secret of the tokens.

use std::sync::{Mutex, OnceLock, PoisonError};

/// What one user has to lose in one stream.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) user: String,
    /// The stream, as the user calls it.
    pub(crate) name: String,
    pub(crate) epoch: String,
    pub(crate) head: u64,
    pub(crate) seal: Option<String>,
    /// A run that waits for an answer.
    pub(crate) run: String,
    pub(crate) approval: String,
    /// The message that the run answers.
    pub(crate) answered: String,
    /// A message that waits behind it.
    pub(crate) waiting: String,
}

/// The targets: one of each user in an own stream, and those in shared threads.
#[derive(Debug)]
pub(crate) struct Board {
    own: Vec<OnceLock<Target>>,
    shared: Mutex<Vec<Target>>,
}

impl Board {
    pub(crate) fn new(users: usize) -> Self {
        Self { own: std::iter::repeat_with(OnceLock::new).take(users).collect(), shared: Mutex::default() }
    }

    /// Posts what user number `n` has to lose in an own stream.
    pub(crate) fn post(&self, n: usize, target: Target) {
        // Posted once.
        let _ = self.own[n].set(target);
    }

    pub(crate) fn post_shared(&self, target: Target) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    }

    pub(crate) fn of(&self, n: usize) -> Option<&Target> {
        self.own.get(n)?.get()
    }

    pub(crate) fn shared(&self) -> Vec<Target> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
