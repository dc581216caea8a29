//! The links of all texts in Markdown: each leads to a file of the checkout, and to a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

/// A link to the checkout, as texts write it that are published without it.
const PUBLISHED: [&str; 2] = [
    "https://github.com/agentwire/agentwire/blob/main/",
    "https://github.com/agentwire/agentwire/tree/main/",
];

/// Folders that hold no texts of ours.
const SKIPPED: [&str; 2] = ["node_modules", "target"];

/// The links below `root` that lead nowhere, each as `file:line: target`, and how many links there are.
pub(super) fn broken(root: &Path) -> Result<(Vec<String>, usize)> {
    let mut texts = BTreeMap::new();
    collect(root, &mut texts)?;
    let mut broken = Vec::new();
    let mut count = 0;
    for (file, text) in &texts {
        for (line, target) in links(text) {
            count += 1;
            if !leads_somewhere(root, file, target, &texts) {
                let file = file.strip_prefix(root).unwrap_or(file);
                broken.push(format!("{}:{line}: {target}", file.display()));
            }
        }
    }
    Ok((broken, count))
}

/// Reads the texts below `folder`.
fn collect(folder: &Path, texts: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("{} can't be read", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                collect(&path, texts)?;
            }
        } else if name.ends_with(".md") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
            texts.insert(path, text);
        }
    }
    Ok(())
}

/// The targets of the links in `text` and their lines, without those to other sites.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let (target, after) = after.split_once(')').unwrap_or((after, ""));
            let is_ours = !target.contains("://") || PUBLISHED.iter().any(|site| target.starts_with(site));
            if is_ours && !target.starts_with("mailto:") {
                found.push((index + 1, target));
            }
            rest = after;
        }
    }
    found
}

/// The lines that are not code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

fn leads_somewhere(root: &Path, file: &Path, target: &str, texts: &BTreeMap<PathBuf, String>) -> bool {
    let (path, heading) =
        target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = match PUBLISHED.iter().find_map(|site| path.strip_prefix(site)) {
        Some(path) => root.join(path),
        None if path.is_empty() => file.to_path_buf(),
        None => file.parent().unwrap_or(root).join(path),
    };
    let path = without_dots(&path);
    match heading {
        None => path.exists(),
        Some(heading) => texts.get(&path).is_some_and(|text| anchors(text).contains(heading)),
    }
}

/// `path` with each `..` taken back, as it stands in the list of texts.
fn without_dots(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                straight.pop();
            }
            other => straight.push(other),
        }
    }
    straight
}

/// What begins the name of a place that a text names itself, such as a row of a table.
const NAMED: &str = "<a id=\"";

/// The names that GitHub gives the headings of `text`, and those that it gives itself.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    let named = prose(text).flat_map(|(_, line)| line.split(NAMED).skip(1));
    headings
        .map(|heading| {
            let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
            heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>()
        })
        .map(|heading| heading.replace(' ', "-"))
        .chain(named.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(root.join("docs/A.md"), "# One `two`, three\n[up](../README.md) [no](B.md)\n").unwrap();
        let text = "[a](docs/A.md#one-two-three) [b](docs/A.md#four)\n\
            ```sh\n[code](nowhere)\n```\n\
            [c](https://example.com/x) [d](https://github.com/agentwire/agentwire/blob/main/docs/C.md) [e](#me)\n\
            ## Me\n| <a id=\"a_row\"></a>`a_row` | [f](#a_row) [g](#another_row) |\n";
        fs::write(root.join("README.md"), text).unwrap();
        let (broken, count) = broken(root).unwrap();
        let expected = [
            "README.md:1: docs/A.md#four",
            "README.md:5: https://github.com/agentwire/agentwire/blob/main/docs/C.md",
            "README.md:7: #another_row",
            "docs/A.md:2: B.md",
        ];
        assert_eq!(broken, expected);
        assert_eq!(count, 8);
    }
}
