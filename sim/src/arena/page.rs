//! One page life in the arena: a core with its driver, its browser and its user.

use std::collections::{BTreeMap, VecDeque};

use agentwire::proto::Duration;

use agentwire::proto::{Client, Config, ConsumerId, Input, Instant, SocketId, StreamId, wire::Open};
use serde_json::json;

use super::network::Item;
use crate::{driver::Driver, server::Peer};

/// How long a message travels at most when the faults are over.
const HEALED_LATENCY: Duration = Duration::from_millis(50);

/// What happens to the next frames of the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mangle {
    Duplicate,
    Swap,
    Truncate(usize),
}

pub(super) struct Page {
    /// Different for each life.
    pub(super) life: u32,
    pub(super) client: Client,
    pub(super) driver: Driver,
    pub(super) deadline: Option<Instant>,
    pub(super) latency: Duration,
    pub(super) socket: Option<SocketId>,
    pub(super) opened: bool,
    pub(super) online: bool,
    /// In the back/forward cache.
    pub(super) away: bool,
    pub(super) frozen: bool,
    pub(super) frozen_until: Instant,
    /// Its timers may be late: it was frozen.
    pub(super) overdue: bool,
    pub(super) backlog: VecDeque<Item>,
    pub(super) stalled_until: Instant,
    /// Where the page life before this one was.
    pub(super) stored: BTreeMap<StreamId, (String, u64)>,
    pub(super) opens: BTreeMap<StreamId, Open>,
    pub(super) next_consumer: u32,
    pub(super) next_send: u32,
    /// The stream of the send before.
    pub(super) sent_to: u32,
    pub(super) subject: String,
    /// What the token provider does next.
    pub(super) bad_tokens: u64,
    pub(super) token_delay: Option<Duration>,
    pub(super) fails_once: bool,
    pub(super) denies: bool,
    pub(super) mangles: VecDeque<Mangle>,
    held: Option<(Peer, String)>,
}

impl Page {
    pub(super) fn new(life: u32, config: Config, subject: String) -> Self {
        Self {
            life,
            client: Client::new(config),
            driver: Driver::pulling_in_calls(),
            deadline: None,
            latency: Duration::ZERO,
            socket: None,
            opened: false,
            online: true,
            away: false,
            frozen: false,
            frozen_until: Instant::ZERO,
            overdue: false,
            backlog: VecDeque::new(),
            stalled_until: Instant::ZERO,
            stored: BTreeMap::new(),
            opens: BTreeMap::new(),
            next_consumer: 1,
            next_send: 1,
            sent_to: 1,
            subject,
            bad_tokens: 0,
            token_delay: None,
            fails_once: false,
            denies: false,
            mangles: VecDeque::new(),
            held: None,
        }
    }

    /// Where the page is in each stream: what its application would keep.
    pub(super) fn positions(&self) -> BTreeMap<StreamId, (String, u64)> {
        let mut positions = self.stored.clone();
        let opened = self.opens.keys().filter_map(|&stream| Some((stream, self.driver.position(stream)?)));
        positions.extend(opened);
        positions
    }

    pub(super) fn pulling(&self) -> Vec<ConsumerId> {
        let pulling = self.driver.receivers.iter().filter(|(_, receiver)| receiver.pulls);
        pulling.map(|(id, _)| *id).collect()
    }

    /// What the token provider says when it is asked.
    pub(super) fn answer_token(&mut self) -> Input {
        if self.denies {
            return Input::TokenFailed { retryable: false };
        }
        if std::mem::take(&mut self.fails_once) {
            return Input::TokenFailed { retryable: true };
        }
        let token = if self.bad_tokens > 0 {
            self.bad_tokens -= 1;
            if self.bad_tokens.is_multiple_of(2) { "expired".into() } else { "invalid".into() }
        } else {
            format!("as:{}", self.subject)
        };
        Input::TokenReady { token: self.driver.keep(json!(token)) }
    }

    /// Does to a frame what the plan said; gives what goes on the wire instead.
    pub(super) fn mangle(&mut self, peer: Peer, mut text: String) -> Vec<String> {
        let of_events = text.starts_with(r#"{"type":"events""#) || text.starts_with(r#"{"type":"deltas""#);
        // Frames change places on one socket; what is held of another one went down with it.
        if let Some((_, held)) = self.held.take_if(|(of, _)| *of == peer) {
            return if of_events { vec![text, held] } else { vec![held, text] };
        }
        // What answers a request or ends a catch-up comes once and in its place: no server does otherwise.
        let next = self.mangles.iter().position(|mangle| of_events || !matches!(mangle, Mangle::Swap));
        match next.and_then(|index| self.mangles.remove(index)) {
            None => vec![text],
            Some(Mangle::Duplicate) => vec![text.clone(), text],
            Some(Mangle::Swap) if self.held.as_ref().is_some_and(|(of, _)| of.socket > peer.socket) => {
                vec![text]
            }
            Some(Mangle::Swap) => {
                self.held = Some((peer, text));
                Vec::new()
            }
            Some(Mangle::Truncate(bytes)) => {
                text.truncate(bytes.min(text.len() - 1));
                vec![text]
            }
        }
    }

    /// The faults of this page are over.
    pub(super) fn heal(&mut self) {
        self.mangles.clear();
        // The bound is one of attempts and timeouts, not of round trips with a window of one event.
        self.latency = self.latency.min(HEALED_LATENCY);
        self.bad_tokens = 0;
        self.token_delay = None;
        self.fails_once = false;
        self.stalled_until = Instant::ZERO;
    }
}
