//! What the bridge sends to whom, and what became of runs, messages and inboxes: compared with what is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use agentwire_bridge::StreamKey;
use agentwire_bridge::log::VOID;
use agentwire_sim::oracle::{Judgement, Violation};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::doors::{self, USERS};
use crate::store::{Kind, Store, Written};

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
    /// Runs whose cancel was answered with `cancelled`: stream and run.
    pub cancelled: BTreeSet<(String, String)>,
    /// What each raw client asked to cancel, by the id of its frame.
    pub cancels: BTreeMap<String, (String, String)>,
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
            "receipt" => receipt(audit, store, &frame)?,
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

fn receipt(audit: &mut Audit, store: &Store, frame: &Value) -> Judgement {
    audit.receipts += 1;
    let id = frame["id"].as_str().unwrap_or_default();
    match frame["status"].as_str().unwrap_or_default() {
        "accepted" => {
            let Some(name) = audit.sends.get(id) else {
                return Err(Violation { rule: "SND-1", text: format!("{frame}: nobody sent it") });
            };
            let position = &frame["position"];
            let (epoch, offset) = (position["epoch"].as_str().unwrap_or_default(), &position["offset"]);
            let at = offset.as_u64().unwrap_or(0) as usize;
            let is_there = store.written(&doors::key_of(name), epoch, |written| {
                let event = at.checked_sub(1).and_then(|at| written.get(at));
                event.is_some_and(|event| matches!(&event.kind, Kind::Message { send } if send == id))
            });
            require!(is_there == Some(true), "SND-3", "{frame}: the message is not there");
        }
        "cancelled" => {
            if let Some(run) = audit.cancels.get(id) {
                audit.cancelled.insert(run.clone());
            }
        }
        _ => {}
    }
    Ok(())
}

impl Audit {
    /// What still has to happen by itself, if anything has: a run to end, a message to be handled, an inbox to be told.
    pub fn pending(
        &self,
        store: &Store,
        names: &[String],
        given: impl Fn(&StreamKey, &str) -> bool,
    ) -> Option<String> {
        names.iter().find_map(|name| {
            let key = doors::key_of(name);
            let head = store.head(&key);
            let void = |offset: u64| {
                store.with_truth(|truth| {
                    truth.logs[name].life().events.get(offset as usize - 1).is_some_and(|stored| stored.void)
                })
            };
            let (open, waiting, notable) = store.written(&key, &head.epoch, |written| {
                let open = open_runs(written).first().map(|run| (*run).to_owned());
                let left = (1..).zip(written).skip(head.oldest as usize - 1);
                let waiting = left.filter_map(|(offset, event)| match &event.kind {
                    Kind::Message { send } if !given(&key, send) && !self.is_spared(name, offset) => {
                        Some((offset, send.clone()))
                    }
                    _ => None,
                });
                let is_notable = |event: &Written| match &event.kind {
                    Kind::Message { .. } => true,
                    Kind::Run { ends, .. } => ends.is_some(),
                    _ => false,
                };
                (open, waiting.collect::<Vec<_>>(), written.iter().rposition(is_notable))
            })?;
            if let Some(run) = open {
                return Some(format!("{name}: {run} is open"));
            }
            if let Some((offset, send)) = waiting.iter().find(|(offset, _)| !void(*offset)) {
                return Some(format!("{name}: no agent was given {send} at {offset}"));
            }
            let last = notable? as u64 + 1;
            let user = USERS.iter().find(|user| last_line(store, user, name) < last)?;
            Some(format!("{name}: the inbox of {user} does not know {last}"))
        })
    }

    fn is_spared(&self, name: &str, offset: u64) -> bool {
        self.spared.iter().any(|(of, range)| of == name && range.contains(&offset))
    }

    /// Judges what became of everything, when all is at rest.
    ///
    /// # Errors
    ///
    /// When something happened twice, or in a wrong order.
    pub fn end(&self, store: &Store, names: &[String]) -> Judgement {
        for name in names {
            let key = doors::key_of(name);
            let head = store.head(&key);
            store.written(&key, &head.epoch, |written| self.end_of(name, written)).unwrap_or(Ok(()))?;
        }
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

    fn end_of(&self, name: &str, written: &[Written]) -> Judgement {
        let (mut ended, mut sends, mut answered) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        for event in written {
            match &event.kind {
                Kind::Message { send } => {
                    require!(sends.insert(send), "I6", "{name}: {send} is in the log twice");
                }
                Kind::Run { run, answers, ends } => {
                    require!(
                        !ended.contains_key(run),
                        "RUN-1",
                        "{name}: {} follows the end of its run",
                        event.body
                    );
                    if let Some(end) = ends {
                        ended.insert(run, end.clone());
                    }
                    if let Some(send) = answers {
                        answered.entry(send).or_insert_with(Vec::new).push(run);
                    }
                }
                _ => {}
            }
        }
        for (send, runs) in answered {
            // One that the log had late was given up meanwhile, and its message handled again.
            let kept = runs.iter().filter(|run| ended.get(**run).is_some_and(|end| end != "agent_died"));
            require!(kept.count() <= 1, "claim", "{name}: {runs:?} answer {send}");
        }
        for (run, end) in ended {
            let is_cancelled = self.cancelled.contains(&(name.to_owned(), run.clone()));
            require!(!is_cancelled || end == "agent_cancelled", "SND-7", "{name}: {run} ended with {end}");
        }
        Ok(())
    }

    /// A run that is open now, if there is one: the n-th of all.
    pub fn open_run(&self, store: &Store, name: &str, n: u64) -> Option<String> {
        let key = doors::key_of(name);
        let head = store.head(&key);
        store
            .written(&key, &head.epoch, |written| {
                let open = open_runs(written);
                (!open.is_empty()).then(|| open[n as usize % open.len()].to_owned())
            })
            .flatten()
    }
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
