//! The client: one connection, many streams.
//!
//! **Connecting.** [`Input::Connect`] asks for a token, then for a socket; when it is open the client says hello with the position of
//! every stream, and the server answers with a welcome and whatever is missing. [`Input::Adopt`] enters with a socket that is already
//! on its way.
//!
//! **Live.** Frames of events go through the stream's sequencer to its consumers; what was delivered is acknowledged. A silent
//! server, an unanswered request or a malformed frame ends the socket, never an event.
//!
//! **Lost.** The client waits by its backoff, or for the network, and connects again. Positions, consumers and the outbox stay.
//!
//! ```text
//!   Idle ──Connect──▶ Token ──TokenReady──▶ Opening ──SocketOpened──▶ Greeting ──welcome──▶ Live
//!     │                 ▲                     ▲  │                        │                   │
//!     └──────Adopt──────┼─────────────────────┘  └───────────┬────────────┴───────────────────┘
//!                       │                                    │ closed, timeout, malformed
//!                       ├──timer or hint── Waiting ◀─────────┤
//!                       ├──timer or hint── Offline ◀─────────┤      Close ──▶ Closed
//!                       └──Reconnect────── Failed  ◀─────────┘ refusing code
//! ```
//!
//! `docs/STATES.md` has every state and input, with what follows.

mod connect;
mod frames;
mod link;
mod lose;
mod repair;
mod replay;
mod sends;
mod subscribe;
mod watch;

use crate::proto::Duration;

use super::{
    backoff::Backoff,
    bucket::Bucket,
    close_code::CloseCode,
    config::{Config, LATE, MAX_HELLO_BYTES},
    effects::Effects,
    ids::{Slot, SocketId},
    input::Input,
    instant::Instant,
    outbox::Outbox,
    output::{ClientError, Event, Output, State},
    rng::Rng,
    stats::Stats,
    streams::Streams,
    text::Text,
    timer::{Timer, TimerTable},
    wire::ClientFrame,
};
use link::{Link, Session};

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
    streams: Streams,
    outbox: Outbox,
    timers: TimerTable,
    backoff: Backoff,
    /// The attempts that may be made (I14).
    bucket: Bucket,
    fx: Effects,
    subject: Option<Text>,
    online: bool,
    /// The page is in the back/forward cache, or on its way out.
    away: bool,
    next_socket: u32,
    /// A token was asked for and did not come yet.
    token_asked: bool,
    token_refusals: u32,
    /// Closes in a row because of a frame of ours.
    rejections: u32,
    /// The server asked not to be called before.
    not_before: Option<Instant>,
    /// The server asked the page to move to another connection then.
    moves_at: Option<Instant>,
    /// When the application may ask for an attempt again.
    reconnect_from: Instant,
    /// When the hello was sent.
    greeted_at: Instant,
    /// What is wrong with the connection, as reported last.
    trouble: Option<Text>,
}

impl Client {
    /// Makes an idle client.
    pub fn new(config: Config) -> Self {
        Self {
            rng: Rng::new(config.seed),
            now: Instant::ZERO,
            link: Link::Idle,
            streams: Streams::new(config.window_events),
            outbox: Outbox::new(config.max_pending, config.max_uploads),
            timers: TimerTable::default(),
            backoff: Backoff::new(&config),
            bucket: Bucket::new(config.attempt_burst),
            fx: Effects::default(),
            subject: config.subject,
            online: true,
            away: false,
            next_socket: 0,
            token_asked: false,
            token_refusals: 0,
            rejections: 0,
            not_before: None,
            moves_at: None,
            reconnect_from: Instant::ZERO,
            greeted_at: Instant::ZERO,
            trouble: None,
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
            parked_frames: self.streams.iter().map(|stream| stream.parked_frames() as u64).sum(),
            sends_pending: self.outbox.len() as u64,
            round_trip_ms: if let Link::Live(session) = &self.link {
                session.round_trip.as_millis()
            } else {
                0
            },
            ..self.fx.stats.clone()
        }
    }

    /// Returns the largest frame that may be sent or received now, in bytes (GEN-7).
    pub const fn max_frame_bytes(&self) -> u64 {
        if let Link::Live(session) = &self.link { session.max_frame_bytes } else { MAX_HELLO_BYTES }
    }

    /// Gives each text that the core holds: between two inputs, when no output waits, it needs no other but its words.
    pub fn texts(&self, mark: &mut dyn FnMut(Text)) {
        if let Some(subject) = self.subject {
            mark(subject);
        }
        for stream in self.streams.iter() {
            stream.texts(mark);
        }
        self.outbox.texts(mark);
    }

    // --- What the driver calls ---

    /// Takes note of what happened, and of every deadline that has passed by then. Everything that follows from it comes out
    /// of [`poll_output`](Self::poll_output).
    ///
    /// Inputs of a socket that is no longer in use are counted and otherwise harmless (I8).
    pub fn handle_input(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        self.take(input);
        // After the input: a frame that came in time for a deadline counts, however late the deadline's own timer fires.
        self.run_due_timers();
        self.look_at_health();
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Adopt { socket, token } => self.adopt(socket, token),
            Input::Away(away) => self.on_away(away),
            Input::BadFrame { socket, slot } => {
                if self.is_current(socket, Some(slot)) {
                    self.bad_server_frame(ClientError::BadServerFrame(slot));
                    self.fx.release(slot);
                }
            }
            Input::Buffered(bytes) => self.on_buffered(bytes),
            Input::Close => self.close(),
            Input::Contradiction { socket, contradiction, slot } => {
                if self.is_current(socket, Some(slot)) {
                    self.contradicted(contradiction);
                    self.fx.release(slot);
                }
            }
            Input::Connect => {
                if matches!(self.link, Link::Idle) {
                    self.try_now(Text::CONNECT);
                }
            }
            Input::Delivered { consumer, life, through } => self.on_delivered(consumer, life, through),
            Input::Flush => self.flush_subscriptions(),
            Input::Frame { socket, frame, slot, bytes } => {
                if self.is_current(socket, Some(slot)) {
                    self.on_frame(frame, slot, bytes);
                }
            }
            Input::Online(online) => self.on_online(online),
            Input::Reconnect => self.reconnect(),
            Input::RetryIn(delay) => self.retry_in(delay),
            Input::Send { kind, id, stream, body, bytes, about, first_sent } => {
                self.on_send(kind, (id, stream, about), (body, bytes), first_sent);
            }
            Input::SendTooLarge { id, stream } => {
                self.outbox.fail_too_large(id, stream, &mut self.fx);
                // While one goes at a time, the next one waited for it.
                self.flush_outbox();
            }
            Input::Signal { stream, signal } => {
                if let Link::Live(Session { socket, .. }) = self.link {
                    self.send(socket, ClientFrame::Signal { stream, signal });
                }
                self.fx.release(signal);
            }
            Input::SocketClosed { socket, code } => {
                if self.is_current(socket, None) {
                    self.on_socket_closed(code);
                }
            }
            Input::SocketOpened { socket, subprotocol } => self.on_socket_opened(socket, subprotocol),
            Input::Subscribe { stream, consumer, name, name_bytes, open, begin, max_queued } => {
                self.on_subscribe((stream, name, name_bytes), open, (consumer, begin, max_queued));
            }
            Input::Timeout => self.note_late_timer(),
            Input::TokenFailed { retryable } => self.on_token_failed(retryable),
            Input::TokenReady { token } => self.on_token(token),
            Input::Unsubscribe { consumer } => self.on_unsubscribe(consumer),
            Input::TakeBack { id, reason } => self.outbox.take_back(id, reason, &mut self.fx),
            Input::Wake => self.look_again(Text::WAKE),
        }
    }

    /// Takes the next thing to do; [`Output::Timeout`] when there is none until an input comes or the deadline is due.
    #[must_use]
    pub fn poll_output(&mut self) -> Output {
        self.fx.take().unwrap_or_else(|| Output::Timeout(self.timers.next_deadline()))
    }

    // --- Time ---

    /// A timer that fires late was held up: by the sleep of the machine, or because the page was frozen.
    fn note_late_timer(&mut self) {
        if self.timers.next_deadline().is_some_and(|at| self.now.since(at) > LATE) {
            self.look_again(Text::WAKE);
        }
    }

    fn run_due_timers(&mut self) {
        while let Some(timer) = self.timers.take_expired(self.now) {
            match timer {
                Timer::Ack => self.send_acks(),
                Timer::Answer => self.check_answers(),
                Timer::Connect => self.drop_socket(CloseCode::ABNORMAL),
                Timer::GoAway => self.move_away(),
                Timer::Heartbeat => self.check_heartbeat(),
                Timer::MissingHead => self.check_heads(),
                Timer::Receipt => self.watch_receipts(),
                Timer::Reconnect => self.attempt(Text::RETRY),
                Timer::Refresh => {
                    self.token_asked = false;
                    self.timers.set(Timer::Refresh, self.now + self.config.token_timeout);
                    self.ask_token();
                }
                Timer::Resend => self.flush_outbox(),
                Timer::Subscribe => self.subscribe_detached(),
                Timer::Token => {
                    // An answer may still come; the next attempt does not wait for it.
                    self.token_asked = false;
                    self.fx.error(ClientError::Token(Text::TOKEN_TIMEOUT));
                    self.wait_to_reconnect(Text::TOKEN_TIMEOUT);
                }
                Timer::Welcome => self.drop_socket(CloseCode::WELCOME_TIMEOUT),
            }
        }
    }

    // --- Small parts ---

    /// Tells whether an input belongs to the socket in use; if not, counts it and releases its frame (I8).
    fn is_current(&mut self, socket: SocketId, slot: Option<Slot>) -> bool {
        let current = self.link.socket() == Some(socket);
        if !current {
            self.fx.stats.stale_events += 1;
            if let Some(slot) = slot {
                self.fx.release(slot);
            }
        }
        current
    }

    fn go(&mut self, link: Link, reason: Text, retry_in: Option<Duration>) {
        let before = self.link.state();
        self.link = link;
        let state = self.link.state();
        // Another wait is news as well, because it ends at another time, and so is another attempt.
        if state != before || retry_in.is_some() || matches!(self.link, Link::Token) {
            let attempt = self.backoff.attempt();
            self.fx.report(Event::StateChanged { state, reason, retry_in, attempt });
        }
    }

    fn send(&mut self, socket: SocketId, frame: ClientFrame) {
        self.fx.push(Output::SendFrame { socket, frame });
    }

    const fn is_terminal(&self) -> bool {
        matches!(self.link, Link::Closed | Link::Failed)
    }
}
