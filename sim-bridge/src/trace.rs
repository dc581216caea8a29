//! What happened, as one number: two runs of a seed must give the same.

use std::collections::BTreeMap;

/// Hexadecimal digits of a random id.
const ID_DIGITS: usize = 32;

/// Hashes what happens, and shows it if asked to.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: u64,
    shows: bool,
    /// Random ids, by the order in which they appeared.
    ids: BTreeMap<String, usize>,
}

impl Trace {
    /// An empty trace.
    pub fn new(shows: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, shows, ids: BTreeMap::new() }
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether lines are shown.
    pub fn shows(&self) -> bool {
        self.shows
    }

    /// Takes note of something at a time.
    pub fn line(&mut self, now_ms: u64, text: &str) {
        self.lines += 1;
        self.add(&now_ms.to_le_bytes());
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut shown = String::new();
        // Random ids are named by the order in which they appear; everything else is as it is.
        while at < bytes.len() {
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            if digits == ID_DIGITS {
                let known = self.ids.len();
                let id = *self.ids.entry(text[at..at + digits].to_owned()).or_insert(known);
                self.add(&id.to_le_bytes());
                if self.shows {
                    shown.push_str(&format!("#{id}"));
                }
                at += digits;
                continue;
            }
            let next = text[at..].chars().next().map_or(1, char::len_utf8);
            let run = digits.max(next);
            self.add(&bytes[at..at + run]);
            if self.shows {
                shown.push_str(&text[at..at + run]);
            }
            at += run;
        }
        if self.shows {
            let short: String = shown.chars().take(400).collect();
            eprintln!("{now_ms:>8} ms  {short}");
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(lines: &[&str]) -> u64 {
        let mut trace = Trace::new(false);
        lines.iter().for_each(|line| trace.line(1, line));
        trace.hash()
    }

    #[test]
    fn random_ids_count_by_their_order_and_all_else_as_it_is() {
        let (one, other) = ("0123456789abcdef0123456789abcdef", "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0");
        let lines = |a: &str, b: &str| hash(&[&format!("run-{a}"), &format!("run-{b}"), &format!("run-{a}")]);
        assert_eq!(lines(one, other), lines(other, one));
        assert_ne!(lines(one, other), lines(one, one));
        assert_ne!(hash(&["a 12"]), hash(&["a 13"]));
    }
}
