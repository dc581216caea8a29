//! How many of this are there?

use serde_json::json;

use crate::text::markdown::{code, plural, times};

use super::super::work::{Outcome, Stop, Work, both};
use super::mentions::{count, table};

/// Counts a term and, side by side, its singular, which people often mean.
pub(super) async fn answer(work: &Work, term: &str, glob: Option<&str>) -> Result<Outcome, Stop> {
    work.plan_steps(2);
    work.think(format!("Counting {}", code(term))).await?;
    let singular = singular(term);
    let (counted, alone) = both(count(work, term, glob), async {
        match singular {
            Some(singular) => Ok(count(work, singular, glob).await?.ok()),
            None => Ok(None),
        }
    })
    .await?;

    work.think("Writing the answer").await?;
    let mut speech = work.speak();
    let counts = match counted {
        Ok(counts) => counts,
        Err(error) => {
            speech.say(format!("I could not count {}: {error}.\n", code(term))).await?;
            speech.end().await?;
            return Ok(Outcome::plain(format!("{} could not be counted", code(term))));
        }
    };
    let (asked, counts) = match (singular, alone) {
        (Some(singular), Some(alone)) if counts.total == 0 && alone.total > 0 => {
            speech.say(format!("{} is nowhere, so I counted {}. ", code(term), code(singular))).await?;
            speech.say(table(singular, &alone, glob)).await?;
            (singular, alone)
        }
        (Some(singular), Some(alone)) if alone.total > counts.total => {
            speech.say(table(term, &counts, glob)).await?;
            let (often, files) = (times(alone.total), plural(alone.files_with_matches, "file"));
            speech.say(format!("With the singular {}, it is {often} in {files}. ", code(singular))).await?;
            (term, counts)
        }
        _ => {
            speech.say(table(term, &counts, glob)).await?;
            (term, counts)
        }
    };
    speech.say("This counts the text wherever it stands, in code, comments and prose alike.\n").await?;
    speech.end().await?;
    Ok(Outcome::new(
        format!("{} stands {}", code(asked), times(counts.total)),
        json!({ "matches": counts.total, "filesWithMatches": counts.files_with_matches }),
    ))
}

/// The singular of a plural with `s`.
fn singular(term: &str) -> Option<&str> {
    term.strip_suffix('s').filter(|singular| !singular.ends_with('s') && singular.chars().count() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plural_has_a_singular() {
        assert_eq!(singular("receipts"), Some("receipt"));
        for term in ["class", "is", "gas", "backoff"] {
            assert_eq!(singular(term), None, "{term}");
        }
    }
}
