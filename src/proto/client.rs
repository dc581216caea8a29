//! The client: one connection, many streams.
//!
//! **Connecting.** [`Input::Connect`] asks for a token, then for a socket; when it is open the client says hello with the position of
//! every stream, and the server answers with a welcome and whatever is missing. [`Input::Adopt`] enters with a socket that is already
//! on its way.
//!
//! **Live.** Frames of events go through the stream's sequencer to its consumers; what was handed over is acknowledged. A silent
//! server, an unanswered request or a malformed frame ends the socket, never an event.
//!
//! **Lost.** The client waits by its backoff, or for the network, and connects again. Positions, consumers and the outbox stay.
//!
//! ```text
//!   Idle ──Connect──▶ Token ──TokenReady──▶ Opening ──SocketOpened──▶ Greeting ──welcome──▶ Live
//!     │                 ▲                     ▲  │                        │                   │
//!     └──────Adopt──────┼─────────────────────┘  └───────────┬────────────┴───────────────────┘
//!                       │                                    │ closed, timeout, malformed
//!                       └──Reconnect timer── Waiting ◀───────┤
//!                       └──Online── Offline ◀────────────────┤      Close ──▶ Closed
//!                                                            └─ refusing code ──▶ Failed
//! ```

mod frames;
mod repair;

use std::{collections::VecDeque, time::Duration};

use super::{
    backoff::{Backoff, Rng},
    close_code::CloseCode,
    config::{
        Config, MAX_HELLO_BYTES, MAX_HELLO_REQUESTS, MAX_IDLE_STREAMS, MAX_TOKEN_REFUSALS,
        MIN_HEARTBEAT_TIMEOUT, REFRESH_RETRY, TOKEN_TIMEOUT, WELCOME_TIMEOUT,
    },
    ids::{ConsumerId, Slot, SocketId, StreamId},
    input::Input,
    instant::Instant,
    outbox::Outbox,
    output::{ClientError, Event, Output, State},
    stats::Stats,
    stream::{Phase, Stream},
    timer::{Timer, TimerTable},
    wire::{ClientFrame, StreamRequest},
};
use repair::Replay;

/// Bytes of a frame around the requests it holds.
const FRAME_OVERHEAD: usize = 64;

/// The synchronous state machine of an agentwire client.
///
/// Call its methods in this order: [`handle_input`](Self::handle_input) with what happened, then
/// [`poll_output`](Self::poll_output) until it answers [`Output::Timeout`]; do each output before taking the next. Time must not go
/// back; an earlier `now` is treated as the latest one seen.
#[derive(Debug)]
pub struct Client {
    config: Config,
    rng: Rng,
    now: Instant,
    link: Link,
    streams: Vec<Stream>,
    outbox: Outbox,
    timers: TimerTable,
    backoff: Backoff,
    out: VecDeque<Output>,
    stats: Stats,
    subject: Option<String>,
    online: bool,
    /// The page is in the back/forward cache, or on its way out.
    away: bool,
    next_socket: u32,
    /// A token was asked for and did not come yet.
    token_asked: bool,
    token_refusals: u32,
    /// The server asked not to be called before.
    not_before: Option<Instant>,
}

/// Where the connection is. A socket exists only where it can.
#[derive(Debug)]
enum Link {
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

/// What holds from a welcome to the end of its socket.
#[derive(Debug)]
struct Session {
    socket: SocketId,
    heartbeat_timeout: Duration,
    last_heard: Instant,
    max_frame_bytes: u64,
    /// The streams by their number on this socket; a handful, so a list.
    by_ch: Vec<(u32, StreamId)>,
    replays: Vec<Replay>,
    next_req: u64,
    /// A token was sent to take the place of the present one, and is not answered yet.
    refreshing: bool,
}

impl Session {
    fn stream_of(&self, ch: u32) -> Option<StreamId> {
        self.by_ch.iter().find(|(known, _)| *known == ch).map(|&(_, stream)| stream)
    }

    fn forget_ch(&mut self, ch: u32) {
        self.by_ch.retain(|(known, _)| *known != ch);
    }
}

impl Link {
    const fn state(&self) -> State {
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

    const fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Greeting { socket } | Self::Opening { socket, .. } | Self::Live(Session { socket, .. }) => {
                Some(*socket)
            }
            Self::Closed | Self::Failed | Self::Idle | Self::Offline | Self::Token | Self::Waiting => None,
        }
    }
}

impl Client {
    /// Makes an idle client.
    pub fn new(config: Config) -> Self {
        Self {
            rng: Rng::new(config.seed),
            now: Instant::ZERO,
            link: Link::Idle,
            streams: Vec::new(),
            outbox: Outbox::new(config.max_pending),
            timers: TimerTable::default(),
            backoff: Backoff::new(config.backoff_base, config.backoff_max),
            out: VecDeque::new(),
            stats: Stats::default(),
            subject: config.subject.clone(),
            online: true,
            away: false,
            next_socket: 0,
            token_asked: false,
            token_refusals: 0,
            not_before: None,
            config,
        }
    }

    // --- What the application may look at ---

    /// Returns the state of the connection. It changes only within [`handle_input`](Self::handle_input).
    pub const fn state(&self) -> State {
        self.link.state()
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        Stats {
            parked_frames: self.streams.iter().map(|stream| stream.sequencer.parked_frames() as u64).sum(),
            sends_pending: self.outbox.len() as u64,
            ..self.stats.clone()
        }
    }

    /// Returns the largest frame the server takes, in bytes (GEN-7).
    pub const fn max_frame_bytes(&self) -> u64 {
        if let Link::Live(session) = &self.link { session.max_frame_bytes } else { MAX_HELLO_BYTES }
    }

    // --- What the driver calls ---

    /// Takes note of what happened. Everything that follows from it comes out of [`poll_output`](Self::poll_output).
    ///
    /// Inputs of a socket that is no longer in use are counted and otherwise harmless (I8).
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        match input {
            Input::Adopt { socket, token } => self.adopt(socket, token),
            Input::Away(away) => self.on_away(away),
            Input::BadFrame { socket, error } => {
                if self.is_current(socket, None) {
                    self.bad_server_frame(ClientError::BadServerFrame(error));
                }
            }
            Input::Close => self.close(),
            Input::Connect => {
                if matches!(self.link, Link::Idle) {
                    self.attempt("connect");
                }
            }
            Input::Frame { socket, frame, slot } => {
                if self.is_current(socket, Some(slot)) {
                    self.on_frame(frame, slot);
                }
            }
            Input::HandedOver { consumer, through } => self.on_handed_over(consumer, through),
            Input::Online(online) => self.on_online(online),
            Input::Send { kind, id, stream, body, sent_ago } => {
                if self.is_terminal() {
                    let outcome = super::output::Outcome::Failed("closed");
                    self.out.push_back(Output::Event(Event::Settled { id, outcome }));
                    self.out.push_back(Output::Release(body));
                } else {
                    self.outbox.push(kind, id, stream, body, (sent_ago, self.now), &mut self.out);
                    self.flush_outbox();
                }
            }
            Input::SendTooLarge { id } => self.outbox.fail(&id, "message_too_large", &mut self.out),
            Input::Signal { stream, signal } => {
                if let Link::Live(Session { socket, .. }) = self.link {
                    self.send(socket, ClientFrame::Signal { stream, signal });
                }
                self.out.push_back(Output::Release(signal));
            }
            Input::SocketClosed { socket, code } => {
                if self.is_current(socket, None) {
                    self.on_socket_closed(code);
                }
            }
            Input::SocketOpened { socket, subprotocol } => self.on_socket_opened(socket, subprotocol),
            // Nobody is told anything after the end.
            Input::Subscribe { .. } if self.is_terminal() => {}
            Input::Subscribe { stream, consumer, name, open, begin } => {
                let index = self.streams.iter().position(|known| known.id == stream).unwrap_or_else(|| {
                    // The package may have forgotten an idle one that the core remembers.
                    self.streams.retain(|known| known.name != name || !known.is_idle());
                    self.streams.push(Stream::new(stream, name, open, self.config.window_events));
                    self.streams.len() - 1
                });
                self.streams[index].reopen(open);
                self.streams[index].attach(consumer, begin, &mut self.out);
                self.subscribe_detached();
                self.serve(stream);
            }
            Input::Timeout => self.on_timeout(),
            Input::TokenFailed { retryable } => self.on_token_failed(retryable),
            Input::TokenReady { token } => self.on_token(token),
            Input::Unsubscribe { consumer } => self.on_unsubscribe(consumer),
        }
    }

    /// Takes the next thing to do; [`Output::Timeout`] when there is none until an input comes or the deadline is due.
    #[must_use]
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Timeout(self.timers.next_deadline()))
    }

    // --- Connecting ---

    fn adopt(&mut self, socket: SocketId, token: Slot) {
        self.next_socket = self.next_socket.max(socket.0 + 1);
        if !matches!(self.link, Link::Idle) {
            self.out.push_back(Output::Release(token));
            self.out.push_back(Output::CloseSocket { socket, code: CloseCode::NORMAL });
            return;
        }
        self.stats.attempts += 1;
        self.timers.set(Timer::Connect, self.now + self.config.connect_timeout);
        self.go(Link::Opening { socket, token }, "connect", None);
    }

    /// Makes an attempt: a token first, so that each socket has a fresh one.
    fn attempt(&mut self, reason: &'static str) {
        if let Some(reason) = self.named_wait() {
            self.go(Link::Offline, reason, None);
            return;
        }
        if let Some(floor) = self.not_before.filter(|&floor| floor > self.now) {
            // Neither a hint of the browser nor the page's return outweighs what the server asked for.
            self.wait_until(floor, reason);
            return;
        }
        self.stats.attempts += 1;
        self.timers.stop(Timer::Reconnect);
        self.timers.set(Timer::Token, self.now + TOKEN_TIMEOUT);
        self.go(Link::Token, reason, None);
        self.ask_token();
    }

    fn ask_token(&mut self) {
        if !self.token_asked {
            self.token_asked = true;
            self.out.push_back(Output::RequestToken);
        }
    }

    fn on_token(&mut self, token: Slot) {
        self.token_asked = false;
        match self.link {
            Link::Token => {
                let socket = SocketId(self.next_socket);
                self.next_socket += 1;
                self.timers.stop(Timer::Token);
                self.timers.set(Timer::Connect, self.now + self.config.connect_timeout);
                self.link = Link::Opening { socket, token };
                self.out.push_back(Output::OpenSocket(socket));
            }
            Link::Live(ref mut session) => {
                session.refreshing = true;
                let socket = session.socket;
                self.send(socket, ClientFrame::Refresh { token });
                self.out.push_back(Output::Release(token));
            }
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Offline
            | Link::Opening { .. }
            | Link::Waiting => self.out.push_back(Output::Release(token)),
        }
    }

    fn on_token_failed(&mut self, retryable: bool) {
        self.token_asked = false;
        match self.link {
            Link::Token if retryable => {
                self.error(ClientError::Token("token_failed"));
                self.wait_to_reconnect("token_failed");
            }
            Link::Token => self.fail("token_failed"),
            Link::Live(_) => {
                self.error(ClientError::Token("token_failed"));
                if retryable {
                    self.timers.set(Timer::Refresh, self.now + REFRESH_RETRY);
                } else {
                    // The socket lasts as long as its token.
                    self.timers.stop(Timer::Refresh);
                }
            }
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Offline
            | Link::Opening { .. }
            | Link::Waiting => {}
        }
    }

    fn on_socket_opened(&mut self, socket: SocketId, subprotocol: bool) {
        let Link::Opening { socket: opening, token } = self.link else {
            self.stats.stale_events += 1;
            return;
        };
        if opening != socket {
            self.stats.stale_events += 1;
            return;
        }
        if !subprotocol {
            self.out.push_back(Output::CloseSocket { socket, code: CloseCode::NORMAL });
            self.fail("unsupported_protocol");
            return;
        }
        // The others are asked for after the welcome.
        let streams = self.requests(MAX_HELLO_REQUESTS);
        let hello = ClientFrame::Hello {
            token,
            version: self.config.client_version.clone(),
            window_events: self.config.window_events,
            window_bytes: self.config.window_bytes,
            streams,
        };
        self.send(socket, hello);
        self.out.push_back(Output::Release(token));
        self.timers.stop(Timer::Connect);
        self.timers.set(Timer::Welcome, self.now + WELCOME_TIMEOUT);
        self.link = Link::Greeting { socket };
    }

    // --- Losing the connection ---

    fn on_socket_closed(&mut self, code: CloseCode) {
        if code.needs_token() {
            self.token_refusals += 1;
            if self.token_refusals >= MAX_TOKEN_REFUSALS {
                self.fail("token_rejected");
                return;
            }
        }
        if code.is_retryable() {
            self.lose(code.reason());
        } else {
            self.fail(code.reason());
        }
    }

    /// Ends the socket from our side, and connects again.
    fn drop_socket(&mut self, code: CloseCode) {
        if let Some(socket) = self.link.socket() {
            self.out.push_back(Output::CloseSocket { socket, code });
            self.lose(code.reason());
        }
    }

    fn bad_server_frame(&mut self, error: ClientError) {
        self.stats.malformed_frames += 1;
        self.error(error);
        self.drop_socket(CloseCode::BAD_SERVER_FRAME);
    }

    fn lose(&mut self, reason: &'static str) {
        self.unlink();
        self.wait_to_reconnect(reason);
    }

    fn wait_to_reconnect(&mut self, reason: &'static str) {
        self.timers.clear();
        if let Some(reason) = self.named_wait() {
            self.go(Link::Offline, reason, None);
            return;
        }
        let delay = self.backoff.next_delay(&mut self.rng);
        let at = if is_mutant!(BackoffNeverWaits) { self.now } else { self.now + delay };
        self.wait_until(self.not_before.map_or(at, |floor| floor.max(at)), reason);
    }

    fn wait_until(&mut self, at: Instant, reason: &'static str) {
        self.timers.set(Timer::Reconnect, at);
        self.go(Link::Waiting, reason, Some(at.since(self.now)));
    }

    /// Takes everything off the socket that is gone.
    fn unlink(&mut self) {
        if let Link::Opening { token, .. } = self.link {
            self.out.push_back(Output::Release(token));
        }
        for stream in &mut self.streams {
            stream.on_link_down(&mut self.out);
        }
        self.outbox.on_link_down();
    }

    fn on_online(&mut self, online: bool) {
        self.online = online;
        match self.link {
            Link::Offline if online => self.attempt("online"),
            Link::Waiting if !online => {
                self.timers.stop(Timer::Reconnect);
                self.go(Link::Offline, "offline", None);
            }
            // A wait that knew of the network goes on: the hint is no news. An open socket is not given up for one: the
            // heartbeat decides.
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Live(_)
            | Link::Offline
            | Link::Opening { .. }
            | Link::Token
            | Link::Waiting => {}
        }
    }

    /// A page in the back/forward cache runs nothing and must hold no socket, or the browser does not keep it; nothing may be
    /// handed to a page that is on its way out, because nobody would know.
    fn on_away(&mut self, away: bool) {
        self.away = away;
        if away && let Some(socket) = self.link.socket() {
            self.out.push_back(Output::CloseSocket { socket, code: CloseCode::PAGE_LEFT });
            self.unlink();
            self.timers.clear();
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if away && matches!(self.link, Link::Waiting | Link::Token) {
            self.timers.clear();
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if !away && matches!(self.link, Link::Offline) {
            self.attempt("page_back");
        }
    }

    /// Says what the client waits for when no attempt can succeed.
    const fn named_wait(&self) -> Option<&'static str> {
        if self.away {
            Some(CloseCode::PAGE_LEFT.reason())
        } else if self.online {
            None
        } else {
            Some("offline")
        }
    }

    // --- Ending ---

    fn close(&mut self) {
        if self.is_terminal() {
            return;
        }
        if let Some(socket) = self.link.socket() {
            self.out.push_back(Output::CloseSocket { socket, code: CloseCode::NORMAL });
        }
        self.end(Link::Closed, "closed");
    }

    fn fail(&mut self, reason: &'static str) {
        self.end(Link::Failed, reason);
    }

    fn end(&mut self, link: Link, reason: &'static str) {
        self.unlink();
        self.timers.clear();
        self.outbox.settle_all(reason, &mut self.out);
        self.go(link, reason, None);
    }

    const fn is_terminal(&self) -> bool {
        matches!(self.link, Link::Closed | Link::Failed)
    }

    // --- Time ---

    fn on_timeout(&mut self) {
        while let Some(timer) = self.timers.take_expired(self.now) {
            match timer {
                Timer::Ack => self.send_acks(),
                Timer::Connect => self.drop_socket(CloseCode::ABNORMAL),
                Timer::GoAway => self.drop_socket(CloseCode::GOING_AWAY),
                Timer::Heartbeat => self.check_heartbeat(),
                Timer::MissingHead => self.check_heads(),
                Timer::Receipt => self.watch_receipts(),
                Timer::Reconnect if is_mutant!(TimerSwallowed) => {}
                Timer::Reconnect => self.attempt("retry"),
                Timer::Refresh => {
                    self.token_asked = false;
                    self.timers.set(Timer::Refresh, self.now + TOKEN_TIMEOUT);
                    self.ask_token();
                }
                Timer::Replay => self.check_replays(),
                Timer::Resend => self.flush_outbox(),
                Timer::Token => {
                    // An answer may still come; the next attempt does not wait for it.
                    self.token_asked = false;
                    self.error(ClientError::Token("token_timeout"));
                    self.wait_to_reconnect("token_timeout");
                }
                Timer::Welcome => self.drop_socket(CloseCode::WELCOME_TIMEOUT),
            }
        }
    }

    /// Frames only note when they came, so that a busy stream does not arm a timer per frame.
    fn check_heartbeat(&mut self) {
        let Link::Live(session) = &self.link else { return };
        let heartbeat_timeout = session.heartbeat_timeout;
        let deadline = session.last_heard + heartbeat_timeout;
        if deadline <= self.now && !is_mutant!(HeartbeatIgnored) {
            self.drop_socket(CloseCode::HEARTBEAT_TIMEOUT);
        } else {
            let at = if is_mutant!(HeartbeatIgnored) { self.now + heartbeat_timeout } else { deadline };
            self.timers.set(Timer::Heartbeat, at);
        }
    }

    // --- Streams ---

    /// Asks for the streams that no one has asked for on this socket.
    fn subscribe_detached(&mut self) {
        let Link::Live(Session { socket, max_frame_bytes, .. }) = self.link else {
            return;
        };
        let most = usize::try_from(max_frame_bytes).unwrap_or(usize::MAX) - FRAME_OVERHEAD;
        loop {
            let streams = self.requests(most);
            if streams.is_empty() {
                return;
            }
            self.send(socket, ClientFrame::Subscribe { streams });
        }
    }

    /// Makes the requests of streams that no one has asked for on this socket, as many as fit into one frame (GEN-7).
    fn requests(&mut self, most_bytes: usize) -> Vec<StreamRequest> {
        let mut bytes = 0;
        self.streams
            .iter_mut()
            .filter(|stream| stream.is_wanted() && matches!(stream.phase, Phase::Detached))
            .take_while(|stream| {
                bytes += stream.max_request_bytes();
                bytes <= most_bytes
            })
            .map(Stream::request)
            .collect()
    }

    /// Bounds what is remembered of streams that nobody follows any more (I9): `left` is the last one.
    fn forget_idle_streams(&mut self, left: StreamId) {
        // Behind all that were left before it.
        self.streams.sort_by_key(|stream| stream.id == left);
        while self.streams.iter().filter(|stream| stream.is_idle()).count() > MAX_IDLE_STREAMS
            && let Some(oldest) = self.streams.iter().position(Stream::is_idle)
        {
            self.streams.remove(oldest);
        }
    }

    fn on_unsubscribe(&mut self, consumer: ConsumerId) {
        let Some(stream) =
            self.streams.iter_mut().find(|stream| stream.consumers.iter().any(|known| known.id == consumer))
        else {
            return;
        };
        let id = stream.id;
        if !stream.detach(consumer, &mut self.out) {
            // It may have been the one that the others waited for.
            self.serve(id);
            return;
        }
        // A request under way is answered first: asking for a name twice on one socket is malformed (SUB-2).
        if let Some(ch) = stream.subscription().map(|subscription| subscription.ch)
            && let Link::Live(session) = &mut self.link
        {
            stream.phase = Phase::Detached;
            session.forget_ch(ch);
            session.replays.retain(|replay| replay.stream != id);
            let socket = session.socket;
            if !is_mutant!(StreamLeaks) {
                self.send(socket, ClientFrame::Unsubscribe { ch });
            }
        }
        self.forget_idle_streams(id);
        self.reset_backoff_if_caught_up();
    }

    fn flush_outbox(&mut self) {
        let Link::Live(Session { socket, .. }) = self.link else {
            return;
        };
        let (out, outbox) = (&mut self.out, &mut self.outbox);
        let retry_at = outbox.flush(self.now, |frame| out.push_back(Output::SendFrame { socket, frame }));
        if let Some(at) = retry_at {
            self.timers.set(Timer::Resend, at);
        }
        self.watch_receipts();
    }

    fn watch_receipts(&mut self) {
        match self.outbox.receipt_deadline() {
            None => self.timers.stop(Timer::Receipt),
            Some(at) if at <= self.now => self.drop_socket(CloseCode::RECEIPT_TIMEOUT),
            Some(at) => self.timers.set(Timer::Receipt, at),
        }
    }

    // --- Small parts ---

    /// Tells whether an input belongs to the socket in use; if not, counts it and releases its frame (I8).
    fn is_current(&mut self, socket: SocketId, slot: Option<Slot>) -> bool {
        let stale = is_mutant!(StaleSocket) && slot.is_some() && self.link.socket().is_some();
        let current = self.link.socket() == Some(socket) || stale;
        if !current {
            self.stats.stale_events += 1;
            self.out.extend(slot.map(Output::Release));
        }
        current
    }

    fn go(&mut self, link: Link, reason: &'static str, retry_in: Option<Duration>) {
        let before = self.link.state();
        self.link = link;
        let state = self.link.state();
        if state != before {
            let attempt = self.backoff.attempt();
            self.out.push_back(Output::Event(Event::StateChanged { state, reason, retry_in, attempt }));
        }
    }

    fn error(&mut self, error: ClientError) {
        self.out.push_back(Output::Event(Event::Error(error)));
    }

    fn send(&mut self, socket: SocketId, frame: ClientFrame) {
        self.out.push_back(Output::SendFrame { socket, frame });
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }
}

/// The silence after which a server counts as dead (HBT-2).
fn heartbeat_timeout(heartbeat_ms: u64) -> Duration {
    Duration::from_millis(heartbeat_ms.saturating_mul(2)).max(MIN_HEARTBEAT_TIMEOUT)
}
