//! What can be said about a text without understanding it: its beginning, its outline, the words that stand out.

pub(crate) mod markdown;

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::plan::is_stop_word;
use crate::tools::extension;

/// A heading or a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of the line, from 1.
    pub(crate) line: usize,
    /// What it is called.
    pub(crate) name: String,
}

/// What introduces a name in the usual languages.
const DEFINING: &str = r"(?:fn|struct|enum|union|trait|type|const|static|mod|macro_rules!|class|interface|function|def|namespace|module)";

static DEFINITION: LazyLock<Regex> = LazyLock::new(|| {
    constant(&format!(
        r"^\s*(?:(?:pub(?:\([a-z: ]+\))?|export|default|async|unsafe|const|abstract|declare|extern)\s+)*{DEFINING}\s+([A-Za-z_$][\w$]*)"
    ))
});
static HEADING: LazyLock<Regex> = LazyLock::new(|| constant(r"^#{1,6}\s+(.+?)\s*#*$"));
static TOML_TABLE: LazyLock<Regex> = LazyLock::new(|| constant(r"^\[+([^\[\]]+)\]+\s*$"));
static DESCRIPTION: LazyLock<Regex> = LazyLock::new(|| constant(r#"^\s*"?description"?\s*[:=]\s*"([^"]+)""#));

fn constant(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant, and a test uses it")
}

/// Returns a regular expression for the lines that define `name`: code, headings, bold terms, keys.
pub(crate) fn definition_of(name: &str) -> String {
    let name = regex::escape(name);
    format!(
        r"\b{DEFINING}\s+{name}\b|^\s*#+\s.*\b{name}\b|\*\*{name}\*\*|^\s*(?:export\s+)?(?:const|let|var|static)?\s*\x22?{name}\x22?\s*[:=][^:=]"
    )
}

/// Returns a regular expression for the lines that may define something or begin a part.
pub(crate) fn definitions() -> String {
    format!(
        r"^\s*(?:(?:pub(?:\([a-z: ]+\))?|export|default|async|unsafe|const)\s+)*{DEFINING}\s+[a-z_$]|^#{{1,3}}\s+\S"
    )
}

/// Returns the first paragraph that people wrote: prose of Markdown, the first comment of code, a `description`.
pub(crate) fn introduction(path: &str, lines: &[String]) -> Option<String> {
    let text = match extension(path) {
        _ if is_prose(path) => paragraph(lines.iter().map(|line| prose(line))),
        "toml" | "json" => lines.iter().find_map(|line| Some(DESCRIPTION.captures(line)?[1].to_owned())),
        _ => paragraph(lines.iter().map(|line| comment(line))),
    }?;
    Some(sentences(&text, 360))
}

/// Returns the headings of Markdown or the definitions of code, in their order.
pub(crate) fn outline(path: &str, lines: &[String]) -> Vec<Mark> {
    let pattern = match extension(path) {
        _ if is_prose(path) => &HEADING,
        "toml" => &TOML_TABLE,
        _ => &DEFINITION,
    };
    let mut fenced = false;
    let mut marks = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        if let Some(found) = pattern.captures(line) {
            marks.push(Mark { line: index + 1, name: found[1].to_owned() });
        }
    }
    marks
}

/// Returns the words that come up most often, at most `limit`, with how often. Words of the language are left out.
pub(crate) fn frequent_words(lines: &[String], limit: usize) -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in lines {
        for word in line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')) {
            let word = word.to_lowercase();
            let is_number = word.chars().all(|letter| letter.is_ascii_digit());
            if word.chars().count() > 3 && !is_number && !is_stop_word(&word) && !is_syntax(&word) {
                *counts.entry(word).or_default() += 1;
            }
        }
    }
    let mut words: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    words.truncate(limit);
    words
}

/// Says whether a file holds text for people, by its name.
pub(crate) fn is_prose(path: &str) -> bool {
    matches!(extension(path), "md" | "txt" | "rst" | "adoc")
}

/// How well a line explains `topic`; 0 when it only mentions it.
pub(crate) fn explains(path: &str, line: &str, topic: &str) -> u32 {
    let lower = line.to_lowercase();
    let topic = topic.to_lowercase();
    let Some(at) = lower.find(&topic) else { return 0 };
    let after = &lower[at + topic.len()..];
    let is_prose = is_prose(path);
    let mut score = 0;
    if is_prose && HEADING.is_match(line) {
        score += 6;
    }
    if DEFINITION.captures(line).is_some_and(|found| found[1].to_lowercase().contains(&topic)) {
        score += 7;
    }
    let is_bold = lower.contains(&format!("**{topic}**")) || lower.contains(&format!("**{topic}s**"));
    // In code, bold text is more likely a part of a string.
    if is_bold && (is_prose || comment(line).is_some()) {
        score += 8;
    }
    let rest = after.trim_start_matches(['*', '`', '"', ')', 's']).trim_start();
    if ["is ", "are ", "means ", "says ", "keeps ", "holds ", ": ", "= ", "— ", "| "]
        .iter()
        .any(|verb| rest.starts_with(verb))
    {
        score += 4;
    }
    if comment(line).is_some() {
        score += 2;
    }
    if is_prose {
        score += 1;
    }
    if path.to_lowercase().contains(&topic) {
        score += 2;
    }
    score
}

/// How well a line shows where `name` is defined: code that defines it, then what [`explains`] it.
pub(crate) fn defines(path: &str, line: &str, name: &str) -> u32 {
    let code = match DEFINITION.captures(line) {
        Some(found) if &found[1] == name => 30,
        Some(found) if found[1].eq_ignore_ascii_case(name) => 20,
        _ => 0,
    };
    code + explains(path, line, name)
}

/// Cuts `text` after the last sentence that ends within `limit` characters, or at a word.
pub(crate) fn sentences(text: &str, limit: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(limit) else {
        return text.to_owned();
    };
    let start = &text[..end];
    if let Some(stop) = start.rfind(". ").filter(|stop| *stop > end / 3) {
        return start[..=stop].to_owned();
    }
    format!("{} …", start.rsplit_once(' ').map_or(start, |(words, _)| words))
}

/// Joins the first lines that have text; a line without ends the paragraph.
fn paragraph<'a>(lines: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let mut text = String::new();
    for line in lines {
        match line {
            Some(line) if !line.is_empty() => {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(line);
            }
            _ if text.is_empty() => {}
            _ => break,
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The text of a line of Markdown that is neither a heading nor markup.
fn prose(line: &str) -> Option<&str> {
    let line = line.trim();
    let is_markup = line.starts_with(['#', '<', '|', '[', '!', '=', '`', '~']) || line.starts_with("---");
    (!is_markup).then_some(line)
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim();
    for lead in ["//!", "///", "//", "/**", "/*", "\"\"\"", "# ", "* ", "-- ", ";; "] {
        if let Some(text) = line.strip_prefix(lead) {
            return Some(text.trim().trim_end_matches("*/").trim_end());
        }
    }
    None
}

/// Words that languages use, which say nothing about one file.
fn is_syntax(word: &str) -> bool {
    matches!(
        word,
        "self"
            | "impl"
            | "struct"
            | "enum"
            | "match"
            | "return"
            | "string"
            | "true"
            | "false"
            | "none"
            | "async"
            | "await"
            | "const"
            | "static"
            | "type"
            | "crate"
            | "super"
            | "move"
            | "else"
            | "while"
            | "loop"
            | "import"
            | "export"
            | "function"
            | "interface"
            | "class"
            | "readonly"
            | "undefined"
            | "null"
            | "number"
            | "boolean"
            | "void"
            | "unwrap"
            | "option"
            | "result"
            | "some"
            | "clone"
            | "into"
            | "assert_eq"
            | "assert"
            | "expect"
            | "derive"
            | "default"
            | "usize"
            | "https"
            | "http"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_introduction_is_what_people_wrote_first() {
        let markdown = "# Title\n\n[![badge](x)](y)\n\nThe first\nparagraph.\n\nThe second.";
        assert_eq!(introduction("a.md", &lines(markdown)).unwrap(), "The first paragraph.");
        let code = "#![allow(x)]\n\n//! Does a thing.\n//! Well.\n//!\n//! More.\nuse x;";
        assert_eq!(introduction("a.rs", &lines(code)).unwrap(), "Does a thing. Well.");
        let script = "/**\n * Says what.\n */\nexport const x = 1;";
        assert_eq!(introduction("a.ts", &lines(script)).unwrap(), "Says what.");
        let manifest = "[package]\nname = \"x\"\ndescription = \"A tool\"";
        assert_eq!(introduction("Cargo.toml", &lines(manifest)).unwrap(), "A tool");
        assert_eq!(introduction("a.rs", &lines("fn main() {}")), None);
    }

    #[test]
    fn the_outline_has_headings_and_definitions_with_their_lines() {
        let names = |path: &str, text: &str| -> Vec<(usize, String)> {
            outline(path, &lines(text)).into_iter().map(|mark| (mark.line, mark.name)).collect()
        };
        assert_eq!(
            names("a.md", "# One\ntext\n```\n# not\n```\n## Two ##"),
            [(1, "One".to_owned()), (6, "Two".to_owned())]
        );
        assert_eq!(
            names("a.rs", "pub(crate) async fn go() {\nlet x = 1;\n}\nstruct S;\nexport class C {"),
            [(1, "go".to_owned()), (4, "S".to_owned()), (5, "C".to_owned())]
        );
    }

    #[test]
    fn definitions_of_a_name_are_not_mistaken_for_uses() {
        let pattern = Regex::new(&format!("(?i){}", definition_of("backoff"))).unwrap();
        for line in [
            "pub struct Backoff {",
            "## The backoff rule",
            "| **backoff** | the pause |",
            "backoff = 3",
            "fn backoff() {",
        ] {
            assert!(pattern.is_match(line), "{line}");
        }
        for line in [
            "let pause = backoff.next();",
            "reconnects by its backoff",
            "if backoff == 3 {",
            "Backoff::new()",
        ] {
            assert!(!pattern.is_match(line), "{line}");
        }
    }

    #[test]
    fn a_definition_explains_better_than_a_mention() {
        let definition = explains("a.md", "| **epoch** | which life of the stream |", "epoch");
        let heading = explains("a.md", "## The epoch", "epoch");
        let mention = explains("a.rs", "let e = epoch.clone();", "epoch");
        assert!(definition > heading && heading > mention, "{definition} {heading} {mention}");
        assert_eq!(explains("a.rs", "nothing", "epoch"), 0);
    }

    #[test]
    fn code_that_defines_a_name_comes_before_prose_about_it() {
        let code = defines("a.rs", "pub struct Backoff {", "Backoff");
        let other_case = defines("a.rs", "fn backoff() {", "Backoff");
        let prose = defines("a.md", "| **backoff** | the pause |", "Backoff");
        assert!(code > other_case && other_case > prose, "{code} {other_case} {prose}");
    }

    #[test]
    fn texts_are_cut_after_a_sentence_or_a_word() {
        assert_eq!(sentences("One. Two three.", 100), "One. Two three.");
        assert_eq!(sentences("One two. Three four five six", 15), "One two.");
        assert_eq!(sentences("ünö dös trés", 6), "ünö …");
    }

    #[test]
    fn frequent_words_leave_out_those_of_the_language() {
        let words =
            frequent_words(&lines("The stream of this stream; self.stream offset offset 2024 2024 once"), 5);
        assert_eq!(words, [("stream".to_owned(), 3), ("offset".to_owned(), 2)]);
    }
}
