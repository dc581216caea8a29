//! What to say when there is nothing to look for: what can be asked.

use crate::text::markdown::code;
use crate::tools::ListFiles;

use super::super::work::{Outcome, Stop, Work};

/// Says what the agent can do, with the names of real files.
pub(super) async fn answer(work: &Work) -> Result<Outcome, Stop> {
    work.plan_steps(1);
    work.think("Looking at what there is to ask about").await?;
    let listed = work.call(ListFiles { glob: None, limit: 50 }, "Name files that can be asked about").await?;
    let mut speech = work.speak();
    speech
        .say(format!(
            "I answer questions about the text files in {}. I have no language model: I search, count and quote, \
             and everything I say comes from the files.\n\n",
            code(&work.folder_name())
        ))
        .await?;
    let file = match &listed {
        Ok(list) => list.files.iter().max_by_key(|file| file.bytes).map(|file| file.path.clone()),
        Err(_) => None,
    };
    let file = file.as_deref().unwrap_or("README.md");
    speech.say(menu(file)).await?;
    speech.end().await?;
    Ok(Outcome::plain("Said what can be asked"))
}

/// What can be asked, as a list of examples.
pub(super) fn menu(file: &str) -> String {
    let questions = [
        "Which files mention backoff, and how often?".to_owned(),
        "How many tests are there?".to_owned(),
        "Where is retry defined?".to_owned(),
        "List the files".to_owned(),
        format!("Show {file} lines 1 to 20"),
        format!("Summarise {file}"),
        "What is an epoch?".to_owned(),
        "Compare replay and resume".to_owned(),
        "Give me a tour of this project".to_owned(),
        "Ask me before you search for backoff".to_owned(),
        "Show me a failure".to_owned(),
    ];
    let mut menu = String::from("You can ask, for example:\n\n");
    for question in questions {
        menu.push_str(&format!("- {question}\n"));
    }
    menu
}
