//! A door for the simulation (feature `__simulation`). It may disappear at any time.

use std::sync::Arc;

pub use axum::Error;
pub use axum::extract::ws::{CloseFrame, Message};
use futures_util::{Sink, Stream};

use crate::bridge::Bridge;
pub use crate::clock::simulated::{follow_the_runtime, now_ms};
use crate::session;

impl Bridge {
    /// Serves a socket that is a pair of streams of messages, to its end.
    pub fn serve_socket<S>(&self, socket: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + 'static,
    {
        let context = self.context();
        let session = session::run(socket, Arc::clone(context));
        context.tasks.track(session)
    }
}
