//! Who may use which thread: each user their own, the members of it, or whom the backend says.

mod ask;

use std::fmt;
use std::sync::Arc;

use agentwire_bridge::{Authorizer, Grant, INBOX, Notified, OwnStreams, Refusal, StreamKey};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use serde::Deserialize;

pub use ask::Asker;

/// Longest name of a thread that a page can use, in bytes (GEN-6).
const MAX_NAME_BYTES: usize = 256;

/// What a user may do with a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Access {
    /// Subscribe and read.
    pub read: bool,
    /// Send, cancel, withdraw, edit.
    pub write: bool,
    /// Answer approvals.
    pub approve: bool,
    /// Act on what belongs to another user. Needs `write`, too.
    pub manage: bool,
    /// Run the tools that agents ask pages for.
    pub claim: bool,
}

impl Access {
    /// These rights to a stream.
    pub fn to(self, stream: StreamKey) -> Grant {
        let Self { read, write, approve, manage, claim } = self;
        Grant { stream, read, write, approve, manage, claim }
    }
}

/// Knows the members of threads.
pub trait Membership: Send + Sync + 'static {
    /// What a user may do with the thread of this key; `None` if the user is no member, or there is no such thread.
    fn access<'a>(&'a self, thread: &'a str, user: &'a str)
    -> BoxFuture<'a, Result<Option<Access>, Refusal>>;

    /// The members that may read the thread of this key.
    fn readers<'a>(&'a self, thread: &'a str) -> BoxFuture<'a, Result<Vec<String>, Refusal>>;
}

/// Who decides.
#[derive(Clone)]
pub(super) enum Mode {
    Own,
    Members(Arc<dyn Membership>),
    Ask(Arc<Asker>),
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "Own",
            Self::Members(_) => "Members",
            Self::Ask(_) => "Ask",
        })
    }
}

/// The [`Authorizer`] of the server. Who decides can be replaced. Clones share it.
///
/// The `inbox` is always the user's own, whoever decides about threads.
#[derive(Clone, Debug)]
pub struct Rights(Arc<ArcSwap<Mode>>);

impl Rights {
    pub(super) fn new(mode: Mode) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(mode)))
    }

    pub(super) fn replace(&self, mode: Mode) {
        self.0.store(Arc::new(mode));
    }

    /// Forgets what the backend has said about a user.
    pub fn forget_user(&self, user: &str) {
        if let Mode::Ask(asker) = &**self.0.load() {
            asker.forget_user(user);
        }
    }
}

impl Authorizer for Rights {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            if name == INBOX {
                return OwnStreams.open(subject, name).await;
            }
            match &*self.0.load_full() {
                Mode::Own => OwnStreams.open(subject, name).await,
                Mode::Members(members) => {
                    let stream = StreamKey::from_text(name).map_err(|_| Refusal::UnknownStream)?;
                    // Who is no member does not learn whether there is such a thread.
                    let access = members.access(name, subject).await?.ok_or(Refusal::UnknownStream)?;
                    Ok(access.to(stream))
                }
                Mode::Ask(asker) => asker.open(subject, name).await,
            }
        })
    }

    fn notified<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Vec<Notified>, Refusal>> {
        Box::pin(async move {
            match &*self.0.load_full() {
                Mode::Own => OwnStreams.notified(stream).await,
                Mode::Members(members) => {
                    let thread = stream.as_str();
                    // No page can name it.
                    if thread.len() > MAX_NAME_BYTES {
                        return Ok(Vec::new());
                    }
                    let readers = members.readers(thread).await?;
                    let inboxes = readers.iter().filter_map(|user| StreamKey::new(user, INBOX).ok());
                    Ok(inboxes.map(|inbox| Notified { inbox, thread: thread.to_owned() }).collect())
                }
                // The backend is asked about one user at a time: nobody knows all of them. A key such as `team-7/plan`
                // says nothing about a user called `team-7`.
                Mode::Ask(_) => Ok(Vec::new()),
            }
        })
    }
}
