//! What files are there, and what do they say?

use serde_json::json;

use crate::text::markdown::{block, code, listing, plural, row, size};
use crate::tools::{Group, Lines, ListFiles, ReadFile, ToolError};

use super::super::work::{Outcome, Stop, Work};

/// Lines that are shown when the question names none.
const SHOWN_LINES: usize = 40;

/// Most files in a table.
const MAX_ROWS: usize = 40;

/// Lists the files.
pub(super) async fn list(work: &Work, glob: Option<&str>) -> Result<Outcome, Stop> {
    work.plan_steps(2);
    work.think("Listing the files").await?;
    let tool = ListFiles { glob: glob.map(str::to_owned), limit: 200 };
    let listed = work.call(tool, "See what is there").await?;
    work.think("Writing the answer").await?;
    let mut speech = work.speak();
    let list = match listed {
        Ok(list) => list,
        Err(error) => {
            speech.say(format!("I could not list the files: {error}.\n")).await?;
            speech.end().await?;
            return Ok(Outcome::plain("The files could not be listed"));
        }
    };
    let what = glob.map_or_else(String::new, |glob| format!(" that match {}", code(glob)));
    speech
        .say(format!(
            "There are **{}**{what} with {}{}\n\n",
            plural(list.total_files, "text file"),
            size(list.total_bytes),
            if list.total_files == 0 { "." } else { ":" }
        ))
        .await?;
    if list.total_files > MAX_ROWS {
        speech.say(groups("folder", &list.folders)).await?;
        speech.say(groups("kind", &list.kinds)).await?;
        speech.say(format!("The first {MAX_ROWS} of them:\n\n")).await?;
    }
    if list.total_files > 0 {
        speech.say(row(&["file", "size"]) + &row(&["---", "---:"])).await?;
    }
    for file in list.files.iter().take(MAX_ROWS) {
        speech.say(row(&[code(&file.path), size(file.bytes)])).await?;
    }
    speech.end().await?;
    Ok(Outcome::new(
        format!("Listed {}", plural(list.total_files, "text file")),
        json!({ "files": list.total_files, "bytes": list.total_bytes }),
    ))
}

/// Shows lines of a file.
pub(super) async fn read(work: &Work, named: &str, lines: Option<(usize, usize)>) -> Result<Outcome, Stop> {
    work.plan_steps(2);
    work.think(format!("Reading {}", code(named))).await?;
    let (from_line, to_line) = lines.unwrap_or((1, SHOWN_LINES));
    let found = open(work, named, from_line, to_line).await?;
    work.think("Writing the answer").await?;
    let mut speech = work.speak();
    let outcome = match found {
        Ok(opened) => {
            let read = &opened.lines;
            speech.say(opened.note(named)).await?;
            if read.lines.is_empty() {
                speech.say(format!("{} is empty.\n", code(&read.path))).await?;
            } else {
                speech.say(block(&read.path, read.from_line, &read.lines)).await?;
            }
            if read.to_line < read.total_lines {
                speech
                    .say(format!(
                        "The file has {}. Ask for others with “show {} lines {} to {}”.\n",
                        plural(read.total_lines, "line"),
                        read.path,
                        read.to_line + 1,
                        (read.to_line + SHOWN_LINES).min(read.total_lines),
                    ))
                    .await?;
            }
            Outcome::new(
                format!("Showed {} of {}", plural(read.lines.len(), "line"), code(&read.path)),
                json!({ "path": read.path, "lines": read.lines.len(), "totalLines": read.total_lines }),
            )
        }
        Err(error) => {
            speech.say(format!("I could not read {}: {error}.\n", code(named))).await?;
            Outcome::plain(format!("{} could not be read", code(named)))
        }
    };
    speech.end().await?;
    Ok(outcome)
}

/// A file that was found and read.
pub(super) struct Opened {
    /// What was read.
    pub(super) lines: Lines,
    /// Other files of that name.
    others: Vec<String>,
}

impl Opened {
    /// Says so when the file is not the only one that could be meant.
    pub(super) fn note(&self, named: &str) -> String {
        if self.others.is_empty() {
            return String::new();
        }
        let others: Vec<String> = self.others.iter().take(5).map(|path| code(path)).collect();
        let more = self.others.len().saturating_sub(others.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "Several files are called {}; I took {}. Others: {}{more}.\n\n",
            code(named),
            code(&self.lines.path),
            listing(&others)
        )
    }
}

/// Reads the file that `named` means: that path, or the file of that name nearest to the top.
pub(super) async fn open(
    work: &Work,
    named: &str,
    from_line: usize,
    to_line: usize,
) -> Result<Result<Opened, ToolError>, Stop> {
    let path = named.trim_start_matches("./");
    let mut error = None;
    if path.contains('/') || path.starts_with('.') {
        let tool = ReadFile { path: path.to_owned(), from_line, to_line };
        match work.call(tool, format!("Read {}", code(path))).await? {
            Ok(lines) => {
                return Ok(Ok(Opened { lines, others: Vec::new() }));
            }
            Err(not_found @ ToolError::NotFound(_)) => error = Some(not_found),
            Err(other) => return Ok(Err(other)),
        }
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let glob = if name.contains('.') { format!("**/{name}") } else { format!("**/{name}*") };
    let listed =
        work.call(ListFiles { glob: Some(glob), limit: 200 }, format!("Find {}", code(name))).await?;
    let mut paths: Vec<String> = match listed {
        Ok(list) => list.files.into_iter().map(|file| file.path).collect(),
        Err(other) => return Ok(Err(error.unwrap_or(other))),
    };
    paths.sort_by_key(|found| (!found.ends_with(path), found.matches('/').count()));
    if paths.is_empty() {
        return Ok(Err(error.unwrap_or_else(|| ToolError::NotFound(named.to_owned()))));
    }
    let best = paths.remove(0);
    let tool = ReadFile { path: best.clone(), from_line, to_line };
    let read = work.call(tool, format!("Read {}", code(&best))).await?;
    Ok(read.map(|lines| Opened { lines, others: paths }))
}

/// Returns a table of groups of files.
pub(super) fn groups(title: &str, groups: &[Group]) -> String {
    let mut text = row(&[title, "files", "size"]) + &row(&["---", "---:", "---:"]);
    for group in groups.iter().take(12) {
        text.push_str(&row(&[code(&group.name), group.files.to_string(), size(group.bytes)]));
    }
    text.push('\n');
    text
}
