//! A model server, written from `docs/PROTOCOL.md` and not from the bridge.

use std::{collections::BTreeMap, time::Duration};

use agentwire::proto::{Instant, SocketId};
use serde_json::{Value, json};

/// A log as it is on a disk.
#[derive(Clone, Debug)]
pub struct Log {
    pub epoch: String,
    pub oldest: u64,
    /// The event of offset 1 first, also when it was trimmed.
    pub events: Vec<Value>,
}

impl Log {
    pub fn head(&self) -> u64 {
        self.events.len() as u64
    }
}

#[derive(Debug)]
struct Sub {
    name: String,
    epoch: String,
    next: u64,
    acked: u64,
    /// The last offset that answered a `replay`.
    replayed: u64,
    head: u64,
    caught_up: bool,
}

#[derive(Debug, Default)]
struct Connection {
    greeted: bool,
    window: u64,
    next_ch: u32,
    subs: BTreeMap<u32, Sub>,
    next_heartbeat: Instant,
}

/// Behaves as PROTOCOL.md says, unless a switch tells it not to.
#[derive(Debug)]
pub struct Server {
    pub logs: BTreeMap<String, Log>,
    pub subject: String,
    pub forbidden: Vec<String>,
    pub heartbeat_ms: u64,
    pub events_per_frame: usize,
    pub token_expires_in_ms: Option<u64>,
    pub send_horizon_ms: u64,
    /// Answers nothing at all.
    pub mute: bool,
    /// Sends no heartbeats.
    pub no_heartbeats: bool,
    /// Leaves `replay` unanswered.
    pub ignores_replay: bool,
    /// Sends no receipts, though it applies.
    pub no_receipts: bool,
    /// Answers the next sends with this error code, as retryable.
    pub overloaded: u32,
    /// Offsets of any stream that it forgets to send live.
    pub forgets: Vec<u64>,
    /// Believes any `ack`: for tests that put frames on the wire by hand.
    pub believes_acks: bool,
    /// The largest number of unacknowledged events it ever had under way on a `ch`.
    pub max_in_flight: u64,
    pub applied: Vec<(String, String, Value)>,
    pub refreshed: u32,
    connections: BTreeMap<SocketId, Connection>,
    outgoing: Vec<(SocketId, String)>,
    closing: Vec<(SocketId, u16)>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            logs: BTreeMap::new(),
            subject: "ada".into(),
            forbidden: Vec::new(),
            heartbeat_ms: 15_000,
            events_per_frame: 50,
            token_expires_in_ms: None,
            send_horizon_ms: 86_400_000,
            mute: false,
            no_heartbeats: false,
            ignores_replay: false,
            no_receipts: false,
            overloaded: 0,
            forgets: Vec::new(),
            believes_acks: false,
            max_in_flight: 0,
            applied: Vec::new(),
            refreshed: 0,
            connections: BTreeMap::new(),
            outgoing: Vec::new(),
            closing: Vec::new(),
        }
    }
}

impl Server {
    pub fn log(&mut self, name: &str) -> &mut Log {
        self.logs.entry(name.into()).or_insert_with(|| Log {
            epoch: "e1".into(),
            oldest: 1,
            events: Vec::new(),
        })
    }

    /// Writes `count` more events to a log.
    pub fn publish(&mut self, name: &str, count: u64) {
        let log = self.log(name);
        for _ in 0..count {
            let n = log.head() + 1;
            log.events.push(json!({"type": "message_delta", "runId": "r1", "messageId": "m1", "time": n, "text": format!("{name} {} {n}", log.epoch)}));
        }
        self.send_all();
    }

    pub fn trim(&mut self, name: &str, through: u64) {
        let log = self.log(name);
        log.oldest = log.oldest.max(through + 1);
        let mut frames = Vec::new();
        for (socket, connection) in &mut self.connections {
            for (ch, sub) in connection.subs.iter_mut().filter(|(_, sub)| sub.name == name) {
                if sub.next <= through {
                    frames.push((*socket, json!({"type": "gap", "ch": ch, "from": sub.next, "to": through, "reason": "trimmed"})));
                    sub.next = through + 1;
                    sub.acked = sub.acked.max(through);
                }
            }
        }
        for (socket, frame) in frames {
            self.emit(socket, &frame);
        }
        self.send_all();
    }

    /// Begins a new life of a log, with these many events in it.
    pub fn new_epoch(&mut self, name: &str, epoch: &str, events: u64) {
        let log = self.log(name);
        *log = Log { epoch: epoch.into(), oldest: 1, events: Vec::new() };
        let mut frames = Vec::new();
        for (socket, connection) in &mut self.connections {
            let subscribed = connection.subs.iter().filter(|(_, sub)| sub.name == name).map(|(ch, _)| *ch);
            for ch in subscribed.collect::<Vec<_>>() {
                let Some(mut sub) = connection.subs.remove(&ch) else {
                    continue;
                };
                let new_ch = connection.next_ch;
                connection.next_ch += 1;
                frames.push((*socket, json!({"type": "gap", "ch": ch, "from": sub.next, "to": null, "reason": "epoch", "epoch": epoch, "newCh": new_ch})));
                (sub.next, sub.acked, sub.head, sub.epoch) = (1, 0, 0, epoch.into());
                sub.replayed = 0;
                connection.subs.insert(new_ch, sub);
            }
        }
        for (socket, frame) in frames {
            self.emit(socket, &frame);
        }
        self.publish(name, events);
    }

    /// Puts the log back to an earlier state, as a restored backup would.
    pub fn roll_back(&mut self, name: &str, head: usize) {
        self.log(name).events.truncate(head);
    }

    pub fn connect(&mut self, socket: SocketId, now: Instant) {
        let next_heartbeat = now + Duration::from_millis(self.heartbeat_ms);
        self.connections.insert(socket, Connection { next_ch: 1, next_heartbeat, ..Connection::default() });
    }

    pub fn disconnect(&mut self, socket: SocketId) {
        self.connections.remove(&socket);
    }

    pub fn restart(&mut self) {
        self.connections.clear();
    }

    pub fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        if self.no_heartbeats || self.mute {
            return None;
        }
        self.connections.values().map(|connection| connection.next_heartbeat).min()
    }

    pub fn on_time(&mut self, now: Instant) {
        let interval = Duration::from_millis(self.heartbeat_ms);
        let mut frames = Vec::new();
        for (socket, connection) in &mut self.connections {
            if connection.next_heartbeat <= now {
                connection.next_heartbeat = now + interval;
                let heads = connection
                    .subs
                    .iter()
                    .map(|(ch, sub)| (ch.to_string(), json!(self.logs[&sub.name].head())))
                    .collect::<serde_json::Map<_, _>>();
                if connection.greeted {
                    frames.push((*socket, json!({"type": "heartbeat", "heads": heads})));
                }
            }
        }
        for (socket, frame) in frames {
            self.emit(socket, &frame);
        }
    }

    pub fn take_outgoing(&mut self) -> Vec<(SocketId, String)> {
        std::mem::take(&mut self.outgoing)
    }

    pub fn take_closing(&mut self) -> Vec<(SocketId, u16)> {
        std::mem::take(&mut self.closing)
    }

    fn emit(&mut self, socket: SocketId, frame: &Value) {
        if !self.mute && self.connections.contains_key(&socket) {
            self.outgoing.push((socket, frame.to_string()));
        }
    }

    pub fn on_text(&mut self, socket: SocketId, text: &str, _now: Instant) {
        if self.mute || !self.connections.contains_key(&socket) {
            return;
        }
        let frame: Value = serde_json::from_str(text).expect("the client sends JSON");
        match frame["type"].as_str().expect("the client sends typed frames") {
            "hello" => self.on_hello(socket, &frame),
            "subscribe" => self.on_streams(socket, &frame["streams"]),
            "unsubscribe" => {
                let ch = integer(&frame["ch"]);
                let sub = self.connection(socket).subs.remove(&u32::try_from(ch).expect("a ch"));
                if let Some(sub) = sub {
                    self.emit(
                        socket,
                        &json!({"type": "unsubscribed", "ch": ch, "name": sub.name, "reason": "requested"}),
                    );
                }
            }
            "ack" => self.on_ack(socket, &frame),
            "replay" if self.ignores_replay => {}
            "replay" => self.on_replay(socket, &frame),
            "send" | "cancel" | "approve" => self.on_send(socket, &frame),
            "refresh" => {
                self.refreshed += 1;
                self.emit(
                    socket,
                    &json!({"type": "refreshed", "tokenExpiresInMs": self.token_expires_in_ms}),
                );
            }
            "ping" => self.emit(socket, &json!({"type": "pong", "n": frame["n"]})),
            "pong" | "signal" => {}
            other => panic!("the client sent {other}"),
        }
    }

    fn connection(&mut self, socket: SocketId) -> &mut Connection {
        self.connections.get_mut(&socket).expect("checked by the caller")
    }

    fn on_hello(&mut self, socket: SocketId, frame: &Value) {
        assert!(!frame["token"].as_str().expect("a token").is_empty(), "HEL-2");
        if frame["token"] == "expired" {
            self.emit(
                socket,
                &json!({"type": "error", "code": "token_expired", "message": "expired", "retryable": true}),
            );
            self.closing.push((socket, 4451));
            return;
        }
        let window = integer(&frame["window"]["events"]);
        let connection = self.connection(socket);
        connection.greeted = true;
        connection.window = window;
        let mut welcome = json!({"type": "welcome", "session": format!("s{}", socket.0), "subject": self.subject, "heartbeatMs": self.heartbeat_ms,
            "maxFrameBytes": 1_048_576, "maxStreams": 64, "sendHorizonMs": self.send_horizon_ms, "features": []});
        if let Some(ms) = self.token_expires_in_ms {
            welcome["tokenExpiresInMs"] = json!(ms);
        }
        self.emit(socket, &welcome);
        self.on_streams(socket, &frame["streams"]);
    }

    fn on_streams(&mut self, socket: SocketId, streams: &Value) {
        for request in streams.as_array().expect("a list") {
            let name = request["name"].as_str().expect("a name").to_owned();
            if self.forbidden.contains(&name) {
                self.emit(socket, &json!({"type": "unsubscribed", "name": name, "reason": "forbidden"}));
                continue;
            }
            let answer = self.place(&name, request);
            let connection = self.connection(socket);
            let ch = connection.next_ch;
            connection.next_ch += 1;
            let sub = Sub {
                name,
                epoch: answer["epoch"].as_str().expect("an epoch").into(),
                next: integer(&answer["next"]),
                acked: integer(&answer["next"]) - 1,
                replayed: 0,
                head: integer(&answer["head"]),
                caught_up: false,
            };
            connection.subs.insert(ch, sub);
            let mut answer = answer;
            answer["ch"] = json!(ch);
            self.emit(socket, &answer);
        }
        self.send_all();
    }

    /// SUB-3 to SUB-9.
    fn place(&mut self, name: &str, request: &Value) -> Value {
        let log = self.log(name);
        let mut reason = None;
        let next = match request.get("position") {
            Some(position) if position["epoch"] == log.epoch.as_str() => {
                let offset = integer(&position["offset"]);
                if offset.max(request["seen"].as_u64().unwrap_or(0)) > log.head() {
                    log.epoch = format!("{}+", log.epoch);
                    reason = Some("ahead");
                    None
                } else if offset + 1 < log.oldest {
                    reason = Some("trimmed");
                    Some(log.oldest)
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
        let next = next.unwrap_or_else(|| {
            let open = &request["open"];
            if open["from"] == "live" {
                log.head() + 1
            } else if let Some(last) = open["last"].as_u64() {
                log.oldest.max((log.head() + 1).saturating_sub(last))
            } else {
                if reason.is_none() && log.oldest > 1 {
                    reason = Some("trimmed");
                }
                log.oldest
            }
        });
        let mut answer = json!({"type": "subscribed", "name": name, "epoch": log.epoch, "oldest": log.oldest, "head": log.head(), "next": next, "recovered": reason.is_none()});
        if let Some(reason) = reason {
            answer["reason"] = json!(reason);
        }
        answer
    }

    /// Sends what the windows allow, streams in turn (FLO-1, FLO-4).
    pub fn send_all(&mut self) {
        let sockets = self.connections.keys().copied().collect::<Vec<_>>();
        for socket in sockets {
            while self.send_one_round(socket) {}
        }
    }

    fn send_one_round(&mut self, socket: SocketId) -> bool {
        let per_frame = self.events_per_frame as u64;
        let Self { logs, connections, forgets, .. } = self;
        let connection = connections.get_mut(&socket).expect("checked by the caller");
        let window = connection.window;
        let mut frames = Vec::new();
        let mut most = 0;
        for (ch, sub) in &mut connection.subs {
            let log = &logs[&sub.name];
            let last = log.head().min(sub.acked + window).min(sub.next + per_frame - 1);
            if sub.next <= last {
                let (first, events) = (sub.next, &log.events[sub.next as usize - 1..last as usize]);
                sub.next = last + 1;
                most = most.max(last - sub.acked);
                if !(first..=last).any(|offset| forgets.contains(&offset)) {
                    frames.push(json!({"type": "events", "ch": ch, "first": first, "count": events.len(), "events": events}));
                } else {
                    // One frame each, without the forgotten.
                    for (index, event) in events.iter().enumerate() {
                        let offset = first + index as u64;
                        if !forgets.contains(&offset) {
                            frames.push(json!({"type": "events", "ch": ch, "first": offset, "count": 1, "events": [event]}));
                        }
                    }
                }
            }
            if !sub.caught_up && sub.next > sub.head {
                sub.caught_up = true;
                frames.push(json!({"type": "caughtUp", "ch": ch, "offset": sub.head, "openRuns": []}));
            }
        }
        self.max_in_flight = self.max_in_flight.max(most);
        let any = !frames.is_empty();
        for frame in frames {
            self.emit(socket, &frame);
        }
        any
    }

    fn on_ack(&mut self, socket: SocketId, frame: &Value) {
        for (ch, offset) in frame["offsets"].as_object().expect("FLO-2") {
            let offset = integer(offset);
            let believes = self.believes_acks;
            if let Some(sub) = self.connection(socket).subs.get_mut(&ch.parse().expect("a ch")) {
                assert!(
                    believes || offset < sub.next.max(sub.replayed + 1),
                    "FLO-3: ack {offset} above what was sent, next {}",
                    sub.next
                );
                sub.acked = sub.acked.max(offset);
            }
        }
        self.send_all();
    }

    fn on_replay(&mut self, socket: SocketId, frame: &Value) {
        let (ch, from, to) = (integer(&frame["ch"]), integer(&frame["from"]), integer(&frame["to"]));
        let per_frame = self.events_per_frame as u64;
        let Some(connection) = self.connections.get_mut(&socket) else { return };
        assert!(to - from < connection.window, "RPL-2");
        let Some(sub) = connection.subs.get_mut(&u32::try_from(ch).expect("a ch")) else { return };
        let log = self.logs[&sub.name].clone();
        let (first, last) = (from.max(log.oldest), to.min(log.head()));
        sub.replayed = sub.replayed.max(last);
        let mut next = first;
        while next <= last {
            let end = last.min(next + per_frame - 1);
            let events = &log.events[next as usize - 1..end as usize];
            self.emit(
                socket,
                &json!({"type": "events", "ch": ch, "first": next, "count": events.len(), "events": events}),
            );
            next = end + 1;
        }
        let sent = if first <= last { last } else { from - 1 };
        self.emit(
            socket,
            &json!({"type": "replayEnd", "req": frame["req"], "to": sent, "oldest": log.oldest}),
        );
    }

    fn on_send(&mut self, socket: SocketId, frame: &Value) {
        let (stream, id) =
            (frame["stream"].as_str().expect("a stream"), frame["id"].as_str().expect("an id"));
        if self.overloaded > 0 {
            self.overloaded -= 1;
            self.emit(
                socket,
                &json!({"type": "receipt", "id": id, "status": "rejected", "error": {"code": "overloaded", "message": "busy", "retryable": true, "retryAfterMs": 300}}),
            );
            return;
        }
        let known =
            self.applied.iter().any(|(known_stream, known_id, _)| known_stream == stream && known_id == id);
        if !known {
            self.applied.push((stream.into(), id.into(), frame.clone()));
            if frame["type"] == "send" {
                let mut event = frame["message"].clone();
                event["sendId"] = json!(id);
                self.log(stream).events.push(event);
            }
        }
        if !self.no_receipts {
            self.emit(socket, &json!({"type": "receipt", "id": id, "status": "accepted"}));
        }
        self.send_all();
    }
}

fn integer(value: &Value) -> u64 {
    value.as_u64().expect("an integer")
}
