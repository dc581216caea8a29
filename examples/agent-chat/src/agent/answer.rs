//! From a plan to an answer: which tools run, and what is said about what they found.

mod ask_first;
mod compare;
mod count;
mod explain;
mod failure;
mod files;
mod help;
mod keywords;
mod locate;
mod mentions;
mod passages;
mod summary;
mod tour;
mod wishes;

use crate::plan::Plan;

use super::work::{Outcome, Stop, Work};

/// Works on `plan` and writes the answer.
pub(super) async fn answer(work: &Work, plan: &Plan) -> Result<Outcome, Stop> {
    match plan {
        Plan::Mentions { terms, glob } => mentions::answer(work, terms, glob.as_deref()).await,
        Plan::Count { term, glob } => count::answer(work, term, glob.as_deref()).await,
        Plan::Locate { name, wanted, glob } => locate::answer(work, name, *wanted, glob.as_deref()).await,
        Plan::List { glob } => files::list(work, glob.as_deref()).await,
        Plan::Read { path, lines } => files::read(work, path, *lines).await,
        Plan::Summarise { path } => summary::file(work, path).await,
        Plan::Overview => summary::project(work).await,
        Plan::Tour => tour::answer(work).await,
        Plan::AskFirst { term, glob } => ask_first::answer(work, term, glob.as_deref()).await,
        Plan::Failure => failure::answer(work).await,
        Plan::Explain { topic, glob } => explain::answer(work, topic, glob.as_deref()).await,
        Plan::Compare { left, right, glob } => compare::answer(work, left, right, glob.as_deref()).await,
        Plan::Keywords { words } => keywords::answer(work, words).await,
        Plan::Help => help::answer(work).await,
    }
}

/// Says where was looked: "in 12 files", "in 3 files that match `*.rs`".
fn place(files_searched: usize, glob: Option<&str>) -> String {
    use crate::text::markdown::{code, plural};

    match glob {
        Some(glob) if files_searched == 0 => format!("in any file, because none matches {}", code(glob)),
        Some(glob) => format!("in {} that match {}", plural(files_searched, "file"), code(glob)),
        None => format!("in {}", plural(files_searched, "file")),
    }
}
