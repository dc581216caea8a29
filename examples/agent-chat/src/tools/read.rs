//! `read_file`: some lines of one file.

use serde::Serialize;

use super::cancel::Cancel;
use super::error::ToolError;
use super::folder::Folder;
use super::limits::{MAX_LINES, Room, cut};

/// The arguments of `read_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadFile {
    /// Path relative to the folder.
    pub(crate) path: String,
    /// First line, from 1.
    pub(crate) from_line: usize,
    /// Last line; past the end means the end. At most 400 lines are returned.
    pub(crate) to_line: usize,
}

/// The result of `read_file`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lines {
    /// Path relative to the folder.
    pub(crate) path: String,
    /// Number of the first line returned; 1 for a file without lines.
    pub(crate) from_line: usize,
    /// Number of the last line returned; 0 for a file without lines.
    pub(crate) to_line: usize,
    /// How many lines the file has.
    pub(crate) total_lines: usize,
    /// The lines, long ones cut.
    pub(crate) lines: Vec<String>,
    /// Whether lines that were asked for are missing, or one was cut.
    pub(crate) truncated: bool,
}

impl ReadFile {
    /// Reads the lines.
    pub(super) fn run(&self, folder: &Folder, cancel: &Cancel) -> Result<Lines, ToolError> {
        let text = folder.read(&self.path, cancel)?;
        let total_lines = text.lines().count();
        if self.from_line == 0 || self.from_line > self.to_line || self.from_line > total_lines.max(1) {
            return Err(ToolError::NoSuchLines {
                path: self.path.clone(),
                from: self.from_line,
                to: self.to_line,
                total: total_lines,
            });
        }
        let wanted = self.to_line.min(total_lines) + 1 - self.from_line.min(total_lines + 1);
        let mut room = Room::for_lines();
        let mut truncated = false;
        let mut lines = Vec::new();
        for line in text.lines().skip(self.from_line - 1).take(wanted.min(MAX_LINES)) {
            let shown = cut(line);
            if !room.take(shown.len()) {
                break;
            }
            truncated |= shown.len() != line.len();
            lines.push(shown);
        }
        truncated |= lines.len() < wanted;
        Ok(Lines {
            path: self.path.clone(),
            from_line: self.from_line,
            to_line: self.from_line + lines.len() - 1,
            total_lines,
            lines,
            truncated,
        })
    }
}
