//! The bytes of a socket. It is read as fast as its user may send, and a large message only when there is room for it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::time::{Sleep, sleep};

use super::gauge::{Gauge, Room};
use crate::wire::MAX_HELLO_BYTES;

/// Bytes that are read before the `welcome`: one `hello`, and what stands between frames.
pub(crate) const MAX_BEFORE_WELCOME: usize = MAX_HELLO_BYTES + 16_384;

/// Bytes of one message that each socket may have in memory; for more, there has to be room.
pub(crate) const SMALL_BYTES: usize = 65_536;

/// Bytes that are read at once.
pub(crate) const CHUNK_BYTES: usize = 65_536;

/// A connection that is read by the rules of a [`Gauge`].
pub(crate) struct Line<I> {
    io: Take<I>,
    gauge: Arc<Gauge>,
    read_before_welcome: usize,
    /// Bytes that were read since a message was whole.
    since_message: usize,
    /// Room for a large message.
    large: Large,
    throttle: Option<Pin<Box<Sleep>>>,
}

enum Large {
    No,
    Waits(BoxFuture<'static, Room>),
    Has(Room),
}

impl<I: AsyncRead> Line<I> {
    pub(crate) fn new(io: I, gauge: Arc<Gauge>) -> Self {
        Self {
            io: io.take(0),
            gauge,
            read_before_welcome: 0,
            since_message: 0,
            large: Large::No,
            throttle: None,
        }
    }

    /// A message is whole, and was taken. Returns the room that it was given.
    pub(super) fn message_taken(&mut self) -> Room {
        self.since_message = 0;
        match std::mem::replace(&mut self.large, Large::No) {
            Large::Has(room) => room,
            Large::No | Large::Waits(_) => Room::default(),
        }
    }

    /// How much may be read now.
    fn poll_allowance(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(welcomed) = self.gauge.welcomed() else {
            let left = MAX_BEFORE_WELCOME.saturating_sub(self.read_before_welcome);
            if left == 0 {
                return Poll::Ready(Err(io::Error::other("too much before the welcome")));
            }
            return Poll::Ready(Ok(left));
        };
        while let Some(wait) = welcomed.bytes().wait() {
            ready!(poll_sleep(&mut self.throttle, wait, context));
        }
        if self.since_message < SMALL_BYTES {
            return Poll::Ready(Ok(SMALL_BYTES - self.since_message));
        }
        if let Large::No = self.large {
            self.large = Large::Waits(Box::pin(welcomed.large()));
        }
        if let Large::Waits(waits) = &mut self.large {
            self.large = Large::Has(ready!(waits.as_mut().poll(context)));
        }
        Poll::Ready(Ok(CHUNK_BYTES))
    }
}

/// Waits once for as long as it was when the wait began.
fn poll_sleep(slot: &mut Option<Pin<Box<Sleep>>>, wait: Duration, context: &mut Context<'_>) -> Poll<()> {
    let pause = slot.get_or_insert_with(|| Box::pin(sleep(wait)));
    ready!(pause.as_mut().poll(context));
    *slot = None;
    Poll::Ready(())
}

impl<I: AsyncRead + Unpin> AsyncRead for Line<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowance = ready!(self.poll_allowance(context))?;
        self.io.set_limit(allowance as u64);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        self.since_message += read;
        match self.gauge.welcomed() {
            Some(welcomed) => welcomed.bytes().take(read),
            None => self.read_before_welcome += read,
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(context)
    }
}
