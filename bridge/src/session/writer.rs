//! The writing half of a socket, in a task of its own, with a bounded queue.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use futures_util::{Sink, SinkExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::buffers::{Buffer, Waiting};

/// Frames that may wait for the socket.
const QUEUE: usize = 4;

pub(super) struct Writer {
    queue: mpsc::Sender<Frame>,
    task: JoinHandle<()>,
    buffer: Arc<Buffer>,
}

/// A message, counted among what waits for the socket until it is written.
type Frame = (Message, Waiting);

/// A place in the queue of a writer.
pub(super) struct Room<'a> {
    queue: mpsc::Permit<'a, Frame>,
    buffer: &'a Arc<Buffer>,
}

impl Room<'_> {
    pub(super) fn send(self, message: Message) {
        let waiting = self.buffer.add(bytes_of(&message));
        self.queue.send((message, waiting));
    }
}

fn bytes_of(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

impl Writer {
    /// Starts to write. One write may take `limit`; then the socket is given up (FLO-6).
    pub(super) fn start(
        sink: impl Sink<Message, Error = axum::Error> + Unpin + Send + 'static,
        limit: Duration,
        buffer: Arc<Buffer>,
    ) -> Self {
        let (queue, frames) = mpsc::channel(QUEUE);
        Self { queue, task: tokio::spawn(write(sink, frames, limit)), buffer }
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
        let _ = self.queue.send((Message::Text(frame.into()), waiting)).await;
    }

    /// Closes the socket behind what is queued; waits at most `linger` for each of the two.
    pub(super) async fn close(self, code: u16, reason: &'static str, linger: Duration) {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let waiting = self.buffer.add(0);
        let _ = timeout(linger, self.queue.send((close, waiting))).await;
        self.end(linger).await;
    }

    /// Ends behind what is queued; waits at most `linger`.
    pub(super) async fn end(self, linger: Duration) {
        let Self { queue, mut task, .. } = self;
        drop(queue);
        if timeout(linger, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn write(
    mut sink: impl Sink<Message, Error = axum::Error> + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    limit: Duration,
) {
    // What waits is counted until it is written.
    while let Some((frame, _waiting)) = frames.recv().await {
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
