//! How many sockets there are: before their `welcome`, in all, and of one user.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::bounds::users::{Seat, User};
use crate::counters::{Counted, Counter, Handles};
use crate::limits::Limits;

/// Counts sockets. Those that have not said who they are share a bound of their own, and a new one takes the place of
/// the one that is silent for longest: silent ones keep nobody out who is connected, or comes back and speaks at once.
#[derive(Debug)]
pub(crate) struct Connections {
    opening: Arc<Mutex<Openings>>,
    max_opening: usize,
    welcomed: Arc<Semaphore>,
    max: usize,
    permits: Counter,
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

/// The place of a socket whose user is known.
pub(crate) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    seat: Seat,
    _counted: Counted,
}

impl ConnectionPermit {
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.seat.user
    }
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            opening: Arc::default(),
            max_opening: limits.max_opening,
            welcomed: Arc::new(Semaphore::new(limits.max_connections)),
            max: limits.max_connections,
            permits: Counter::default(),
        }
    }

    /// Counts the sockets that were welcomed.
    pub(crate) fn sessions(&self) -> Handles {
        self.permits.handles(self.max - self.welcomed.available_permits())
    }

    /// Returns the longest step of the backoff for the pages that are connected now (CLS-4).
    pub(crate) fn backoff_max(&self) -> Duration {
        backoff_max(self.max - self.welcomed.available_permits())
    }

    /// Takes a place for a new socket, that of the one that is silent for longest if need be.
    pub(crate) fn open(&self) -> Result<Opening, Full> {
        let mut openings = self.opening.lock();
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
    pub(crate) fn permit(&self, user: Arc<User>) -> Result<ConnectionPermit, Full> {
        let permit = Arc::clone(&self.welcomed).try_acquire_owned().map_err(|_| Full::All)?;
        let seat = user.sit().ok_or(Full::User)?;
        Ok(ConnectionPermit { _permit: permit, seat, _counted: self.permits.count() })
    }
}

impl Opening {
    /// Waits until another socket has taken the place.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }

    /// Keeps the place from now on: the first frame is here. Fails when another socket has taken it.
    pub(crate) fn keep(&self) -> Result<(), Full> {
        self.openings.lock().silent.remove(&self.number).map(drop).ok_or(Full::Opening)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut openings = self.openings.lock();
        openings.silent.remove(&self.number);
        // One that was displaced has no place to give back.
        if !self.displaced.is_cancelled() {
            openings.taken -= 1;
        }
    }
}

/// The longest step of the backoff for so many pages: 1 s for a handful, 2 s for 100, 15 s for 10,000, 60 s at most. Pages that all
/// lost their server then make about as many attempts in a second as it can answer, and a few are back at once.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rough figure between two bounds"
)]
fn backoff_max(pages: usize) -> Duration {
    // The power that goes through 2 s at 100 and 15 s at 10,000.
    let millis = 2_000.0 * (pages as f64 / 100.0).powf(0.4375);
    Duration::from_millis(millis.clamp(1_000.0, 60_000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::users::Users;

    #[tokio::test]
    async fn each_limit_has_its_own_error_and_places_come_back() {
        let limits =
            Limits { max_opening: 1, max_connections: 3, max_connections_per_user: 2, ..Limits::default() };
        let connections = Connections::new(&limits);
        let opening = connections.open().ok().unwrap();
        assert_eq!(opening.keep(), Ok(()));
        assert_eq!(connections.open().err(), Some(Full::Opening));
        drop(opening);
        assert!(connections.open().is_ok());
        let users = Users::new(&limits);
        let permit = |user| connections.permit(users.of(user));
        let ada = [permit("ada").ok(), permit("ada").ok()];
        assert_eq!(permit("ada").err(), Some(Full::User));
        let bob = permit("bob").ok();
        assert!(bob.is_some());
        assert_eq!(permit("eve").err(), Some(Full::All));
        drop(ada);
        assert!(permit("ada").is_ok());
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
        assert_eq!(connections.opening.lock().taken, 2);
        assert_eq!(connections.open().err(), Some(Full::Opening));
        assert!(first.displaced().now_or_never().is_none());
        drop((first, third));
        let openings = connections.opening.lock();
        assert_eq!((openings.taken, openings.silent.len()), (0, 0));
    }

    #[test]
    fn the_backoff_grows_with_the_number_of_pages() {
        // PROTOCOL: HEL-4, CLS-4
        let millis = |pages| backoff_max(pages).as_millis();
        assert_eq!([millis(0), millis(10), millis(100)], [1_000, 1_000, 2_000]);
        assert!((14_900..=15_100).contains(&millis(10_000)), "{}", millis(10_000));
        assert_eq!(millis(usize::MAX), 60_000);
    }
}
