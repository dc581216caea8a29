//! The promise, as something that can be broken.
//!
//! The oracle sees what the server said to a page, what the core did, what each consumer got, and every event that was ever
//! in a log. It asks the core for nothing but its counters. Each rule names the invariant of `docs/PROTOCOL.md`'s promise it holds
//! the client to: I1 order, I2 gaps, I3 resume results, I4 positions, I6 sends, I7 liveness, I8 one socket, I9 bounds, I11 subjects, I13
//! nothing that is not durable, I14 rates.

mod page;
mod rate;
mod stream;

use std::{collections::BTreeMap, fmt};

use agentwire::proto::Duration;

use agentwire::proto::{Client, Config, Instant, State, StreamId, wire::ServerFrame};

use crate::{
    driver::{Driver, Note},
    server::Server,
};
use page::PageView;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, or the clause of the protocol.
    pub rule: &'static str,
    /// What was seen and what should have been.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// What a rule says.
pub type Judgement = Result<(), Violation>;

/// Says that a promise is broken unless the condition holds.
macro_rules! require {
    ($condition:expr, $rule:literal, $($text:tt)+) => {
        if !$condition {
            return Err($crate::oracle::Violation { rule: $rule, text: format!($($text)+) });
        }
    };
}
pub(crate) use require;

/// What has been counted while judging.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Events delivered.
    pub events: u64,
    /// Gaps delivered; each of them was checked against the log.
    pub gaps: u64,
    /// Resume results.
    pub resumed: u64,
    /// Sends that settled.
    pub sends: u64,
}

/// What the plan did to a page that may end it.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "facts of a plan, each on its own")]
pub struct Causes {
    /// The server closed with a code that forbids coming back.
    pub refused: bool,
    /// How often the server closed because of a frame.
    pub rejected: u32,
    /// The server closed because something was too large.
    pub too_large: bool,
    /// Tokens were refused.
    pub tokens: bool,
    /// The token provider gave up.
    pub no_token: bool,
    /// Another user logged in.
    pub subject: bool,
}

/// Judges the pages of one run.
#[derive(Debug, Default)]
pub struct Oracle {
    /// What has been counted.
    pub counts: Counts,
    pages: BTreeMap<u32, PageView>,
}

impl Oracle {
    /// A page begins.
    pub fn begin(&mut self, page: u32, config: &Config) {
        self.pages.insert(page, PageView::new(config));
    }

    /// A page is gone, whatever it was doing.
    pub fn gone(&mut self, page: u32) {
        self.pages.remove(&page);
    }

    /// What the plan did to a page that may end it.
    pub fn causes(&mut self, page: u32) -> &mut Causes {
        &mut self.view(page).causes
    }

    fn view(&mut self, page: u32) -> &mut PageView {
        self.pages.get_mut(&page).expect("the page has begun")
    }

    /// A frame reached the socket in use; called before the core hears of it.
    pub fn heard(&mut self, page: u32, frame: &ServerFrame, now: Instant) {
        self.view(page).heard(frame, now);
    }

    /// The socket in use closed; called before the core hears of it.
    pub fn closed(&mut self, page: u32, now: Instant) {
        self.view(page).socket_gone(now);
    }

    /// Something outside has changed for a page: it woke up, or heard of the network.
    pub fn hinted(&mut self, page: u32, now: Instant) {
        self.view(page).hinted(now);
    }

    /// Something happened in a page.
    ///
    /// # Errors
    ///
    /// When it breaks a promise.
    pub fn note(&mut self, page: u32, note: &Note, server: &Server, now: Instant) -> Judgement {
        let counts = &mut self.counts;
        self.pages.get_mut(&page).expect("the page has begun").note(note, (server, now), counts)
    }

    /// The core has nothing more to do for now.
    ///
    /// # Errors
    ///
    /// When it rests in a state in which it may not rest.
    pub fn rest(
        &mut self,
        page: u32,
        (client, driver): (&Client, &Driver),
        deadline: Option<Instant>,
        online: bool,
        now: Instant,
    ) -> Judgement {
        let view = self.view(page);
        if let Some(broken) = &driver.broken {
            require!(false, "I9", "{broken}");
        }
        let state = client.state();
        match state {
            State::Closed => require!(view.closing, "I7", "closed, though nobody closed it"),
            State::Failed => view.justify_failure()?,
            State::Idle => {}
            State::Offline => require!(!online, "I7", "waits for a network that is there"),
            State::Connected | State::Connecting | State::Waiting => {
                let Some(deadline) = deadline else {
                    require!(false, "I7", "{state:?} without a deadline");
                    return Ok(());
                };
                let far = now + Duration::from_secs(330);
                require!(deadline <= far, "I7", "{state:?} with a deadline at {deadline:?}, now {now:?}");
            }
        }
        view.rest(driver, state, now)?;
        let stats = client.stats();
        let (parked, most) = (stats.parked_frames, 64 * view.streams.len() as u64);
        require!(parked <= most, "I9", "{parked} frames are parked");
        require!(stats.sends_pending <= view.max_pending as u64, "I9", "{} sends wait", stats.sends_pending);
        let opening = u64::from(state == State::Connecting && view.is_opening());
        let held = driver.slots_held() as u64;
        let known = parked + stats.sends_pending + opening;
        require!(held <= known, "I9", "{held} slots are held; {known} are accounted for");
        Ok(())
    }

    /// Tells whether every stream of a page has caught up on this socket.
    pub fn is_caught_up(&self, page: u32) -> bool {
        self.pages[&page].streams.iter().all(|stream| !stream.is_wanted() || stream.caught_up.is_some())
    }

    /// Tells whether a page has nothing left to wait for.
    pub fn has_everything(&self, page: u32, client: &Client, server: &Server) -> bool {
        let view = &self.pages[&page];
        matches!(client.state(), State::Closed | State::Failed)
            || (client.state() == State::Connected
                && client.stats().sends_pending == 0
                && view.streams.iter().all(|stream| stream.behind(server).is_none()))
    }

    /// The last fault is over, and there was time to come to rest.
    ///
    /// # Errors
    ///
    /// When a page does not have everything, or holds what it should have let go.
    pub fn end(&mut self, page: u32, client: &Client, server: &Server) -> Judgement {
        let view = self.view(page);
        if matches!(client.state(), State::Closed | State::Failed) {
            return Ok(());
        }
        require!(
            client.state() == State::Connected,
            "I7",
            "still {:?} long after the last fault",
            client.state()
        );
        for stream in &view.streams {
            if let Some(behind) = stream.behind(server) {
                require!(false, "I1", "long after the last fault, {behind}");
            }
            stream.check_concluded()?;
        }
        let open = view.sends.iter().find(|(_, send)| !send.settled).map(|(id, _)| id);
        require!(open.is_none(), "I6", "{open:?} never settled");
        view.check_order(server)
    }

    /// The streams that the server ended for a page, with somebody who still waits.
    pub fn ended(&self, page: u32) -> Vec<StreamId> {
        let streams = self.pages[&page].streams.iter();
        streams.filter(|stream| stream.is_ended()).map(|stream| stream.id).collect()
    }

    /// The streams that a page follows, by name, for a look at the server's subscriptions.
    pub fn followed(&self, page: u32) -> Vec<&str> {
        let streams = self.pages[&page].streams.iter();
        streams.filter(|stream| stream.is_wanted()).map(|stream| stream.name.as_str()).collect()
    }

    /// The client was closed: everything is settled and let go.
    ///
    /// # Errors
    ///
    /// When something is left.
    pub fn over(&mut self, page: u32, driver: &Driver) -> Judgement {
        let view = self.view(page);
        let open = view.sends.iter().find(|(_, send)| !send.settled).map(|(id, _)| id);
        require!(open.is_none(), "I6", "{open:?} did not settle when the client ended");
        require!(driver.slots_held() == 0, "I9", "{} slots are held after the end", driver.slots_held());
        Ok(())
    }
}
