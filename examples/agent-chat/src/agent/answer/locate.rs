//! Where is this defined, or used?

use std::collections::BTreeMap;

use serde_json::json;

use crate::plan::Wanted;
use crate::text::markdown::{code, plural, row, times};
use crate::text::{defines, definition_of, is_prose};
use crate::tools::{Match, SearchText};

use super::super::work::{Outcome, Stop, Work, both};
use super::mentions::count;
use super::passages::{around, best_by, quoted};
use super::place;

/// Most places in a table.
const MAX_ROWS: usize = 20;

/// Searches definitions and uses side by side, and reads around the best places.
pub(super) async fn answer(
    work: &Work,
    name: &str,
    wanted: Wanted,
    glob: Option<&str>,
) -> Result<Outcome, Stop> {
    work.plan_steps(3);
    work.think(match wanted {
        Wanted::Definition => format!("Looking for the definition of {}", code(name)),
        Wanted::Uses => format!("Looking for uses of {}", code(name)),
    })
    .await?;
    let glob_owned = glob.map(str::to_owned);
    let definitions =
        SearchText { pattern: definition_of(name), regex: true, glob: glob_owned.clone(), limit: 60 };
    let everywhere = SearchText { pattern: name.to_owned(), regex: false, glob: glob_owned, limit: 200 };
    let ((defined, all), counts) = both(
        both(
            work.call(definitions, format!("Find lines that define {}", code(name))),
            work.call(everywhere, format!("Find all lines with {}", code(name))),
        ),
        count(work, name, glob),
    )
    .await?;

    let mut speech = work.speak();
    let (all, counts) = match (all, counts) {
        (Ok(all), Ok(counts)) => (all, counts),
        (Err(error), _) | (_, Err(error)) => {
            speech.say(format!("I could not look for {}: {error}.\n", code(name))).await?;
            speech.end().await?;
            return Ok(Outcome::plain(format!("{} could not be looked for", code(name))));
        }
    };
    // A name that no pattern can hold still has its plain matches.
    let defined = defined.map(|found| found.matches).unwrap_or_default();
    let is_definition = |found: &Match| {
        defined.iter().any(|definition| definition.path == found.path && definition.line == found.line)
    };
    let uses: Vec<Match> = all.matches.iter().filter(|found| !is_definition(found)).cloned().collect();
    let places = match wanted {
        Wanted::Definition if defined.is_empty() => &all.matches,
        Wanted::Definition => &defined,
        Wanted::Uses if uses.is_empty() => &all.matches,
        Wanted::Uses => &uses,
    };
    work.think(format!("Reading the best of {}", plural(places.len(), "place"))).await?;
    let passages = around(
        work,
        &best_by(places, 2, |found| match wanted {
            Wanted::Definition => defines(&found.path, &found.text, name),
            // The same case is more likely the same thing, and code uses what prose mentions.
            Wanted::Uses => 2 * u32::from(found.text.contains(name)) + u32::from(!is_prose(&found.path)),
        }),
    )
    .await?;

    work.think("Writing the answer").await?;
    if places.is_empty() {
        speech.say(format!("{} does not stand {}.\n", code(name), place(all.files_searched, glob))).await?;
    } else {
        speech.say(opening(name, wanted, &defined, &uses)).await?;
        for passage in &passages {
            speech.say(quoted(passage)).await?;
        }
        speech.say(table(places)).await?;
        speech
            .say(format!(
                "In all, {} stands {} in {}.\n",
                code(name),
                times(counts.total),
                plural(counts.files_with_matches, "file")
            ))
            .await?;
    }
    speech.end().await?;
    Ok(Outcome::new(
        format!("Found {} of {}", plural(places.len(), "place"), code(name)),
        json!({ "places": places.len(), "matches": counts.total, "filesWithMatches": counts.files_with_matches }),
    ))
}

fn opening(name: &str, wanted: Wanted, defined: &[Match], uses: &[Match]) -> String {
    match wanted {
        Wanted::Definition if defined.is_empty() => {
            format!(
                "I found no line that defines {}, but it is mentioned. The best places are:\n\n",
                code(name)
            )
        }
        Wanted::Definition => {
            format!("{} defined or introduced in {}:\n\n", is(name), plural(defined.len(), "place"))
        }
        Wanted::Uses if uses.is_empty() => {
            format!("{} is only mentioned where it is defined:\n\n", code(name))
        }
        Wanted::Uses => {
            format!("{} used or mentioned on {}:\n\n", is(name), plural(uses.len(), "line"))
        }
    }
}

fn is(name: &str) -> String {
    format!("{} is", code(name))
}

fn table(places: &[Match]) -> String {
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for place in places {
        lines.entry(&place.path).or_default().push(place.line.to_string());
    }
    let mut files: Vec<_> = lines.into_iter().collect();
    files.sort_by_key(|(_, numbers)| std::cmp::Reverse(numbers.len()));
    let mut text = row(&["file", "lines"]) + &row(&["---", "---"]);
    for (path, numbers) in files.iter().take(MAX_ROWS) {
        let more = numbers.len().saturating_sub(10);
        let mut shown = numbers[..numbers.len() - more].join(", ");
        if more > 0 {
            shown.push_str(&format!(" and {more} more"));
        }
        text.push_str(&row(&[code(path), shown]));
    }
    if files.len() > MAX_ROWS {
        text.push_str(&row(&[format!("{} more", plural(files.len() - MAX_ROWS, "file")), "…".into()]));
    }
    text.push('\n');
    text
}
