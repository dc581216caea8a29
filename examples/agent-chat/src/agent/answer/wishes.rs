//! What a user says while a tour goes on: which parts are wanted.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use crate::text::markdown::{code, listing};

use super::super::work::Work;

/// Begins a wish to see nothing else.
const ONLY: [&str; 3] = ["only ", "just ", "nothing but "];

/// Begins a wish to leave something out.
const WITHOUT: [&str; 5] = ["skip ", "leave out ", "without ", "no ", "not "];

/// Most parts that one wish names.
const MAX_NAMES: usize = 10;

/// What was wished so far.
#[derive(Debug, Default)]
pub(super) struct Wishes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    wishes: Vec<Wish>,
    /// So many of them were replied to.
    replied: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Wish {
    /// These parts and no others.
    Only(Vec<String>),
    /// All but these.
    Without(Vec<String>),
    /// What a tour cannot do.
    Other(String),
}

impl Wishes {
    /// Takes every message that steers the run, until it is dropped.
    pub(super) async fn listen(&self, work: &Work) -> Infallible {
        // The run is over or cancelled: whoever works on it finds out.
        while let Ok(message) = work.run().steering().await {
            self.state().wishes.push(Wish::of(&message.content));
        }
        std::future::pending().await
    }

    /// Says whether a part is wanted: the last wish that says something about it counts.
    pub(super) fn wants(&self, part: &str) -> bool {
        let names = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(part));
        let says = |wish: &Wish| match wish {
            Wish::Only(only) => Some(names(only)),
            Wish::Without(without) => names(without).then_some(false),
            Wish::Other(_) => None,
        };
        self.state().wishes.iter().rev().find_map(says).unwrap_or(true)
    }

    /// What to say about the wishes that nothing was said about yet.
    pub(super) fn replies(&self) -> String {
        let mut state = self.state();
        let replies = state.wishes[state.replied..].iter().map(Wish::reply).collect();
        state.replied = state.wishes.len();
        replies
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wish {
    fn of(text: &str) -> Self {
        let text: String = text.trim().chars().take(200).collect();
        let lower = text.to_lowercase();
        let after = |words: &[&str]| words.iter().find_map(|word| lower.strip_prefix(word)).map(parts);
        match (after(&ONLY), after(&WITHOUT)) {
            (Some(only), _) => Self::Only(only),
            (None, Some(without)) => Self::Without(without),
            (None, None) => Self::Other(text),
        }
    }

    fn reply(&self) -> String {
        let names = |names: &[String]| listing(&names.iter().map(|name| code(name)).collect::<Vec<_>>());
        match self {
            Self::Only(only) => format!("*From here on only {}, as you wished.*\n\n", names(only)),
            Self::Without(without) => {
                format!("*From here on without {}, as you wished.*\n\n", names(without))
            }
            Self::Other(text) => format!(
                "*You said {}. On a tour I can only leave parts out, as in {}, or keep to some, as in {}.*\n\n",
                code(text),
                code("skip tests"),
                code("only docs"),
            ),
        }
    }
}

/// The parts that `text` names.
fn parts(text: &str) -> Vec<String> {
    text.split([',', ' '])
        .map(|name| name.trim_matches(['/', '.', '!', '`', '"']))
        .filter(|name| !["", "and", "or", "the", "please", "folder", "folders"].contains(name))
        .take(MAX_NAMES)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(texts: &[&str]) -> Wishes {
        let wishes = texts.iter().map(|text| Wish::of(text)).collect();
        Wishes(Mutex::new(State { wishes, replied: 0 }))
    }

    #[test]
    fn the_last_wish_about_a_part_counts() {
        let wanted = |texts: &[&str]| {
            let wishes = wishes(texts);
            ["docs", "src", "tests"].into_iter().filter(|part| wishes.wants(part)).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]), ["docs", "src", "tests"]);
        assert_eq!(wanted(&["Skip docs/, please"]), ["src", "tests"]);
        assert_eq!(wanted(&["only `docs` and Src"]), ["docs", "src"]);
        assert_eq!(wanted(&["only docs and src", "no src"]), ["docs"]);
        assert_eq!(wanted(&["no src", "just src"]), ["src"]);
        assert_eq!(wanted(&["louder"]), ["docs", "src", "tests"]);
    }

    #[test]
    fn each_wish_is_replied_to_once() {
        let wishes = wishes(&["skip docs", "louder"]);
        let said = wishes.replies();
        assert!(said.contains("without `docs`") && said.contains("`louder`"), "{said}");
        assert_eq!(wishes.replies(), "");
    }
}
