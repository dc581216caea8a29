//! What is in this file, and what is this project?

use serde_json::json;

use crate::text::markdown::{code, listing, plural, quote, size};
use crate::text::{Mark, frequent_words, introduction, outline};
use crate::tools::{Lines, ListFiles, ListedFile, ReadFile};

use super::super::work::{Outcome, Stop, Work};
use super::files::{groups, open};

/// Most lines that are asked for; the tool's own limits are far below.
const MAX_LINES: usize = 100_000;

/// Most headings or definitions that are named.
const MAX_MARKS: usize = 20;

/// Says what is in a file: how it begins, its outline, the words that stand out.
pub(super) async fn file(work: &Work, named: &str) -> Result<Outcome, Stop> {
    work.plan_steps(2);
    work.think(format!("Reading {}", code(named))).await?;
    let opened = open(work, named, 1, MAX_LINES).await?;
    work.think("Writing the summary").await?;
    let mut speech = work.speak();
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => {
            speech.say(format!("I could not read {}: {error}.\n", code(named))).await?;
            speech.end().await?;
            return Ok(Outcome::plain(format!("{} could not be read", code(named))));
        }
    };
    let read = &opened.lines;
    speech.say(opened.note(named)).await?;
    speech.say(format!("{} has **{}**", code(&read.path), plural(read.total_lines, "line"))).await?;
    if read.lines.len() < read.total_lines {
        speech.say(format!("; I read the first {}", read.lines.len())).await?;
    }
    speech.say(". ").await?;
    match introduction(&read.path, &read.lines) {
        Some(text) => speech.say(format!("It begins:\n\n{}", quote(&text))).await?,
        None => speech.say("It begins without an introduction.\n\n").await?,
    }
    let marks = outline(&read.path, &read.lines);
    if !marks.is_empty() {
        speech
            .say(format!(
                "Its outline has {}:\n\n",
                plural(marks.len(), "entry").replace("entrys", "entries")
            ))
            .await?;
        speech.say(marks_list(&marks)).await?;
    }
    speech.say(words_that_stand_out(&read.lines)).await?;
    speech.end().await?;
    Ok(Outcome::new(
        format!("Summarised {}", code(&read.path)),
        json!({ "path": read.path, "totalLines": read.total_lines, "linesRead": read.lines.len() }),
    ))
}

/// Says what the folder holds and what its own introduction says.
pub(super) async fn project(work: &Work) -> Result<Outcome, Stop> {
    work.plan_steps(3);
    work.think("Looking at the folder").await?;
    let listed = work.call(ListFiles { glob: None, limit: 200 }, "See what is there").await?;
    let mut speech = work.speak();
    let list = match listed {
        Ok(list) => list,
        Err(error) => {
            speech.say(format!("I could not list the files: {error}.\n")).await?;
            speech.end().await?;
            return Ok(Outcome::plain("The files could not be listed"));
        }
    };
    work.think("Reading its introduction").await?;
    let read = read_introduction(work, &list.files).await?;
    work.think("Writing the summary").await?;
    speech
        .say(format!(
            "{} holds **{}** with {}. ",
            code(&work.folder_name()),
            plural(list.total_files, "text file"),
            size(list.total_bytes)
        ))
        .await?;
    if let Some(lines) = &read {
        if let Some(text) = introduction(&lines.path, &lines.lines) {
            speech.say(format!("{} says:\n\n{}", code(&lines.path), quote(&text))).await?;
        }
        let marks = outline(&lines.path, &lines.lines);
        if !marks.is_empty() {
            speech.say(format!("It goes on about:\n\n{}", marks_list(&marks))).await?;
        }
    } else {
        speech.say("No file introduces it.\n\n").await?;
    }
    if !list.folders.is_empty() {
        speech.say("The parts:\n\n").await?;
        speech.say(groups("folder", &list.folders)).await?;
    }
    if let Some(lines) = &read {
        speech.say(words_that_stand_out(&lines.lines)).await?;
    }
    speech.say("Ask for a tour to see each part.\n").await?;
    speech.end().await?;
    Ok(Outcome::new(
        format!("Summarised {}", plural(list.total_files, "text file")),
        json!({ "files": list.total_files, "bytes": list.total_bytes }),
    ))
}

/// Reads the file that introduces a set of files best, if one can be read.
pub(super) async fn read_introduction(work: &Work, files: &[ListedFile]) -> Result<Option<Lines>, Stop> {
    let Some(file) = introducing(files) else {
        return Ok(None);
    };
    let tool = ReadFile { path: file.path.clone(), from_line: 1, to_line: 200 };
    Ok(work.call(tool, format!("{} looks like an introduction", code(&file.path))).await?.ok())
}

/// Chooses the file that introduces the others: by its name, then by how near it is to the top.
fn introducing(files: &[ListedFile]) -> Option<&ListedFile> {
    files.iter().filter(|file| file.bytes > 0).min_by_key(|file| {
        let name = file.path.rsplit('/').next().unwrap_or_default().to_lowercase();
        let rank = match &*name {
            _ if name.starts_with("readme") => 0,
            "lib.rs" | "main.rs" | "index.ts" | "index.js" | "main.py" | "__init__.py" | "mod.rs" => 2,
            "cargo.toml" | "package.json" | "pyproject.toml" => 5,
            _ if name.ends_with(".md") => 1,
            _ if name.ends_with(".txt") || name.ends_with(".rs") || name.ends_with(".ts") => 3,
            _ => 6,
        };
        (rank, file.path.matches('/').count())
    })
}

/// Returns headings or definitions as a list.
pub(super) fn marks_list(marks: &[Mark]) -> String {
    let mut text = String::new();
    for mark in marks.iter().take(MAX_MARKS) {
        text.push_str(&format!("- {} (line {})\n", code(&mark.name), mark.line));
    }
    if marks.len() > MAX_MARKS {
        text.push_str(&format!("- and {} more\n", marks.len() - MAX_MARKS));
    }
    text.push('\n');
    text
}

/// Names the words that come up most often.
pub(super) fn words_that_stand_out(lines: &[String]) -> String {
    let words: Vec<String> = frequent_words(lines, 6)
        .into_iter()
        .map(|(word, count)| format!("{} ({count})", code(&word)))
        .collect();
    if words.is_empty() { String::new() } else { format!("Words that stand out: {}.\n\n", listing(&words)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<ListedFile> {
        paths.iter().map(|path| ListedFile { path: (*path).into(), bytes: 1 }).collect()
    }

    #[test]
    fn a_readme_introduces_before_anything_else() {
        let chosen = |paths: &[&str]| introducing(&files(paths)).map(|file| file.path.clone());
        assert_eq!(chosen(&["src/lib.rs", "sub/README.md", "README.md"]).as_deref(), Some("README.md"));
        assert_eq!(chosen(&["Cargo.toml", "src/a.rs", "src/lib.rs"]).as_deref(), Some("src/lib.rs"));
        assert_eq!(chosen(&[]), None);
    }
}
