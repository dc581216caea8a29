//! Why a tool could not do what it was asked.

use super::limits::{MAX_FILE_BYTES, MAX_PATH_BYTES, MAX_PATTERN_BYTES};

/// The error of a tool call. It ends the call, not the run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The path is absolute, climbs, or leads out of the folder by a symlink.
    #[error("the path {0:?} leads out of the folder; use a path relative to it, without `..`")]
    Outside(String),
    /// Nothing that `list_files` would show has this path.
    #[error("there is no readable text file at {0:?}; call list_files to see what is there")]
    NotFound(String),
    /// A folder, a pipe, a device.
    #[error("{0:?} is not a regular file; give the path of a file")]
    NotAFile(String),
    /// The file holds a NUL byte near its beginning.
    #[error("{0:?} is not a text file")]
    Binary(String),
    /// The file is above the size limit.
    #[error("{path:?} has {bytes} bytes; files up to {MAX_FILE_BYTES} bytes can be read")]
    TooLarge {
        /// The path as it was given.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// The path is empty or too long.
    #[error("a path must have 1 to {MAX_PATH_BYTES} bytes and no NUL")]
    BadPath,
    /// The pattern is empty, too long, or not a regular expression within the limits.
    #[error("the pattern cannot be used: {0}")]
    BadPattern(String),
    /// The glob is not valid.
    #[error("the glob {glob:?} cannot be used: {why}")]
    BadGlob {
        /// The glob as it was given.
        glob: String,
        /// What is wrong with it.
        why: String,
    },
    /// `fromLine` is 0, above `toLine`, or above the number of lines.
    #[error("lines {from} to {to} do not exist in {path:?}, which has {total}")]
    NoSuchLines {
        /// The path as it was given.
        path: String,
        /// First line asked for.
        from: usize,
        /// Last line asked for.
        to: usize,
        /// How many there are.
        total: usize,
    },
    /// The operating system refused.
    #[error("cannot read {path:?}: {source}")]
    Io {
        /// The path as it was given.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The run was cancelled while the tool worked.
    #[error("the call was cancelled")]
    Cancelled,
    /// The call took longer than a call may take.
    #[error("the call was given up after {0} seconds; ask for fewer files with a glob")]
    TimedOut(u64),
    /// The tool panicked: a fault of this program.
    #[error("the tool failed inside; this is a fault of the server")]
    Internal,
}

impl ToolError {
    /// Makes the error for a pattern that is too long or empty.
    pub(crate) fn pattern_length() -> Self {
        Self::BadPattern(format!("it must have 1 to {MAX_PATTERN_BYTES} bytes"))
    }
}
