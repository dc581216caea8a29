//! The body of a request, which has to come in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// Lets the body of one request take as long as it likes, if no part of it is late: an extension of each request that
/// [`Bridge::serve`](crate::Bridge::serve) passes on.
#[derive(Clone, Debug, Default)]
pub struct LongBody(Arc<AtomicBool>);

impl LongBody {
    /// From now on `limits.body_timeout` is the time for each part of the body.
    pub fn allow(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A body that ends with an error when it has not come in time, however it comes.
pub(super) struct WithDeadline {
    body: Incoming,
    limit: Duration,
    long: LongBody,
    /// Begins with the first read: a handler may read late.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl WithDeadline {
    pub(super) fn new(body: Incoming, limit: Duration, long: LongBody) -> Self {
        Self { body, limit, long, deadline: None }
    }
}

impl Body for WithDeadline {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if self.long.0.load(Ordering::Relaxed) {
                self.deadline = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        deadline.as_mut().poll(context).map(|()| {
            let message = format!("the body did not come within {limit:?}");
            Some(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
