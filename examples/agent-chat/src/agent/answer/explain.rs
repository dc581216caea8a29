//! What is this?

use serde_json::json;

use crate::text::markdown::{code, plural, times};
use crate::tools::SearchText;

use super::super::work::{Outcome, Stop, Work, both};
use super::mentions::count;
use super::passages::{around, best, quoted};
use super::place;

/// Finds the places that define or explain a topic, reads around them, and quotes them.
pub(super) async fn answer(work: &Work, topic: &str, glob: Option<&str>) -> Result<Outcome, Stop> {
    work.plan_steps(3);
    work.think(format!("Looking for places that explain {}", code(topic))).await?;
    let tool =
        SearchText { pattern: topic.to_owned(), regex: false, glob: glob.map(str::to_owned), limit: 200 };
    let (found, counts) =
        both(work.call(tool, format!("Find lines with {}", code(topic))), count(work, topic, glob)).await?;
    let (found, counts) = match (found, counts) {
        (Ok(found), Ok(counts)) => (found, counts),
        (Err(error), _) | (_, Err(error)) => {
            let mut speech = work.speak();
            speech.say(format!("I could not look for {}: {error}.\n", code(topic))).await?;
            speech.end().await?;
            return Ok(Outcome::plain(format!("{} could not be looked for", code(topic))));
        }
    };
    if found.matches.is_empty() {
        // Several words that never stand together may still stand apart.
        let words: Vec<String> = topic.split(' ').map(str::to_owned).collect();
        if words.len() > 1 {
            return super::keywords::answer(work, &words).await;
        }
        let mut speech = work.speak();
        speech.say(format!("{} does not stand {}. ", code(topic), place(found.files_searched, glob))).await?;
        speech.say("I know only what the files say.\n\n").await?;
        speech.say(super::help::menu("README.md")).await?;
        speech.end().await?;
        return Ok(Outcome::new(format!("{} is nowhere", code(topic)), json!({ "matches": 0 })));
    }
    let places = best(&found.matches, topic, 3);
    work.think(format!("Reading the best of {}", plural(found.matches.len(), "line"))).await?;
    let passages = around(work, &places).await?;
    work.think("Writing the answer").await?;
    let mut speech = work.speak();
    speech.say(format!("This is what the files say about {}:\n\n", code(topic))).await?;
    for passage in &passages {
        speech.say(quoted(passage)).await?;
    }
    speech
        .say(format!(
            "In all, {} stands {} in {}",
            code(topic),
            times(counts.total),
            plural(counts.files_with_matches, "file")
        ))
        .await?;
    if let Some(top) = counts.files.first() {
        speech.say(format!(", most often in {} ({})", code(&top.path), top.count)).await?;
    }
    speech.say(".\n").await?;
    speech.end().await?;
    Ok(Outcome::new(
        format!("Quoted {} about {}", plural(passages.len(), "place"), code(topic)),
        json!({ "matches": counts.total, "filesWithMatches": counts.files_with_matches, "passages": passages.len() }),
    ))
}
