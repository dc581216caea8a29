//! From an English question to a plan, by rules: no model is asked, and the same question gives the same plan.

mod rules;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use self::words::is_stop_word;

/// What to do about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Which files have these texts, and how often?
    Mentions {
        /// The texts.
        terms: Vec<String>,
        /// Where to look.
        glob: Option<String>,
    },
    /// How often does this text stand there?
    Count {
        /// The text.
        term: String,
        /// Where to look.
        glob: Option<String>,
    },
    /// Where does this name come from, or where is it used?
    Locate {
        /// The name.
        name: String,
        /// Which of the two.
        wanted: Wanted,
        /// Where to look.
        glob: Option<String>,
    },
    /// What files are there?
    List {
        /// Which ones.
        glob: Option<String>,
    },
    /// What do these lines say?
    Read {
        /// The file as the user named it.
        path: String,
        /// First and last line.
        lines: Option<(usize, usize)>,
    },
    /// What is in this file?
    Summarise {
        /// The file as the user named it.
        path: String,
    },
    /// What is this folder about, in short?
    Overview,
    /// What is in each part of this folder, at length?
    Tour,
    /// Where does this text stand? A person is asked before anything is searched.
    AskFirst {
        /// The text.
        term: String,
        /// Where to look.
        glob: Option<String>,
    },
    /// What does a failure look like?
    Failure,
    /// What does this word mean here?
    Explain {
        /// The word or words.
        topic: String,
        /// Where to look.
        glob: Option<String>,
    },
    /// How do these two differ?
    Compare {
        /// The one.
        left: String,
        /// The other.
        right: String,
        /// Where to look.
        glob: Option<String>,
    },
    /// Anything else that has words to look for.
    Keywords {
        /// The words.
        words: Vec<String>,
    },
    /// Nothing to look for: say what can be asked.
    Help,
}

/// What is wanted of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Where it is defined.
    Definition,
    /// Where it is used.
    Uses,
}

impl Plan {
    /// Makes the plan for a question.
    pub(crate) fn of(question: &str) -> Self {
        let question = words::tidy(question);
        if let Some(plan) = rules::RULES.iter().find_map(|rule| rule.plan(&question)) {
            return plan;
        }
        let words = words::keywords(&question);
        if words.is_empty() { Self::Help } else { Self::Keywords { words } }
    }
}
