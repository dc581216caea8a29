//! A TCP proxy that breaks connections on purpose.
//!
//! It stands between a page and a server and forwards bytes both ways, until it is told to cut: at once
//! ([`Proxy::cut`]), or inside or behind the next WebSocket frame that carries events ([`Proxy::arm`]). On the way it
//! delays and throttles them ([`Proxy::weather`]). It knows how many bytes moved and when, so that a check can say how
//! many of its cuts bit.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use frames::Frames;
pub use frames::Spot;

mod frames;

/// A cut bites when bytes moved from the server to the page within this time before it.
pub const BITE: Duration = Duration::from_millis(50);

/// How many bytes are read at once in each direction; the most that one connection holds per direction.
const CHUNK: usize = 16 * 1024;

/// How long a page that was sent a close frame may take to answer it.
const ANSWER: Duration = Duration::from_secs(1);

/// The most that is forwarded at once while the rate is limited: what this time lets through.
const BEAT: Duration = Duration::from_millis(50);

/// How long the half that was finished goes on reading, so that unread bytes do not turn the FIN into an RST.
const DRAIN: Duration = Duration::from_secs(1);

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// RST: both ends get "connection reset", and what is still buffered is thrown away.
    Reset,
    /// FIN: both ends read to an early end.
    Finish,
    /// Nothing: the connection stays open at both ends, and no byte comes through it ever again.
    Stall,
    /// The page gets a close frame with this code, as if the server had sent it. Only behind a whole frame
    /// ([`Proxy::arm`] with [`Spot::Behind`]); anywhere else it is a [`Finish`](Self::Finish).
    Close(u16),
}

/// What happens to bytes on their way, in both directions. Clear by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// How long each piece of bytes is held.
    pub latency: Duration,
    /// The most that is added to it, drawn anew for each piece.
    pub jitter: Duration,
    /// What the jitter is drawn from.
    pub seed: u64,
    /// The most that goes through each direction of each connection, in bytes per second.
    pub rate: Option<u32>,
}

/// What a cut did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many open connections it broke.
    pub connections: usize,
    /// Whether bytes from the server were in flight: moved within [`BITE`], or still held here.
    pub bit: bool,
}

/// What went through the proxy since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted and forwarded.
    pub connections: u64,
    /// Connections that were reset at once, because of [`Proxy::refuse_for`] or because the server was away.
    pub refused: u64,
    /// Bytes forwarded from the server to the page.
    pub to_page: u64,
    /// Bytes forwarded from the page to the server.
    pub to_server: u64,
}

/// A running proxy; it stops when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.shared.ended.send_replace(true);
        self.shared.cut(How::Reset);
    }
}

impl Proxy {
    /// Listens on a loopback port chosen by the system and forwards to `upstream`.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            started: Instant::now(),
            order: watch::channel(How::Reset).0,
            ended: watch::channel(false).0,
            armed: Mutex::new(None),
            weather: Mutex::new(Weather::default()),
            random: Mutex::new(fastrand::Rng::with_seed(0)),
            refuse_until: Mutex::new(None),
            refusing: AtomicBool::new(false),
            frozen: watch::channel(false).0,
            moved: Notify::new(),
            open: watch::channel(0).0,
            held: AtomicUsize::new(0),
            last_to_page: AtomicU64::new(u64::MAX),
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            to_page: AtomicU64::new(0),
            to_server: AtomicU64::new(0),
        });
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accept })
    }

    /// Returns the address that pages connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every open connection now.
    pub fn cut(&self, how: How) -> Cut {
        self.shared.cut(how)
    }

    /// Breaks every open connection at this spot of the next frame of events that goes to a page.
    ///
    /// The receiver resolves when the cut is made; a later `arm` replaces an earlier one, whose receiver then fails.
    pub fn arm(&self, spot: Spot, how: How) -> oneshot::Receiver<Cut> {
        let (done, made) = oneshot::channel();
        *lock(&self.shared.armed) = Some(Armed { spot, how, done });
        made
    }

    /// Delays and throttles what is forwarded from now on.
    pub fn weather(&self, weather: Weather) {
        *lock(&self.shared.random) = fastrand::Rng::with_seed(weather.seed);
        *lock(&self.shared.weather) = weather;
    }

    /// Waits until no connection is open; one that stalls is not.
    pub async fn quiet(&self) {
        // The sender lives as long as this does.
        let _ = self.shared.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Takes back what [`arm`](Self::arm) asked for.
    pub fn disarm(&self) {
        *lock(&self.shared.armed) = None;
    }

    /// Resets every new connection at once for the next `time`.
    pub fn refuse_for(&self, time: Duration) {
        *lock(&self.shared.refuse_until) = Some(Instant::now() + time);
    }

    /// Resets every new connection at once, until it is switched off.
    pub fn refuse(&self, on: bool) {
        self.shared.refusing.store(on, Ordering::Relaxed);
    }

    /// Whether it resets new connections until it is told not to.
    pub(crate) fn is_refusing(&self) -> bool {
        self.shared.refusing.load(Ordering::Relaxed)
    }

    /// Holds all bytes in both directions, so that a connection looks open and is dead; switched off, they go on.
    pub fn freeze(&self, on: bool) {
        self.shared.frozen.send_replace(on);
    }

    /// Whether it holds all bytes.
    pub(crate) fn is_frozen(&self) -> bool {
        *self.shared.frozen.borrow()
    }

    /// Resolves when the next bytes from the server were forwarded to a page.
    ///
    /// Counts from the call, not from the first poll.
    pub fn moved(&self) -> Notified<'_> {
        self.shared.moved.notified()
    }

    /// Returns what went through so far.
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.shared.connections.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            to_page: self.shared.to_page.load(Ordering::Relaxed),
            to_server: self.shared.to_server.load(Ordering::Relaxed),
        }
    }
}

struct Armed {
    spot: Spot,
    how: How,
    done: oneshot::Sender<Cut>,
}

struct Shared {
    upstream: SocketAddr,
    started: Instant,
    order: watch::Sender<How>,
    /// The proxy is gone.
    ended: watch::Sender<bool>,
    armed: Mutex<Option<Armed>>,
    weather: Mutex<Weather>,
    random: Mutex<fastrand::Rng>,
    refuse_until: Mutex<Option<Instant>>,
    refusing: AtomicBool,
    frozen: watch::Sender<bool>,
    moved: Notify,
    open: watch::Sender<usize>,
    /// Bytes read from the server and not yet written to a page.
    held: AtomicUsize,
    /// Milliseconds from `started` to the last bytes for a page; `u64::MAX` before the first.
    last_to_page: AtomicU64,
    connections: AtomicU64,
    refused: AtomicU64,
    to_page: AtomicU64,
    to_server: AtomicU64,
}

impl Shared {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bites(&self) -> bool {
        let last = self.last_to_page.load(Ordering::Relaxed);
        let recent =
            last != u64::MAX && u128::from(self.elapsed_ms().saturating_sub(last)) <= BITE.as_millis();
        recent || self.held.load(Ordering::Relaxed) > 0
    }

    fn cut(&self, how: How) -> Cut {
        let connections = *self.open.borrow();
        let cut = Cut { connections, bit: connections > 0 && self.bites() };
        self.order.send_replace(how);
        cut
    }

    fn refuses(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
            || lock(&self.refuse_until).is_some_and(|until| Instant::now() < until)
    }

    /// Waits as long as the weather holds a piece of bytes.
    async fn delayed(&self) {
        let Weather { latency, jitter, .. } = *lock(&self.weather);
        let jitter = jitter.mul_f64(lock(&self.random).f64());
        if !(latency + jitter).is_zero() {
            tokio::time::sleep(latency + jitter).await;
        }
    }

    /// Writes all of `bytes`, as fast as the weather lets them through.
    async fn write(&self, to: &mut WriteHalf<'_>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let rate = lock(&self.weather).rate;
            let Some(rate) = rate else {
                return to.write_all(bytes).await;
            };
            let most = (f64::from(rate) * BEAT.as_secs_f64()).max(1.0) as usize;
            let (piece, rest) = bytes.split_at(most.min(bytes.len()));
            to.write_all(piece).await?;
            tokio::time::sleep(BEAT.mul_f64(piece.len() as f64 / most as f64)).await;
            bytes = rest;
        }
        Ok(())
    }

    /// Waits while traffic is frozen.
    async fn thawed(&self) {
        // The sender lives as long as this does.
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
    }
}

/// A panic elsewhere leaves these values whole, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((page, _)) = listener.accept().await else {
            continue;
        };
        if shared.refuses() {
            refuse(page, &shared);
            continue;
        }
        tokio::spawn(serve(page, Arc::clone(&shared)));
    }
}

fn refuse(page: TcpStream, shared: &Shared) {
    shared.refused.fetch_add(1, Ordering::Relaxed);
    // Without it the close is a FIN, which is still a refusal.
    let _ = page.set_zero_linger();
}

async fn serve(mut page: TcpStream, shared: Arc<Shared>) {
    // Subscribed before the connection counts as open, so that no cut misses it.
    let mut order = shared.order.subscribe();
    let Ok(mut server) = TcpStream::connect(shared.upstream).await else {
        refuse(page, &shared);
        return;
    };
    let _ = page.set_nodelay(true);
    let _ = server.set_nodelay(true);
    shared.connections.fetch_add(1, Ordering::Relaxed);
    shared.open.send_modify(|open| *open += 1);
    let how = {
        let (mut from_page, mut to_page) = page.split();
        let (mut from_server, mut to_server) = server.split();
        tokio::select! {
            // The page's side first: a cut that was ordered wins over bytes that are there as well.
            biased;
            changed = order.changed() => match changed {
                // Only the pump knows where a frame ends.
                Ok(()) => match *order.borrow() {
                    How::Close(_) => How::Finish,
                    how => how,
                },
                Err(_) => How::Reset,
            },
            how = to_page_pump(&mut from_server, &mut to_page, &shared) => how,
            how = to_server_pump(&mut from_page, &mut to_server, &shared) => how,
        }
    };
    shared.open.send_modify(|open| *open -= 1);
    match how {
        How::Reset => {
            let _ = page.set_zero_linger();
            let _ = server.set_zero_linger();
        }
        How::Finish => {
            let _ = page.shutdown().await;
            let _ = server.shutdown().await;
            let drained = async { tokio::join!(drain(&mut page), drain(&mut server)) };
            let _ = tokio::time::timeout(DRAIN, drained).await;
        }
        How::Stall => {
            let mut ended = shared.ended.subscribe();
            // What the server does is not told to the page, not even its end; only the page's own end frees this.
            let swallow = async { tokio::join!(drain(&mut server), std::future::pending::<()>()) };
            tokio::select! {
                () = drain(&mut page) => {}
                _ = swallow => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
        }
        How::Close(code) => {
            let _ = server.set_zero_linger();
            drop(server);
            let [high, low] = code.to_be_bytes();
            // A close frame with a code and no reason; a server does not mask.
            if page.write_all(&[0x88, 2, high, low]).await.is_ok() {
                let _ = tokio::time::timeout(ANSWER, answered(&mut page)).await;
                // The server's side ends the connection, when both have said good-bye (RFC 6455, section 7.1.1).
                let _ = page.shutdown().await;
                let _ = tokio::time::timeout(DRAIN, drain(&mut page)).await;
            }
        }
    }
}

/// Forwards to the page until an end, an error or an armed cut; says how to close.
async fn to_page_pump(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, shared: &Shared) -> How {
    let mut frames = Frames::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = match from.read(&mut chunk).await {
            Ok(0) => return How::Finish,
            Ok(count) => &chunk[..count],
            Err(_) => return How::Reset,
        };
        let (bytes, armed) = {
            let mut slot = lock(&shared.armed);
            match frames.advance(bytes, slot.as_ref().map(|armed| armed.spot)) {
                Some(end) => (&bytes[..end], slot.take()),
                None => (bytes, None),
            }
        };
        let held = Held::new(&shared.held, bytes.len());
        shared.thawed().await;
        shared.delayed().await;
        let written = shared.write(to, bytes).await;
        drop(held);
        if written.is_err() {
            return How::Reset;
        }
        shared.to_page.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        shared.last_to_page.store(shared.elapsed_ms(), Ordering::Relaxed);
        shared.moved.notify_waiters();
        if let Some(armed) = armed {
            let cut = shared.cut(armed.how);
            // Nobody may be waiting any more; the cut is made all the same.
            let _ = armed.done.send(cut);
            return armed.how;
        }
    }
}

async fn to_server_pump(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, shared: &Shared) -> How {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk).await {
            Ok(0) => {
                // The page has said all; what the server still answers goes through before the other pump ends this.
                if to.shutdown().await.is_err() {
                    return How::Reset;
                }
                std::future::pending::<()>().await;
            }
            Ok(count) => {
                shared.thawed().await;
                shared.delayed().await;
                if shared.write(to, &chunk[..count]).await.is_err() {
                    return How::Reset;
                }
                shared.to_server.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(_) => return How::Reset,
        }
    }
}

/// Reads until the page has answered a close frame or is gone: its frame has a mask and two bytes of code.
async fn answered(page: &mut TcpStream) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = page.read(&mut chunk).await {
        if chunk[..count].windows(2).rev().nth(6).is_some_and(|start| start == [0x88, 0x82]) {
            return;
        }
    }
}

async fn drain(stream: &mut TcpStream) {
    let mut chunk = [0; 4096];
    while matches!(stream.read(&mut chunk).await, Ok(count) if count > 0) {}
}

/// Counts bytes as held while it lives, also when its future is dropped in the middle of a write.
struct Held<'a> {
    total: &'a AtomicUsize,
    count: usize,
}

impl<'a> Held<'a> {
    fn new(total: &'a AtomicUsize, count: usize) -> Self {
        total.fetch_add(count, Ordering::Relaxed);
        Self { total, count }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
