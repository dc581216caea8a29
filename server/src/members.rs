//! Threads and their members, and users who were revoked, in a SQLite file of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use agentwire_bridge::Refusal;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::auth::rights::{Access, Membership};

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Right {
    /// Read the events.
    Read,
    /// Send, cancel, withdraw, edit.
    Write,
    /// Answer approvals.
    Approve,
    /// Act on what belongs to other members.
    Manage,
    /// Run tools that agents ask pages for.
    Claim,
}

/// The members of a thread, and what each may do.
pub(crate) type Members = BTreeMap<String, BTreeSet<Right>>;

/// Why the file was not read or written.
#[derive(Debug, thiserror::Error)]
#[error("the file of threads: {0}")]
pub(crate) struct MembersError(String);

impl From<rusqlite::Error> for MembersError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// The file of threads. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemberStore(Arc<Mutex<Connection>>);

impl MemberStore {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, MembersError> {
        Self::with(Connection::open(path)?)
    }

    /// A store that ends with the process.
    pub(crate) fn in_memory() -> Result<Self, MembersError> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(connection: Connection) -> Result<Self, MembersError> {
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS threads (key TEXT PRIMARY KEY, members TEXT NOT NULL) STRICT, WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS revoked (user TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// The members of a thread; `None` if none were put.
    pub(crate) async fn of(&self, thread: &str) -> Result<Option<Members>, MembersError> {
        let thread = thread.to_owned();
        self.run(move |connection| find(connection, &thread)).await
    }

    /// Puts the members of a thread. Returns those that it had.
    pub(crate) async fn put(&self, thread: &str, members: &Members) -> Result<Option<Members>, MembersError> {
        let thread = thread.to_owned();
        let text = serde_json::to_string(members).map_err(|error| MembersError(error.to_string()))?;
        self.run(move |connection| {
            let change = connection.transaction()?;
            let before = find(&change, &thread)?;
            let put = "INSERT INTO threads (key, members) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET members = ?2";
            change.execute(put, params![thread, text])?;
            change.commit()?;
            Ok(before)
        })
        .await
    }

    /// Removes a thread. Returns whether it was there.
    pub(crate) async fn delete(&self, thread: &str) -> Result<bool, MembersError> {
        let thread = thread.to_owned();
        self.run(
            move |connection| Ok(connection.execute("DELETE FROM threads WHERE key = ?1", [thread])? > 0),
        )
        .await
    }

    /// Threads by key, after one of them.
    pub(crate) async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Members)>, MembersError> {
        let after = after.unwrap_or_default().to_owned();
        self.run(move |connection| {
            let mut rows = connection
                .prepare_cached("SELECT key, members FROM threads WHERE key > ?1 ORDER BY key LIMIT ?2")?;
            let found = rows.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            found
                .map(|row| row.map_err(MembersError::from).and_then(|(key, text)| Ok((key, read(&text)?))))
                .collect()
        })
        .await
    }

    /// Threads that a user is a member of, by key.
    pub(crate) async fn of_user(&self, user: &str) -> Result<Vec<String>, MembersError> {
        let user = user.to_owned();
        self.run(move |connection| threads_of(connection, &user)).await
    }

    /// Takes a user out of all threads. Returns how many there were.
    pub(crate) async fn remove_user(&self, user: &str) -> Result<usize, MembersError> {
        let user = user.to_owned();
        self.run(move |connection| {
            let change = connection.transaction()?;
            let threads = threads_of(&change, &user)?;
            for thread in &threads {
                let mut members = find(&change, thread)?.unwrap_or_default();
                members.remove(&user);
                let text =
                    serde_json::to_string(&members).map_err(|error| MembersError(error.to_string()))?;
                change.execute("UPDATE threads SET members = ?2 WHERE key = ?1", params![thread, text])?;
            }
            change.commit()?;
            Ok(threads.len())
        })
        .await
    }

    /// Keeps that a user was revoked, and forgets those that were before `since_ms`.
    pub(crate) async fn note_revoked(
        &self,
        user: &str,
        at_ms: u64,
        since_ms: u64,
    ) -> Result<(), MembersError> {
        let user = user.to_owned();
        self.run(move |connection| {
            connection.execute("DELETE FROM revoked WHERE at_ms < ?1", [since_ms])?;
            connection.execute(
                "INSERT OR REPLACE INTO revoked (user, at_ms) VALUES (?1, ?2)",
                params![user, at_ms],
            )?;
            Ok(())
        })
        .await
    }

    /// Users who were revoked, and when.
    pub(crate) async fn revoked(&self) -> Result<Vec<(String, u64)>, MembersError> {
        self.run(|connection| {
            let mut rows = connection.prepare_cached("SELECT user, at_ms FROM revoked")?;
            let found =
                rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            Ok(found)
        })
        .await
    }

    /// Works with the file on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, MembersError> + Send + 'static,
    ) -> Result<T, MembersError> {
        let connection = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&mut connection.lock())).await;
        done.unwrap_or_else(|error| Err(MembersError(error.to_string())))
    }
}

impl Membership for MemberStore {
    fn access<'a>(
        &'a self,
        thread: &'a str,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Access>, Refusal>> {
        Box::pin(async move {
            let members = self.of(thread).await.map_err(unavailable)?;
            Ok(members.and_then(|mut members| members.remove(user)).map(|rights| access(&rights)))
        })
    }

    fn readers<'a>(&'a self, thread: &'a str) -> BoxFuture<'a, Result<Vec<String>, Refusal>> {
        Box::pin(async move {
            let members = self.of(thread).await.map_err(unavailable)?.unwrap_or_default();
            let readers = members.into_iter().filter(|(_, rights)| rights.contains(&Right::Read));
            Ok(readers.map(|(user, _)| user).collect())
        })
    }
}

fn access(rights: &BTreeSet<Right>) -> Access {
    let has = |right| rights.contains(&right);
    Access {
        read: has(Right::Read),
        write: has(Right::Write),
        approve: has(Right::Approve),
        manage: has(Right::Manage),
        claim: has(Right::Claim),
    }
}

fn unavailable(error: MembersError) -> Refusal {
    tracing::warn!(%error, "the members of a thread cannot be read now");
    Refusal::Unavailable
}

fn threads_of(connection: &Connection, user: &str) -> Result<Vec<String>, MembersError> {
    let mut rows = connection.prepare_cached(
        "SELECT key FROM threads WHERE EXISTS (SELECT 1 FROM json_each(members) AS one WHERE one.key = ?1) ORDER BY key",
    )?;
    let found = rows.query_map([user], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn find(connection: &Connection, thread: &str) -> Result<Option<Members>, MembersError> {
    let mut row = connection.prepare_cached("SELECT members FROM threads WHERE key = ?1")?;
    let text: Option<String> = row.query_row([thread], |row| row.get(0)).optional()?;
    text.map(|text| read(&text)).transpose()
}

fn read(text: &str) -> Result<Members, MembersError> {
    serde_json::from_str(text).map_err(|error| MembersError(format!("a row cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn members_are_put_replaced_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("threads.sqlite");
        let store = MemberStore::open(&path).unwrap();
        let members = |user: &str| Members::from([(user.to_owned(), BTreeSet::from([Right::Read]))]);
        assert_eq!(store.put("b", &members("ada")).await.unwrap(), None);
        assert_eq!(store.put("b", &members("bob")).await.unwrap(), Some(members("ada")));
        store.put("a", &members("ada")).await.unwrap();
        drop(store);
        let store = MemberStore::open(&path).unwrap();
        let read = Access { read: true, ..Access::default() };
        assert_eq!(store.access("b", "bob").await, Ok(Some(read)));
        assert_eq!(store.access("b", "ada").await, Ok(None));
        assert_eq!(store.readers("b").await, Ok(vec!["bob".to_owned()]));
        let list = store.list(None, 1).await.unwrap();
        assert_eq!(list, [("a".to_owned(), members("ada"))]);
        assert_eq!(store.list(Some("a"), 9).await.unwrap(), [("b".to_owned(), members("bob"))]);
        assert_eq!(store.of_user("bob").await.unwrap(), ["b"]);
        assert_eq!(
            (store.remove_user("bob").await.unwrap(), store.remove_user("bob").await.unwrap()),
            (1, 0)
        );
        assert_eq!(store.of("b").await.unwrap(), Some(Members::new()));
        assert!(store.delete("b").await.unwrap() && !store.delete("b").await.unwrap());
    }
}
