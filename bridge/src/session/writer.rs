//! The writing half of a socket, with a bounded queue.
//!
//! The session and the writing share a task, which polls the session first. So what the session queues is written in the
//! same turn, and what the writing comes to is seen in the same turn: neither wakes the other. With a channel between
//! them each frame cost a second turn of the whole task.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Sink, SinkExt};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::bounds::buffers::{Buffer, Waiting};
use crate::socket::{Frame, Gone};

/// Frames that may wait for the socket.
const QUEUE: usize = 4;

pub(super) struct Writer {
    queue: Arc<Mutex<Queue>>,
    buffer: Arc<Buffer>,
}

#[derive(Default)]
struct Queue {
    /// Each is counted among what waits for the socket until it is written.
    frames: VecDeque<(Frame, Waiting)>,
    /// Nothing is queued any more.
    is_over: bool,
    /// Nothing is written any more.
    is_gone: bool,
}

/// A place in the queue of a writer.
pub(super) struct Room<'a>(&'a Writer);

impl Room<'_> {
    pub(super) fn send(self, frame: Frame) {
        self.0.push(frame);
    }
}

impl Writer {
    /// A writer, and the work that writes what it is given: to be polled after what the session does, in the same task.
    /// One write may take `limit`; then the socket is given up (FLO-6).
    pub(super) fn new(
        sink: impl Sink<Frame, Error = Gone> + Unpin + Send + 'static,
        limit: Duration,
        buffer: Arc<Buffer>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let queue = Arc::<Mutex<Queue>>::default();
        let work = write(sink, Arc::clone(&queue), limit);
        (Self { queue, buffer }, work)
    }

    /// The socket belongs to a user from now on.
    pub(super) fn of_user(&self, buffered: Arc<AtomicUsize>) {
        self.buffer.of_user(buffered);
    }

    /// A place in the queue, if there is one. `Err` when the socket is gone.
    pub(super) fn try_place(&self) -> Result<Option<Room<'_>>, ()> {
        let queue = self.queue.lock();
        if queue.is_gone {
            return Err(());
        }
        Ok((queue.frames.len() < QUEUE && self.buffer.has_room()).then_some(Room(self)))
    }

    /// Waits until the queue has a place.
    pub(super) async fn room(&self) {
        // A socket that is gone is seen at the next try.
        self.buffer.written_until(|| self.queue.lock().is_open() && self.buffer.has_room()).await;
    }

    /// Waits until nothing is written any more.
    pub(super) async fn gone(&self) {
        // The task polls the session again at once when the writing has ended.
        poll_fn(|_| if self.queue.lock().is_gone { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Queues a frame, as soon as there is a place; drops it when the socket is gone.
    pub(super) async fn send(&self, frame: String) {
        self.send_frame(frame.into()).await;
    }

    /// Closes the socket behind what is queued; waits at most `linger` for each of the two.
    pub(super) async fn close(self, code: u16, reason: &'static str, linger: Duration) {
        let _ = timeout(linger, self.send_frame(Frame::Close { code, reason })).await;
        self.end(linger).await;
    }

    /// Ends behind what is queued; waits at most `linger`.
    pub(super) async fn end(self, linger: Duration) {
        self.queue.lock().is_over = true;
        let _ = timeout(linger, self.gone()).await;
    }

    async fn send_frame(&self, frame: Frame) {
        self.buffer.written_until(|| self.queue.lock().is_open()).await;
        self.push(frame);
    }

    fn push(&self, frame: Frame) {
        let waiting = self.buffer.add(frame.bytes());
        let mut queue = self.queue.lock();
        if !queue.is_gone {
            queue.frames.push_back((frame, waiting));
        }
    }
}

impl Queue {
    /// Whether one more frame may be queued. Nothing waits for a socket that is gone.
    fn is_open(&self) -> bool {
        self.is_gone || self.frames.len() < QUEUE
    }
}

/// Ends the queue, however the writing ends.
struct Ends(Arc<Mutex<Queue>>);

impl Drop for Ends {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.0.lock();
            queue.is_gone = true;
            std::mem::take(&mut queue.frames)
        };
        // Whoever waits for a place is woken.
        drop(left);
    }
}

async fn write(mut sink: impl Sink<Frame, Error = Gone> + Unpin, queue: Arc<Mutex<Queue>>, limit: Duration) {
    let ends = Ends(queue);
    let next = || {
        poll_fn(|_| {
            let mut queue = ends.0.lock();
            match queue.frames.pop_front() {
                Some(next) => Poll::Ready(Some((next, queue.frames.is_empty()))),
                None if queue.is_over => Poll::Ready(None),
                // The session, which is polled before this, queues the next one.
                None => Poll::Pending,
            }
        })
    };
    // What waits is counted until it is written.
    while let Some(((frame, _waiting), is_last)) = next().await {
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
