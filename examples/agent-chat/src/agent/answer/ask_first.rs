//! Where does this text stand? The user is asked first, and may change what is searched.

use std::time::Duration;

use agentwire_bridge::{Answer, Decision, Question};
use serde_json::{Value, json};

use crate::text::markdown::{block, code, plural, quote};
use crate::tools::SearchText;

use super::super::work::{Outcome, Stop, Work};
use super::place;

/// How long the question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Lines that are asked for, unless the user wants more or fewer.
const LINES: usize = 5;

/// Asks, and searches as the user says.
pub(super) async fn answer(work: &Work, term: &str, glob: Option<&str>) -> Result<Outcome, Stop> {
    work.plan_steps(2);
    work.think(format!("Asking whether to search for {}", code(term))).await?;
    let wanted =
        SearchText { pattern: term.to_owned(), regex: false, glob: glob.map(str::to_owned), limit: LINES };
    let question = Question {
        args: Some(json!(wanted)),
        editable: true,
        schema: Some(schema()),
        expires_in: Some(PATIENCE),
        ..Question::new(format!("May I search the files for {}? You can change what I search.", code(term)))
    };
    let answer = work.run().ask_with(question).await?;
    if answer.decision != Decision::Approved {
        return refused(work, &answer).await;
    }
    // What does not fit the schema is refused before it gets here.
    let search = answer.edited_args.and_then(|args| serde_json::from_value(args).ok()).unwrap_or(wanted);
    work.think(format!("Searching for {}", code(&search.pattern))).await?;
    let found = work.call(search.clone(), format!("Find {}, as you said", code(&search.pattern))).await?;
    let mut speech = work.speak();
    let outcome = match found {
        Ok(found) => {
            let place = place(found.files_searched, search.glob.as_deref());
            let lines = plural(found.matches.len(), "line");
            speech
                .say(format!("I looked {place} and found {} in {lines}.\n\n", code(&search.pattern)))
                .await?;
            for line in &found.matches {
                speech.say(block(&line.path, line.line, std::slice::from_ref(&line.text))).await?;
            }
            Outcome::new(format!("Found {lines}"), json!({ "lines": found.matches.len() }))
        }
        Err(error) => {
            speech.say(format!("I could not search for {}: {error}.\n", code(&search.pattern))).await?;
            Outcome::plain("Nothing could be searched")
        }
    };
    speech.end().await?;
    Ok(outcome)
}

/// Nothing is searched.
async fn refused(work: &Work, answer: &Answer) -> Result<Outcome, Stop> {
    let mut speech = work.speak();
    let words = match answer.decision {
        Decision::Expired => "Nobody answered, so I searched nothing.\n\n",
        _ => "As you wish: I searched nothing.\n\n",
    };
    speech.say(words).await?;
    if let Some(reason) = &answer.reason {
        speech.say(format!("You said:\n\n{}", quote(reason))).await?;
    }
    speech.end().await?;
    Ok(Outcome::plain("Nothing was searched"))
}

/// What the arguments may be.
fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["pattern", "limit", "regex"],
        "properties": {
            "pattern": { "type": "string", "minLength": 1, "title": "Search for" },
            "regex": { "type": "boolean", "title": "It is a regular expression" },
            "glob": { "type": "string", "title": "Only in files like", "description": "Such as docs/** or *.rs" },
            "limit": { "type": "integer", "minimum": 1, "maximum": 200, "title": "Most lines" }
        }
    })
}
