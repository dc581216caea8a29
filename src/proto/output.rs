//! What the driver does next.

use crate::proto::Duration;

use super::{
    close_code::CloseCode,
    ids::{ConsumerId, Slot, SocketId, StreamId},
    instant::Instant,
    text::Text,
    wire::{ClientFrame, Contradiction},
};

/// What the driver does next; taken from [`Client::poll_output`](super::Client::poll_output).
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Close a socket. Its events no longer matter.
    CloseSocket {
        /// The socket.
        socket: SocketId,
        /// The code to close it with.
        code: CloseCode,
    },
    /// Deliver events to a consumer, then report what it took by [`Input::Delivered`](super::Input::Delivered).
    Deliver {
        /// The consumer.
        consumer: ConsumerId,
        /// How many epochs the consumer has entered.
        life: u32,
        /// Holds the parsed frame.
        slot: Slot,
        /// Index of the first event to deliver.
        skip: u32,
        /// How many events to deliver.
        take: u32,
        /// Offset of the first of them.
        offset: u64,
        /// Offsets up to this one are replays (EVT-5).
        replay_through: u64,
    },
    /// Report a fact to the application.
    Event(Event),
    /// Answer at once, by [`Input::Buffered`](super::Input::Buffered), how many bytes wait in a socket.
    Measure(SocketId),
    /// Open a socket.
    OpenSocket(SocketId),
    /// Forget what a slot holds.
    Release(Slot),
    /// Ask the application for a token.
    RequestToken,
    /// Send a frame.
    SendFrame {
        /// The socket.
        socket: SocketId,
        /// The frame.
        frame: ClientFrame,
    },
    /// Nothing more to do until an input comes, or until this point in time.
    Timeout(Option<Instant>),
}

/// A fact for the application.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Something went wrong that ended nothing.
    Error(ClientError),
    /// The server ended a subscription for good.
    Ended {
        /// The stream.
        stream: StreamId,
        /// Why.
        reason: Text,
    },
    /// A consumer will never get some offsets. The driver reports by [`Input::Delivered`](super::Input::Delivered) with the
    /// gap's `life` and `next - 1` when the gap was delivered.
    Gap {
        /// The consumer.
        consumer: ConsumerId,
        /// What is missing.
        gap: Gap,
    },
    /// A frame came for the application: a signal, a notice or a page of history.
    Message {
        /// Holds the parsed frame.
        slot: Slot,
    },
    /// A consumer that came without a position has its place. Reported before anything else about it.
    Placed {
        /// The consumer.
        consumer: ConsumerId,
        /// The epoch of its place.
        epoch: Text,
        /// The last offset before the one that it gets first.
        offset: u64,
    },
    /// The catch-up of a consumer is complete. In the order of outputs it comes in its place among what the consumer gets.
    Resumed {
        /// The stream.
        stream: StreamId,
        /// The consumer.
        consumer: ConsumerId,
        /// What the catch-up brought. Boxed: it comes rarely, and every output would be as large.
        result: Box<ResumeResult>,
    },
    /// A send is settled; nothing else will come for its id and stream.
    Settled {
        /// The key of the send.
        id: Text,
        /// The name of its stream.
        stream: Text,
        /// How it ended.
        outcome: Outcome,
    },
    /// The state of the connection changed.
    StateChanged {
        /// The new state.
        state: State,
        /// Why.
        reason: Text,
        /// How long until the next attempt, in [`State::Waiting`].
        retry_in: Option<Duration>,
        /// Attempts since a connection last lasted or a hint came; 0 for the first.
        attempt: u32,
    },
    /// What is wrong with a connection that stands has changed: `silent`, `unanswered`, `slow`, or nothing.
    Trouble(Option<Text>),
    /// The server accepted the token.
    Welcomed {
        /// Names the connection in logs.
        session: Text,
        /// The user.
        subject: Text,
        /// The largest frame the server takes, in bytes.
        max_frame_bytes: u64,
        /// The server's time, in milliseconds since the Unix epoch, if it tells it.
        time: Option<u64>,
    },
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// A message of the server is no frame; the slot holds why.
    BadServerFrame(Slot),
    /// A frame of the server contradicts itself, or what the server said before.
    Contradiction(Contradiction),
    /// The server sent an `error` frame.
    Server {
        /// Its code.
        code: Text,
        /// Holds the parsed frame.
        slot: Slot,
    },
    /// The server closed because of a frame of ours; the reason is that of its code. The next attempt waits for long (CLS-1).
    Rejected(Text),
    /// A send is held back: the connection was lost each time it went out. Its key.
    SendHeld(Text),
    /// The application did not give a token in time, or could not.
    Token(Text),
}

/// Offsets that will never come (GAP-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: u64,
    /// The last of them; `None` for the rest of the epoch.
    pub to: Option<u64>,
    /// Why.
    pub reason: Text,
    /// The epoch that follows, when this one ended.
    pub epoch: Option<Text>,
    /// How many epochs the consumer has entered, this one included.
    pub life: u32,
    /// The offset of the event that follows.
    pub next: u64,
}

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client ended it, for the reason named.
    Failed(Text),
    /// The server answered.
    Receipt {
        /// Holds the parsed `receipt` frame.
        slot: Slot,
    },
}

/// What the catch-up of one consumer brought (I3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeResult {
    /// Whether everything that was missed came.
    pub recovered: bool,
    /// The epoch the stream is in.
    pub epoch: Text,
    /// The first offset that was missing.
    pub from: u64,
    /// The last offset of the catch-up: the head at the moment of subscribing, or the offset before `from` for a consumer that
    /// began behind that.
    pub to: u64,
    /// Replays that were sent to the consumer.
    pub replayed: u64,
    /// Events that the page had and that were dropped.
    pub duplicates_dropped: u64,
    /// What will never come.
    pub gap: Option<Gap>,
    /// What exists of a new epoch before the first offset that is owed to the consumer.
    pub skipped: Option<(u64, u64)>,
    /// Requests that it took.
    pub attempts: u32,
    /// The runs that are open at `to`; unknown for a consumer that began behind the catch-up, and when there are more than the
    /// server names.
    pub open_runs: Option<Vec<Text>>,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Closed by the application; terminal.
    Closed,
    /// The server has welcomed us.
    Connected,
    /// A token is asked for, or a socket is opening.
    Connecting,
    /// It cannot go on by itself; terminal.
    Failed,
    /// Not started.
    Idle,
    /// Without a network; goes on when there is one.
    Offline,
    /// Between two attempts.
    Waiting,
}

impl State {
    /// Returns the state's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Failed => "failed",
            Self::Idle => "idle",
            Self::Offline => "offline",
            Self::Waiting => "waiting",
        }
    }
}
