//! What a page may ask of a server, however it is treated (I14).

use std::collections::BTreeMap;

use agentwire::proto::{Config, Duration, Instant};

use super::{Judgement, require};

/// Within this time a send goes out five times at the most.
const UPLOAD_WINDOW: Duration = Duration::from_secs(600);

/// Counts attempts, tokens and uploads by itself.
#[derive(Debug)]
pub(super) struct Rate {
    /// The longest step of the backoff, as the server said last.
    pub(super) cap: Duration,
    burst: f64,
    /// Attempts that may be made now.
    level: f64,
    at: Instant,
    /// Attempts that asked for no token yet.
    attempts: u32,
    uploads: BTreeMap<String, Vec<Instant>>,
    most_uploads: usize,
}

impl Rate {
    pub(super) fn new(config: &Config) -> Self {
        let burst = f64::from(config.attempt_burst);
        Self {
            cap: Duration::from_secs(20),
            burst,
            level: burst,
            at: Instant::ZERO,
            attempts: 0,
            uploads: BTreeMap::new(),
            most_uploads: config.max_uploads as usize,
        }
    }

    /// Another core counts anew; the page can be rebuilt only so often.
    pub(super) fn trapped(&mut self, now: Instant) {
        (self.level, self.at) = (self.burst, now);
        self.cap = Duration::from_secs(20);
        self.uploads.clear();
    }

    pub(super) fn attempted(&mut self, now: Instant) -> Judgement {
        let interval = self.cap.as_millis() as f64 / 2.0;
        self.level = (self.level + now.since(self.at).as_millis() as f64 / interval).min(self.burst);
        self.at = now;
        let is_allowed = self.level >= 0.999;
        require!(is_allowed, "I14", "an attempt with {:.3} of a permit", self.level);
        self.level -= 1.0;
        self.attempts += 1;
        Ok(())
    }

    pub(super) fn token_wanted(&mut self, is_refresh: bool) -> Judgement {
        require!(is_refresh || self.attempts > 0, "I14", "a token is asked for without an attempt");
        self.attempts -= u32::from(!is_refresh);
        Ok(())
    }

    pub(super) fn uploaded(&mut self, id: &str, now: Instant) -> Judgement {
        let uploads = self.uploads.entry(id.to_owned()).or_default();
        uploads.retain(|&at| now.since(at) < UPLOAD_WINDOW);
        uploads.push(now);
        let count = uploads.len();
        require!(count <= self.most_uploads, "I14", "{id} goes out {count} times within 10 minutes");
        Ok(())
    }
}
