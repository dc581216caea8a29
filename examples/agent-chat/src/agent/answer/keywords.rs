//! Any other question: its words are looked for, and the places where most of them meet are quoted.

use std::collections::BTreeMap;

use serde_json::json;

use crate::text::markdown::{code, listing, plural, row};
use crate::tools::{Match, SearchText};

use super::super::work::{Outcome, Stop, Work, all};
use super::mentions::count;
use super::passages::{around, quoted};

/// How many lines apart words may stand and still be said to meet.
const NEAR: usize = 6;

/// Counts and searches each word, side by side, and reads where they meet.
pub(super) async fn answer(work: &Work, words: &[String]) -> Result<Outcome, Stop> {
    work.plan_steps(4);
    let names: Vec<String> = words.iter().map(|word| code(word)).collect();
    work.think(format!("I look for the words of the question: {}", listing(&names))).await?;
    let counted = all(words.iter().map(|word| count(work, word, None))).await?;

    work.think("Finding the lines").await?;
    let searches = words.iter().zip(&counted).filter_map(|(word, counts)| {
        let counts = counts.as_ref().ok().filter(|counts| counts.total > 0)?;
        let tool = SearchText { pattern: word.clone(), regex: false, glob: None, limit: 200 };
        let rarity = counts.total;
        Some(async move {
            let found = work.call(tool, format!("Find lines with {}", code(word))).await?;
            Ok::<_, Stop>((rarity, found.map(|found| found.matches).unwrap_or_default()))
        })
    });
    let found = all(searches).await?;

    let places = meetings(&found, 3);
    work.think(format!("Reading {}", plural(places.len(), "place"))).await?;
    let passages = around(work, &places).await?;

    work.think("Writing the answer").await?;
    let mut speech = work.speak();
    let total: usize = counted.iter().flatten().map(|counts| counts.total).sum();
    if total == 0 {
        speech
            .say(format!("None of {} stands in any file, so I cannot answer this.\n\n", listing(&names)))
            .await?;
        speech.say(super::help::menu("README.md")).await?;
    } else {
        speech
            .say("I have no language model, so I cannot reason about this; these places say most about it:\n\n")
            .await?;
        for passage in &passages {
            speech.say(quoted(passage)).await?;
        }
        speech.say("How often the words of the question stand where:\n\n").await?;
        speech
            .say(row(&["word", "count", "files", "most in"]) + &row(&["---", "---:", "---:", "---"]))
            .await?;
        for (name, counts) in names.iter().zip(&counted) {
            let cells = match counts {
                Ok(counts) => [
                    name.clone(),
                    counts.total.to_string(),
                    counts.files_with_matches.to_string(),
                    counts.files.first().map_or_else(|| "—".into(), |top| code(&top.path)),
                ],
                Err(error) => [name.clone(), "—".into(), "—".into(), error.to_string()],
            };
            speech.say(row(&cells)).await?;
        }
    }
    speech.end().await?;
    Ok(Outcome::new(
        format!("Quoted {} for {}", plural(passages.len(), "place"), listing(&names)),
        json!({ "matches": total, "passages": passages.len() }),
    ))
}

/// Chooses the lines around which most of the words stand; rare words weigh more than common ones.
fn meetings(found: &[(usize, Vec<Match>)], limit: usize) -> Vec<&Match> {
    let mut by_path: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (word, (_, matches)) in found.iter().enumerate() {
        for place in matches {
            by_path.entry(&place.path).or_default().push((place.line, word));
        }
    }
    let weight = |word: usize| 1.0 / (2.0 + found[word].0 as f64).ln();
    let mut ranked: Vec<(f64, &Match)> = found
        .iter()
        .flat_map(|(_, matches)| matches)
        .map(|place| {
            let mut words: Vec<usize> = by_path[&*place.path]
                .iter()
                .filter(|(line, _)| line.abs_diff(place.line) <= NEAR)
                .map(|(_, word)| *word)
                .collect();
            words.sort_unstable();
            words.dedup();
            // Meeting counts first, rarity second.
            let score = words.len() as f64 * 10.0 + words.into_iter().map(weight).sum::<f64>();
            (score, place)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<&Match> = Vec::new();
    for (_, place) in ranked {
        let near = chosen
            .iter()
            .any(|other| other.path == place.path && other.line.abs_diff(place.line) <= 2 * NEAR);
        if !near && chosen.len() < limit {
            chosen.push(place);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_where_words_meet_come_first() {
        let found = |path: &str, line| Match { path: path.into(), line, text: String::new() };
        let words = [(3, vec![found("a", 1), found("a", 50), found("b", 10)]), (1, vec![found("b", 12)])];
        let places: Vec<_> = meetings(&words, 2).iter().map(|place| (&*place.path, place.line)).collect();
        assert_eq!(places, [("b", 10), ("a", 1)]);
    }
}
