//! What the bridge sends to whom, and what became of runs, messages and inboxes: compared with what is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use agentwire_bridge::log::VOID;
use agentwire_sim::oracle::{Judgement, Violation};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::agents::Scripted;
use crate::doors::{self, USERS};
use crate::receipts::{Asked, What, receipt};
use crate::store::{Kind, Store, Written};
use crate::turns::{Message, State, Turns};

/// Says that a promise is broken unless the condition holds.
macro_rules! require {
    ($condition:expr, $rule:literal, $($text:tt)+) => {
        if !$condition {
            return Err(Violation { rule: $rule, text: format!($($text)+) });
        }
    };
}
pub(crate) use require;

/// A subscription, as the frames of its socket tell.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The stream.
    pub name: String,
    epoch: String,
    head: u64,
    /// Nothing above it may be sent: the right was withdrawn when the head was there.
    limit: Option<u64>,
}

/// What is known of one socket.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// The user of the page.
    pub user: String,
    /// Its subscriptions.
    pub channels: BTreeMap<u64, Channel>,
    ended: BTreeSet<u64>,
    is_welcomed: bool,
    /// Whatever was taken out was so long before: nothing of it may be sent.
    pub is_strict: bool,
}

#[derive(Deserialize)]
struct Events<'a> {
    ch: u64,
    first: u64,
    count: usize,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// What a run counts here.
#[derive(Debug, Default)]
pub struct Audit {
    /// The stream of each send of any page.
    pub sends: BTreeMap<String, String>,
    /// What users asked for beside messages, by the id of the frame.
    pub asked: BTreeMap<String, Asked>,
    /// Messages that steer a run that they name.
    pub named: BTreeMap<String, String>,
    /// Receipts that were sent.
    pub receipts: u64,
    /// What somebody wanted to take out of each stream, up to an offset or at one: from then on no agent need get it, also
    /// when the log failed in between.
    pub spared: Vec<(String, RangeInclusive<u64>)>,
}

impl Wire {
    /// A new socket of a user.
    pub fn of(user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::default() }
    }

    /// The right of the user to a stream was withdrawn, and its head was there.
    pub fn withdrawn(&mut self, name: &str, head: u64) {
        for channel in self.channels.values_mut().filter(|channel| channel.name == name) {
            channel.limit = Some(channel.limit.unwrap_or(head).min(head));
        }
    }

    /// Judges a frame of the bridge when it is sent. Returns it as the oracle of the pages wants it: each event is known
    /// by the number that the truth gives it.
    pub fn sent(
        &mut self,
        audit: &mut Audit,
        store: &Store,
        is_withdrawn: impl Fn(&str) -> Option<u64>,
        text: &str,
    ) -> Result<String, Violation> {
        if text.starts_with(r#"{"type":"events""#) {
            return self.events(store, text);
        }
        if text.starts_with(r#"{"type":"deltas""#) {
            return self.events(store, &expanded(text)?);
        }
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = frame["type"].as_str().unwrap_or_default();
        let is_first = !std::mem::replace(&mut self.is_welcomed, true);
        require!(
            !is_first || matches!(kind, "welcome" | "error" | "goaway"),
            "HEL-3",
            "{text} comes before the welcome"
        );
        let name = frame["name"].as_str().unwrap_or_default();
        match kind {
            "subscribed" => {
                let ch = frame["ch"].as_u64().unwrap_or(0);
                let is_new = !self.channels.contains_key(&ch) && !self.ended.contains(&ch);
                require!(is_new, "SUB-3", "{text}: the number was used before");
                let (epoch, head) = (frame["epoch"].as_str().unwrap_or_default(), &frame["head"]);
                let head = head.as_u64().unwrap_or(0);
                let durable = store.written(&doors::key_of(name), epoch, <[_]>::len).map(|len| len as u64);
                require!(durable >= Some(head), "I13", "{text}: durable is {durable:?}");
                let limit = is_withdrawn(name);
                let channel = Channel { name: name.into(), epoch: epoch.into(), head, limit };
                self.channels.insert(ch, channel);
            }
            "unsubscribed" => {
                if let Some(ch) = frame["ch"].as_u64() {
                    require!(self.channels.remove(&ch).is_some(), "SUB-11", "{text}: nothing was subscribed");
                    self.ended.insert(ch);
                }
            }
            "caughtUp" | "gap" => {
                let ch = frame["ch"].as_u64().unwrap_or(0);
                let channel = self.channels.get(&ch);
                require!(channel.is_some(), "SUB-11", "{text}: nothing is subscribed");
                if let (Some(channel), "caughtUp") = (channel, kind) {
                    caught_up(channel, store, &frame)?;
                }
            }
            "receipt" => receipt(audit, store, &self.user, &frame)?,
            _ => {}
        }
        Ok(text.to_owned())
    }

    fn events(&self, store: &Store, text: &str) -> Result<String, Violation> {
        let Ok(frame) = serde_json::from_str::<Events<'_>>(text) else {
            return Err(Violation { rule: "EVT-1", text: format!("{text} cannot be read") });
        };
        let Events { ch, first, count, events } = frame;
        require!(self.is_welcomed, "HEL-3", "{text} comes before the welcome");
        require!(count == events.len() && count > 0, "EVT-1", "{count} is not {}", events.len());
        let Some(channel) = self.channels.get(&ch) else {
            return Err(Violation {
                rule: "SUB-11",
                text: format!("{first} is sent on {ch}, which is not in use"),
            });
        };
        let Channel { name, epoch, limit, .. } = channel;
        let last = first + count as u64 - 1;
        require!(
            limit.is_none_or(|limit| last <= limit),
            "revoke",
            "{name}: {last} is sent to {}, whose right was withdrawn at {limit:?}",
            self.user
        );
        let key = doors::key_of(name);
        let mut out = format!(r#"{{"type":"events","ch":{ch},"first":{first},"count":{count},"events":["#);
        for (offset, body) in (first..).zip(events) {
            if offset > first {
                out.push(',');
            }
            let (number, is_void) = store.with_truth(|truth| {
                let log = &truth.logs[name];
                let place = log.place_of(epoch).unwrap_or(0);
                let stored = log.lives[place].events.get(offset as usize - 1);
                (log.number(place, offset), stored.is_some_and(|stored| stored.void))
            });
            if body.get() == VOID && is_void {
                out.push_str(VOID);
                continue;
            }
            require!(
                !(is_void && self.is_strict),
                "EVT-7",
                "{name}: {body} is sent at {offset}, and was taken out"
            );
            let is_true = store.written(&key, epoch, |written| {
                let event = written.get(offset as usize - 1);
                event.map(|event| *event.body == *body.get())
            });
            let is_true = is_true.flatten();
            require!(is_true.is_some(), "I13", "{name}: {offset} of {epoch} is sent and is not durable");
            require!(is_true == Some(true), "I1", "{name}: {body} is not what {epoch} has at {offset}");
            let _ = write!(out, r#"{{"type":"e","time":{number}}}"#);
        }
        out.push_str("]}");
        Ok(out)
    }
}

/// The `events` frame that a `deltas` frame represents (DLT-1), as the log writes events: `type` first, the others in
/// their order.
fn expanded(text: &str) -> Result<String, Violation> {
    #[derive(Deserialize)]
    struct Deltas {
        ch: u64,
        first: u64,
        count: usize,
        head: Map<String, Value>,
        times: Vec<u64>,
        texts: Vec<String>,
    }
    let read = serde_json::from_str(text);
    let Deltas { ch, first, count, mut head, times, texts } =
        read.map_err(|error| Violation { rule: "DLT-1", text: format!("{text}: {error}") })?;
    let is_whole = times.len() == count && texts.len() == count;
    let kind = head.remove("type").filter(Value::is_string);
    let has_either = head.contains_key("time") || head.contains_key("text");
    let Some(kind) = kind.filter(|_| is_whole && !has_either) else {
        return Err(Violation { rule: "DLT-1", text: format!("{text} is not whole") });
    };
    let event = |(time, text): (u64, String)| {
        head.insert("time".to_owned(), time.into());
        head.insert("text".to_owned(), text.into());
        let rest = Value::Object(head.clone()).to_string();
        format!(r#"{{"type":{kind},{}"#, &rest[1..])
    };
    let events: Vec<_> = times.into_iter().zip(texts).map(event).collect();
    Ok(format!(
        r#"{{"type":"events","ch":{ch},"first":{first},"count":{count},"events":[{}]}}"#,
        events.join(",")
    ))
}

/// Runs that are open after these events, in the order in which they began.
fn open_runs(written: &[Written]) -> Vec<&str> {
    let mut open = Vec::new();
    let mut ended = BTreeSet::new();
    for event in written {
        let Kind::Run { run, ends, .. } = &event.kind else { continue };
        if !open.contains(&run.as_str()) && !ended.contains(run.as_str()) {
            open.push(run);
        }
        if ends.is_some() {
            open.retain(|one| one != run);
            ended.insert(run.as_str());
        }
    }
    open
}

fn caught_up(channel: &Channel, store: &Store, frame: &Value) -> Judgement {
    let Channel { name, epoch, head, .. } = channel;
    require!(frame["offset"] == *head, "SUB-10", "{frame}: the head was {head}");
    let Some(named) = frame["openRuns"].as_array() else { return Ok(()) };
    let named: Vec<_> = named.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let truth = store.written(&doors::key_of(name), epoch, |written| {
        open_runs(&written[..*head as usize]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    });
    require!(
        truth.as_ref() == Some(&named),
        "SUB-10",
        "{name}: {named:?} are named as open at {head} of {epoch}, {truth:?} are"
    );
    Ok(())
}

impl Audit {
    /// What still has to happen in a thread by itself, if anything has: a run to end, a message to be handled, an inbox to
    /// be told.
    pub fn pending(&self, store: &Store, name: &str, turns: &Turns, agents: &Scripted) -> Option<String> {
        if let Some((run, _)) = turns.runs.iter().find(|(_, run)| run.is_open()) {
            return Some(format!("{name}: {run} is open"));
        }
        let key = doors::key_of(name);
        let given = agents.given.lock();
        let is_gone = |offset: u64| self.is_spared(name, offset) || store.is_void(&key, offset);
        let is_due = |(send, message): &(&String, &Message)| {
            let is_owed = matches!(message.state, State::Waits | State::Passed);
            is_owed
                && !given.contains_key(&(key.to_string(), (*send).clone()))
                && !message.texts.iter().any(|at| is_gone(*at))
        };
        if let Some((send, message)) = turns.messages.iter().find(is_due) {
            return Some(format!("{name}: no agent was given {send} at {}", message.offset));
        }
        let head = store.head(&key);
        let is_notable = |event: &Written| match &event.kind {
            Kind::Message { .. } => true,
            Kind::Run { ends, .. } => ends.is_some(),
            _ => false,
        };
        let notable = store.written(&key, &head.epoch, |written| written.iter().rposition(is_notable))??;
        let last = notable as u64 + 1;
        let user = USERS.iter().find(|user| last_line(store, user, name) < last)?;
        Some(format!("{name}: the inbox of {user} does not know {last}"))
    }

    fn is_spared(&self, name: &str, offset: u64) -> bool {
        self.spared.iter().any(|(of, range)| of == name && range.contains(&offset))
    }

    /// Judges what became of everything in a thread, when all is at rest.
    ///
    /// # Errors
    ///
    /// When something happened twice, in a wrong order, or otherwise than a receipt says.
    pub fn end(&self, store: &Store, name: &str, turns: &Turns, agents: &Scripted) -> Judgement {
        let key = doors::key_of(name);
        let head = store.head(&key);
        store.written(&key, &head.epoch, |written| end_of_events(name, written)).unwrap_or(Ok(()))?;
        turns.judge()?;
        let texts = agents.texts.lock();
        for (run, send, text) in &turns.claims {
            let given = texts.get(&(run.clone(), send.clone()));
            require!(
                given.is_none_or(|given| given == text),
                "SND-15",
                "{name}: {run} answers {given:?}, and {send} is {text:?}"
            );
        }
        let gave_up = |end: &str| matches!(end, "agent_died" | "agent_cancelled");
        let kept = turns.runs.values().filter(|run| !run.end.as_deref().is_some_and(gave_up));
        let mut answered = BTreeSet::new();
        for send in kept.filter_map(|run| run.send.as_ref()) {
            require!(answered.insert(send), "claim", "{name}: two runs answer {send}");
        }
        let mine = || self.asked.values().filter(|asked| asked.name == name).map(|asked| &asked.what);
        for (id, run) in &turns.runs {
            let is_cancelled = run.end.as_deref() == Some("agent_cancelled");
            let is_due = run.is_cancelled == is_cancelled || (is_cancelled && turns.may_be_cancelled(id));
            require!(
                is_due,
                "SND-7",
                "{name}: {id} ended with {:?}, cancelled {}",
                run.end,
                run.is_cancelled
            );
        }
        for run in &turns.cancelled {
            let send = turns.runs.get(run).and_then(|run| run.send.as_ref());
            let is_asked = mine().any(|what| match what {
                What::CancelRun(of) => of == run,
                What::CancelMessage(of) => Some(of) == send,
                _ => false,
            });
            require!(is_asked, "SND-7", "{name}: {run} was cancelled, and nobody asked for it");
        }
        Ok(())
    }

    /// Judges the inboxes, when all is at rest.
    ///
    /// # Errors
    ///
    /// When a line is there twice, or in a wrong order.
    pub fn end_of_inboxes(&self, store: &Store) -> Judgement {
        for user in USERS {
            let key = doors::inbox(user);
            let head = store.head(&key);
            store
                .written(&key, &head.epoch, |written| {
                    let mut last = BTreeMap::new();
                    for event in written {
                        let Kind::Line { thread, head } = &event.kind else { continue };
                        let before = last.insert(thread, *head);
                        require!(before < Some(*head), "inbox", "{user}: {thread} {head} follows {before:?}");
                    }
                    Ok(())
                })
                .unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

fn end_of_events(name: &str, written: &[Written]) -> Judgement {
    let (mut ended, mut sends) = (BTreeSet::new(), BTreeSet::new());
    for event in written {
        match &event.kind {
            Kind::Message { send, .. } => {
                require!(sends.insert(send), "I6", "{name}: {send} is in the log twice");
            }
            Kind::Run { run, ends, .. } => {
                require!(!ended.contains(run), "RUN-1", "{name}: {} follows the end of its run", event.body);
                if ends.is_some() {
                    ended.insert(run);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The last place of a thread that an inbox knows.
fn last_line(store: &Store, user: &str, name: &str) -> u64 {
    let key = doors::inbox(user);
    let head = store.head(&key);
    let last = store.written(&key, &head.epoch, |written| {
        written.iter().rev().find_map(|event| match &event.kind {
            Kind::Line { thread, head } if thread == name => Some(*head),
            _ => None,
        })
    });
    last.flatten().unwrap_or(0)
}
