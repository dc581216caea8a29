//! One text and one fingerprint for the body of an event, the same here and in the recorder page.
//!
//! `tests/e2e/canonical.js` is the twin of this file; `tests/e2e/canonical.json` holds both to the same answers.

use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// 64 bits that identify the body of one event.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    /// Reads the 16 hexadecimal digits that the page writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Writes `body` as RFC 8785 has it: keys in the order of their UTF-16 code units, numbers as ECMAScript prints them. The page
/// gets an event as it is in the log, without a field more or less (EVT-9).
///
/// # Errors
/// When the text is not JSON.
pub(crate) fn canonical(body: &str) -> Result<String> {
    let value: Value = serde_json::from_str(body).context("a body in the log is not JSON")?;
    serde_json_canonicalizer::to_string(&value).context("a body in the log can't be written again")
}

/// Two multiplicative lanes over the UTF-16 code units, mixed at the end (the construction known as cyrb53, with all
/// 64 bits kept). It is no defence against an adversary: the batches carry a SHA-256 as well.
pub(crate) fn fingerprint(canonical: &str) -> Fingerprint {
    let mut high: u32 = 0xdead_beef;
    let mut low: u32 = 0x41c6_ce57;
    for unit in canonical.encode_utf16() {
        high = (high ^ u32::from(unit)).wrapping_mul(2_654_435_761);
        low = (low ^ u32::from(unit)).wrapping_mul(1_597_334_677);
    }
    let mixed = |a: u32, b: u32| {
        (a ^ (a >> 16)).wrapping_mul(2_246_822_507) ^ (b ^ (b >> 13)).wrapping_mul(3_266_489_909)
    };
    let first = mixed(high, low);
    let second = mixed(low, first);
    Fingerprint(u64::from(second) << 32 | u64::from(first))
}

/// The SHA-256 of several canonical bodies, each followed by a line feed, in hexadecimal.
pub(crate) fn digest<'a>(bodies: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for body in bodies {
        hash.update(body);
        hash.update("\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        text: String,
        canonical: String,
        fingerprint: String,
    }

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/e2e");

    fn vectors() -> Vec<Vector> {
        let file = std::fs::read_to_string(format!("{FOLDER}/canonical.json")).unwrap();
        serde_json::from_str(&file).unwrap()
    }

    #[test]
    fn the_vectors_hold_here() {
        let vectors = vectors();
        assert!(vectors.len() >= 20);
        for vector in vectors {
            let text = canonical(&vector.text).unwrap();
            assert_eq!(text, vector.canonical, "{}", vector.name);
            assert_eq!(fingerprint(&text).to_string(), vector.fingerprint, "{}", vector.name);
            assert_eq!(Fingerprint::parse(&vector.fingerprint), Some(fingerprint(&text)));
        }
    }

    #[test]
    fn different_bodies_have_different_fingerprints() {
        let of = |text: &str| fingerprint(&canonical(text).unwrap());
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":2}"#));
        assert_ne!(of(r#"{"a":"1"}"#), of(r#"{"a":1}"#));
        assert_eq!(of(r#"{"a":1,"b":2}"#), of(r#"{ "b":2.0, "a":1 }"#));
        assert_ne!(of(r#"{"a":1,"offset":9}"#), of(r#"{"a":1}"#));
    }
}
