//! One life of a page: a core with its driver, and the application around it.

use std::collections::{BTreeMap, VecDeque};

use agentwire::proto::{
    Begin, Client, Config, ConsumerId, Duration, Input, Instant, SendKind, SocketId, StreamId, wire::Open,
};
use agentwire_sim::rng::Rng;
use agentwire_sim::{Driver, Receiver};
use serde_json::{Value, json};

use crate::doors;
use crate::network::Item;

/// How a message reaches a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It waits behind the others.
    Queue,
    /// It ends the runs of its user, and goes before the others.
    Interrupt,
    /// It is for a run that is open.
    Steer(Option<String>),
}

/// A message whose text is a script for an agent: no two have the same.
pub fn text(rng: &mut Rng, id: &str) -> Value {
    let padding = if rng.one_in(10) { "x".repeat(rng.between(500, 3_000) as usize) } else { String::new() };
    json!({ "type": "user_message", "content": format!("{id}{padding} {}", rng.below(1 << 40)) })
}

/// A life of a page.
#[derive(Debug)]
pub struct Page {
    /// Different for each life.
    pub life: u32,
    /// Whose page it is.
    pub user: &'static str,
    /// The core.
    pub client: Client,
    /// What a browser does for the core.
    pub driver: Driver,
    /// When the core wants to be called.
    pub deadline: Option<Instant>,
    /// How long a message travels.
    pub latency: Duration,
    /// The socket in use, as the core names it.
    pub socket: Option<SocketId>,
    /// Nothing runs until then.
    pub frozen_until: Option<Instant>,
    /// Its timers may be late: it was frozen.
    pub is_overdue: bool,
    /// What arrived while it was frozen.
    pub backlog: VecDeque<Item>,
    /// Its iterators are not pulled until then.
    pub stalled_until: Instant,
    /// Where the life before this one was.
    pub stored: BTreeMap<StreamId, (String, u64)>,
    /// How each stream was opened.
    pub opens: BTreeMap<StreamId, Open>,
    /// The names of its streams.
    pub names: BTreeMap<StreamId, String>,
    /// How many of its next tokens are bad.
    pub bad_tokens: u64,
    /// How long its tokens are good for.
    pub token_ms: Option<u64>,
    next_consumer: u32,
    next_send: u32,
}

impl Page {
    /// A life with these stored positions.
    pub fn new(
        life: u32,
        user: &'static str,
        config: Config,
        latency: Duration,
        stored: BTreeMap<StreamId, (String, u64)>,
    ) -> Self {
        Self {
            life,
            user,
            client: Client::new(config),
            driver: Driver::pulling_in_calls(),
            deadline: None,
            latency,
            socket: None,
            frozen_until: None,
            is_overdue: false,
            backlog: VecDeque::new(),
            stalled_until: Instant::ZERO,
            stored,
            opens: BTreeMap::new(),
            names: BTreeMap::new(),
            bad_tokens: 0,
            token_ms: None,
            next_consumer: 1,
            next_send: 0,
        }
    }

    /// Whether nothing runs in it now.
    pub const fn is_frozen(&self) -> bool {
        self.frozen_until.is_some()
    }

    /// Where it is in each stream: what its application would store.
    pub fn positions(&self) -> BTreeMap<StreamId, (String, u64)> {
        let mut positions = self.stored.clone();
        let opened = self.opens.keys().filter_map(|&stream| Some((stream, self.driver.position(stream)?)));
        positions.extend(opened);
        positions
    }

    /// Its iterators.
    pub fn pulling(&self) -> Vec<ConsumerId> {
        let pulling = self.driver.receivers.iter().filter(|(_, receiver)| receiver.pulls);
        pulling.map(|(id, _)| *id).collect()
    }

    /// Attaches a consumer in a way that an application can.
    pub fn attach(&mut self, rng: &mut Rng, id: StreamId, name: &str) -> Input {
        self.names.entry(id).or_insert_with(|| name.to_owned());
        let is_first = !self.opens.contains_key(&id);
        let open = *self.opens.entry(id).or_insert_with(|| match rng.below(8) {
            0 => Open::Live,
            1 => Open::Last(rng.between(1, 30) as u32),
            _ => Open::Start,
        });
        let consumer = ConsumerId(self.next_consumer);
        let begin = match (is_first, self.positions().remove(&id)) {
            (true, Some((epoch, offset))) => Begin::Position { epoch: epoch.as_str().into(), offset },
            (_, None) => Begin::Stream,
            (false, Some((epoch, offset))) => match rng.below(4) {
                0 => Begin::Stream,
                1 | 2 => Begin::After(rng.below(offset + 1)),
                _ => Begin::Position { epoch: epoch.as_str().into(), offset: rng.below(offset + 1) },
            },
        };
        self.next_consumer += 1;
        let receiver =
            if rng.one_in(3) { Receiver::pulling(rng.pick(&[1, 4, 16, 64])) } else { Receiver::default() };
        self.driver.subscribe(receiver, (id, consumer, name), open, begin)
    }

    /// The id of its next send.
    pub fn next_id(&mut self) -> String {
        self.next_send += 1;
        format!("p{}-m{}", self.life, self.next_send)
    }

    /// The id of its last send.
    pub fn last_id(&self) -> String {
        format!("p{}-m{}", self.life, self.next_send)
    }

    /// Makes a message whose text is a script for an agent. `mode` says how it reaches a run.
    pub fn message(&mut self, rng: &mut Rng, name: &str, mode: &Mode) -> Input {
        let id = self.next_id();
        let mut body = json!({ "message": text(rng, &id) });
        match mode {
            Mode::Queue => {}
            Mode::Interrupt => body["mode"] = "interrupt".into(),
            Mode::Steer(run) => {
                body["mode"] = "steer".into();
                if let Some(run) = run {
                    body["runId"] = run.as_str().into();
                }
            }
        }
        self.driver.send(SendKind::Message, &id, name, body)
    }

    /// What its token provider says.
    pub fn token(&mut self) -> Input {
        let token = if self.bad_tokens > 0 {
            self.bad_tokens -= 1;
            if self.bad_tokens.is_multiple_of(2) { "nobody".to_owned() } else { format!("{}:1", self.user) }
        } else {
            doors::token(self.user, self.token_ms)
        };
        Input::TokenReady { token: self.driver.keep(json!(token)) }
    }
}
