//! The writing half of a socket, in a task of its own, with a bounded queue.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Frames that may wait for the socket.
const QUEUE: usize = 4;

pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts to write. One write may take `limit`; then the socket is given up (FLO-6).
    pub(super) fn start(sink: SplitSink<WebSocket, Message>, limit: Duration) -> Self {
        let (queue, frames) = mpsc::channel(QUEUE);
        Self { queue, task: tokio::spawn(write(sink, frames, limit)) }
    }

    /// A place in the queue, if there is one. `Err` when the socket is gone.
    pub(super) fn try_place(&self) -> Result<Option<mpsc::Permit<'_, Message>>, ()> {
        match self.queue.try_reserve() {
            Ok(place) => Ok(Some(place)),
            Err(TrySendError::Full(())) => Ok(None),
            Err(TrySendError::Closed(())) => Err(()),
        }
    }

    /// Waits until the queue has a place.
    pub(super) async fn room(&self) {
        // A socket that is gone is seen at the next try.
        let _ = self.queue.reserve().await;
    }

    /// Waits until the socket is gone.
    pub(super) async fn failed(&self) {
        self.queue.closed().await;
    }

    /// Queues a frame; drops it when the socket is gone.
    pub(super) async fn send(&self, frame: String) {
        let _ = self.queue.send(Message::Text(frame.into())).await;
    }

    /// Closes the socket behind what is queued; waits at most `linger` for each of the two.
    pub(super) async fn close(self, code: u16, reason: &'static str, linger: Duration) {
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(linger, self.queue.send(close)).await;
        self.end(linger).await;
    }

    /// Ends behind what is queued; waits at most `linger`.
    pub(super) async fn end(self, linger: Duration) {
        let Self { queue, mut task } = self;
        drop(queue);
        if timeout(linger, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut frames: mpsc::Receiver<Message>,
    limit: Duration,
) {
    while let Some(frame) = frames.recv().await {
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
