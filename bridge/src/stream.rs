//! Names of streams and places in them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name of a stream or a user, in bytes of UTF-8 (GEN-6).
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// Name of the stream that tells a user what happened in other threads.
pub const INBOX: &str = "inbox";

/// Longest text of a key, in bytes: two names, each percent-encoded.
const MAX_KEY_BYTES: usize = 3 * 2 * MAX_NAME_BYTES + 1;

/// Names a stream in the log: a text that only an [`Authorizer`](crate::Authorizer) gives a meaning.
///
/// By default each user has a namespace: the stream `plan` of `ada` is `ada/plan`. A thread that several users share has
/// a key of its own, such as `team-7/plan`.
///
/// ```
/// use agentwire_bridge::StreamKey;
///
/// let own = StreamKey::new("ada", "plan")?;
/// assert_eq!((own.as_str(), own.name().as_str()), ("ada/plan", "plan"));
/// let shared = StreamKey::from_text("team-7/plan")?;
/// # Ok::<_, agentwire_bridge::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamKey(Arc<str>);

/// Why a text cannot name a stream or a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} is 1 to {max} bytes of UTF-8 without control characters; this one has {bytes} bytes")]
pub struct NameError {
    what: &'static str,
    max: usize,
    bytes: usize,
}

impl StreamKey {
    /// The key of the stream `name` in the namespace of `owner`: `owner/name`, with `/` and `%` percent-encoded in both,
    /// so that no two of them share a key.
    pub fn new(owner: &str, name: &str) -> Result<Self, NameError> {
        check("user name", MAX_NAME_BYTES, owner)?;
        check("stream name", MAX_NAME_BYTES, name)?;
        Ok(Self(format!("{}/{}", encode(owner), encode(name)).into()))
    }

    /// A key of any text: 1 to 1,537 bytes of UTF-8 without control characters.
    ///
    /// One that has the form `owner/name` is that stream of that namespace.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        check("stream key", MAX_KEY_BYTES, text)?;
        Ok(Self(text.into()))
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of the inbox of the namespace that this stream is in; `None` if it is in none.
    pub fn inbox(&self) -> Option<Self> {
        Self::new(&self.parts()?.0, INBOX).ok()
    }

    /// The name of the stream in its namespace, or the whole text if it is in none.
    pub fn name(&self) -> String {
        self.parts().map_or_else(|| self.0.to_string(), |(_, name)| name)
    }

    fn parts(&self) -> Option<(String, String)> {
        let (owner, name) = self.0.split_once('/').filter(|(_, name)| !name.contains('/'))?;
        Some((decode(owner)?, decode(name)?))
    }
}

impl TryFrom<String> for StreamKey {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::from_text(&text)
    }
}

impl From<StreamKey> for String {
    fn from(key: StreamKey) -> Self {
        key.0.as_ref().to_owned()
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    /// The epoch of the stream that the offset belongs to.
    pub epoch: Arc<str>,
    /// Counts from 1; 0 stands before the first event.
    pub offset: u64,
}

fn check(what: &'static str, max: usize, text: &str) -> Result<(), NameError> {
    if is_text(text, max) { Ok(()) } else { Err(NameError { what, max, bytes: text.len() }) }
}

/// Whether a text can name a stream or a user (GEN-6).
pub(crate) fn is_name(text: &str) -> bool {
    is_text(text, MAX_NAME_BYTES)
}

fn is_text(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && !text.chars().any(|c| c < ' ' || c == '\u{7f}')
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
        assert_eq!((odd.name(), odd.inbox().unwrap().as_str()), ("c%2Fd/".to_owned(), "a%2Fb%25/inbox"));
        assert_eq!(StreamKey::from_text("ada/thread-42").unwrap(), plain);
    }

    #[test]
    fn keys_outside_of_a_namespace_have_no_inbox() {
        for text in ["plan", "a/b%zz", "a/b/c"] {
            let key = StreamKey::from_text(text).unwrap();
            assert_eq!((key.name().as_str(), key.inbox()), (text, None));
        }
        for text in ["", "a\nb", &"x".repeat(1_538)] {
            assert!(StreamKey::from_text(text).is_err(), "{text}");
        }
        let longest = StreamKey::new(&"%".repeat(256), &"/".repeat(256)).unwrap();
        assert_eq!(StreamKey::from_text(longest.as_str()).unwrap(), longest);
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
