//! One WebSocket as a session sees it: messages in, frames out. The rest of the transport stays below.

mod gauge;
pub(crate) mod handshake;
mod line;
mod websocket;

use bytes::Bytes;
use futures_util::{Sink, Stream};

pub(crate) use self::gauge::Gauge;
use self::gauge::Room;
pub(crate) use self::line::{CHUNK_BYTES, MAX_BEFORE_WELCOME, SMALL_BYTES};
pub(crate) use self::websocket::WebSocket;

/// Something that came from the page.
#[derive(Debug)]
pub enum Received {
    /// A frame of the protocol.
    Text(Text),
    /// A message that no page of this protocol sends.
    Binary,
    /// A ping, or the answer to one.
    Control,
    /// The page closes the socket.
    Close,
    /// A message was too large to be read. If one frame was, the transport has closed with 1009.
    TooLarge,
    /// It is no WebSocket message. The transport has closed with a code of RFC 6455.
    Refused,
}

/// A text in the buffer that it was read into.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Bytes,
    /// A large one has room for as long as there is work on it.
    room: Room,
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        // The transport has checked it; an empty text is no frame.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// Its room, to be held until the work on it is done.
    pub(crate) fn take_room(&mut self) -> Room {
        std::mem::take(&mut self.room)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { bytes: text.into(), room: Room::default() }
    }
}

/// Something that goes to the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A frame of the protocol: JSON in UTF-8.
    Text(Bytes),
    /// A ping of the transport.
    Ping,
    /// The end.
    Close {
        /// The close code.
        code: u16,
        /// Why.
        reason: &'static str,
    },
}

impl Frame {
    pub(crate) fn bytes(&self) -> usize {
        if let Self::Text(text) = self { text.len() } else { 0 }
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// The socket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the socket is gone")]
pub struct Gone;

/// A socket of a page. Its stream ends when the page or the network has ended it.
pub trait Socket: Stream<Item = Received> + Sink<Frame, Error = Gone> + Send + 'static {}

impl<S: Stream<Item = Received> + Sink<Frame, Error = Gone> + Send + 'static> Socket for S {}
