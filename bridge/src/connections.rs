//! How many sockets there are: before their `welcome`, in all, and of one user.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;

/// Counts sockets. Those that have not said who they are share a bound of their own, and a new one takes the place of
/// the one that is silent for longest: silent ones keep nobody out who is connected, or comes back and speaks at once.
#[derive(Debug)]
pub(crate) struct Connections {
    opening: Arc<Mutex<Openings>>,
    max_opening: usize,
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

/// Sockets that were not welcomed yet.
#[derive(Debug, Default)]
struct Openings {
    /// How many have a place.
    taken: usize,
    /// Those of them that have not sent their `hello`, by number: the first one waits for longest.
    silent: BTreeMap<u64, CancellationToken>,
    /// The number of the next one.
    next: u64,
}

/// The place of a socket that was not welcomed yet.
pub(crate) struct Opening {
    openings: Arc<Mutex<Openings>>,
    number: u64,
    /// Cancelled when another socket has taken the place.
    displaced: CancellationToken,
}

/// The place of a socket of a user.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    users: Arc<Mutex<HashMap<String, usize>>>,
    user: String,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            opening: Arc::default(),
            max_opening: limits.max_opening,
            welcomed: Arc::new(Semaphore::new(limits.max_connections)),
            users: Arc::default(),
            per_user: limits.max_connections_per_user,
        }
    }

    /// Takes a place for a new socket, that of the one that is silent for longest if need be.
    pub(crate) fn open(&self) -> Result<Opening, Full> {
        let mut openings = lock(&self.opening);
        if openings.taken < self.max_opening {
            openings.taken += 1;
        } else {
            let (_, longest) = openings.silent.pop_first().ok_or(Full::Opening)?;
            longest.cancel();
        }
        let (number, displaced) = (openings.next, CancellationToken::new());
        openings.next += 1;
        openings.silent.insert(number, displaced.clone());
        Ok(Opening { openings: Arc::clone(&self.opening), number, displaced })
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

impl Opening {
    /// Waits until another socket has taken the place.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }

    /// Keeps the place from now on: the first frame is here. Fails when another socket has taken it.
    pub(crate) fn keep(&self) -> Result<(), Full> {
        lock(&self.openings).silent.remove(&self.number).map(drop).ok_or(Full::Opening)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut openings = lock(&self.openings);
        openings.silent.remove(&self.number);
        // One that was displaced has no place to give back.
        if !self.displaced.is_cancelled() {
            openings.taken -= 1;
        }
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

/// What is counted is whole between any two statements, so a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_own_error_and_places_come_back() {
        let limits =
            Limits { max_opening: 1, max_connections: 3, max_connections_per_user: 2, ..Limits::default() };
        let connections = Connections::new(&limits);
        let opening = connections.open().ok().unwrap();
        assert_eq!(opening.keep(), Ok(()));
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

    #[test]
    fn a_new_socket_takes_the_place_of_the_one_that_is_silent_for_longest() {
        use futures_util::FutureExt;

        let connections = Connections::new(&Limits { max_opening: 2, ..Limits::default() });
        let open = || connections.open().unwrap();
        let (first, second) = (open(), open());
        assert_eq!(first.keep(), Ok(()));
        let third = open();
        assert!(second.displaced().now_or_never().is_some() && third.displaced().now_or_never().is_none());
        // Its first frame came too late, and its place is not its own any more.
        assert_eq!(second.keep(), Err(Full::Opening));
        drop(second);
        assert_eq!(third.keep(), Ok(()));
        assert_eq!(lock(&connections.opening).taken, 2);
        assert_eq!(connections.open().err(), Some(Full::Opening));
        assert!(first.displaced().now_or_never().is_none());
        drop((first, third));
        let openings = lock(&connections.opening);
        assert_eq!((openings.taken, openings.silent.len()), (0, 0));
    }
}
