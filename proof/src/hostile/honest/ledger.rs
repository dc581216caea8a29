//! What the honest user knows: each message, its receipt, and the run that answers it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::{THREAD, Tally};

/// What each message says, and so the words of its answer.
const TEXT: &str = "one small message";

/// The events of a run in their order; `message_delta` comes once per word.
const RUN: [&str; 8] = [
    "agent_started",
    "agent_thinking",
    "tool_executing",
    "message_delta",
    "message_delta",
    "message_delta",
    "message_completed",
    "tool_completed",
];
const RUN_END: &str = "agent_completed";

/// Events that are acknowledged at once, a quarter of the window.
const ACK: u64 = 1_024;

/// How long a message waits that the server put off without a time.
const PUT_OFF: Duration = Duration::from_millis(250);

/// How many troubles are described.
const DESCRIBED: usize = 3;

#[derive(Debug)]
pub(super) struct Ledger {
    messages: BTreeMap<u64, Message>,
    /// Which message a run answers, and what has come of the run.
    runs: HashMap<String, (u64, Vec<String>)>,
    /// Names the messages of this life.
    life: String,
    epoch: String,
    ch: u64,
    /// The next offset.
    next: u64,
    acknowledged: u64,
    /// Nothing is sent before this, after a message was put off.
    held_until: Option<Instant>,
    tally: Tally,
}

#[derive(Debug)]
struct Message {
    sent: Instant,
    /// Whether it was sent once only.
    is_first: bool,
    /// Whether it is to be sent again.
    is_due: bool,
    /// The offset of its receipt, and of its event.
    receipt: Option<u64>,
    event: Option<u64>,
    is_answered: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            messages: BTreeMap::new(),
            runs: HashMap::new(),
            life: format!("{:08x}", fastrand::u32(..)),
            epoch: String::new(),
            ch: 0,
            next: 0,
            acknowledged: 0,
            held_until: None,
            tally: Tally::default(),
        }
    }
}

impl Ledger {
    /// The request for the stream: what comes from now on, or after what is here.
    pub(super) fn request(&self) -> Value {
        let mut request = json!({ "name": THREAD, "open": { "from": "live" } });
        if !self.epoch.is_empty() {
            request["position"] = json!({ "epoch": self.epoch, "offset": self.next - 1 });
        }
        request
    }

    pub(super) fn subscribed(&mut self, frame: &Value) -> Result<()> {
        let (epoch, next) =
            (frame["epoch"].as_str().unwrap_or_default(), frame["next"].as_u64().unwrap_or(0));
        if !self.epoch.is_empty() && (self.epoch != epoch || self.next != next) {
            self.trouble(format!("resumed at {epoch}:{next} instead of {}:{}", self.epoch, self.next));
        }
        ensure!(next > 0, "the stream was not opened: {frame}");
        (self.epoch, self.next) = (epoch.to_owned(), next);
        self.ch = frame["ch"].as_u64().unwrap_or(0);
        self.acknowledged = next - 1;
        Ok(())
    }

    /// The next message.
    pub(super) fn message(&mut self) -> Value {
        let number = self.messages.len() as u64 + 1;
        let message = Message {
            sent: Instant::now(),
            is_first: true,
            is_due: false,
            receipt: None,
            event: None,
            is_answered: false,
        };
        self.messages.insert(number, message);
        self.send(number)
    }

    /// What has to be sent again, in its order: what was put off or, on a new connection, what has no receipt.
    pub(super) fn again(&mut self) -> Vec<Value> {
        self.held_until = None;
        let due: Vec<u64> =
            self.messages.iter().filter(|(_, message)| message.is_due).map(|(number, _)| *number).collect();
        for number in &due {
            if let Some(message) = self.messages.get_mut(number) {
                message.is_due = false;
            }
        }
        due.into_iter().map(|number| self.send(number)).collect()
    }

    fn send(&self, number: u64) -> Value {
        json!({
            "type": "send",
            "id": format!("{}-{number}", self.life),
            "stream": THREAD,
            "message": { "type": "user_message", "content": TEXT },
        })
    }

    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Notes that the connection was lost.
    pub(super) fn dropped(&mut self, why: &str) {
        self.tally.drops += 1;
        if self.tally.drops <= DESCRIBED {
            self.tally.troubles.push(format!("lost the connection: {why}"));
        }
        self.held_until = None;
        for message in self.messages.values_mut().filter(|message| message.receipt.is_none()) {
            (message.is_first, message.is_due) = (false, true);
        }
    }

    /// Takes a frame; returns what has to be answered.
    pub(super) fn frame(&mut self, frame: &Value) -> Result<Option<Value>> {
        match frame["type"].as_str().unwrap_or_default() {
            "receipt" => self.receipt(frame),
            "events" => return self.events(frame),
            "heartbeat" => return Ok(self.ack()),
            "ping" => return Ok(Some(json!({ "type": "pong", "n": frame["n"] }))),
            "error" | "gap" | "unsubscribed" | "goaway" => bail!("got {frame}"),
            _ => {}
        }
        Ok(None)
    }

    fn receipt(&mut self, frame: &Value) {
        let Some(number) = self.number(&frame["id"]) else {
            return self.trouble(format!("a receipt for nothing: {frame}"));
        };
        let now = Instant::now();
        let Some(message) = self.messages.get_mut(&number) else { return };
        if frame["status"] == "accepted" {
            if message.receipt.is_none() && message.is_first {
                self.tally.waits.push((now - message.sent).as_secs_f64() * 1_000.0);
            }
            let offset = frame["position"]["offset"].as_u64();
            if message.receipt.is_some() && message.receipt != offset {
                self.trouble(format!("message {number} has two receipts"));
            } else {
                message.receipt = offset;
            }
            return;
        }
        let error = &frame["error"];
        if error["retryable"] != true {
            return self.trouble(format!("message {number} was refused: {error}"));
        }
        (message.is_first, message.is_due) = (false, true);
        self.tally.put_off += 1;
        let after = error["retryAfterMs"].as_u64().map_or(PUT_OFF, Duration::from_millis);
        self.held_until = Some(now + after);
    }

    fn events(&mut self, frame: &Value) -> Result<Option<Value>> {
        let first = frame["first"].as_u64().unwrap_or(0);
        if frame["ch"].as_u64() != Some(self.ch) {
            return Ok(None);
        }
        ensure!(first == self.next, "events begin at {first} instead of {}", self.next);
        for event in frame["events"].as_array().into_iter().flatten() {
            self.event(self.next, event);
            self.next += 1;
        }
        Ok(if self.next - self.acknowledged > ACK { self.ack() } else { None })
    }

    fn ack(&mut self) -> Option<Value> {
        let last = self.next - 1;
        if self.acknowledged == last {
            return None;
        }
        self.acknowledged = last;
        Some(json!({ "type": "ack", "offsets": { self.ch.to_string(): last } }))
    }

    fn event(&mut self, offset: u64, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "user_message" {
            let Some(number) = self.number(&event["sendId"]) else { return };
            let Some(message) = self.messages.get_mut(&number) else { return };
            if message.event.replace(offset).is_some() {
                self.trouble(format!("message {number} was stored twice"));
            }
            return;
        }
        let Some(run) = event["runId"].as_str() else { return };
        if let Some(number) = self.number(&event["sendId"])
            && kind == RUN[0]
            && self.runs.insert(run.to_owned(), (number, Vec::new())).is_some()
        {
            self.trouble(format!("run {run} has started twice"));
        }
        let Some((number, seen)) = self.runs.get_mut(run) else { return };
        if kind != RUN_END {
            seen.push(kind.to_owned());
            return;
        }
        let (number, is_whole) = (*number, *seen == RUN);
        if !is_whole {
            let what = format!("the run of message {number} has {seen:?}");
            self.trouble(what);
        }
        self.runs.remove(run);
        let Some(message) = self.messages.get_mut(&number) else { return };
        if std::mem::replace(&mut message.is_answered, is_whole) {
            self.trouble(format!("message {number} was answered twice"));
        }
    }

    /// The number of a message of this life.
    fn number(&self, id: &Value) -> Option<u64> {
        id.as_str()?.strip_prefix(&self.life)?.strip_prefix('-')?.parse().ok()
    }

    fn trouble(&mut self, what: String) {
        if self.tally.troubles.len() < DESCRIBED {
            self.tally.troubles.push(what);
        }
    }

    /// How many messages are receipted and answered.
    pub(super) fn answered(&self) -> usize {
        self.messages.values().filter(|message| message.is_whole()).count()
    }

    pub(super) fn is_done(&self) -> bool {
        self.messages.values().all(Message::is_whole)
    }

    /// What came of everything.
    pub(super) fn tally(mut self) -> Tally {
        self.tally.receipts = self.answered();
        self.tally.lost = self.messages.len() - self.tally.receipts;
        let first = self.messages.iter().find(|(_, message)| !message.is_whole());
        if let Some((number, message)) = first {
            self.tally.troubles.push(format!(
                "message {number}: receipt at {:?}, event at {:?}, answered: {}",
                message.receipt, message.event, message.is_answered
            ));
        }
        self.tally
    }
}

impl Message {
    fn is_whole(&self) -> bool {
        self.is_answered && self.receipt.is_some() && self.receipt == self.event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.subscribed(&json!({ "epoch": "e", "next": 1, "ch": 1 })).unwrap();
        ledger
    }

    /// A message whose receipt is here, and the events of the run that answers it.
    fn answered(ledger: &mut Ledger) -> Vec<Value> {
        let id = ledger.message()["id"].clone();
        let position = json!({ "epoch": "e", "offset": 1 });
        ledger
            .frame(&json!({ "type": "receipt", "id": id, "status": "accepted", "position": position }))
            .unwrap();
        let mut events = vec![json!({ "type": "user_message", "sendId": id })];
        events.extend(RUN.map(|kind| json!({ "type": kind, "runId": "r", "sendId": id })));
        events.push(json!({ "type": RUN_END, "runId": "r" }));
        events
    }

    fn frame(first: u64, events: &[Value]) -> Value {
        json!({ "type": "events", "ch": 1, "first": first, "count": events.len(), "events": events })
    }

    #[test]
    fn a_message_with_a_receipt_and_a_whole_run_is_answered() {
        let mut ledger = opened();
        let events = answered(&mut ledger);
        assert!(!ledger.is_done());
        ledger.frame(&frame(1, &events)).unwrap();
        assert!(ledger.is_done());
        let tally = ledger.tally();
        assert_eq!((tally.receipts, tally.lost, tally.waits.len(), tally.troubles.len()), (1, 0, 1, 0));
    }

    #[test]
    fn whatever_is_missing_or_comes_twice_is_noticed() {
        let seen = |change: fn(&mut Vec<Value>)| {
            let mut ledger = opened();
            let mut events = answered(&mut ledger);
            change(&mut events);
            ledger.frame(&frame(1, &events)).unwrap();
            let tally = ledger.tally();
            (tally.lost, !tally.troubles.is_empty())
        };
        assert_eq!(seen(|_| ()), (0, false));
        assert_eq!(seen(|events| drop(events.remove(4))), (1, true), "a word is missing");
        assert_eq!(seen(|events| events.swap(2, 3)), (1, true), "the order");
        assert_eq!(seen(|events| events.truncate(5)), (1, true), "the run has no end");
        assert_eq!(seen(|events| events.insert(0, json!({ "type": "other" }))), (1, true), "the place");
        assert_eq!(seen(|events| events.push(events[0].clone())), (1, true), "it was stored twice");
    }

    #[test]
    fn a_hole_in_the_offsets_is_an_error() {
        let mut ledger = opened();
        let events = answered(&mut ledger);
        assert!(ledger.frame(&frame(2, &events)).is_err());
    }

    #[test]
    fn what_is_put_off_comes_again_in_its_order_and_is_no_loss() {
        let mut ledger = opened();
        let ids = [ledger.message()["id"].clone(), ledger.message()["id"].clone()];
        for id in &ids {
            let error = json!({ "code": "unavailable", "retryable": true, "retryAfterMs": 0 });
            ledger
                .frame(&json!({ "type": "receipt", "id": id, "status": "rejected", "error": error }))
                .unwrap();
        }
        assert!(ledger.held_until().is_some());
        let again: Vec<Value> = ledger.again().iter().map(|frame| frame["id"].clone()).collect();
        assert_eq!(again, ids);
        assert!(ledger.held_until().is_none());
        assert_eq!(ledger.tally().put_off, 2);
    }
}
