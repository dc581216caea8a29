//! Finding and quoting the places that say most about something.

use std::collections::HashSet;

use crate::text::explains;
use crate::text::markdown::{block, code};
use crate::tools::{Lines, Match, ReadFile};

use super::super::work::{Stop, Work, all};

/// Lines before a match that are read with it.
const LINES_BEFORE: usize = 2;

/// Lines after a match that are read with it.
const LINES_AFTER: usize = 5;

/// Chooses the matches that explain `topic` best, at most `limit`, no two of them near each other.
pub(super) fn best<'a>(matches: &'a [Match], topic: &str, limit: usize) -> Vec<&'a Match> {
    best_by(matches, limit, |found| explains(&found.path, &found.text, topic))
}

/// Chooses the matches with the highest score, as [`best`] does.
pub(super) fn best_by(matches: &[Match], limit: usize, score: impl Fn(&Match) -> u32) -> Vec<&Match> {
    let mut ranked: Vec<(u32, &Match)> = matches.iter().map(|found| (score(found), found)).collect();
    // Stable: among equals the order of the paths decides.
    ranked.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let mut chosen: Vec<&Match> = Vec::new();
    let mut paths = HashSet::new();
    // First one of each file, then more of the same.
    for distinct in [true, false] {
        for (_, found) in &ranked {
            let near = chosen.iter().any(|other| {
                other.path == found.path && other.line.abs_diff(found.line) <= LINES_BEFORE + LINES_AFTER
            });
            if chosen.len() < limit && !near && (!distinct || paths.insert(&found.path)) {
                chosen.push(found);
            }
        }
    }
    chosen
}

/// Reads what stands around `places`, side by side. What cannot be read is left out.
pub(super) async fn around(work: &Work, places: &[&Match]) -> Result<Vec<Lines>, Stop> {
    let reads = places.iter().map(|found| {
        let tool = ReadFile {
            path: found.path.clone(),
            from_line: found.line.saturating_sub(LINES_BEFORE).max(1),
            to_line: found.line + LINES_AFTER,
        };
        work.call(tool, format!("Read what stands around line {} of {}", found.line, code(&found.path)))
    });
    Ok(all(reads).await?.into_iter().flatten().collect())
}

/// Quotes lines with their place; empty lines at both ends are left out.
pub(super) fn quoted(lines: &Lines) -> String {
    let is_empty = |line: &String| line.trim().is_empty();
    let Some(first) = lines.lines.iter().position(|line| !is_empty(line)) else {
        return String::new();
    };
    let last = lines.lines.iter().rposition(|line| !is_empty(line)).unwrap_or(first);
    block(&lines.path, lines.from_line + first, &lines.lines[first..=last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, line: usize, text: &str) -> Match {
        Match { path: path.into(), line, text: text.into() }
    }

    #[test]
    fn the_best_places_are_in_different_files_first() {
        let matches = [
            found("a.rs", 1, "let epoch = 1;"),
            found("b.md", 5, "## The epoch"),
            found("b.md", 7, "an epoch again"),
            found("b.md", 50, "**epoch** is a life"),
        ];
        let places: Vec<_> =
            best(&matches, "epoch", 3).iter().map(|place| (&*place.path, place.line)).collect();
        assert_eq!(places, [("b.md", 50), ("a.rs", 1), ("b.md", 5)]);
    }
}
