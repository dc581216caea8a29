//! Messages on their way, in the order they arrive, and what else happens at a time.

use std::collections::BTreeMap;

use agentwire::proto::Instant;

/// Something that turns back by itself.
#[derive(Clone, Debug)]
pub enum Undo {
    /// The log is in a good mood again.
    Mood,
    /// Answers about tokens and rights come at once again.
    Doors,
    /// A user has the right to a stream again.
    Right {
        /// The user.
        user: String,
        /// The stream.
        name: String,
    },
}

/// Something that arrives, or is due. `socket` is the number of a socket, `life` that of a life of a page.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are said above")]
pub enum Item {
    /// A socket asks the bridge to be served.
    Asks { socket: u64 },
    /// A page hears that its socket is open.
    Opened { socket: u64 },
    /// A page hears that its socket is closed.
    Closed { socket: u64, code: u16 },
    /// A message of the bridge arrives.
    Down { socket: u64, text: String },
    /// A message of a page arrives.
    Up { socket: u64, text: String },
    /// The close of a page arrives.
    Left { socket: u64 },
    /// The bridge hears that a socket broke.
    Broken { socket: u64 },
    /// A page begins.
    Connect { life: u32 },
    /// The application of a page pulls its iterators.
    Pull { life: u32 },
    /// The application of a page asks again for what was refused.
    AskAgain { life: u32 },
    /// The application of a page has a token.
    Token { life: u32 },
    /// A page that was frozen goes on.
    Thaw { life: u32 },
    /// The operator starts the bridge.
    Start,
    /// Something turns back.
    Undo(Undo),
}

/// Sockets keep the order of each direction.
#[derive(Debug, Default)]
pub struct Network {
    queue: BTreeMap<(Instant, u64), Item>,
    count: u64,
    last: BTreeMap<(u64, bool), Instant>,
}

impl Network {
    /// Lets something happen at a time.
    pub fn at(&mut self, at: Instant, item: Item) {
        self.count += 1;
        self.queue.insert((at, self.count), item);
    }

    /// Puts something on the way to a page.
    pub fn down(&mut self, at: Instant, socket: u64, item: Item) {
        self.directed(at, (socket, true), item);
    }

    /// Puts something on the way to the bridge.
    pub fn up(&mut self, at: Instant, socket: u64, item: Item) {
        self.directed(at, (socket, false), item);
    }

    fn directed(&mut self, at: Instant, lane: (u64, bool), item: Item) {
        let last = self.last.entry(lane).or_default();
        *last = at.max(*last);
        let at = *last;
        self.at(at, item);
    }

    /// When the next thing happens.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next thing.
    pub fn take(&mut self) -> Option<Item> {
        self.queue.pop_first().map(|(_, item)| item)
    }

    /// A socket dies: what is under way on it is lost.
    pub fn kill(&mut self, number: u64) {
        let of_socket = |item: &Item| match item {
            Item::Asks { socket }
            | Item::Opened { socket }
            | Item::Closed { socket, .. }
            | Item::Down { socket, .. }
            | Item::Up { socket, .. }
            | Item::Left { socket } => *socket == number,
            _ => false,
        };
        self.queue.retain(|_, item| !of_socket(item));
    }
}
