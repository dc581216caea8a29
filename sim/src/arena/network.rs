//! Messages on their way, in the order they arrive.

use std::collections::{BTreeMap, BTreeSet};

use agentwire::proto::Duration;

use agentwire::proto::Instant;

use crate::server::Peer;

/// A switch of the server that turns back by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Undo {
    Hang,
    IgnoreReplay,
    IgnoreSubscribe,
    Lag,
    Loop,
    LostReceipts,
    Withdraw(u32),
}

/// Something that arrives.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Away { page: u32, away: bool },
    ClosedByPage(Peer),
    ClosedByServer { peer: Peer, code: u16 },
    Connect { page: u32 },
    Online { page: u32, online: bool },
    Opened(Peer),
    Pull { page: u32 },
    Thaw { page: u32 },
    ToPage { peer: Peer, text: String },
    ToServer { peer: Peer, text: String },
    Token { page: u32 },
    Undo(Undo),
}

impl Item {
    /// The page it arrives at, if it is one.
    pub(super) const fn page(&self) -> Option<u32> {
        match self {
            Self::ClosedByServer { peer, .. } | Self::Opened(peer) | Self::ToPage { peer, .. } => {
                Some(peer.page)
            }
            Self::Away { page, .. }
            | Self::Connect { page }
            | Self::Online { page, .. }
            | Self::Pull { page }
            | Self::Thaw { page }
            | Self::Token { page } => Some(*page),
            Self::ClosedByPage(_) | Self::ToServer { .. } | Self::Undo(_) => None,
        }
    }
}

/// Sockets keep the order of each direction; a dead one swallows what is sent.
#[derive(Debug, Default)]
pub(super) struct Network {
    queue: BTreeMap<(Instant, u64), Item>,
    count: u64,
    /// When the last message of a direction arrives.
    last: BTreeMap<(Peer, bool), Instant>,
    dead: BTreeSet<Peer>,
}

impl Network {
    pub(super) fn at(&mut self, at: Instant, item: Item) {
        self.count += 1;
        self.queue.insert((at, self.count), item);
    }

    pub(super) fn down(&mut self, at: Instant, peer: Peer, item: Item) {
        self.directed(at, (peer, true), item);
    }

    pub(super) fn up(&mut self, at: Instant, peer: Peer, item: Item) {
        self.directed(at, (peer, false), item);
    }

    fn directed(&mut self, at: Instant, lane: (Peer, bool), item: Item) {
        if self.dead.contains(&lane.0) {
            return;
        }
        let last = self.last.entry(lane).or_default();
        *last = at.max(*last);
        let at = *last;
        self.at(at, item);
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take(&mut self) -> Option<Item> {
        self.queue.pop_first().map(|(_, item)| item)
    }

    /// A socket dies: what is under way is lost.
    pub(super) fn kill(&mut self, peer: Peer) {
        self.dead.insert(peer);
        let of_peer = |item: &Item| match item {
            Item::ClosedByPage(known)
            | Item::ClosedByServer { peer: known, .. }
            | Item::Opened(known)
            | Item::ToPage { peer: known, .. }
            | Item::ToServer { peer: known, .. } => *known == peer,
            _ => false,
        };
        self.queue.retain(|_, item| !of_peer(item));
    }

    /// A socket dies, and what is under way to the page arrives late.
    pub(super) fn kill_late(&mut self, peer: Peer, late: Duration) {
        let moved = self
            .queue
            .extract_if(.., |_, item| matches!(item, Item::ToPage { peer: known, .. } if *known == peer))
            .collect::<Vec<_>>();
        self.kill(peer);
        for ((at, count), item) in moved {
            self.queue.insert((at + late, count), item);
        }
    }
}
