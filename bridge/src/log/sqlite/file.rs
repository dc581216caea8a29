//! The file itself: who may read it, and who has it open.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use parking_lot::Mutex;

use super::OpenError;

/// Makes an empty file that nobody else may read. SQLite gives its other files the same rights.
pub(super) fn create(path: &Path) -> io::Result<File> {
    private().create_new(true).open(path)
}

/// The lock of a log. It has to outlive each connection of SQLite: on Unix, a process that closes a file loses all locks
/// that it has on it, those of SQLite, too.
pub(super) struct Lock {
    _file: File,
    id: Option<FileId>,
}

/// What tells files apart, whatever their names are.
type FileId = (u64, u64);

/// The logs that this process has open. Such a file must not even be opened again, since it would have to be closed.
static OPEN: Mutex<BTreeSet<FileId>> = Mutex::new(BTreeSet::new());

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            OPEN.lock().remove(&id);
        }
    }
}

/// Locks the file, which is made when there is none. The lock is on the file and not on its name, so that a second name
/// leads to the same lock.
pub(super) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let fail = |error: &io::Error| unusable(path, &error.to_string());
    let mut open = OPEN.lock();
    if path.metadata().ok().and_then(|metadata| id_of(&metadata)).is_some_and(|id| open.contains(&id)) {
        return Err(OpenError::InUse(path.to_owned()));
    }
    let file = if cfg!(windows) {
        // There a locked file cannot be read, not even by SQLite.
        let mut beside = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
        beside.push(".lock");
        private().create(true).open(beside)
    } else {
        private().read(true).create(true).open(path)
    };
    let file = file.map_err(|error| fail(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => return Err(fail(&error)),
    }
    let metadata = file.metadata().map_err(|error| fail(&error))?;
    check_names(&metadata).map_err(|reason| unusable(path, &reason))?;
    let id = id_of(&metadata);
    open.extend(id);
    Ok(Lock { _file: file, id })
}

#[cfg(unix)]
fn id_of(metadata: &Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;

    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn id_of(_metadata: &Metadata) -> Option<FileId> {
    None
}

/// SQLite keeps what is not checkpointed in a file beside the log, by the name of the log. With a second name it would
/// not find it.
#[cfg(unix)]
fn check_names(metadata: &Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let names = metadata.nlink();
    if names > 1 {
        return Err(format!("the file has {names} names (hard links); remove the others, or use a copy"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_names(_metadata: &Metadata) -> Result<(), String> {
    Ok(())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unusable(path: &Path, reason: &str) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{hard_link, metadata};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::log::SqliteLog;

    // Faults D19.
    #[test]
    fn a_log_is_open_once_whatever_name_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link, hard] =
            ["log.sqlite", "link.sqlite", "hard.sqlite"].map(|name| folder.path().join(name));
        let log = SqliteLog::open(&path).unwrap();
        symlink(&path, &link).unwrap();
        assert!(matches!(SqliteLog::open(&link), Err(OpenError::InUse(_))));
        hard_link(&path, &hard).unwrap();
        assert!(matches!(SqliteLog::open(&hard), Err(OpenError::InUse(_))));
        drop(log);
        // The write-ahead log is found by one name only.
        let error = SqliteLog::open(&hard).unwrap_err().to_string();
        assert!(error.contains("2 names"), "{error}");
        std::fs::remove_file(&hard).unwrap();
        assert!(SqliteLog::open(&link).is_ok());
    }

    // Faults D22.
    #[tokio::test]
    async fn what_is_created_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let mode = |path: &Path| metadata(path).unwrap().permissions().mode() & 0o777;
        let log = SqliteLog::open(&path).unwrap();
        crate::log::Log::check(&log).await.unwrap();
        let copy = folder.path().join("copy.sqlite");
        log.backup(&copy).await.unwrap();
        for name in ["log.sqlite", "log.sqlite-wal", "log.sqlite-shm"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&copy), 0o600);
        assert!(log.backup(&copy).await.is_err());
    }
}
