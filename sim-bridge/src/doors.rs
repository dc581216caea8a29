//! Who may do what: tokens and rights, as the plan gives and takes them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::simulation::now_ms;
use agentwire_bridge::{AuthError, Authenticator, Authorizer, Grant, Identity, Notified, Refusal, StreamKey};
use agentwire_sim::rng::Rng;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::sleep;

/// The users of a run.
pub const USERS: [&str; 2] = ["u0", "u1"];

/// The one of them who may act on the messages and runs of others.
pub const MANAGER: &str = USERS[0];

/// The rights of a run.
#[derive(Debug)]
pub struct Doors(Mutex<State>);

#[derive(Debug)]
struct State {
    withdrawn: BTreeSet<(String, String)>,
    slow_ms: u64,
    /// One answer in so many is that nobody knows; 0 is none.
    unsure: u64,
    rng: Rng,
}

/// The key of the thread that all users know by a name.
pub fn thread(name: &str) -> StreamKey {
    StreamKey::from_text(&format!("team.{name}")).expect("a short name")
}

/// The name by which a user knows the own inbox.
pub fn inbox_name(user: &str) -> String {
    format!("inbox-{user}")
}

/// The key of an inbox.
pub fn inbox(user: &str) -> StreamKey {
    StreamKey::from_text(&format!("box.{user}")).expect("a short name")
}

/// The key of a name, whoever may use it.
pub fn key_of(name: &str) -> StreamKey {
    name.strip_prefix("inbox-").map_or_else(|| thread(name), inbox)
}

impl Doors {
    /// All are open.
    pub fn new(seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self(Mutex::new(State { withdrawn: BTreeSet::new(), slow_ms: 0, unsure: 0, rng }))
    }

    /// Takes the right to a stream from a user. Returns whether there was one.
    pub fn withdraw(&self, user: &str, name: &str) -> bool {
        self.0.lock().withdrawn.insert((user.into(), name.into()))
    }

    /// Gives it back.
    pub fn give_back(&self, user: &str, name: &str) {
        self.0.lock().withdrawn.remove(&(user.into(), name.into()));
    }

    /// What is withdrawn.
    pub fn withdrawn(&self) -> Vec<(String, String)> {
        self.0.lock().withdrawn.iter().cloned().collect()
    }

    /// How long answers take, and how many of them are that nobody knows.
    pub fn set(&self, slow_ms: u64, unsure: u64) {
        let mut state = self.0.lock();
        (state.slow_ms, state.unsure) = (slow_ms, unsure);
    }

    fn ask(&self) -> (Duration, bool) {
        let mut state = self.0.lock();
        let (slow, chance) = (state.slow_ms, state.unsure);
        let delay = Duration::from_millis(state.rng.below(slow + 1));
        let is_unsure = chance > 0 && state.rng.one_in(chance);
        (delay, is_unsure)
    }
}

/// The token of a user; it expires so many milliseconds from now.
pub fn token(user: &str, expires_in_ms: Option<u64>) -> String {
    let expires = expires_in_ms.map_or(0, |left| now_ms().unwrap_or(0) + left);
    format!("{user}:{expires}")
}

/// What the bridge asks.
#[derive(Clone, Debug)]
pub struct Doorman(pub Arc<Doors>);

impl Authenticator for Doorman {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move {
            let (delay, is_unsure) = self.0.ask();
            if !delay.is_zero() {
                sleep(delay).await;
            }
            if is_unsure {
                return Err(AuthError::Unavailable("as the plan says".into()));
            }
            let Some((user, expires)) = token.split_once(':').filter(|(user, _)| USERS.contains(user)) else {
                return Err(AuthError::Invalid("nobody".into()));
            };
            let expires_at_ms = expires.parse().ok().filter(|expires| *expires > 0);
            Ok(Identity { subject: user.into(), expires_at_ms })
        })
    }
}

impl Authorizer for Doorman {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            let is_withdrawn = self.0.0.lock().withdrawn.contains(&(subject.into(), name.into()));
            let (delay, is_unsure) = self.0.ask();
            // What is true when it is asked may not be true when it is answered.
            if !delay.is_zero() {
                sleep(delay).await;
            }
            match name.strip_prefix("inbox-") {
                _ if is_unsure => Err(Refusal::Unavailable),
                _ if is_withdrawn => Err(Refusal::Forbidden),
                Some(user) if user == subject => Ok(Grant::read_only(inbox(user))),
                Some(_) => Err(Refusal::UnknownStream),
                None => Ok(Grant { manage: subject == MANAGER, ..Grant::all(thread(name)) }),
            }
        })
    }

    fn notified<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Vec<Notified>, Refusal>> {
        let notified = match stream.as_str().strip_prefix("team.") {
            Some(name) => {
                USERS.iter().map(|user| Notified { inbox: inbox(user), thread: name.into() }).collect()
            }
            None => Vec::new(),
        };
        let is_unsure = self.0.ask().1;
        Box::pin(std::future::ready(if is_unsure { Err(Refusal::Unavailable) } else { Ok(notified) }))
    }
}
