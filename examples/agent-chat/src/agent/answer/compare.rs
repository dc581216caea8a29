//! How do these two differ?

use std::collections::BTreeMap;

use serde_json::json;

use crate::text::markdown::{code, plural, row, times};
use crate::tools::{Counts, Match, SearchText};

use super::super::work::{Outcome, Stop, Work, both};
use super::mentions::count;
use super::passages::{around, best, quoted};

/// Most files in the table.
const MAX_ROWS: usize = 15;

/// Searches and counts both, side by side, and sets what was found beside each other.
pub(super) async fn answer(
    work: &Work,
    left: &str,
    right: &str,
    glob: Option<&str>,
) -> Result<Outcome, Stop> {
    work.plan_steps(3);
    work.think(format!("Searching {} and {} side by side", code(left), code(right))).await?;
    let (a, b) = both(look(work, left, glob), look(work, right, glob)).await?;

    work.think("Reading what explains them").await?;
    let places: Vec<&Match> =
        [(&a, left), (&b, right)].into_iter().flat_map(|(side, name)| best(&side.1, name, 1)).collect();
    let passages = around(work, &places).await?;

    work.think("Writing the comparison").await?;
    let mut speech = work.speak();
    speech.say(row(&["", &code(left), &code(right)]) + &row(&["---", "---:", "---:"])).await?;
    let figure =
        |of: fn(&Counts) -> usize| [&a.0, &b.0].map(|counts| counts.as_ref().map_or(0, of).to_string());
    let [mentions_a, mentions_b] = figure(|counts| counts.total);
    speech.say(row(&["mentions", &mentions_a, &mentions_b])).await?;
    let [files_a, files_b] = figure(|counts| counts.files_with_matches);
    speech.say(row(&["files", &files_a, &files_b])).await?;
    let merged = merge(a.0.as_ref(), b.0.as_ref());
    for (path, (in_a, in_b)) in merged.iter().take(MAX_ROWS) {
        speech.say(row(&[&code(path), &in_a.to_string(), &in_b.to_string()])).await?;
    }
    let both = merged.iter().filter(|(_, (in_a, in_b))| *in_a > 0 && *in_b > 0).count();
    speech
        .say(format!(
            "\n{} stands {} and {} {}; {} both.\n\n",
            code(left),
            times(a.0.as_ref().map_or(0, |counts| counts.total)),
            code(right),
            times(b.0.as_ref().map_or(0, |counts| counts.total)),
            if both == 1 { "1 file has".to_owned() } else { format!("{both} files have") },
        ))
        .await?;
    if !passages.is_empty() {
        speech.say("The places that explain them best:\n\n").await?;
    }
    for passage in &passages {
        speech.say(quoted(passage)).await?;
    }
    speech.end().await?;
    Ok(Outcome::new(
        format!(
            "Compared {} and {}: {} both",
            code(left),
            code(right),
            plural(both, "file with").replace("file withs", "files with")
        ),
        json!({ "left": mentions_a.parse::<usize>().unwrap_or(0), "right": mentions_b.parse::<usize>().unwrap_or(0), "filesWithBoth": both }),
    ))
}

/// Counts and searches one side. What fails has ended its call as failed and counts as nothing found.
async fn look(work: &Work, name: &str, glob: Option<&str>) -> Result<(Option<Counts>, Vec<Match>), Stop> {
    let tool =
        SearchText { pattern: name.to_owned(), regex: false, glob: glob.map(str::to_owned), limit: 200 };
    let (counts, found) =
        both(count(work, name, glob), work.call(tool, format!("Find lines with {}", code(name)))).await?;
    Ok((counts.ok(), found.map(|found| found.matches).unwrap_or_default()))
}

/// Sets the counts of both sides beside each other, files with most mentions first.
fn merge(a: Option<&Counts>, b: Option<&Counts>) -> Vec<(String, (usize, usize))> {
    let mut merged: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for file in a.into_iter().flat_map(|counts| &counts.files) {
        merged.entry(file.path.clone()).or_default().0 += file.count;
    }
    for file in b.into_iter().flat_map(|counts| &counts.files) {
        merged.entry(file.path.clone()).or_default().1 += file.count;
    }
    let mut merged: Vec<_> = merged.into_iter().collect();
    merged.sort_by_key(|(_, (in_a, in_b))| std::cmp::Reverse((in_a.min(in_b) > &0, in_a + in_b)));
    merged
}
