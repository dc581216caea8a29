//! A tour: a sub-agent looks at each folder at the top, two at a time, while the answer is being written.

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::text::markdown::{code, listing, plural, quote, size};
use crate::text::{definitions, introduction, outline};
use crate::tools::{FileList, ListFiles, ListedFile, Match, SearchText};

use super::super::speech::Speech;
use super::super::work::{Outcome, Stop, Work, both};
use super::summary::{read_introduction, words_that_stand_out};
use super::wishes::Wishes;

/// Name of a sub-agent in its events.
const READER: &str = "folder-reader";

/// Most parts that are visited; the largest ones.
const MAX_PARTS: usize = 10;

/// Sub-agents at work at the same time.
const PARALLEL_READERS: usize = 2;

/// Words for all parts together, so that a tour of a large project does not become a book.
const WORDS: usize = 560;

/// Most words of one part, so that a small project is not retold.
const MAX_WORDS_PER_PART: usize = 150;

/// A folder at the top, or the files that are in none.
struct Part {
    name: String,
    glob: String,
    files: usize,
    bytes: u64,
}

/// Visits every part and writes what is there.
pub(super) async fn answer(work: &Work) -> Result<Outcome, Stop> {
    work.plan_steps(4);
    work.think("Looking at the whole folder").await?;
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
    let glob = ListFiles { glob: Some("/*".into()), limit: 50 };
    let at_top = work.call(glob, "See which files stand at the top").await?;
    let at_top = read_introduction(work, &at_top.map(|list| list.files).unwrap_or_default()).await?;

    let parts = parts(&list);
    work.think(format!("Visiting {}", plural(parts.len(), "part"))).await?;
    speech.say(opening(work, &list, &parts)).await?;
    if let Some(lines) = &at_top
        && let Some(text) = introduction(&lines.path, &lines.lines)
    {
        speech.say(format!("{} says:\n\n{}", code(&lines.path), quote(&text))).await?;
    }
    let wishes = Wishes::default();
    tokio::select! {
        told = visit(work, &mut speech, &parts, &wishes) => told?,
        // What the user says meanwhile changes what is visited and told.
        never = wishes.listen(work) => match never {},
    }

    work.think("Ending the tour").await?;
    speech.say(closing(&list, at_top.map(|lines| lines.path).as_deref())).await?;
    speech.end().await?;
    Ok(Outcome::new(
        format!("Toured {} in {}", plural(list.total_files, "file"), plural(parts.len(), "part")),
        json!({ "files": list.total_files, "bytes": list.total_bytes, "parts": parts.len() }),
    ))
}

/// Lets sub-agents read the parts while what they found is written, in the order of the parts.
async fn visit(work: &Work, speech: &mut Speech<'_>, parts: &[Part], wishes: &Wishes) -> Result<(), Stop> {
    let words = (WORDS / parts.len().max(1)).min(MAX_WORDS_PER_PART);
    // Room for every part: a slow writer does not hold up the readers.
    let (found, mut sections) = mpsc::channel(MAX_PARTS);
    let readers: Vec<_> = parts.iter().map(|part| read(work, part, words, wishes).boxed()).collect();
    let readers = async move {
        let mut readers = stream::iter(readers).buffered(PARALLEL_READERS);
        // To the end, also when nobody listens any more: each reader ends its own run.
        while let Some(section) = readers.next().await {
            let _ = found.send(section).await;
        }
    };
    let writer = async {
        // The receiver is dropped with the first error, which ends the sending, not the reading.
        for part in parts {
            let Some(section) = sections.recv().await else { break };
            let section = section?;
            speech.say(wishes.replies()).await?;
            speech.say(if wishes.wants(&part.name) { section } else { left_out(part) }).await?;
        }
        speech.say(wishes.replies()).await
    };
    let ((), told) = tokio::join!(readers, writer);
    told
}

/// Reads one part in a run of its own and returns what to say about it.
async fn read(work: &Work, part: &Part, words: usize, wishes: &Wishes) -> Result<String, Stop> {
    if !wishes.wants(&part.name) {
        return Ok(left_out(part));
    }
    let reader = work.child(READER).await?;
    let found = look(&reader, part, words).await;
    work.add(&reader);
    match found {
        Ok((section, outcome)) => {
            reader.complete(outcome).await?;
            Ok(section)
        }
        Err(Stop::Cancelled) => {
            reader.into_run().cancel("the tour was cancelled").await?;
            Err(Stop::Cancelled)
        }
        Err(stop) => Err(stop),
    }
}

fn left_out(part: &Part) -> String {
    format!("## {}\n\nLeft out, as you wished.\n\n", part.name)
}

async fn look(reader: &Work, part: &Part, words: usize) -> Result<(String, Outcome), Stop> {
    reader.plan_steps(2);
    reader.think(format!("Looking into {}", code(&part.name))).await?;
    let list = ListFiles { glob: Some(part.glob.clone()), limit: 200 };
    let search =
        SearchText { pattern: definitions(), regex: true, glob: Some(part.glob.clone()), limit: 120 };
    let (listed, defined) = both(
        reader.call(list, format!("List {}", code(&part.name))),
        reader.call(search, "Find headings and definitions"),
    )
    .await?;
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            let section = format!("## {}\n\nI could not look into it: {error}.\n\n", part.name);
            return Ok((section, Outcome::plain(format!("{} could not be listed", code(&part.name)))));
        }
    };
    reader.think("Reading what introduces it").await?;
    let intro = read_introduction(reader, &listed.files).await?;

    let mut paragraphs = vec![heading(part, &listed)];
    if let Some(lines) = &intro {
        if let Some(text) = introduction(&lines.path, &lines.lines) {
            paragraphs.push(format!("{} begins:\n\n{}", code(&lines.path), quote(&text)));
        }
        let names: Vec<String> =
            outline(&lines.path, &lines.lines).iter().take(10).map(|mark| code(&mark.name)).collect();
        if names.len() > 1 {
            paragraphs.push(format!("Its outline: {}.\n\n", listing(&names)));
        }
    }
    let defined = defined.map(|found| found.matches).unwrap_or_default();
    paragraphs.extend(defining(&defined, intro.as_ref().map(|lines| &*lines.path)));
    paragraphs.extend(largest(&listed.files));
    if let Some(lines) = &intro {
        paragraphs.push(words_that_stand_out(&lines.lines));
    }
    let outcome = Outcome::new(
        format!("{} has {} with {}", code(&part.name), plural(part.files, "file"), size(part.bytes)),
        json!({ "part": part.name, "files": part.files, "bytes": part.bytes, "readFrom": intro.map_or(Value::Null, |lines| lines.path.into()) }),
    );
    Ok((fit(&paragraphs, words), outcome))
}

/// The largest parts, in the order of their names; the files at the top come first.
fn parts(list: &FileList) -> Vec<Part> {
    let mut parts: Vec<Part> = list
        .folders
        .iter()
        .map(|group| {
            let at_top = group.name == ".";
            Part {
                name: if at_top { "The files at the top".to_owned() } else { group.name.clone() },
                glob: if at_top { "/*".to_owned() } else { format!("/{}/**", globset::escape(&group.name)) },
                files: group.files,
                bytes: group.bytes,
            }
        })
        .collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    parts.truncate(MAX_PARTS);
    parts.sort_by(|a, b| (a.glob != "/*").cmp(&(b.glob != "/*")).then_with(|| a.name.cmp(&b.name)));
    parts
}

fn opening(work: &Work, list: &FileList, parts: &[Part]) -> String {
    let kinds: Vec<String> =
        list.kinds.iter().take(4).map(|kind| format!("{} {}", kind.files, code(&kind.name))).collect();
    let left_out = list.folders.len() - parts.len();
    let left_out =
        if left_out > 0 { format!(" I leave out the {} smallest.", left_out) } else { String::new() };
    format!(
        "# {}\n\nThere are **{}** with {} in {}; by kind mostly {}.{left_out}\n\n",
        work.folder_name(),
        plural(list.total_files, "text file"),
        size(list.total_bytes),
        plural(list.folders.len(), "part"),
        listing(&kinds),
    )
}

fn heading(part: &Part, listed: &FileList) -> String {
    let kind = listed.kinds.first().map_or_else(String::new, |kind| format!(", mostly {}", code(&kind.name)));
    format!("## {}\n\n**{}**, {}{kind}.\n\n", part.name, plural(part.files, "file"), size(part.bytes))
}

/// Names the first definition of some files; the introducing file has been named already.
fn defining(matches: &[Match], known: Option<&str>) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    let mut last = "";
    for found in matches {
        if found.path == last || Some(&*found.path) == known {
            continue;
        }
        if let Some(mark) = outline(&found.path, std::slice::from_ref(&found.text)).first() {
            last = &found.path;
            names.push(format!("{} ({}:{})", code(&mark.name), found.path, found.line));
        }
    }
    names.truncate(8);
    (!names.is_empty()).then(|| format!("You find {} there.\n\n", listing(&names)))
}

fn largest(files: &[ListedFile]) -> Option<String> {
    let mut files: Vec<&ListedFile> = files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    let names: Vec<String> =
        files.iter().take(3).map(|file| format!("{} ({})", code(&file.path), size(file.bytes))).collect();
    (files.len() > 1).then(|| format!("The largest are {}.\n\n", listing(&names)))
}

fn closing(list: &FileList, introduction: Option<&str>) -> String {
    let first = introduction.or_else(|| list.files.first().map(|file| &*file.path)).unwrap_or("README.md");
    format!(
        "---\n\nThat was the tour. A good place to start is {}: ask me to summarise it, or where something is \
         defined or used.\n",
        code(first)
    )
}

/// Joins the paragraphs that fit into `words`; the first one always does.
fn fit(paragraphs: &[String], words: usize) -> String {
    let mut text = String::new();
    let mut left = words;
    for paragraph in paragraphs {
        let needed = paragraph.split_whitespace().count();
        if text.is_empty() || needed <= left {
            text.push_str(paragraph);
            left = left.saturating_sub(needed);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_that_do_not_fit_are_left_out() {
        let paragraphs = ["one two ".to_owned(), "three four five ".to_owned(), "six ".to_owned()];
        assert_eq!(fit(&paragraphs, 3), "one two six ");
        assert_eq!(fit(&paragraphs, 0), "one two ");
    }
}
