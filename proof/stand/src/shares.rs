//! Who may do what with the threads that users share.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use agentwire_bridge::{Authorizer, Grant, INBOX, Notified, OwnStreams, Refusal, StreamKey};
use anyhow::{Context as _, Result};
use futures_util::future::BoxFuture;
use serde::Deserialize;

/// What a user may do with a thread.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Right {
    Read,
    Write,
    Approve,
    Manage,
}

/// The rights to each shared thread, by user. Every other name is a thread of the user who asks.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Shares(HashMap<String, HashMap<String, Vec<Right>>>);

impl Shares {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no map of threads, users and rights", path.display()))
    }

    fn grant(&self, subject: &str, name: &str) -> Option<Result<Grant, Refusal>> {
        let users = self.0.get(name)?;
        let Ok(stream) = StreamKey::from_text(name) else { return Some(Err(Refusal::UnknownStream)) };
        let Some(rights) = users.get(subject) else { return Some(Err(Refusal::Forbidden)) };
        let has = |right| rights.contains(&right);
        Some(Ok(Grant {
            read: has(Right::Read),
            write: has(Right::Write),
            approve: has(Right::Approve),
            manage: has(Right::Manage),
            ..Grant::read_only(stream)
        }))
    }
}

impl Authorizer for Shares {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        match self.grant(subject, name) {
            Some(grant) => Box::pin(std::future::ready(grant)),
            None => OwnStreams.open(subject, name),
        }
    }

    fn notified<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Vec<Notified>, Refusal>> {
        let Some(users) = self.0.get(stream.as_str()) else { return OwnStreams.notified(stream) };
        let readers = users.iter().filter(|(_, rights)| rights.contains(&Right::Read));
        let inboxes = readers.filter_map(|(user, _)| StreamKey::new(user, INBOX).ok());
        let notified = inboxes.map(|inbox| Notified { inbox, thread: stream.name() }).collect();
        Box::pin(std::future::ready(Ok(notified)))
    }
}
