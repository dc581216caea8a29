//! The writing half of a socket, with a bounded queue.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::{Sink, SinkExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::bounds::buffers::{Buffer, Waiting};
use crate::socket::{Frame, Gone};

/// Frames that may wait for the socket.
const QUEUE: usize = 4;

pub(super) struct Writer {
    queue: mpsc::Sender<Queued>,
    /// Resolves when nothing is written any more.
    ended: oneshot::Receiver<()>,
    buffer: Arc<Buffer>,
}

/// A frame, counted among what waits for the socket until it is written. In a box: a channel has places for 32 from the
/// beginning, and most sockets are idle.
type Queued = Box<(Frame, Waiting)>;

/// A place in the queue of a writer.
pub(super) struct Room<'a> {
    queue: mpsc::Permit<'a, Queued>,
    buffer: &'a Arc<Buffer>,
}

impl Room<'_> {
    pub(super) fn send(self, frame: Frame) {
        let waiting = self.buffer.add(frame.bytes());
        self.queue.send(Box::new((frame, waiting)));
    }
}

impl Writer {
    /// A writer, and the work that writes what it is given: to be polled beside what the session does. One write may
    /// take `limit`; then the socket is given up (FLO-6).
    pub(super) fn new(
        sink: impl Sink<Frame, Error = Gone> + Unpin + Send + 'static,
        limit: Duration,
        buffer: Arc<Buffer>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, frames) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let work = async move {
            // Dropped with the work, however that ends.
            let _end = end;
            write(sink, frames, limit).await;
        };
        (Self { queue, ended, buffer }, work)
    }

    /// The socket belongs to a user from now on.
    pub(super) fn of_user(&self, buffered: Arc<AtomicUsize>) {
        self.buffer.of_user(buffered);
    }

    /// A place in the queue, if there is one. `Err` when the socket is gone.
    pub(super) fn try_place(&self) -> Result<Option<Room<'_>>, ()> {
        match self.queue.try_reserve() {
            Ok(_) if !self.buffer.has_room() => Ok(None),
            Ok(queue) => Ok(Some(Room { queue, buffer: &self.buffer })),
            Err(TrySendError::Full(())) => Ok(None),
            Err(TrySendError::Closed(())) => Err(()),
        }
    }

    /// Waits until the queue has a place.
    pub(super) async fn room(&self) {
        // A socket that is gone is seen at the next try.
        tokio::select! {
            biased;
            () = self.queue.closed() => {}
            () = self.buffer.room() => drop(self.queue.reserve().await),
        }
    }

    /// Waits until the socket is gone.
    pub(super) async fn failed(&self) {
        self.queue.closed().await;
    }

    /// Queues a frame; drops it when the socket is gone.
    pub(super) async fn send(&self, frame: String) {
        let waiting = self.buffer.add(frame.len());
        let _ = self.queue.send(Box::new((frame.into(), waiting))).await;
    }

    /// Closes the socket behind what is queued; waits at most `linger` for each of the two.
    pub(super) async fn close(self, code: u16, reason: &'static str, linger: Duration) {
        let waiting = self.buffer.add(0);
        let _ = timeout(linger, self.queue.send(Box::new((Frame::Close { code, reason }, waiting)))).await;
        self.end(linger).await;
    }

    /// Ends behind what is queued; waits at most `linger`.
    pub(super) async fn end(self, linger: Duration) {
        let Self { queue, ended, .. } = self;
        drop(queue);
        let _ = timeout(linger, ended).await;
    }
}

async fn write(
    mut sink: impl Sink<Frame, Error = Gone> + Unpin,
    mut frames: mpsc::Receiver<Queued>,
    limit: Duration,
) {
    // What waits is counted until it is written.
    while let Some(queued) = frames.recv().await {
        let (frame, _waiting) = *queued;
        let is_last = frames.is_empty();
        let written = timeout(limit, async {
            sink.feed(frame).await?;
            if is_last { sink.flush().await } else { Ok(()) }
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a socket cannot be written to");
                return;
            }
            Err(_) => {
                tracing::warn!(?limit, "a socket is closed: its page did not read for too long");
                return;
            }
        }
    }
    // Answers the close of the page, if there was one.
    let _ = timeout(limit, sink.close()).await;
}
