//! A model server, written from `docs/PROTOCOL.md` and not from the bridge.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
};

use agentwire::proto::Duration;

use agentwire::proto::{Instant, SocketId};
use serde_json::{Value, json};

use crate::{
    log::{Life, Log, Withheld, text_of},
    plan::Setting,
};

/// One socket of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// The page life; 0 where there is only one.
    pub page: u32,
    /// The socket, by the number the page gave it.
    pub socket: SocketId,
}

impl From<SocketId> for Peer {
    fn from(socket: SocketId) -> Self {
        Self { page: 0, socket }
    }
}

/// What the server puts on a socket.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Closes it, with a code.
    Close(u16),
    /// A text message.
    Text(String),
}

/// What a page allows to be under way to it on a `ch` (FLO-1).
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    events: u64,
    bytes: u64,
    /// Over all streams of the socket.
    total_bytes: u64,
}

/// What is under way on a `ch` and not acknowledged.
#[derive(Debug, Default)]
struct Flight {
    /// Offsets with their bytes.
    events: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Flight {
    /// `others`: bytes that are under way on the other streams of the socket.
    fn has_room(&self, bytes: u64, others: u64, window: Window) -> bool {
        let is_alone = self.events.is_empty();
        (is_alone || ((self.events.len() as u64) < window.events && self.bytes + bytes <= window.bytes))
            && ((is_alone && others == 0) || self.bytes + others + bytes <= window.total_bytes)
    }

    fn add(&mut self, offset: u64, bytes: u64) {
        self.events.push_back((offset, bytes));
        self.bytes += bytes;
    }

    fn acknowledge(&mut self, through: u64) {
        while let Some((_, bytes)) = self.events.pop_front_if(|(offset, _)| *offset <= through) {
            self.bytes -= bytes;
        }
    }
}

#[derive(Debug)]
struct Sub {
    name: String,
    next: u64,
    acked: u64,
    flight: Flight,
    /// The last offset that answered a `replay`.
    replayed: u64,
    head: u64,
    caught_up: bool,
}

#[derive(Debug, Default)]
struct Connection {
    subject: Option<String>,
    window: Window,
    deltas: bool,
    next_ch: u32,
    subs: BTreeMap<u32, Sub>,
    /// The send that each stream waits for since it was put off: none may overtake it (SND-9).
    put_off: BTreeMap<String, String>,
    next_heartbeat: Instant,
}

/// A send that was applied: where, and what it said.
#[derive(Debug)]
struct Applied {
    place: usize,
    offset: u64,
    message: String,
}

/// Behaves as PROTOCOL.md says, unless a switch tells it not to.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a model")]
pub struct Server {
    /// Every log, by the name of its stream.
    pub logs: BTreeMap<String, Log>,
    /// Whom a token names that does not say so itself; one that does begins with `as:`.
    pub subject: String,
    /// Streams that nobody may follow, each with the reason (SUB-11).
    pub refused: BTreeMap<String, &'static str>,
    /// The time, where somebody keeps it.
    pub now: Instant,
    /// How long an event that is written takes to become durable (EVT-6).
    pub commit_delay: Duration,
    /// The interval of its heartbeats.
    pub heartbeat_ms: u64,
    /// The largest number of events in a frame.
    pub events_per_frame: u64,
    /// The largest frame that it takes.
    pub max_frame_bytes: usize,
    /// How many streams a socket may have.
    pub max_streams: u64,
    /// How long a token lives.
    pub token_expires_in_ms: Option<u64>,
    /// How long it remembers the keys of sends.
    pub send_horizon_ms: u64,
    /// Answers nothing at all.
    pub mute: bool,
    /// Leaves `replay` unanswered.
    pub ignores_replay: bool,
    /// Sends no receipts, though it applies.
    pub no_receipts: bool,
    /// It answers no stream request.
    pub ignores_subscribes: bool,
    /// It answers no refresh.
    pub ignores_refreshes: bool,
    /// It closes with 1009 on a send with more bytes.
    pub refuses_above: Option<usize>,
    /// The line breaks on a send with more bytes.
    pub resets_above: Option<usize>,
    /// The longest step of a page's backoff (HEL-4).
    pub backoff_max_ms: Option<u64>,
    /// How far its clock is behind the world's.
    pub clock_behind: Duration,
    /// What it does again and again instead of serving; see [`Loop`].
    pub looping: Option<Loop>,
    /// Answers the next sends with `overloaded`, as retryable.
    pub overloaded: u32,
    /// Refuses the next replay requests.
    pub refuses_replays: u32,
    /// Offsets of any stream that it forgets to send live.
    pub forgets: Vec<u64>,
    /// Believes any `ack`: for tests that put frames on the wire by hand.
    pub believes_acks: bool,
    /// Writes runs of deltas in their compact form to pages that know it (DLT-2).
    pub compacts: bool,
    /// The largest number of unacknowledged events it ever had under way on a `ch`.
    pub max_in_flight: u64,
    /// The largest number of their bytes, where it was more than one event.
    pub max_bytes_in_flight: u64,
    /// The largest number of bytes under way over all streams of a socket, where it was more than one event.
    pub max_total_in_flight: u64,
    /// Every send it applied: stream, id, subject.
    pub applied: Vec<(String, String, String)>,
    /// Those that were lost with a part of their log, and its keys.
    pub lost: Vec<(String, String, String)>,
    /// How many tokens were refreshed.
    pub refreshed: u32,
    /// The first rule of the protocol that a page broke.
    pub broken: Option<String>,
    keys: BTreeMap<(String, String, String), Applied>,
    connections: BTreeMap<Peer, Connection>,
    outgoing: Vec<(Peer, Outgoing)>,
    /// When what is written becomes durable.
    commit_at: Option<Instant>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            logs: BTreeMap::new(),
            subject: "ada".into(),
            refused: BTreeMap::new(),
            now: Instant::ZERO,
            commit_delay: Duration::ZERO,
            heartbeat_ms: 15_000,
            events_per_frame: 50,
            max_frame_bytes: 1_048_576,
            max_streams: 64,
            token_expires_in_ms: None,
            send_horizon_ms: 86_400_000,
            mute: false,
            ignores_replay: false,
            no_receipts: false,
            ignores_subscribes: false,
            ignores_refreshes: false,
            refuses_above: None,
            resets_above: None,
            backoff_max_ms: None,
            clock_behind: Duration::ZERO,
            looping: None,
            overloaded: 0,
            refuses_replays: 0,
            forgets: Vec::new(),
            believes_acks: false,
            compacts: false,
            max_in_flight: 0,
            max_bytes_in_flight: 0,
            max_total_in_flight: 0,
            applied: Vec::new(),
            lost: Vec::new(),
            refreshed: 0,
            broken: None,
            keys: BTreeMap::new(),
            connections: BTreeMap::new(),
            outgoing: Vec::new(),
            commit_at: None,
        }
    }
}

/// The proof of a head (SUB-6). Nobody forges anything here, so that a text is enough.
/// Ways of a server to succeed and fail in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Loop {
    WelcomesAndCloses,
    ServesAndCloses,
    SendsNoFrame,
    Rejects,
    RefusesSize,
    ResetsOnSends,
}

impl Loop {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::WelcomesAndCloses,
        Self::ServesAndCloses,
        Self::SendsNoFrame,
        Self::Rejects,
        Self::RefusesSize,
        Self::ResetsOnSends,
    ];
}

fn seal_of(log: &Log, head: u64) -> String {
    format!("{head}.{}.{}", log.index, log.life().epoch)
}

/// The head that a seal proves, if it is one of this stream and epoch.
fn proven_head(log: &Log, seal: &str) -> Option<u64> {
    let head = seal.split_once('.')?.0.parse().ok()?;
    (seal == seal_of(log, head)).then_some(head)
}

impl Server {
    /// Makes a server for a setting.
    pub fn new(setting: &Setting) -> Self {
        Self {
            heartbeat_ms: setting.heartbeat_ms,
            events_per_frame: setting.events_per_frame,
            compacts: setting.compacts,
            token_expires_in_ms: setting.token_ms,
            commit_delay: Duration::from_millis(setting.commit_ms),
            ..Self::default()
        }
    }

    // --- What happens to logs ---

    /// The log of a stream, made when it is asked for.
    pub fn log(&mut self, name: &str) -> &mut Log {
        if !self.logs.contains_key(name) {
            self.logs.insert(name.into(), Log::new(self.logs.len() as u64 + 1));
        }
        self.logs.get_mut(name).expect("it was made above")
    }

    /// Writes `count` more events to a log.
    pub fn publish(&mut self, name: &str, count: u64) {
        let log = self.log(name);
        for _ in 0..count {
            log.append(None);
        }
        if self.commit_delay == Duration::ZERO {
            self.commit();
        } else {
            self.commit_at.get_or_insert(self.now + self.commit_delay);
            self.send_all();
        }
    }

    /// Makes everything durable that is written, and sends it (EVT-6).
    fn commit(&mut self) {
        self.commit_at = None;
        self.logs.values_mut().for_each(Log::commit);
        self.send_all();
    }

    /// Takes an event out: a `void` stands in its place (EVT-7).
    pub fn redact(&mut self, name: &str, offset: u64) {
        if let Some(stored) = self.log(name).life_mut().events.get_mut(offset as usize - 1) {
            stored.void = true;
        }
    }

    /// Drops the beginning of a log. Pages that still wait for a part of it get a gap (GAP-2).
    pub fn trim(&mut self, name: &str, through: u64) {
        let life = self.log(name).life_mut();
        life.oldest = life.oldest.max(through + 1);
        for (peer, connection) in &mut self.connections {
            for (ch, sub) in connection.subs.iter_mut().filter(|(_, sub)| sub.name == name) {
                if sub.next <= through {
                    let frame = json!({"type": "gap", "ch": ch, "from": sub.next, "to": through, "reason": "trimmed"});
                    sub.next = through + 1;
                    if !self.mute {
                        self.outgoing.push((*peer, Outgoing::Text(frame.to_string())));
                    }
                }
            }
        }
        self.send_all();
    }

    /// Takes from a user the right to read a part of a stream: it is passed over with a gap (GAP-3).
    pub fn withhold(&mut self, name: &str, subject: &str, from: u64, to: u64) {
        self.log(name).life_mut().withheld.push(Withheld { subject: subject.into(), from, to });
    }

    /// Ends a stream for everybody, and refuses it until it is admitted again (SUB-11).
    pub fn refuse(&mut self, name: &str, reason: &'static str) {
        self.refused.insert(name.into(), reason);
        if reason == "unavailable" {
            // Who has a subscription keeps it.
            return;
        }
        for (peer, connection) in &mut self.connections {
            for (ch, sub) in connection.subs.extract_if(.., |_, sub| sub.name == name) {
                let frame = json!({"type": "unsubscribed", "ch": ch, "name": sub.name, "reason": reason});
                if !self.mute {
                    self.outgoing.push((*peer, Outgoing::Text(frame.to_string())));
                }
            }
        }
    }

    /// Lets a stream be followed again; tells whether it was refused.
    pub fn admit(&mut self, name: &str) -> bool {
        self.refused.remove(name).is_some()
    }

    /// Begins a new life of a log, with these many events in it.
    pub fn new_epoch(&mut self, name: &str, epoch: &str, events: u64) {
        self.log(name).begin_life(epoch, false);
        self.end_epoch(name);
        self.publish(name, events);
    }

    /// Ends the subscriptions of a log whose epoch is over: the pages ask again (SUB-11).
    fn end_epoch(&mut self, name: &str) {
        for (peer, connection) in &mut self.connections {
            for (ch, sub) in connection.subs.extract_if(.., |_, sub| sub.name == name) {
                let frame = json!({"type": "unsubscribed", "ch": ch, "name": sub.name, "reason": "epoch"});
                if !self.mute {
                    self.outgoing.push((*peer, Outgoing::Text(frame.to_string())));
                }
            }
        }
    }

    /// Puts the log back to an earlier state, as a restored backup would.
    pub fn roll_back(&mut self, name: &str, head: u64) {
        let log = self.log(name);
        log.cut_back(head);
        let place = log.lives.len() - 1;
        self.lose_keys(|stream, applied| stream == name && applied.place == place && applied.offset > head);
    }

    /// Loses a log: an empty one takes its place, under another epoch (LIF-4).
    pub fn lose(&mut self, name: &str, epoch: &str) {
        self.log(name).begin_life(epoch, false);
        self.lose_keys(|stream, _| stream == name);
    }

    /// The keys of sends are in the log: what is lost there may be applied again.
    fn lose_keys(&mut self, is_lost: impl Fn(&str, &Applied) -> bool) {
        let lost = self.keys.extract_if(.., |(_, stream, _), applied| is_lost(stream, applied));
        self.lost.extend(lost.map(|((subject, stream, id), _)| (stream, id, subject)));
    }

    /// Gives a restored log another epoch, as an operator who knows of it does (LIF-4).
    pub fn renew(&mut self, name: &str, epoch: &str) {
        self.log(name).begin_life(epoch, true);
        self.end_epoch(name);
        self.send_all();
    }

    // --- Sockets ---

    /// A socket opened.
    pub fn connect(&mut self, peer: impl Into<Peer>, now: Instant) {
        self.now = self.now.max(now);
        let next_heartbeat = now + Duration::from_millis(self.heartbeat_ms);
        self.connections
            .insert(peer.into(), Connection { next_ch: 1, next_heartbeat, ..Connection::default() });
    }

    /// A socket is gone.
    pub fn disconnect(&mut self, peer: impl Into<Peer>) {
        self.connections.remove(&peer.into());
    }

    /// Forgets every socket and whatever was not durable, as a process that is killed does.
    pub fn restart(&mut self) {
        self.outgoing.clear();
        self.connections.clear();
        self.commit_at = None;
        for log in self.logs.values_mut() {
            log.cut_back(u64::MAX);
        }
    }

    /// Tells whether a socket is known.
    pub fn knows(&self, peer: Peer) -> bool {
        self.connections.contains_key(&peer)
    }

    /// The streams it serves on a socket, each with what is acknowledged and its head.
    pub fn subscriptions(&self, peer: Peer) -> Vec<(&str, u64, u64)> {
        let subs = self.connections.get(&peer).into_iter().flat_map(|connection| connection.subs.values());
        subs.map(|sub| (sub.name.as_str(), sub.acked, self.logs[&sub.name].life().head)).collect()
    }

    /// Closes a socket with a code.
    pub fn close(&mut self, peer: Peer, code: u16) {
        if self.connections.remove(&peer).is_some() {
            self.outgoing.push((peer, Outgoing::Close(code)));
        }
    }

    /// Takes what goes on the wire.
    pub fn take_outgoing(&mut self) -> Vec<(Peer, Outgoing)> {
        std::mem::take(&mut self.outgoing)
    }

    /// When it has something to do by itself: a heartbeat, or to make durable what is written.
    pub fn next_deadline(&self) -> Option<Instant> {
        let beat = self.connections.values().map(|connection| connection.next_heartbeat).min();
        self.commit_at.into_iter().chain(beat.filter(|_| !self.mute)).min()
    }

    /// Does what is due, the heartbeats among it (HBT-1).
    pub fn on_time(&mut self, now: Instant) {
        if self.commit_at.is_some_and(|at| at <= now) {
            self.commit();
        }
        let interval = Duration::from_millis(self.heartbeat_ms);
        for (peer, connection) in &mut self.connections {
            if connection.next_heartbeat > now {
                continue;
            }
            connection.next_heartbeat = now + interval;
            if connection.subject.is_none() || self.mute {
                continue;
            }
            let mut text = String::from(r#"{"type":"heartbeat","heads":{"#);
            let mut seals = String::new();
            for (index, (ch, sub)) in connection.subs.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                let log = &self.logs[&sub.name];
                let head = log.life().head;
                let _ = write!(text, r#"{comma}"{ch}":{head}"#);
                let _ = write!(seals, r#"{comma}"{ch}":"{}""#, seal_of(log, head));
            }
            let _ = write!(text, r#"}},"seals":{{{seals}}}}}"#);
            self.outgoing.push((*peer, Outgoing::Text(text)));
        }
    }

    fn emit(&mut self, peer: Peer, frame: &Value) {
        if !self.mute && self.connections.contains_key(&peer) {
            self.outgoing.push((peer, Outgoing::Text(frame.to_string())));
        }
    }

    /// Puts a frame on a socket that the protocol allows at any time.
    pub fn say(&mut self, peer: Peer, frame: &Value) {
        self.emit(peer, frame);
    }

    // --- Frames of pages ---

    /// Takes a message of a page.
    pub fn on_text(&mut self, peer: impl Into<Peer>, text: &str) {
        let peer = peer.into();
        if self.mute || !self.connections.contains_key(&peer) {
            return;
        }
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            self.breaks("GEN-2: not JSON");
            return;
        };
        let greeted = self.connections[&peer].subject.is_some();
        if greeted && text.len() > self.max_frame_bytes {
            self.breaks("GEN-7: a frame that is larger than maxFrameBytes");
        }
        match frame["type"].as_str() {
            Some("hello") if !greeted => self.on_hello(peer, &frame),
            _ if !greeted => self.breaks("HEL-1: the first frame is no hello"),
            Some("subscribe") if self.ignores_subscribes => {}
            Some("subscribe") => self.on_streams(peer, &frame["streams"]),
            Some("unsubscribe") => {
                let ch = integer(&frame["ch"]);
                let connection = self.connection(peer);
                let sub = connection.subs.remove(&u32::try_from(ch).unwrap_or(0));
                if let Some(sub) = sub {
                    self.emit(
                        peer,
                        &json!({"type": "unsubscribed", "ch": ch, "name": sub.name, "reason": "requested"}),
                    );
                }
            }
            Some("ack") => self.on_ack(peer, &frame),
            Some("replay") if self.ignores_replay => {}
            Some("replay") => self.on_replay(peer, &frame),
            Some("send") if self.refuses_above.is_some_and(|most| text.len() > most) => {
                self.close(peer, 1009)
            }
            Some("send") if self.resets_above.is_some_and(|most| text.len() > most) => self.close(peer, 1006),
            Some("send" | "cancel" | "approve" | "withdraw" | "edit") => self.on_send(peer, &frame),
            Some("refresh") if self.ignores_refreshes => {}
            Some("refresh") => self.on_refresh(peer, &frame),
            Some("ping") => self.emit(peer, &json!({"type": "pong", "n": frame["n"]})),
            Some("pong" | "signal") => {}
            other => {
                let rule = format!("GEN-3: a page sent {other:?}");
                self.breaks(&rule);
            }
        }
    }

    fn breaks(&mut self, rule: &str) {
        self.broken.get_or_insert_with(|| rule.to_owned());
    }

    fn connection(&mut self, peer: Peer) -> &mut Connection {
        self.connections.get_mut(&peer).expect("checked by the caller")
    }

    fn on_refresh(&mut self, peer: Peer, frame: &Value) {
        if matches!(frame["token"].as_str(), Some("expired" | "invalid")) {
            self.emit(
                peer,
                &json!({"type": "error", "code": "token_invalid", "message": "", "retryable": true}),
            );
            return;
        }
        self.refreshed += 1;
        self.emit(peer, &json!({"type": "refreshed", "tokenExpiresInMs": self.token_expires_in_ms}));
    }

    fn on_hello(&mut self, peer: Peer, frame: &Value) {
        let token = frame["token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            self.breaks("HEL-2: no token");
        }
        if let Some((code, close)) = match token.as_str() {
            "expired" => Some(("token_expired", 4451)),
            "invalid" => Some(("token_invalid", 4450)),
            _ => None,
        } {
            self.emit(peer, &json!({"type": "error", "code": code, "message": "refused", "retryable": true}));
            self.close(peer, close);
            return;
        }
        let subject = token.strip_prefix("as:").map_or_else(|| self.subject.clone(), Into::into);
        let window = &frame["window"];
        let window = Window {
            events: integer(&window["events"]),
            bytes: integer(&window["bytes"]),
            total_bytes: integer(&window["totalBytes"]),
        };
        let compacts = self.compacts;
        let connection = self.connection(peer);
        connection.subject = Some(subject.clone());
        connection.window = window;
        connection.deltas = compacts
            && frame["features"]
                .as_array()
                .is_some_and(|features| features.iter().any(|name| name == "deltas"));
        let mut welcome = json!({"type": "welcome", "session": format!("s{}", peer.socket.0), "subject": subject, "heartbeatMs": self.heartbeat_ms,
            "maxFrameBytes": self.max_frame_bytes, "maxStreams": self.max_streams, "sendHorizonMs": self.send_horizon_ms, "features": [],
            "time": 1_790_000_000_000 + (self.now - self.clock_behind).as_millis()});
        if let Some(ms) = self.backoff_max_ms {
            welcome["backoffMaxMs"] = json!(ms);
        }
        if let Some(ms) = self.token_expires_in_ms {
            welcome["tokenExpiresInMs"] = json!(ms);
        }
        if self.looping == Some(Loop::Rejects) {
            self.close(peer, 4400);
            return;
        }
        self.emit(peer, &welcome);
        match self.looping {
            Some(Loop::WelcomesAndCloses) => self.close(peer, 1012),
            Some(Loop::SendsNoFrame) => self.emit(peer, &json!({"type": "heartbeat", "heads": 1})),
            Some(Loop::ServesAndCloses) => {
                self.on_streams(peer, &frame["streams"]);
                self.close(peer, 1012);
            }
            _ if self.ignores_subscribes => {}
            _ => self.on_streams(peer, &frame["streams"]),
        }
    }

    fn on_streams(&mut self, peer: Peer, streams: &Value) {
        let mut unproven = Vec::new();
        for request in streams.as_array().into_iter().flatten() {
            let name = request["name"].as_str().unwrap_or_default().to_owned();
            if self.connections[&peer].subs.values().any(|sub| sub.name == name) {
                self.breaks("SUB-2: a name that is subscribed already");
                continue;
            }
            if let Some(reason) = self.refused.get(&name) {
                self.emit(peer, &json!({"type": "unsubscribed", "name": name, "reason": reason}));
                continue;
            }
            let mut answer = self.place(&name, request);
            if answer["reason"] == "ahead" && self.log(&name).went_back() {
                unproven.push(name.clone());
            }
            let connection = self.connection(peer);
            let ch = connection.next_ch;
            connection.next_ch += 1;
            let next = integer(&answer["next"]);
            let head = integer(&answer["head"]);
            let flight = Flight::default();
            connection
                .subs
                .insert(ch, Sub { name, next, acked: next - 1, flight, replayed: 0, head, caught_up: false });
            answer["ch"] = json!(ch);
            self.emit(peer, &answer);
        }
        self.send_all();
        for name in unproven {
            // The operator reads of it in the server's log, and does what the server may not do without a proof (LIF-4).
            let epoch = format!("{}*", self.log(&name).life().epoch);
            self.renew(&name, &epoch);
        }
    }

    /// SUB-3 to SUB-9.
    fn place(&mut self, name: &str, request: &Value) -> Value {
        if request.get("seal").is_some() && request.get("position").is_none() {
            self.breaks("SUB-1: a seal without a position");
        }
        let log = self.log(name);
        let proven = request["seal"].as_str().and_then(|seal| proven_head(log, seal));
        if proven.is_some_and(|head| head > log.life().head) {
            let epoch = format!("{}+", log.life().epoch);
            self.log(name).begin_life(&epoch, true);
            self.end_epoch(name);
        }
        let life = self.log(name).life();
        let mut reason = None;
        let next = match request.get("position") {
            Some(position) if position["epoch"] == life.epoch.as_str() => {
                let offset = integer(&position["offset"]);
                if offset.max(request["seen"].as_u64().unwrap_or(0)) > life.head {
                    reason = Some("ahead");
                    Some(life.oldest)
                } else if offset + 1 < life.oldest {
                    reason = Some("trimmed");
                    Some(life.oldest)
                } else {
                    Some(offset + 1)
                }
            }
            Some(_) => {
                reason = Some("epoch");
                None
            }
            None => None,
        };
        let life = self.logs[name].life();
        let next = next.unwrap_or_else(|| {
            let open = &request["open"];
            if reason.is_some() && open.get("from").is_none_or(|from| from != "start") && !open.is_null() {
                // A page of another epoch is owed what was written in this one (SUB-8).
                life.oldest.max(life.base + 1)
            } else if open["from"] == "live" {
                life.head + 1
            } else if let Some(last) = open["last"].as_u64() {
                life.oldest.max((life.head + 1).saturating_sub(last))
            } else {
                if reason.is_none() && life.oldest > 1 {
                    reason = Some("trimmed");
                }
                life.oldest
            }
        });
        let mut answer = json!({"type": "subscribed", "name": name, "epoch": life.epoch, "oldest": life.oldest, "head": life.head, "next": next, "base": life.base, "recovered": reason.is_none()});
        if let Some(reason) = reason {
            answer["reason"] = json!(reason);
        }
        answer
    }

    /// Sends what the windows allow, streams in turn (FLO-1, FLO-4).
    pub fn send_all(&mut self) {
        let peers = self.connections.keys().copied().collect::<Vec<_>>();
        for peer in peers {
            while self.send_one_round(peer) {}
        }
    }

    fn send_one_round(&mut self, peer: Peer) -> bool {
        let Self { logs, connections, forgets, outgoing, .. } = self;
        let Some(connection) = connections.get_mut(&peer) else { return false };
        let (window, deltas) = (connection.window, connection.deltas);
        let subject = connection.subject.clone().unwrap_or_default();
        let mut any = false;
        let mut total: u64 = connection.subs.values().map(|sub| sub.flight.bytes).sum();
        for (ch, sub) in &mut connection.subs {
            let log = logs.get_mut(&sub.name).expect("a stream has a log");
            let top = log.life().head;
            if let Some(to) = passed_over(log.life(), &subject, sub.next, top) {
                let frame = gap_of_rights(*ch, sub.next, to);
                sub.next = to + 1;
                log.life_mut().shown = log.life().shown.max(to);
                any = true;
                if !self.mute {
                    outgoing.push((peer, Outgoing::Text(frame.to_string())));
                }
            }
            // The end of the catch-up ends a frame, so that `caughtUp` stands behind it (SUB-10).
            let top = if sub.caught_up { top } else { top.min(sub.head) };
            let most = top.min(sub.next + self.events_per_frame - 1);
            let most = log.life().readable_through(&subject, sub.next, most);
            let (first, mut last) = (sub.next, sub.next - 1);
            while last < most {
                let bytes = log.bytes_of(last + 1);
                // What a replay brought may be acknowledged before it flows.
                if last + 1 > sub.acked {
                    if !sub.flight.has_room(bytes, total - sub.flight.bytes, window) {
                        break;
                    }
                    sub.flight.add(last + 1, bytes);
                    total += bytes;
                    if total > bytes {
                        self.max_total_in_flight = self.max_total_in_flight.max(total);
                    }
                }
                last += 1;
            }
            if first <= last {
                sub.next = last + 1;
                self.max_in_flight = self.max_in_flight.max(sub.flight.events.len() as u64);
                if sub.flight.events.len() > 1 {
                    self.max_bytes_in_flight = self.max_bytes_in_flight.max(sub.flight.bytes);
                }
                log.life_mut().shown = log.life().shown.max(last);
                any = true;
                if self.mute {
                    continue;
                }
                let mut from = first;
                for forgotten in (first..=last).filter(|offset| forgets.contains(offset)) {
                    push_events(log, *ch, from, forgotten - 1, deltas, peer, outgoing);
                    from = forgotten + 1;
                }
                push_events(log, *ch, from, last, deltas, peer, outgoing);
            }
            if !sub.caught_up && sub.next > sub.head {
                sub.caught_up = true;
                any = true;
                if !self.mute {
                    let (head, runs) = (sub.head, json!(open_runs(*ch, sub.head)));
                    let seal = seal_of(log, head);
                    let text = format!(
                        r#"{{"type":"caughtUp","ch":{ch},"offset":{head},"openRuns":{runs},"seal":"{seal}"}}"#
                    );
                    outgoing.push((peer, Outgoing::Text(text)));
                }
            }
        }
        any
    }

    fn on_ack(&mut self, peer: Peer, frame: &Value) {
        let believes = self.believes_acks;
        for (ch, offset) in frame["offsets"].as_object().into_iter().flatten() {
            let offset = integer(offset);
            let Some(sub) = self.connection(peer).subs.get_mut(&ch.parse().unwrap_or(0)) else { continue };
            let too_far = offset >= sub.next.max(sub.replayed + 1);
            sub.acked = sub.acked.max(offset);
            sub.flight.acknowledge(offset);
            if too_far && !believes {
                self.breaks("FLO-3: an ack above what was sent");
            }
        }
        self.send_all();
    }

    fn on_replay(&mut self, peer: Peer, frame: &Value) {
        let (ch, from, to) = (integer(&frame["ch"]), integer(&frame["from"]), integer(&frame["to"]));
        let per_frame = self.events_per_frame;
        if self.refuses_replays > 0 {
            self.refuses_replays -= 1;
            self.emit(peer, &json!({"type": "error", "code": "too_many_requests", "message": "busy", "retryable": true, "req": frame["req"]}));
            return;
        }
        if to < from || to - from >= self.connection(peer).window.events {
            self.breaks("RPL-2: a request for more than the window");
            return;
        }
        let deltas = self.connection(peer).deltas;
        let subject = self.connection(peer).subject.clone().unwrap_or_default();
        let Self { logs, connections, outgoing, .. } = self;
        let ch = u32::try_from(ch).unwrap_or(0);
        let Some(sub) = connections.get_mut(&peer).and_then(|connection| connection.subs.get_mut(&ch)) else {
            let end = json!({"type": "replayEnd", "req": frame["req"], "to": from - 1, "oldest": 1});
            self.emit(peer, &end);
            return;
        };
        let log = logs.get_mut(&sub.name).expect("a stream has a log");
        let (oldest, head) = (log.life().oldest, log.life().head);
        let (first, last) = (from.max(oldest), to.min(head));
        sub.replayed = sub.replayed.max(last);
        log.life_mut().shown = log.life().shown.max(last);
        let mut next = first;
        while next <= last {
            if let Some(to) = passed_over(log.life(), &subject, next, last) {
                outgoing.push((peer, Outgoing::Text(gap_of_rights(ch, next, to).to_string())));
                next = to + 1;
                continue;
            }
            let end = log.life().readable_through(&subject, next, last.min(next + per_frame - 1));
            push_events(log, ch, next, end, deltas, peer, outgoing);
            next = end + 1;
        }
        let sent = if first <= last { last } else { from - 1 };
        self.emit(peer, &json!({"type": "replayEnd", "req": frame["req"], "to": sent, "oldest": oldest}));
    }

    fn on_send(&mut self, peer: Peer, frame: &Value) {
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        let (stream, id) = (text("stream"), text("id"));
        let subject = self.connection(peer).subject.clone().unwrap_or_default();
        let key = (subject.clone(), stream.clone(), id.clone());
        match self.looping {
            Some(Loop::RefusesSize) => return self.close(peer, 1009),
            Some(Loop::ResetsOnSends) => return self.close(peer, 1006),
            _ => {}
        }
        let message = frame["message"].to_string();
        if let Some(known) = self.keys.get(&key) {
            if known.message != message {
                self.breaks("SND-2: one key for two messages");
            }
        } else {
            let waits_for = self.connection(peer).put_off.get(&stream).cloned();
            let busy = if waits_for.is_some_and(|first| first != id) {
                Some("unavailable")
            } else if self.overloaded > 0 {
                self.overloaded -= 1;
                Some("overloaded")
            } else if self.log(&stream).went_back() {
                Some("unavailable")
            } else {
                None
            };
            if let Some(code) = busy {
                self.connection(peer).put_off.entry(stream).or_insert_with(|| id.clone());
                self.emit(
                    peer,
                    &json!({"type": "receipt", "id": id, "stream": frame["stream"], "status": "rejected", "error": {"code": code, "message": "busy", "retryable": true, "retryAfterMs": 300}}),
                );
                return;
            }
            self.connection(peer).put_off.remove(&stream);
            let log = self.log(&stream);
            let place = log.lives.len() - 1;
            let offset = if frame["type"] == "send" { log.append(Some(id.clone())) } else { log.life().head };
            // Its receipt says that it is durable (SND-3), and with it whatever stands before it.
            self.commit();
            self.applied.push((stream, id.clone(), subject));
            self.keys.insert(key.clone(), Applied { place, offset, message });
        }
        if !self.no_receipts {
            // It has no runs, so whatever else comes has nothing to change.
            let status = match frame["type"].as_str() {
                Some("cancel") => "unknown_run",
                Some("approve") => "unknown_approval",
                _ => "unknown_send",
            };
            let mut receipt = json!({"type": "receipt", "id": id, "stream": key.1, "status": status});
            if frame["type"] == "send" {
                let Applied { place, offset, .. } = self.keys[&key];
                receipt["status"] = "accepted".into();
                receipt["position"] = json!({"epoch": self.log(&key.1).lives[place].epoch, "offset": offset});
            }
            self.emit(peer, &receipt);
        }
        self.send_all();
    }
}

/// Where a part ends that a user may not read, if one begins here.
fn passed_over(life: &Life, subject: &str, from: u64, last: u64) -> Option<u64> {
    (from <= last).then(|| life.withheld_through(subject, from))?.map(|to| to.min(last))
}

fn gap_of_rights(ch: u32, from: u64, to: u64) -> Value {
    json!({"type": "gap", "ch": ch, "from": from, "to": to, "reason": "forbidden"})
}

/// The runs that it names as open at the end of a catch-up: others for each, so that none can stand for another.
fn open_runs(ch: u32, head: u64) -> [String; 1] {
    [format!("r{ch}-{head}")]
}

fn push_events(
    log: &Log,
    ch: u32,
    first: u64,
    last: u64,
    deltas: bool,
    peer: Peer,
    outgoing: &mut Vec<(Peer, Outgoing)>,
) {
    if first > last {
        return;
    }
    let count = last - first + 1;
    let mut text = String::with_capacity(64 + 64 * count as usize);
    if deltas && log.is_deltas(first, last) {
        let _ = write!(
            text,
            r#"{{"type":"deltas","ch":{ch},"first":{first},"count":{count},"head":{{"type":"message_delta"}},"times":["#
        );
        let place = log.lives.len() - 1;
        for offset in first..=last {
            let comma = if offset > first { "," } else { "" };
            let _ = write!(text, "{comma}{}", log.number(place, offset));
        }
        text.push_str(r#"],"texts":["#);
        for offset in first..=last {
            let comma = if offset > first { "," } else { "" };
            let _ = write!(text, r#"{comma}"{}""#, text_of(log.number(place, offset)));
        }
    } else {
        let _ = write!(text, r#"{{"type":"events","ch":{ch},"first":{first},"count":{count},"events":["#);
        log.write_events(first, last, &mut text);
    }
    text.push_str("]}");
    outgoing.push((peer, Outgoing::Text(text)));
}

fn integer(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
