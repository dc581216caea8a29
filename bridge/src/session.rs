//! One socket of a page: who it is, and then frames in both directions until one side ends it.

mod acts;
mod approvals;
mod commands;
mod control;
mod in_flight;
mod order;
mod pump;
mod receipts;
mod requests;
mod sends;
mod signals;
mod silence;
mod subscribe;
mod subscription;
mod writer;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::control::Control;
use self::order::{Order, Place};
use self::silence::Silence;
use self::subscription::Subscription;
use self::writer::Writer;
use crate::auth::{AuthError, Identity};
use crate::bounds::connections::{ConnectionPermit, Full};
use crate::bounds::users::User;
use crate::clock::now_ms;
use crate::context::Context;
use crate::hub::Signal;
use crate::log::LogError;
use crate::measures;
use crate::socket::{Gauge, Received, Socket, Text};
use crate::wire::encode::{self, ServerFrame};
use crate::wire::{ClientFrame, Hello, MAX_HELLO_BYTES, Malformed, Window, close, decode};

/// Signals that may wait for a session; one more is lost (SIG-1).
const MAX_SIGNALS: usize = 16;

/// How much of the name of a client goes into a log line.
const MAX_CLIENT_CHARS: usize = 64;

/// Bytes that a message may be larger than a frame may be, and is read all the same: its page learns why its socket is
/// closed. The transport closes on a larger one.
const SLACK_BYTES: usize = 65_536;

/// How long the end of a session waits for its last frames, and for the page to close its side.
const LINGER: Duration = Duration::from_secs(2);

static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The socket broke, or cannot be written to.
    Gone,
    /// Nothing came from the socket for too long: its page vanished.
    Silent,
    /// The page has closed the socket.
    Left,
    /// The transport has closed the socket, with a reason of its own.
    Refused,
    /// Another end with an `error` frame before the close.
    Error { code: &'static str, close: u16, message: String, retryable: bool, remediation: &'static str },
    /// No `hello` came.
    HelloTimeout,
    /// The bridge stops.
    GoingAway,
}

impl End {
    fn too_large(max: usize) -> Self {
        Self::Error {
            code: "message_too_large",
            close: close::FRAME_TOO_LARGE,
            message: format!("the frame is larger than {max} bytes"),
            retryable: false,
            remediation: "Send less, or store the bulk elsewhere.",
        }
    }

    fn token_expired() -> Self {
        AuthError::Expired.into()
    }

    /// What it is called where it is counted.
    fn name(&self) -> &'static str {
        match self {
            Self::Error { code, .. } => code,
            Self::HelloTimeout => "hello_timeout",
            Self::GoingAway => "going_away",
            Self::Gone | Self::Silent | Self::Left | Self::Refused => "left",
        }
    }

    fn overloaded(message: String, remediation: &'static str) -> Self {
        let (code, close) = ("overloaded", close::OVERLOADED);
        Self::Error { code, close, message, retryable: true, remediation }
    }

    fn hello_expected() -> Self {
        Self::Error {
            code: "hello_expected",
            close: close::BAD_FRAME,
            message: "the first frame must be `hello`".to_owned(),
            retryable: false,
            remediation: "Send `hello` first.",
        }
    }
}

impl From<Full> for End {
    fn from(full: Full) -> Self {
        match full {
            Full::Opening => Self::overloaded(
                "too many sockets of this server have not sent a valid `hello` yet".to_owned(),
                "Reconnect later, and send `hello` at once.",
            ),
            Full::All => {
                Self::overloaded("this server has too many connections".to_owned(), "Reconnect later.")
            }
            Full::User => Self::overloaded(
                "this user has too many connections".to_owned(),
                "Close a connection of another page or device, then reconnect.",
            ),
        }
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self::Error {
            code: "bad_frame",
            close: close::BAD_FRAME,
            message: malformed.to_string(),
            retryable: false,
            remediation: "Send frames as docs/PROTOCOL.md says.",
        }
    }
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        tracing::warn!(%error, "a session ends: the log does not answer");
        Self::Error {
            code: "unavailable",
            close: close::INTERNAL,
            message: "the log cannot be used now".to_owned(),
            retryable: true,
            remediation: "Reconnect.",
        }
    }
}

impl From<AuthError> for End {
    fn from(error: AuthError) -> Self {
        let (code, close, retryable, remediation) = match error {
            AuthError::Invalid(_) => {
                ("token_invalid", close::TOKEN_INVALID, true, "Get a new token for this server.")
            }
            AuthError::Expired => ("token_expired", close::TOKEN_EXPIRED, true, "Get a new token."),
            AuthError::Forbidden => ("forbidden", close::FORBIDDEN, false, "Ask for access."),
            AuthError::Unavailable(_) => ("unavailable", close::INTERNAL, true, "Reconnect later."),
        };
        Self::Error { code, close, message: error.to_string(), retryable, remediation }
    }
}

/// What a page sends.
trait Messages: Stream<Item = Received> + Unpin {}

impl<M: Stream<Item = Received> + Unpin> Messages for M {}

/// Serves one socket to its end. Reading and writing share one task.
pub(crate) async fn run(socket: impl Socket, gauge: Arc<Gauge>, context: Arc<Context>) {
    let (sink, messages) = socket.split();
    let buffer = context.buffers.buffer(&context.limits);
    let (writer, writing) = Writer::new(sink, context.limits.write_timeout, buffer);
    let mut session = pin!(converse(context, gauge, writer, messages));
    tokio::select! {
        // In this order: the writing takes what the session has queued.
        biased;
        () = &mut session => return,
        () = writing => {}
    }
    // The session sees that nothing is written any more.
    session.await;
}

async fn converse(context: Arc<Context>, gauge: Arc<Gauge>, writer: Writer, mut messages: impl Messages) {
    let mut answers = Answers::new();
    // In boxes is what happens once: a task is as large as its largest state, as long as it lives.
    let end = match Box::pin(open(&context, &mut messages)).await {
        Ok((hello, identity, permit, revoked)) => {
            let user = permit.user();
            writer.of_user(Arc::clone(&user.buffered));
            gauge.welcome(context.limits.max_frame_bytes + SLACK_BYTES, Arc::clone(&user.intake));
            let mut session =
                Session::new(Arc::clone(&context), &hello, &identity, Arc::clone(user), revoked);
            let client: String = hello.client.chars().take(MAX_CLIENT_CHARS).collect();
            let (instance, device) = (&hello.instance, &hello.device);
            tracing::info!(session = session.name, user = ?identity.subject, ?client, ?instance, ?device, "page connected");
            measures::welcomed();
            session.welcome();
            // Before the streams are looked up, which can take as long as the log.
            session.flush(&writer).await;
            let end = match Box::pin(session.subscribe(hello.streams)).await {
                Ok(()) => session.serve(&writer, &mut messages).await,
                Err(end) => end,
            };
            tracing::info!(session = session.name, ?end, "page left");
            session.flush(&writer).await;
            answers = std::mem::take(&mut session.answers);
            end
        }
        Err(end) => {
            measures::refused(end.name());
            tracing::debug!(?end, "a socket was not opened");
            end
        }
    };
    Box::pin(finish(end, &context, writer, messages, &mut answers)).await;
}

/// Waits for a valid `hello` with a valid token, and for a place among the sockets of its user.
async fn open(
    context: &Context,
    messages: &mut impl Messages,
) -> Result<(Hello, Identity, ConnectionPermit, CancellationToken), End> {
    let refused = |full: Full| {
        tracing::warn!(?full, "a socket was refused: too many are open");
        End::from(full)
    };
    let opening = context.connections.open().map_err(refused)?;
    let first = async {
        loop {
            let max_bytes = MAX_HELLO_BYTES.min(context.limits.max_frame_bytes);
            if let Some(text) = text_of(messages.next().await, max_bytes)? {
                return Ok::<_, End>(text);
            }
        }
    };
    let text = tokio::select! {
        biased;
        text = timeout(context.limits.hello_timeout, first) => text.map_err(|_| End::HelloTimeout)??,
        // One that is new may have more to say.
        () = opening.displaced() => return Err(refused(Full::Opening)),
        () = context.closing.cancelled() => return Err(End::GoingAway),
    };
    opening.keep().map_err(refused)?;
    let Some(ClientFrame::Hello(hello)) = decode(text.as_str())? else {
        return Err(End::hello_expected());
    };
    loop {
        let revocations = context.users.revocations();
        let identity = context.gate.identify(&hello.token.0).await?;
        let user = context.users.of(&identity.subject);
        let revoked = user.revoked();
        // A user that was revoked meanwhile may be this one: the token is checked again, with the socket in reach.
        if revocations == context.users.revocations() {
            let permit = context.connections.permit(user).map_err(refused)?;
            return Ok((hello, identity, permit, revoked));
        }
    }
}

/// The text of a message; `None` for those of the transport.
fn text_of(message: Option<Received>, max_bytes: usize) -> Result<Option<Text>, End> {
    match message {
        Some(Received::Text(text)) if text.as_str().len() > max_bytes => Err(End::too_large(max_bytes)),
        Some(Received::Text(text)) => Ok(Some(text)),
        Some(Received::Binary) => Err(Malformed::NotAnObject.into()),
        Some(Received::Control) => Ok(None),
        Some(Received::Close) => Err(End::Left),
        Some(Received::TooLarge) => Err(End::too_large(max_bytes)),
        Some(Received::Refused) => Err(End::Refused),
        None => Err(End::Gone),
    }
}

/// Says why, answers what is still under way if the bridge goes away, and closes.
async fn finish(
    end: End,
    context: &Context,
    writer: Writer,
    mut messages: impl Messages,
    answers: &mut Answers,
) {
    let (code, reason) = match end {
        // Nobody would read why.
        End::Gone | End::Silent => return,
        End::Left | End::Refused => {
            // The close of the transport goes out, or its answer to that of the page.
            writer.end(LINGER).await;
            return;
        }
        End::HelloTimeout => (close::HELLO_TIMEOUT, "hello_timeout"),
        End::Error { code, close, message, retryable, remediation } => {
            let remediation = Some(remediation);
            let frame = ServerFrame::Error { code, message: &message, retryable, remediation, req: None };
            writer.send(frame.encode()).await;
            (close, code)
        }
        End::GoingAway => {
            let limits = &context.limits;
            let frame = ServerFrame::Goaway {
                reason: "shutdown",
                reconnect_after_ms: millis(limits.goaway_reconnect_after),
                spread_ms: millis(limits.goaway_spread),
            };
            writer.send(frame.encode()).await;
            let last = async {
                while let Some(answer) = answers.next().await {
                    writer.send(answer.frame).await;
                }
            };
            if timeout(LINGER, last).await.is_err() {
                tracing::warn!("a socket closes with answers under way; its page will ask again");
            }
            (close::GOING_AWAY, "going_away")
        }
    };
    writer.close(code, reason, LINGER).await;
    // What the page still sends is read, so that the close arrives and not a reset.
    let drain = async { while messages.next().await.is_some() {} };
    let _ = timeout(LINGER, drain).await;
}

/// Answers to sends, cancels and approvals that wait for the log, in the order these came.
type Answers = FuturesOrdered<BoxFuture<'static, Answer>>;

/// What a send, a cancel or an approval has come to.
struct Answer {
    place: Place,
    /// The receipt.
    frame: String,
    /// Whether the page is to send it again.
    is_owed: bool,
}

struct Session {
    context: Arc<Context>,
    /// Tells sessions apart inside the hub.
    id: u64,
    /// Names the session in logs.
    name: String,
    subject: Arc<str>,
    user: Arc<User>,
    /// Cancelled when the user is revoked.
    revoked: CancellationToken,
    /// Whether the page reads `deltas`.
    reads_deltas: bool,
    window: Window,
    expires: Option<Instant>,
    heartbeat_due: Instant,
    /// Whether a ping of the transport goes out next.
    ping_due: bool,
    silence: Silence,
    subscriptions: Vec<Subscription>,
    next_ch: u32,
    /// Which subscription is served next.
    turn: usize,
    control: Control,
    answers: Answers,
    order: Order,
    wake: Arc<Notify>,
    /// In boxes: a channel has places for 32 from the beginning.
    signals: mpsc::Receiver<Box<Signal>>,
    signal_sender: mpsc::Sender<Box<Signal>>,
    ignored: u64,
}

impl Session {
    fn new(
        context: Arc<Context>,
        hello: &Hello,
        identity: &Identity,
        user: Arc<User>,
        revoked: CancellationToken,
    ) -> Self {
        let (signal_sender, signals) = mpsc::channel(MAX_SIGNALS);
        let mut session = Self {
            id: SESSIONS.fetch_add(1, Ordering::Relaxed),
            name: format!("s-{}", Uuid::new_v4().simple()),
            subject: identity.subject.as_str().into(),
            user,
            revoked,
            reads_deltas: hello.reads_deltas,
            window: hello.window,
            expires: None,
            heartbeat_due: Instant::now() + context.limits.heartbeat,
            ping_due: false,
            silence: Silence::new(context.limits.idle_timeout()),
            subscriptions: Vec::new(),
            next_ch: 1,
            turn: 0,
            control: Control::default(),
            answers: Answers::new(),
            order: Order::default(),
            wake: Arc::new(Notify::new()),
            signals,
            signal_sender,
            ignored: 0,
            context,
        };
        session.expire_at(identity.expires_at_ms);
        session
    }

    /// Notes when the token is over; returns how long that is.
    fn expire_at(&mut self, expires_at_ms: Option<u64>) -> Option<u64> {
        let left = expires_at_ms.map(|expires| expires.saturating_sub(now_ms()));
        // Further than a year counts as a year: the clock of the runtime has an end.
        self.expires = left.map(|left| Instant::now() + Duration::from_millis(left.min(31_536_000_000)));
        left
    }

    fn welcome(&mut self) {
        let limits = &self.context.limits;
        let token_expires_in_ms =
            self.expires.map(|expires| millis(expires.saturating_duration_since(Instant::now())));
        let backoff_max = limits.backoff_max.unwrap_or_else(|| self.context.connections.backoff_max());
        let welcome = ServerFrame::Welcome {
            session: &self.name,
            subject: &self.subject,
            heartbeat_ms: millis(limits.heartbeat),
            max_frame_bytes: limits.max_frame_bytes,
            max_streams: limits.max_streams,
            send_horizon_ms: millis(limits.send_horizon),
            token_expires_in_ms,
            backoff_max_ms: millis(backoff_max),
            time: now_ms(),
            features: [],
        };
        let welcome = welcome.encode();
        self.control.push_back(welcome);
    }

    /// Moves frames in both directions until one side ends it.
    async fn serve(&mut self, writer: &Writer, messages: &mut impl Messages) -> End {
        // What is waited for in each turn is made once: each of these is known to others while it waits.
        let mut closing = pin!(self.context.closing.clone().cancelled_owned());
        let mut revoked = pin!(self.revoked.clone().cancelled_owned());
        let mut failed = pin!(writer.gone());
        let wake = Arc::clone(&self.wake);
        let mut woken = pin!(wake.notified());
        let mut timer = pin!(sleep_until(self.heartbeat_due));
        loop {
            // Here and not only when the timer wins: a busy page must not miss its heartbeats.
            if let Err(end) = self.on_timer() {
                return end;
            }
            let filled = match self.fill(writer).await {
                Ok(filled) => filled,
                Err(end) => return end,
            };
            let most = self.context.limits.max_pending_sends;
            if self.order.owed() > most {
                let message = format!("more than {most} sends have to come again");
                return End::overloaded(message, "Reconnect, and send again in the first order.");
            }
            // A socket that sends more than its user may is read when the time has come.
            let paced = self.user.intake.frames.wait().map(|wait| Instant::now() + wait);
            let has_room = paced.is_none()
                && self.control.has_room(self.context.limits.max_buffered_bytes)
                && self.answers.len() < self.context.limits.max_pending_sends;
            // A socket that is not read now is not silent.
            let silent_at = self.silence.due().filter(|_| has_room);
            let deadlines = [self.expires, filled.live_due, paced, silent_at];
            let deadline = deadlines.into_iter().flatten().fold(self.heartbeat_due, Instant::min);
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            // In this order, so that the same events always do the same. Nothing waits for ever behind another branch: the
            // page is sent what there is, and timers run, at the top of each turn; answers come to sends alone, which
            // are read after them; and a signal may be lost.
            tokio::select! {
                biased;
                () = &mut closing => return End::GoingAway,
                () = &mut revoked => {
                    return AuthError::Invalid("its user was revoked".to_owned()).into();
                }
                () = &mut failed => return End::Gone,
                Some(answer) = self.answers.next() => {
                    self.order.leave(&answer.place, answer.is_owed);
                    self.control.push_back(answer.frame);
                }
                message = messages.next(), if has_room => {
                    if let Err(end) = self.on_message(message).await {
                        return end;
                    }
                }
                () = &mut timer => {
                    if silent_at.is_some_and(|at| at <= Instant::now()) {
                        // What came while this session waited for something else is heard first.
                        tokio::task::yield_now().await;
                        let Some(message) = messages.next().now_or_never() else {
                            return End::Silent;
                        };
                        if let Err(end) = self.on_message(message).await {
                            return end;
                        }
                    }
                }
                () = writer.room(), if filled.is_blocked => {}
                () = &mut woken => woken.set(wake.notified()),
                Some(signal) = self.signals.recv(), if has_room => self.on_signal(&signal),
            }
        }
    }

    /// Something came from the socket, or it ended.
    async fn on_message(&mut self, message: Option<Received>) -> Result<(), End> {
        self.silence.broken();
        self.user.intake.frames.take(1);
        match text_of(message, self.context.limits.max_frame_bytes)? {
            Some(text) => self.on_text(text).await,
            None => Ok(()),
        }
    }

    fn on_timer(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(End::token_expired());
        }
        if self.heartbeat_due <= now {
            self.heartbeat_due = now + self.context.limits.heartbeat;
            self.ping_due = true;
            // A page that does not read gets one heartbeat when it does.
            if self.control.has_room(self.context.limits.max_buffered_bytes) {
                let may_know = self.subscriptions.iter().filter(|stream| stream.ended().is_none());
                let heads: Vec<_> = may_know.filter_map(|stream| stream.head(&self.context.seals)).collect();
                self.control.extend(encode::heartbeats(&heads, self.context.limits.max_frame_bytes));
            }
        }
        Ok(())
    }

    /// Sends what was answered so far, such as what stands before an error.
    async fn flush(&mut self, writer: &Writer) {
        let flush = async {
            while let Some(frame) = self.control.pop_front() {
                writer.send(frame).await;
            }
        };
        let _ = timeout(LINGER, flush).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
