//! The WebSocket of a library, with bounds on what it keeps.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{CloseCode, Config, Error, Message, ServerBuilder, WebSocketStream};

use super::gauge::Gauge;
use super::line::Line;
use super::{Frame, Gone, Received, Text};

/// Answers to pings that wait for the socket; at the limit it is not read.
const MAX_PONGS: usize = 8;

/// From here on, a message is kept until the next read has got a buffer of its own.
const LARGE_BYTES: usize = 8_192;

pub(crate) struct WebSocket<I> {
    inner: WebSocketStream<Line<I>>,
    gauge: Arc<Gauge>,
    /// Pings that came since everything was written.
    pongs: usize,
    /// The last large message. While it is there, the transport cannot take its buffer for the next one and keep it.
    held: Option<Bytes>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> WebSocket<I> {
    /// Takes over a connection whose handshake is done.
    pub(crate) fn new(io: I, gauge: Arc<Gauge>) -> Self {
        // A frame is one message: pages read it as such.
        let config = Config::default().frame_size(usize::MAX);
        let inner = ServerBuilder::new().config(config).serve(Line::new(io, Arc::clone(&gauge)));
        Self { inner, gauge, pongs: 0, held: None }
    }

    fn received(&mut self, message: Message) -> Received {
        let room = self.inner.get_mut().message_taken();
        if message.is_text() {
            let bytes = Bytes::from(message.into_payload());
            if bytes.len() >= LARGE_BYTES {
                self.held = Some(bytes.clone());
            }
            return Received::Text(Text { bytes, room });
        }
        if message.is_ping() {
            self.pongs += 1;
        }
        match () {
            () if message.is_binary() => Received::Binary,
            () if message.is_close() => Received::Close,
            () => Received::Control,
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<I> {
    type Item = Received;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Received>> {
        let this = &mut *self;
        if this.pongs >= MAX_PONGS {
            if ready!(Pin::new(&mut this.inner).poll_flush(context)).is_err() {
                return Poll::Ready(None);
            }
            this.pongs = 0;
        }
        let max_bytes = this.gauge.max_bytes();
        this.inner.limits_mut().set_max_payload_len(Some(max_bytes));
        let held = this.held.take();
        let polled = Pin::new(&mut this.inner).poll_next(context);
        drop(held);
        Poll::Ready(match ready!(polled) {
            Some(Ok(message)) => Some(this.received(message)),
            Some(Err(Error::Io(error))) => {
                tracing::debug!(%error, "a socket broke");
                None
            }
            Some(Err(Error::PayloadTooLong { .. })) => Some(Received::TooLarge),
            Some(Err(error)) => {
                tracing::debug!(%error, "a socket was closed: this is no message");
                Some(Received::Refused)
            }
            None => None,
        })
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Sink<Frame> for WebSocket<I> {
    type Error = Gone;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Pin::new(&mut self.inner).poll_ready(context).map_err(|_| Gone)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), Gone> {
        let message = match frame {
            Frame::Text(text) => Message::text(text),
            Frame::Ping => Message::ping(Bytes::new()),
            Frame::Close { code, reason } => Message::close(CloseCode::try_from(code).ok(), reason),
        };
        Pin::new(&mut self.inner).start_send(message).map_err(|_| Gone)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        ready!(Pin::new(&mut self.inner).poll_flush(context)).map_err(|_| Gone)?;
        self.pongs = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Pin::new(&mut self.inner).poll_close(context).map_err(|_| Gone)
    }
}
