//! Which files mention this, and how often?

use serde_json::json;

use crate::text::markdown::{block, code, listing, plural, row, times};
use crate::tools::{Count, Counts, SearchText, ToolError};

use super::super::work::{Outcome, Stop, Work, all};
use super::place;

/// Most files in a table; the rest is summed up.
const MAX_ROWS: usize = 25;

/// Lines that are quoted for each term.
const QUOTED_LINES: usize = 3;

/// Counts each term in each file, side by side, and quotes a few lines.
pub(super) async fn answer(work: &Work, terms: &[String], glob: Option<&str>) -> Result<Outcome, Stop> {
    work.plan_steps(3);
    let names: Vec<String> = terms.iter().map(|term| code(term)).collect();
    work.think(format!("Counting {} in every file", listing(&names))).await?;
    let counted = all(terms.iter().map(|term| count(work, term, glob))).await?;

    work.think("Reading some of the lines").await?;
    let found = all(terms.iter().zip(&counted).map(|(term, counts)| lines(work, term, counts))).await?;

    work.think("Writing the answer").await?;
    let mut speech = work.speak();
    let mut files = 0;
    let mut total = 0;
    for ((term, counts), quotes) in terms.iter().zip(&counted).zip(found) {
        match counts {
            Ok(counts) => {
                files += counts.files_with_matches;
                total += counts.total;
                speech.say(table(term, counts, glob)).await?;
                speech.say(quotes).await?;
            }
            Err(error) => speech.say(format!("I could not count {}: {error}.\n\n", code(term))).await?,
        }
    }
    speech.end().await?;
    Ok(Outcome::new(
        format!("Found {} {} in {}", listing(&names), times(total), plural(files, "file")),
        json!({ "matches": total, "filesWithMatches": files }),
    ))
}

/// Calls `count` for one term.
pub(super) async fn count(
    work: &Work,
    term: &str,
    glob: Option<&str>,
) -> Result<Result<Counts, ToolError>, Stop> {
    let tool = Count { pattern: term.to_owned(), regex: false, glob: glob.map(str::to_owned) };
    work.call(tool, format!("Count {} per file", code(term))).await
}

/// Quotes the first lines of the file that has most.
async fn lines(work: &Work, term: &str, counts: &Result<Counts, ToolError>) -> Result<String, Stop> {
    let top = counts.as_ref().ok().and_then(|counts| counts.files.first());
    let Some(top) = top else { return Ok(String::new()) };
    let tool = SearchText {
        pattern: term.to_owned(),
        regex: false,
        glob: Some(format!("/{}", globset::escape(&top.path))),
        limit: QUOTED_LINES,
    };
    let found = work.call(tool, format!("Quote lines of {}", code(&top.path))).await?;
    let Ok(found) = found else {
        return Ok(String::new());
    };
    let mut quotes = String::new();
    for line in found.matches {
        quotes.push_str(&block(&line.path, line.line, &[line.text]));
    }
    Ok(quotes)
}

/// Says how often a term stands where, as a table.
pub(super) fn table(term: &str, counts: &Counts, glob: Option<&str>) -> String {
    let place = place(counts.files_searched, glob);
    if counts.total == 0 {
        return format!("{} does not stand {place}.\n\n", code(term));
    }
    let mut text = format!(
        "{} stands **{}** in **{}** (I looked {place}; case does not matter):\n\n",
        code(term),
        times(counts.total),
        plural(counts.files_with_matches, "file"),
    );
    text.push_str(&row(&["file", "count"]));
    text.push_str(&row(&["---", "---:"]));
    for file in counts.files.iter().take(MAX_ROWS) {
        text.push_str(&row(&[code(&file.path), file.count.to_string()]));
    }
    if counts.files_with_matches > MAX_ROWS {
        let shown: usize = counts.files.iter().take(MAX_ROWS).map(|file| file.count).sum();
        let others = format!("{} more", plural(counts.files_with_matches - MAX_ROWS, "file"));
        text.push_str(&row(&[others, (counts.total - shown).to_string()]));
    }
    text.push('\n');
    text
}
