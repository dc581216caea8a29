//! Two runs of `cargo xtask` at the same time take turns.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Holds the lock `file` until the answer is dropped; says `waiting` when that takes a while.
pub(crate) fn lock(file: &Path, waiting: &str) -> Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file)
        .with_context(|| format!("{} can't be opened", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            println!("  {waiting}");
            lock.lock().with_context(|| format!("{} can't be locked", file.display()))?;
            Ok(lock)
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} can't be locked", file.display()))
        }
    }
}
