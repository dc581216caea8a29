//! What a measured event carries in its `text`: its number in its stream, when it was published, and filler. Nothing of it is
//! in a field of its own, so the events are token deltas like those of an agent.

use std::fmt::Write as _;

/// The thread of each user that is measured.
pub const THREAD: &str = "load";

const FILLER: &str =
    "the agent reads the notes of the station and compares what the log says with what the page has shown ";

/// The user of stream number `stream`.
pub fn user(stream: u32) -> String {
    format!("u{stream}")
}

/// The clock that all processes of this machine share, in nanoseconds.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// The text of event number `n`, published now, of about `bytes`.
pub fn write(n: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes.max(48));
    // A write to a text does not fail.
    let _written = write!(text, "{n} {} ", now_ns());
    while text.len() < bytes {
        let rest = (bytes - text.len()).min(FILLER.len());
        text.push_str(&FILLER[..rest]);
    }
    text
}

/// The number of an event and when it was published; `None` of a text that says neither.
pub fn read(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split(' ');
    let mut number = || parts.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_its_number_and_time() {
        let before = now_ns();
        let text = write(7, 300);
        assert_eq!(text.len(), 300);
        let (n, at) = read(&text).unwrap();
        assert!(n == 7 && (before..=now_ns()).contains(&at));
        assert_eq!(read(&write(8, 0)).unwrap().0, 8);
        assert_eq!(read("7"), None);
        assert_eq!(read("seven 123"), None);
    }
}
