//! What happened outside.

use crate::proto::Duration;

use super::{
    close_code::CloseCode,
    ids::{ConsumerId, Slot, SocketId, StreamId},
    outbox::FirstSent,
    text::Text,
    wire::{Contradiction, Open, ServerFrame},
};

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Where the stream is: its position, or what `open` says if it has none yet.
    Stream,
    /// After an offset of the stream's present epoch, whichever that is.
    After(u64),
    /// After a position that the application kept.
    Position {
        /// The epoch of the position.
        epoch: Text,
        /// The last offset that was delivered.
        offset: u64,
    },
}

/// What a keyed frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendKind {
    /// An answer to an approval request.
    Approve,
    /// The wish to end a run.
    Cancel,
    /// Another text for a message that waits.
    Edit,
    /// A message.
    Message,
    /// A message that acts on runs: one that interrupts or steers (SND-18).
    RunMessage,
    /// The wish to take back a message that waits.
    Withdraw,
}

/// What happened outside; given to [`Client::handle_input`](super::Client::handle_input).
#[derive(Clone, Debug)]
pub enum Input {
    /// The application gave a socket that is opening, and the token for its hello.
    Adopt {
        /// The socket.
        socket: SocketId,
        /// Holds the token.
        token: Slot,
    },
    /// The page goes away or comes back: into the back/forward cache or for good, and out of the cache.
    Away(bool),
    /// A message came that is no frame.
    BadFrame {
        /// Where it came from.
        socket: SocketId,
        /// Holds what is wrong with it.
        slot: Slot,
    },
    /// The answer to [`Output::Measure`](super::Output::Measure): the bytes that were written and that the browser has not given to
    /// the network.
    Buffered(u32),
    /// The application closes the client for good.
    Close,
    /// A frame came whose fields contradict each other.
    Contradiction {
        /// Where it came from.
        socket: SocketId,
        /// How.
        contradiction: Contradiction,
        /// Holds the parsed frame.
        slot: Slot,
    },
    /// The application wants to be connected.
    Connect,
    /// Everything up to an offset was delivered to a consumer.
    Delivered {
        /// The consumer.
        consumer: ConsumerId,
        /// The number of its epoch, as its last [`Gap`](super::Gap) that entered one said; 0 before the first. A report of a
        /// former epoch is ignored.
        life: u32,
        /// The last offset it has.
        through: u64,
    },
    /// Asks the server for the streams that were attached since the last flush: one request for all of a turn.
    Flush,
    /// A frame came.
    Frame {
        /// Where it came from.
        socket: SocketId,
        /// Its decoded head.
        frame: ServerFrame,
        /// Holds the parsed frame, until [`Output::Release`](super::Output::Release).
        slot: Slot,
        /// About how many bytes it has: the window of bytes is acknowledged by them.
        bytes: u32,
    },
    /// The browser says whether there is a network.
    Online(bool),
    /// The application wants an attempt now: while waiting, offline, or after a failure.
    Reconnect,
    /// The application chooses another delay for the wait that has just begun.
    RetryIn(Duration),
    /// The application queues a message, a cancel or an approval.
    Send {
        /// Which of them.
        kind: SendKind,
        /// The key (SND-1).
        id: Text,
        /// The name of the stream.
        stream: Text,
        /// Holds the further fields of the frame.
        body: Slot,
        /// About how many bytes the frame has.
        bytes: u32,
        /// The key of the message that a cancel, a withdrawal or an edit is about.
        about: Option<Text>,
        /// When it may have gone out for the first time, if a former core was given it (SND-5).
        first_sent: FirstSent,
    },
    /// The frame of a send turned out to be larger than [`Client::max_frame_bytes`](super::Client::max_frame_bytes), so it
    /// was not sent (GEN-7).
    SendTooLarge {
        /// The key of the send.
        id: Text,
        /// The name of its stream.
        stream: Text,
    },
    /// The application sends a signal: now or never.
    Signal {
        /// The name of the stream.
        stream: Text,
        /// Holds the signal.
        signal: Slot,
    },
    /// A socket closed, or never opened.
    SocketClosed {
        /// The socket.
        socket: SocketId,
        /// Its close code.
        code: CloseCode,
    },
    /// A socket is open.
    SocketOpened {
        /// The socket.
        socket: SocketId,
        /// Whether the server chose our subprotocol (GEN-1).
        subprotocol: bool,
    },
    /// A consumer attaches to a stream. Without [`Input::Flush`] nothing is asked for on a socket that is in use.
    Subscribe {
        /// The number that outputs name the stream by, never used for another name. The last one given counts.
        stream: StreamId,
        /// The consumer.
        consumer: ConsumerId,
        /// The name of the stream.
        name: Text,
        /// The bytes of the name: requests must fit into a frame.
        name_bytes: u32,
        /// Where the stream begins without a position.
        open: Open,
        /// Where the consumer begins.
        begin: Begin,
        /// Events that may wait to be delivered to it; what comes beyond them is asked for again when there is room. `None` for
        /// one that takes everything at once.
        max_queued: Option<u32>,
    },
    /// Time has passed; sent when a deadline is due, harmless at any other time.
    Timeout,
    /// The application could not give a token.
    TokenFailed {
        /// Whether asking again can help.
        retryable: bool,
    },
    /// The application gives the token it was asked for.
    TokenReady {
        /// Holds the token.
        token: Slot,
    },
    /// A consumer detaches.
    Unsubscribe {
        /// The consumer.
        consumer: ConsumerId,
    },
    /// The application takes a send back. It settles with `reason`, unless it may have gone out: then nothing changes.
    TakeBack {
        /// The key of the send.
        id: Text,
        /// The code that it fails with.
        reason: Text,
    },
    /// The page became visible or focused, or was resumed: time may have passed unnoticed.
    Wake,
}
