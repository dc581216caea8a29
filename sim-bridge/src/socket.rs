//! One socket in memory, as the bridge has it: a bounded buffer on the way to the page, and a queue on the way back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use agentwire_bridge::simulation::{Frame, Gone, Received};
use futures_util::{Sink, Stream};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Messages that the buffer of a socket holds: one more waits until the page has taken one.
const BUFFER: usize = 6;

/// What a session does with its socket.
#[derive(Debug)]
pub enum Said {
    /// It sends a frame.
    Frame(Frame),
    /// It let go of the socket.
    Gone,
}

#[derive(Default)]
struct Buffer {
    used: usize,
    is_broken: bool,
    waker: Option<Waker>,
}

/// The half of the network.
pub struct FarEnd {
    to_bridge: Option<mpsc::UnboundedSender<Received>>,
    buffer: Arc<Mutex<Buffer>>,
}

impl std::fmt::Debug for FarEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FarEnd").finish_non_exhaustive()
    }
}

/// The half of the bridge.
pub struct NearEnd {
    number: u64,
    from_page: mpsc::UnboundedReceiver<Received>,
    to_page: mpsc::UnboundedSender<(u64, Said)>,
    buffer: Arc<Mutex<Buffer>>,
}

impl std::fmt::Debug for NearEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NearEnd").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Makes a socket with a number. All sockets of a run share one way to the pages.
pub fn socket(number: u64, to_page: mpsc::UnboundedSender<(u64, Said)>) -> (FarEnd, NearEnd) {
    let (to_bridge, from_page) = mpsc::unbounded_channel();
    let buffer = Arc::<Mutex<Buffer>>::default();
    let far = FarEnd { to_bridge: Some(to_bridge), buffer: Arc::clone(&buffer) };
    (far, NearEnd { number, from_page, to_page, buffer })
}

impl FarEnd {
    /// A message of the page arrives.
    pub fn arrive(&self, received: Received) {
        if let Some(to_bridge) = &self.to_bridge {
            let _ = to_bridge.send(received);
        }
    }

    /// The page has taken a message out of the buffer.
    pub fn taken(&self) {
        let mut buffer = self.buffer.lock();
        buffer.used = buffer.used.saturating_sub(1);
        if let Some(waker) = buffer.waker.take() {
            waker.wake();
        }
    }

    /// The bridge is told that the socket is broken.
    pub fn break_off(&mut self) {
        self.to_bridge = None;
        let mut buffer = self.buffer.lock();
        buffer.is_broken = true;
        if let Some(waker) = buffer.waker.take() {
            waker.wake();
        }
    }
}

impl Stream for NearEnd {
    type Item = Received;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.from_page.poll_recv(context)
    }
}

impl Sink<Frame> for NearEnd {
    type Error = Gone;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut buffer = self.buffer.lock();
        if buffer.is_broken {
            return Poll::Ready(Err(Gone));
        }
        if buffer.used >= BUFFER {
            buffer.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), Gone> {
        self.buffer.lock().used += 1;
        self.to_page.send((self.number, Said::Frame(frame))).map_err(|_| Gone)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(if self.buffer.lock().is_broken { Err(Gone) } else { Ok(()) })
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for NearEnd {
    fn drop(&mut self) {
        let _ = self.to_page.send((self.number, Said::Gone));
    }
}
