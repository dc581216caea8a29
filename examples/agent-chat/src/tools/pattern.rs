//! The pattern of a search.

use regex::{Regex, RegexBuilder};

use super::error::ToolError;
use super::limits::{MAX_PATTERN_BYTES, MAX_REGEX_BYTES};

/// A compiled pattern. It is matched line by line and without regard to case.
#[derive(Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Compiles `pattern`: a regular expression if `regex`, else plain text.
    pub(crate) fn new(pattern: &str, regex: bool) -> Result<Self, ToolError> {
        if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
            return Err(ToolError::pattern_length());
        }
        let source = if regex { pattern.to_owned() } else { regex::escape(pattern) };
        RegexBuilder::new(&source)
            .case_insensitive(true)
            .size_limit(MAX_REGEX_BYTES)
            .dfa_size_limit(MAX_REGEX_BYTES)
            .nest_limit(50)
            .build()
            .map(Self)
            .map_err(|error| ToolError::BadPattern(reason(&error)))
    }

    /// Returns where the pattern first matches in `line`, as a byte offset. A match of nothing is none.
    pub(crate) fn find(&self, line: &str) -> Option<usize> {
        self.0.find_iter(line).find(|found| !found.is_empty()).map(|found| found.start())
    }

    /// Counts the matches in `line` that do not overlap. Matches of nothing are left out.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.0.find_iter(line).filter(|found| !found.is_empty()).count()
    }
}

/// The last line of the message says what is wrong; the lines above draw where.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_not_a_regular_expression() {
        let plain = Pattern::new("a.b", false).unwrap();
        assert_eq!(plain.count("axb a.b A.B"), 2);
        assert_eq!(Pattern::new("a.b", true).unwrap().count("axb a.b"), 2);
    }

    #[test]
    fn a_match_of_nothing_does_not_count() {
        let pattern = Pattern::new("x*", true).unwrap();
        assert_eq!(pattern.count("abxxc"), 1);
        assert_eq!(pattern.find("ab"), None);
    }

    #[test]
    fn letters_of_every_script_match_without_case() {
        assert_eq!(Pattern::new("größe", false).unwrap().count("GRÖSSE GRÖßE Größe"), 2);
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        for (pattern, part) in [("", "1 to 1024"), (&*"x".repeat(1025), "1 to 1024"), ("(", "unclosed group")]
        {
            let error = Pattern::new(pattern, true).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_pattern_that_would_grow_without_bound_is_refused() {
        let error = Pattern::new(r"((\w{200}){200}){200}", true).unwrap_err().to_string();
        assert!(error.contains("size limit"), "{error}");
    }
}
