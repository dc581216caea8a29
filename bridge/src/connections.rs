//! How many sockets there are: before their `welcome`, in all, and of one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// Counts sockets. Those that have not said who they are share a bound of their own, so that silent ones cannot keep
/// users out who are connected or come back.
#[derive(Debug)]
pub(crate) struct Connections {
    opening: Arc<Semaphore>,
    welcomed: Arc<Semaphore>,
    users: Arc<Mutex<HashMap<String, usize>>>,
    per_user: usize,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// That of sockets before their `welcome`.
    Opening,
    /// That of all sockets.
    All,
    /// That of one user.
    User,
}

/// The place of a socket that was not welcomed yet.
pub(crate) struct Opening(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// The place of a socket of a user.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    users: Arc<Mutex<HashMap<String, usize>>>,
    user: String,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            opening: Arc::new(Semaphore::new(limits.max_opening)),
            welcomed: Arc::new(Semaphore::new(limits.max_connections)),
            users: Arc::default(),
            per_user: limits.max_connections_per_user,
        }
    }

    /// Takes a place for a new socket.
    pub(crate) fn open(&self) -> Result<Opening, Full> {
        Arc::clone(&self.opening).try_acquire_owned().map(Opening).map_err(|_| Full::Opening)
    }

    /// Takes a place for a socket whose user is known.
    pub(crate) fn seat(&self, user: &str) -> Result<Seat, Full> {
        let permit = Arc::clone(&self.welcomed).try_acquire_owned().map_err(|_| Full::All)?;
        let mut users = lock(&self.users);
        let count = users.get(user).copied().unwrap_or(0);
        if count >= self.per_user {
            return Err(Full::User);
        }
        users.insert(user.to_owned(), count + 1);
        Ok(Seat { _permit: permit, users: Arc::clone(&self.users), user: user.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut users = lock(&self.users);
        if let Some(count) = users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

/// The map is whole between any two statements, so a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_told_apart_and_places_come_back() {
        let limits =
            Limits { max_opening: 1, max_connections: 3, max_connections_per_user: 2, ..Limits::default() };
        let connections = Connections::new(&limits);
        let opening = connections.open().ok();
        assert_eq!(connections.open().err(), Some(Full::Opening));
        drop(opening);
        assert!(connections.open().is_ok());
        let ada = [connections.seat("ada").ok(), connections.seat("ada").ok()];
        assert_eq!(connections.seat("ada").err(), Some(Full::User));
        let bob = connections.seat("bob").ok();
        assert!(bob.is_some());
        assert_eq!(connections.seat("eve").err(), Some(Full::All));
        drop(ada);
        assert!(connections.seat("ada").is_ok());
        drop(bob);
        assert!(lock(&connections.users).is_empty());
    }
}
