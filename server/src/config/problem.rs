//! What is wrong with a configuration.

use std::fmt;

/// One thing that is wrong, and the key that it is wrong with. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key with its sections, such as `limits.heartbeat_ms` or `keys[0].name`; the name of a file or a variable where
    /// no key could be read.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem with `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }

    /// The section that the key is in.
    pub(super) fn section(&self) -> &str {
        self.key.split(['.', '[']).next().unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// All that is wrong, one line each. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Says in plain words what serde found wrong, without the value: it can be a secret.
pub(super) fn plain(message: &str) -> String {
    let named = |rest: &str| rest.split('`').nth(1).unwrap_or_default().to_owned();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let known: Vec<_> = quoted(rest).skip(1).collect();
        return match nearest(&named(rest), &known) {
            Some(meant) => format!("is no key of the configuration; did you mean `{meant}`?"),
            None => format!("is no key of the configuration; there are {}", known.join(", ")),
        };
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let known: Vec<_> = quoted(rest).skip(1).map(|name| format!("{name:?}")).collect();
        return format!("must be {}", known.join(" or "));
    }
    let is_about_a_value = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    if let Some((_, expected)) = message.rsplit_once(", expected ").filter(|_| is_about_a_value) {
        let expected = match expected {
            "u64" => "a whole number of 0 or more, without quotes",
            "a boolean" => "true or false, without quotes",
            "a string" => "a text in quotes",
            "a sequence" => "a list, such as [\"one\", \"two\"]",
            other if other.starts_with("struct ") => "a section with keys of its own",
            other if other.starts_with("enum ") => "one of the texts that the documentation names",
            other => other,
        };
        return format!("must be {expected}");
    }
    message.to_owned()
}

/// The names that stand between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The known name that was probably meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |known: &str| {
        // A time without its unit.
        let unit = if known.strip_suffix("_ms") == Some(name) { 1.0 } else { 0.0 };
        strsim::jaro_winkler(name, known) + unit
    };
    let best = known.iter().copied().map(|known| (known, likeness(known))).max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, likeness)| *likeness > 0.85).map(|(known, _)| known)
}
