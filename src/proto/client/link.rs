//! Where the connection is.

use crate::proto::Duration;

use super::replay::Replay;
use crate::proto::{
    config::MIN_SILENCE,
    ids::{Slot, SocketId, StreamId},
    instant::Instant,
    output::State,
    streams::Renamed,
};

/// Where the connection is. A socket exists only where it can.
#[derive(Debug)]
pub(super) enum Link {
    Closed,
    Failed,
    Greeting { socket: SocketId },
    Idle,
    Live(Session),
    Offline,
    Opening { socket: SocketId, token: Slot },
    Token,
    Waiting,
}

/// Bytes of a frame around the requests or offsets it holds.
const FRAME_OVERHEAD: usize = 64;

/// What holds from a welcome to the end of its socket.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) socket: SocketId,
    /// How long the server may be silent before it is asked whether it is there.
    pub(super) silence: Duration,
    pub(super) last_heard: Instant,
    /// When something came that may answer a request: anything but heartbeats, pings and pongs.
    pub(super) last_data: Instant,
    /// The end of the patience with a server that was asked whether it is there.
    pub(super) probe: Option<Instant>,
    /// The socket was asked because the page woke up: if it is dead, the next attempt does not wait.
    pub(super) woken: bool,
    /// A request has waited for long.
    pub(super) late: bool,
    /// How long the server took to answer a hello or a ping last.
    pub(super) round_trip: Duration,
    /// Since when everything that is followed has caught up.
    pub(super) calm_since: Option<Instant>,
    pub(super) max_frame_bytes: u64,
    /// How long the server remembers the id of a send (SND-5).
    pub(super) send_horizon: Duration,
    /// The server's time at the welcome, and when that was.
    pub(super) server_time: Option<(u64, Instant)>,
    /// The streams by their number on this socket; a handful, so a list.
    pub(super) by_ch: Vec<(u32, StreamId)>,
    pub(super) replays: Vec<Replay>,
    pub(super) next_req: u64,
    /// A token was sent to take the place of the present one, and is not answered yet.
    pub(super) refreshing: bool,
}

impl Session {
    /// Bytes that a frame has for its list (GEN-7).
    pub(super) fn frame_room(&self) -> usize {
        usize::try_from(self.max_frame_bytes).unwrap_or(usize::MAX) - FRAME_OVERHEAD
    }

    pub(super) fn stream_of(&self, ch: u32) -> Option<StreamId> {
        self.by_ch.iter().find(|(known, _)| *known == ch).map(|&(_, stream)| stream)
    }

    /// The subscription of a stream is over.
    pub(super) fn forget_channel(&mut self, ch: u32, stream: StreamId) {
        self.by_ch.retain(|(known, _)| *known != ch);
        self.replays.retain(|replay| replay.stream != stream);
    }

    /// A stream has another number from now on.
    pub(super) fn rename(&mut self, renamed: Renamed) {
        let of_channels = self.by_ch.iter_mut().map(|(_, stream)| stream);
        let of_replays = self.replays.iter_mut().map(|replay| &mut replay.stream);
        for stream in of_channels.chain(of_replays).filter(|stream| **stream == renamed.from) {
            *stream = renamed.to;
        }
    }
}

impl Link {
    pub(super) const fn state(&self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Failed => State::Failed,
            Self::Greeting { .. } | Self::Opening { .. } | Self::Token => State::Connecting,
            Self::Idle => State::Idle,
            Self::Live(_) => State::Connected,
            Self::Offline => State::Offline,
            Self::Waiting => State::Waiting,
        }
    }

    pub(super) const fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Greeting { socket } | Self::Opening { socket, .. } | Self::Live(Session { socket, .. }) => {
                Some(*socket)
            }
            Self::Closed | Self::Failed | Self::Idle | Self::Offline | Self::Token | Self::Waiting => None,
        }
    }
}

/// The silence after which a server is asked whether it is there: a heartbeat that is a fifth late (HBT-2).
pub(super) fn silence(heartbeat_ms: u64) -> Duration {
    (Duration::from_millis(heartbeat_ms) * 120 / 100).max(MIN_SILENCE)
}
