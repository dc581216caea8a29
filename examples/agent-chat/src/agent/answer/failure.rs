//! What a failure looks like: a tool that fails, an error that the run survives, and one that it does not.

use agentwire_bridge::{AgentError, Severity};

use crate::text::markdown::code;
use crate::tools::ReadFile;

use super::super::work::{Outcome, Stop, Work};

/// A file that no project has.
const MISSING: &str = "no-such-file.md";

/// After what time it is worth asking again, in milliseconds.
const RETRY_AFTER_MS: u64 = 3_000;

/// Fails the first time; asked again, it goes on.
pub(super) async fn answer(work: &Work) -> Result<Outcome, Stop> {
    work.plan_steps(2);
    work.think("Reading a file that is not there").await?;
    let missing = ReadFile { path: MISSING.to_owned(), from_line: 1, to_line: 20 };
    if let Err(error) = work.call(missing, format!("Read {}", code(MISSING))).await? {
        let report = AgentError {
            severity: Severity::Low,
            user_message: Some(format!("{} could not be read. I go on without it.", code(MISSING))),
            suggestions: vec!["Ask me to list the files.".to_owned()],
            ..AgentError::new("file_unreadable", error.to_string())
        };
        work.run().report(report).await?;
    }
    work.think("Looking whether you ask for the first time").await?;
    if !work.is_again() {
        return Err(Stop::Failed(Box::new(AgentError {
            severity: Severity::Medium,
            user_message: Some("You asked me to fail, so I did.".to_owned()),
            suggestions: vec![
                "Ask again: the second attempt works.".to_owned(),
                "Ask for a tour of this project instead.".to_owned(),
            ],
            retry_after_ms: Some(RETRY_AFTER_MS),
            ..AgentError::new("asked_to_fail", "the question was to show a failure")
        })));
    }
    let mut speech = work.speak();
    speech
        .say(
            "This time it works. What you saw before is what a page shows of a failure: the call of a tool that \
             failed, an error that I went on from, and one that ended my answer, each with what can be done about \
             it.\n",
        )
        .await?;
    speech.end().await?;
    Ok(Outcome::plain("Worked at the second attempt"))
}
