//! Taking a question apart: politeness, quotes, scopes, keywords.

use std::sync::LazyLock;

use regex::Regex;

/// Most characters of a question that are looked at.
const MAX_QUESTION_CHARS: usize = 2000;

/// Most terms of one question.
pub(super) const MAX_TERMS: usize = 4;

/// Words that say nothing about what is asked for.
const STOP_WORDS: &[&str] = &[
    "a",
    "about",
    "actually",
    "after",
    "all",
    "also",
    "an",
    "and",
    "any",
    "anything",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "between",
    "but",
    "by",
    "can",
    "code",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "done",
    "each",
    "else",
    "every",
    "everything",
    "explain",
    "file",
    "files",
    "find",
    "folder",
    "for",
    "from",
    "get",
    "gets",
    "give",
    "goes",
    "got",
    "had",
    "happen",
    "happens",
    "has",
    "have",
    "having",
    "hello",
    "here",
    "hey",
    "hi",
    "how",
    "i",
    "if",
    "in",
    "interesting",
    "into",
    "is",
    "it",
    "its",
    "just",
    "know",
    "let",
    "like",
    "look",
    "made",
    "make",
    "makes",
    "many",
    "may",
    "me",
    "mean",
    "means",
    "might",
    "more",
    "most",
    "much",
    "must",
    "my",
    "no",
    "not",
    "now",
    "of",
    "often",
    "on",
    "one",
    "only",
    "or",
    "other",
    "our",
    "out",
    "over",
    "please",
    "project",
    "read",
    "really",
    "same",
    "say",
    "says",
    "see",
    "shall",
    "should",
    "show",
    "so",
    "some",
    "something",
    "still",
    "such",
    "tell",
    "than",
    "thank",
    "thanks",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "thing",
    "things",
    "think",
    "this",
    "those",
    "to",
    "too",
    "two",
    "up",
    "us",
    "use",
    "used",
    "uses",
    "using",
    "very",
    "want",
    "was",
    "way",
    "we",
    "were",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "whose",
    "why",
    "will",
    "with",
    "without",
    "work",
    "works",
    "would",
    "yes",
    "yet",
    "you",
    "your",
];

/// What people call the whole folder.
const WHOLE: &[&str] = &[
    "all",
    "all of it",
    "all this",
    "code",
    "codebase",
    "code base",
    "everything",
    "folder",
    "here",
    "it",
    "project",
    "repo",
    "repository",
    "source",
    "sources",
    "thing",
    "this",
    "tree",
    "whole thing",
    "workspace",
];

static SPACE: LazyLock<Regex> = LazyLock::new(|| regex(r"\s+"));
static POLITE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)^(?:please|hi|hello|hey|ok|okay|so|now|and|well|agent|(?:can|could|would|will) you(?: please)?|tell me|let me know|(?:i(?:'d| would) like|i want) (?:you )?to(?: know| see)?|do you know|i wonder)\b[\s,!:.]*",
    )
});
static HOW_OFTEN: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)[\s,;]+(?:and\s+)?(?:how (?:often|many(?: times)?|much)|where|in which files?)\b[^.]*$")
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    regex("`([^`]+)`|\"([^\"]+)\"|“([^”]+)”|„([^“”]+)[“”]|‘([^’]+)’|(?:^|\\s)'([^']+)'(?:$|[\\s,.;?!])")
});
static LEAD: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)^(?:(?:the|a|an|any|all|some|of|for|to|about|on) |(?:word|term|text|string|phrase|name|symbol|concept|function|type|struct|class|trait|method|variable|constant|mentions?|occurrences?|uses?|usages?|references?)(?: of)? (?:the |a )?)",
    )
});
static TAIL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:\s+(?:(?:(?:in|of|from|across|throughout|inside|within) )?(?:(?:this|the|your|our|my|all(?: of)? the|all) )?(?:(?:whole|entire) )?(?:project|folder|files|repo|repository|code ?base|code|workspace|sources?|docs here)|here|there|please|in it|at all|altogether|in total|for me|again|anywhere))$",
    )
});
static SCOPE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)^(.+?)\s+(?:in|inside|within|under|below|from)\s+(?:all )?(?:the )?(\S+?)(?:\s+(files?|folder|directory|dir|sources?|code))?$",
    )
});
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:\./)?[\w.@+-]+(?:/[\w.@+-]+)*\.[A-Za-z][A-Za-z0-9]{0,9}$|^(?:\.{0,2}/)?[\w.@+-]+(?:/[\w.@+-]+)+$|^/\S+$",
    )
});
static SEPARATOR: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)\s*(?:,\s*(?:and|or)\s+|,\s*|\s+(?:and|or)\s+)"));

/// Compiles a pattern of this program.
pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant, and each is compiled by a test")
}

/// Brings a question into the form that the rules expect: one line, without politeness and final punctuation.
pub(super) fn tidy(question: &str) -> String {
    let start: String = question.chars().take(MAX_QUESTION_CHARS).collect();
    let line = SPACE.replace_all(start.trim(), " ").replace('’', "'");
    let mut rest = line.as_str();
    while let Some(found) = POLITE.find(rest) {
        rest = &rest[found.end()..];
    }
    rest.trim_end_matches(['?', '!', '.', ' ', ',', ';', ':']).to_owned()
}

/// Cuts ", and how often" from the end of a question.
pub(super) fn without_how_often(question: &str) -> &str {
    HOW_OFTEN.find(question).map_or(question, |found| &question[..found.start()])
}

/// Returns the texts in quotes.
pub(super) fn quoted(text: &str) -> Vec<String> {
    QUOTED
        .captures_iter(text)
        .filter_map(|found| found.iter().skip(1).flatten().next())
        .map(|found| found.as_str().trim().to_owned())
        .filter(|found| !found.is_empty())
        .take(MAX_TERMS)
        .collect()
}

/// Returns the one thing that `text` names: what is quoted, or what is left without articles and "in this project".
pub(super) fn term(text: &str) -> Option<String> {
    if let Some(quoted) = quoted(text).into_iter().next() {
        return Some(quoted);
    }
    let mut rest = text.trim();
    loop {
        let before = rest;
        // Before the tail: "the struct Folder" names `Folder`, not a folder.
        while let Some(found) = LEAD.find(rest) {
            rest = &rest[found.end()..];
        }
        if let Some(found) = TAIL.find(rest) {
            rest = &rest[..found.start()];
        }
        rest = rest.trim_matches([' ', ',', ';', ':', '?', '!', '\'']).trim_end_matches("()");
        if rest == before {
            break;
        }
    }
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// Returns the things that `text` names, at most [`MAX_TERMS`]: what is quoted, or what stands between commas, "and" and "or".
pub(super) fn terms(text: &str) -> Vec<String> {
    let quoted = quoted(text);
    if !quoted.is_empty() {
        return quoted;
    }
    let mut terms: Vec<String> = Vec::new();
    for part in SEPARATOR.split(text) {
        if let Some(term) = term(part)
            && !terms.contains(&term)
            && terms.len() < MAX_TERMS
        {
            terms.push(term);
        }
    }
    terms
}

/// Splits "X in the Rust files" and "X in docs/" into what is looked for and the glob of where.
pub(super) fn scoped(text: &str) -> (&str, Option<String>) {
    if let Some(found) = SCOPE.captures(text)
        && let (Some(what), Some(place)) = (found.get(1), found.get(2))
        && let Some(glob) = place_glob(place.as_str(), found.get(3).map(|noun| noun.as_str()))
    {
        return (what.as_str(), Some(glob));
    }
    (text, None)
}

/// Returns the glob for a place such as `docs/`, `src/lib.rs`, "Rust" (with the noun "files") or "docs" (with "folder").
pub(super) fn place_glob(place: &str, noun: Option<&str>) -> Option<String> {
    let place = place.trim_matches(['`', '"', '\'', '?', '.', ',']).trim_start_matches("./");
    if place.contains(['*', '{', '[']) {
        return Some(place.to_owned());
    }
    let lower = place.to_lowercase();
    let noun = noun.map(str::to_lowercase);
    if is_whole(&lower) {
        return None;
    }
    if matches!(noun.as_deref(), Some("folder" | "directory" | "dir")) || place.ends_with('/') {
        return Some(format!("{}/**", place.trim_end_matches('/')));
    }
    let kind = match lower.as_str() {
        "rust" => Some("*.rs"),
        "markdown" => Some("*.md"),
        "python" => Some("*.py"),
        "typescript" => Some("*.ts"),
        "javascript" => Some("*.js"),
        "html" => Some("*.html"),
        "css" => Some("*.css"),
        "yaml" => Some("*.{yaml,yml}"),
        _ => None,
    };
    if let Some(kind) = kind {
        return Some(kind.to_owned());
    }
    if noun.is_some() && lower.chars().all(|letter| letter.is_ascii_alphanumeric()) && lower.len() <= 10 {
        return Some(format!("*.{lower}"));
    }
    if looks_like_path(place) {
        let name = place.rsplit('/').next().unwrap_or(place);
        return Some(if name.contains('.') { place.to_owned() } else { format!("{place}/**") });
    }
    None
}

/// Says whether `text` names a file or a folder.
pub(super) fn looks_like_path(text: &str) -> bool {
    PATH.is_match(text)
        || matches!(
            text.to_lowercase().as_str(),
            "readme" | "license" | "makefile" | "dockerfile" | "changelog" | "contributing"
        )
}

/// Says whether `text` means the whole folder.
pub(super) fn is_whole(text: &str) -> bool {
    let mut rest = text.trim().to_lowercase();
    for lead in ["this ", "the ", "your ", "our ", "my ", "that ", "whole ", "entire "] {
        rest = rest.strip_prefix(lead).unwrap_or(&rest).to_owned();
    }
    WHOLE.contains(&rest.as_str())
}

/// Returns the words that say what is asked for, at most [`MAX_TERMS`], quoted ones first, long ones before short ones.
pub(super) fn keywords(question: &str) -> Vec<String> {
    let mut words = quoted(question);
    let mut plain: Vec<&str> = question
        .split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '-' | ':' | '.' | '/')))
        .map(|word| word.trim_matches(['-', ':', '.', '/']))
        .filter(|word| word.chars().count() > 1 && !is_stop_word(&word.to_lowercase()))
        .collect();
    plain.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    for word in plain {
        let known = words.iter().any(|known| known.to_lowercase().contains(&word.to_lowercase()));
        if !known && words.len() < MAX_TERMS {
            words.push(word.to_owned());
        }
    }
    words.truncate(MAX_TERMS);
    words
}

/// Says whether a word, in lower case, says nothing about what is asked for.
pub(crate) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(&word)
}
