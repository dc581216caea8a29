//! `count`: how often something stands where.

use serde::Serialize;

use super::cancel::Cancel;
use super::error::ToolError;
use super::folder::Folder;
use super::limits::{MAX_ITEMS, Room};
use super::pattern::Pattern;

/// The arguments of `count`. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// What to count.
    pub(crate) pattern: String,
    /// Whether the pattern is a regular expression; plain text by default.
    pub(crate) regex: bool,
    /// Only files whose path matches; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) glob: Option<String>,
}

/// The result of `count`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// The files that have it, most first.
    pub(crate) files: Vec<FileCount>,
    /// How often it stands in all files together, listed or not.
    pub(crate) total: usize,
    /// How many files have it, listed or not.
    pub(crate) files_with_matches: usize,
    /// How many files were looked at.
    pub(crate) files_searched: usize,
    /// Whether files were left out of the list, or the walk ended at its limit.
    pub(crate) truncated: bool,
}

/// How often it stands in one file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileCount {
    /// Path relative to the folder.
    pub(crate) path: String,
    /// How often, matches that do not overlap.
    pub(crate) count: usize,
}

impl Count {
    /// Counts.
    pub(super) fn run(&self, folder: &Folder, cancel: &Cancel) -> Result<Counts, ToolError> {
        let pattern = Pattern::new(&self.pattern, self.regex)?;
        let walked = folder.walk(self.glob.as_deref(), cancel)?;
        let mut files = Vec::new();
        let mut total = 0;
        let mut files_searched = 0;
        for file in walked.files {
            cancel.check()?;
            let Ok(text) = folder.read_found(&file.path) else {
                continue;
            };
            files_searched += 1;
            let count = text.lines().map(|line| pattern.count(line)).sum();
            if count > 0 {
                total += count;
                files.push(FileCount { path: file.path, count });
            }
        }
        files.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.path.cmp(&b.path)));
        let files_with_matches = files.len();
        let mut room = Room::new(MAX_ITEMS);
        files.retain(|file| room.take(file.path.len()));
        let truncated = walked.truncated || files.len() < files_with_matches;
        Ok(Counts { files, total, files_with_matches, files_searched, truncated })
    }
}
