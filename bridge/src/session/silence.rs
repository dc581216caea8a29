//! Tells a socket whose page vanished from one that has nothing to say.

use std::time::Duration;

use tokio::time::Instant;

/// How long a socket has not answered. Counted from a ping and not from the last frame: only a page that was asked and
/// is silent is gone.
#[derive(Debug)]
pub(super) struct Silence {
    limit: Duration,
    /// When the first ping was sent after which nothing came.
    since: Option<Instant>,
}

impl Silence {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// A ping was sent.
    pub(super) fn asked(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Something came: a frame, or the answer to a ping.
    pub(super) fn broken(&mut self) {
        self.since = None;
    }

    /// When the socket is given up if nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_that_was_asked_can_be_silent_and_further_pings_give_it_no_more_time() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut silence = Silence::new(second * 3);
        assert_eq!(silence.due(), None);
        silence.asked(start);
        silence.asked(start + second);
        silence.asked(start + second * 2);
        assert_eq!(silence.due(), Some(start + second * 3));
        silence.broken();
        assert_eq!(silence.due(), None);
        silence.asked(start + second * 4);
        assert_eq!(silence.due(), Some(start + second * 7));
    }
}
