//! What must hold of what the core says: slots, sends, and what each consumer is handed.

use std::collections::{BTreeMap, BTreeSet};

use agentwire::proto::{Gap, Slot};
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

/// The sends that did not settle.
#[derive(Debug, Default)]
pub(super) struct Sends(BTreeSet<String>);

impl Sends {
    /// Notes a send. One whose key waits already is that send.
    pub(super) fn push(&mut self, id: &str) {
        self.0.insert(id.to_owned());
    }

    pub(super) fn settle(&mut self, id: &str) {
        assert!(self.0.remove(id), "the send {id} settles again");
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn check_empty(&self) {
        assert!(self.0.is_empty(), "the client is closed and did not settle {:?}", self.0);
    }
}

/// A consumer, as it sees itself.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) stream: u32,
    pub(super) attached: bool,
    /// The offset to be handed next, once it is known.
    next: Option<u64>,
    /// The last offset it took; known with `next`.
    done: u64,
    /// Where the gap of an epoch began that it did not take note of yet.
    untold: Option<u64>,
}

impl Consumer {
    /// A consumer; `next` is where it said it would begin.
    pub(super) fn new(stream: u32, next: Option<u64>) -> Self {
        Self { stream, attached: true, next, done: next.map_or(0, |next| next - 1), untold: None }
    }

    /// Takes `take` events from `offset` on.
    /// It came without a position, and has its place now.
    pub(super) fn placed(&mut self, offset: u64) {
        assert!(self.attached, "a place for a consumer that left");
        assert!(self.next.is_none(), "a second place");
        (self.next, self.done) = (Some(offset + 1), offset);
    }

    pub(super) fn deliver(&mut self, offset: u64, take: u32) {
        assert!(self.attached, "events for a consumer that left");
        assert!(take > 0, "no events");
        match self.next {
            Some(next) => assert_eq!(offset, next, "not the next offset"),
            None => self.done = offset - 1,
        }
        self.next = Some(offset + u64::from(take));
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        assert!(self.attached, "a gap for a consumer that left");
        match (gap.to, &gap.epoch) {
            (Some(to), None) => {
                assert!(gap.from <= to && gap.next == to + 1, "{gap:?}");
                match self.next {
                    Some(next) => assert_eq!(gap.from, next, "the gap does not begin with the next offset"),
                    None => self.done = gap.from - 1,
                }
            }
            (None, Some(_)) => {
                if self.next.is_some() {
                    let expected = self.untold.unwrap_or(self.done + 1);
                    assert_eq!(gap.from, expected, "the gap does not begin after what was handed over");
                }
                self.untold = Some(gap.from);
                self.done = gap.next - 1;
            }
            _ => panic!("a gap that neither ends nor has an epoch that follows: {gap:?}"),
        }
        self.next = Some(gap.next);
    }

    /// Everything that was delivered, to be taken note of; `None` when nothing waits.
    pub(super) fn waiting(&self) -> Option<(u64, u64)> {
        let next = self.next?;
        (next - 1 > self.done || self.untold.is_some()).then_some((self.done + 1, next - 1))
    }

    /// Takes note of everything up to `through`, as the core does: not more than was delivered.
    pub(super) fn take(&mut self, through: u64) {
        if !self.attached {
            return;
        }
        self.untold = None;
        if let Some(next) = self.next {
            self.done = self.done.max(through.min(next - 1));
        }
    }

    /// The last offset it has, if it is known.
    pub(super) fn done(&self) -> Option<u64> {
        self.next.map(|_| self.done)
    }
}
