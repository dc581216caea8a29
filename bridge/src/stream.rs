//! Names of streams and places in them.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Longest name of a stream or a user, in bytes of UTF-8 (GEN-6).
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// Name of the stream that tells a user what happened in other threads.
pub const INBOX: &str = "inbox";

/// Names a stream in the log: the user it belongs to and its name among that user's streams.
///
/// The text form is `user/name`, with `/` and `%` percent-encoded in each part, so that no two keys share one text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    user: Arc<str>,
    name: Arc<str>,
}

/// Why a text cannot name a stream or a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {what} is 1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters; this one has {bytes} bytes"
)]
pub struct NameError {
    what: &'static str,
    bytes: usize,
}

impl StreamKey {
    /// Names the stream `name` of `user`.
    pub fn new(user: &str, name: &str) -> Result<Self, NameError> {
        check_name("user name", user)?;
        check_name("stream name", name)?;
        Ok(Self { user: user.into(), name: name.into() })
    }

    /// Names the inbox of the user this stream belongs to.
    pub fn inbox(&self) -> Self {
        Self { user: Arc::clone(&self.user), name: INBOX.into() }
    }

    /// The user the stream belongs to.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The stream's name among the streams of its user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inverse of the text form; `None` for a text that no key has.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (user, name) = text.split_once('/')?;
        Self::new(&decode(user)?, &decode(name)?).ok()
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", encode(&self.user), encode(&self.name))
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({self})")
    }
}

/// The place of an event: the last one delivered, or the one just written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Position {
    /// Which life of the stream the offset belongs to.
    pub epoch: Arc<str>,
    /// Counts from 1; 0 stands before the first event.
    pub offset: u64,
}

fn check_name(what: &'static str, text: &str) -> Result<(), NameError> {
    if is_name(text) { Ok(()) } else { Err(NameError { what, bytes: text.len() }) }
}

/// Whether a text can name a stream (GEN-6).
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(|c| c < ' ' || c == '\u{7f}')
}

fn encode(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

fn decode(part: &str) -> Option<String> {
    let mut pieces = part.split('%');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        text.push(match code {
            "25" => '%',
            "2F" => '/',
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_text_each() {
        let plain = StreamKey::new("ada", "thread-42").unwrap();
        assert_eq!(plain.to_string(), "ada/thread-42");
        let odd = StreamKey::new("a/b%", "c%2Fd/").unwrap();
        assert_eq!(odd.to_string(), "a%2Fb%25/c%252Fd%2F");
        for key in [plain, odd] {
            assert_eq!(StreamKey::parse(&key.to_string()), Some(key));
        }
        assert_eq!(StreamKey::parse("a/b%zz"), None);
        assert_eq!(StreamKey::parse("nobody"), None);
    }

    // PROTOCOL: GEN-6
    #[test]
    fn names_are_bounded() {
        assert!(StreamKey::new("ada", "").is_err());
        assert!(StreamKey::new("ada", "a\nb").is_err());
        assert!(StreamKey::new("ada", "a\u{7f}").is_err());
        assert!(StreamKey::new("ada", &"x".repeat(256)).is_ok());
        assert!(StreamKey::new("ada", &"x".repeat(257)).is_err());
        assert!(StreamKey::new(&"é".repeat(129), "t").is_err());
    }
}
