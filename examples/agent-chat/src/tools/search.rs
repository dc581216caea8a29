//! `search_text`: the lines that match.

use serde::{Deserialize, Serialize};

use super::cancel::Cancel;
use super::error::ToolError;
use super::folder::Folder;
use super::limits::{Room, cut};
use super::pattern::Pattern;

/// The arguments of `search_text`. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SearchText {
    /// What to look for in each line.
    pub(crate) pattern: String,
    /// Whether the pattern is a regular expression; plain text by default.
    pub(crate) regex: bool,
    /// Only files whose path matches; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) glob: Option<String>,
    /// Most lines to return, 1 to 200.
    pub(crate) limit: usize,
}

/// The result of `search_text`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Matches {
    /// The lines, in the order of their paths and numbers.
    pub(crate) matches: Vec<Match>,
    /// How many files were looked at.
    pub(crate) files_searched: usize,
    /// Whether the search ended at a limit: there may be more.
    pub(crate) truncated: bool,
}

/// One line that matches.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Match {
    /// Path relative to the folder.
    pub(crate) path: String,
    /// Number of the line, from 1.
    pub(crate) line: usize,
    /// The line without the space around it, cut when it is long.
    pub(crate) text: String,
}

impl SearchText {
    /// Looks for the lines.
    pub(super) fn run(&self, folder: &Folder, cancel: &Cancel) -> Result<Matches, ToolError> {
        let pattern = Pattern::new(&self.pattern, self.regex)?;
        let walked = folder.walk(self.glob.as_deref(), cancel)?;
        let mut room = Room::new(self.limit);
        let mut found = Matches { matches: Vec::new(), files_searched: 0, truncated: walked.truncated };
        for file in walked.files {
            cancel.check()?;
            // Not text, too large, or gone since the walk: not a file this tool searches.
            let Ok(text) = folder.read_found(&file.path) else {
                continue;
            };
            found.files_searched += 1;
            for (index, line) in text.lines().enumerate() {
                if pattern.find(line).is_none() {
                    continue;
                }
                let text = cut(line.trim());
                if !room.take(file.path.len() + text.len()) {
                    found.truncated = true;
                    return Ok(found);
                }
                found.matches.push(Match { path: file.path.clone(), line: index + 1, text });
            }
        }
        Ok(found)
    }
}
