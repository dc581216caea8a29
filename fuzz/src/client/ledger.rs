//! What must hold of what the core says: slots, sends, requests, and what each consumer gets.

use std::collections::{BTreeMap, BTreeSet};

use agentwire::proto::{Gap, ResumeResult, Slot};
use serde_json::Value;

/// What a slot holds.
#[derive(Debug)]
pub(super) enum Held {
    /// A token, a body or a signal.
    Value(Value),
    /// A frame of the server; with the range of its events, if it has any.
    Frame(Option<(u64, u32)>),
}

/// The slots that the core was given and did not release.
#[derive(Debug, Default)]
pub(super) struct Slots {
    held: BTreeMap<Slot, Held>,
    next: u32,
}

impl Slots {
    pub(super) fn keep(&mut self, what: Held) -> Slot {
        let slot = Slot(self.next);
        self.next += 1;
        self.held.insert(slot, what);
        slot
    }

    /// What `slot` holds; it must not have been released.
    pub(super) fn get(&self, slot: Slot) -> &Held {
        self.held.get(&slot).unwrap_or_else(|| panic!("{slot:?} is used and was released"))
    }

    /// The value of a slot, if it holds one and not a frame.
    pub(super) fn value(&self, slot: Slot) -> Option<Value> {
        match self.get(slot) {
            Held::Value(value) => Some(value.clone()),
            Held::Frame(_) => None,
        }
    }

    pub(super) fn release(&mut self, slot: Slot) {
        assert!(self.held.remove(&slot).is_some(), "{slot:?} is released twice");
    }

    pub(super) fn check_empty(&self) {
        assert!(self.held.is_empty(), "the client is closed and holds {:?}", self.held);
    }
}

/// The sends that did not settle, by id and stream.
#[derive(Debug, Default)]
pub(super) struct Sends(BTreeSet<(String, String)>);

impl Sends {
    /// Notes a send. One whose key waits already is that send.
    pub(super) fn push(&mut self, id: &str, stream: &str) {
        self.0.insert((id.to_owned(), stream.to_owned()));
    }

    pub(super) fn settle(&mut self, id: &str, stream: &str) {
        assert!(self.0.remove(&(id.to_owned(), stream.to_owned())), "the send {id} of {stream} settles again");
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn check_empty(&self) {
        assert!(self.0.is_empty(), "the client is closed and did not settle {:?}", self.0);
    }
}

/// The streams that are asked for on one socket: by their names, with the `ch` of the answer.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<String, Option<u32>>);

impl Asked {
    /// A request goes out: the name is free (SUB-2).
    pub(super) fn request(&mut self, name: &str) {
        assert!(self.0.insert(name.to_owned(), None).is_none(), "{name} is asked for twice on one socket");
    }

    /// The server answers a request.
    pub(super) fn answer(&mut self, name: &str, ch: u32) {
        if let Some(asked @ None) = self.0.get_mut(name) {
            *asked = Some(ch);
        }
    }

    /// The server ends a subscription, or refuses a request.
    pub(super) fn end(&mut self, name: &str, ch: Option<u32>) {
        if self.0.get(name) == Some(&ch) {
            self.0.remove(name);
        }
    }

    /// The page leaves a subscription.
    pub(super) fn leave(&mut self, ch: u32) {
        let before = self.0.len();
        self.0.retain(|_, asked| *asked != Some(ch));
        assert!(self.0.len() < before, "ch {ch} is left and is no subscription");
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// A consumer, as it sees itself.
#[derive(Debug)]
pub(super) struct Consumer {
    /// The name of its stream.
    pub(super) name: String,
    pub(super) attached: bool,
    /// The epochs that it entered.
    pub(super) life: u32,
    /// The offset that it gets next, once it is known.
    next: Option<u64>,
    /// The last offset that was delivered to it; known with `next`.
    done: u64,
    /// The end of an epoch that it did not take note of: the life that ended, and where its gap begins.
    reset: Option<(u32, u64)>,
    /// Events that may wait to be delivered to it.
    max_queued: Option<u32>,
    /// A resume result is due.
    catches_up: bool,
    /// Where it was when the server last said that a catch-up is complete.
    at_caught_up: Option<u64>,
}

impl Consumer {
    /// A consumer; `next` is where it said it would begin.
    pub(super) fn new(name: String, next: Option<u64>, max_queued: Option<u32>) -> Self {
        let done = next.map_or(0, |next| next - 1);
        Self {
            name,
            attached: true,
            life: 0,
            next,
            done,
            reset: None,
            max_queued,
            catches_up: false,
            at_caught_up: None,
        }
    }

    /// It came without a position, and has its place now: before it gets anything else.
    pub(super) fn placed(&mut self, offset: u64) {
        assert!(self.attached, "a place for a consumer that left");
        assert!(self.next.is_none(), "a second place");
        (self.next, self.done) = (Some(offset + 1), offset);
    }

    /// Its stream is asked for, or it joins a stream that is.
    pub(super) fn request(&mut self) {
        self.catches_up = true;
    }

    /// The server says that it has sent everything.
    pub(super) fn caught_up(&mut self) {
        self.at_caught_up = self.next;
    }

    /// Gets `take` events from `offset` on.
    pub(super) fn deliver(&mut self, life: u32, offset: u64, take: u32) {
        assert!(self.attached, "events for a consumer that left");
        assert!(take > 0, "no events");
        assert_eq!(life, self.life, "events of another life");
        assert_eq!(Some(offset), self.next, "not the next offset");
        let waiting = offset + u64::from(take) - 1 - self.done;
        assert!(self.max_queued.is_none_or(|most| waiting <= u64::from(most)), "more than it has room for");
        self.next = Some(offset + u64::from(take));
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        assert!(self.attached, "a gap for a consumer that left");
        let next = self.next.expect("it has a place before it gets a gap");
        match (gap.to, &gap.epoch) {
            (Some(to), None) => {
                assert!(gap.from <= to && gap.next == to + 1, "{gap:?}");
                assert_eq!(gap.from, next, "the gap does not begin with the next offset");
                assert_eq!(gap.life, self.life, "a gap of another life");
            }
            (None, Some(_)) => {
                let (life, from) = self.reset.unwrap_or((self.life, self.done + 1));
                assert_eq!(gap.from, from, "the gap does not begin after what was delivered");
                assert_eq!(gap.life, self.life + 1, "each epoch is one more life");
                self.reset = Some((life, from));
                (self.life, self.done) = (gap.life, gap.next - 1);
            }
            _ => panic!("a gap that neither ends nor has an epoch that follows: {gap:?}"),
        }
        self.next = Some(gap.next);
    }

    /// I3: one result per catch-up, behind what was missing and before what is live.
    pub(super) fn resumed(&mut self, result: &ResumeResult) {
        assert!(self.attached, "a resume result for a consumer that left");
        assert!(std::mem::take(&mut self.catches_up), "a resume result without a request: {result:?}");
        assert_eq!(result.recovered, result.gap.is_none(), "{result:?}");
        assert!(result.attempts > 0 && result.from > 0, "{result:?}");
        assert!(result.skipped.is_none_or(|(from, to)| from >= 1 && from <= to), "{result:?}");
        let next = self.next.expect("it has a place before its resume result");
        let behind_gap = result.gap.as_ref().map_or(0, |gap| gap.next);
        let place = behind_gap.max(result.to + 1);
        // A server may say that it has sent everything when it has sent more than that.
        assert!(next >= place, "{result:?} comes before {next}");
        assert!(next == place || self.at_caught_up == Some(next), "{result:?} comes behind {next}");
    }

    /// Everything that was sent to it, to be taken note of; `None` when nothing waits.
    pub(super) fn waiting(&self) -> Option<(u64, u64)> {
        let next = self.next?;
        (next - 1 > self.done || self.reset.is_some()).then_some((self.done + 1, next - 1))
    }

    /// Takes note of everything up to `through` of a life, as the core does: not more than was sent to it.
    pub(super) fn take(&mut self, life: u32, through: u64) {
        let Some(next) = self.next.filter(|_| self.attached) else { return };
        if life == self.life {
            self.reset = None;
            self.done = self.done.max(through.min(next - 1));
        } else if let Some((ended, from)) = self.reset
            && (ended..self.life).contains(&life)
        {
            let least = if ended == life { from } else { 0 };
            self.reset = Some((life, least.max(through + 1)));
        }
    }

    /// The last offset that it has, if it is known.
    pub(super) fn done(&self) -> Option<u64> {
        self.next.map(|_| self.done)
    }
}
