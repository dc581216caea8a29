//! A door for the simulation (feature `__simulation`). It may disappear at any time.

use std::sync::Arc;

use crate::bridge::Bridge;
pub use crate::clock::simulated::{follow_the_runtime, now_ms};
use crate::session;
use crate::socket::Gauge;
pub use crate::socket::{Frame, Gone, Received, Socket};

impl Bridge {
    /// Serves a socket that is a pair of streams of messages, to its end.
    pub fn serve_socket<S: Socket>(&self, socket: S) -> impl Future<Output = ()> + Send + use<S> {
        let context = self.context();
        let session = session::run(socket, Arc::<Gauge>::default(), Arc::clone(context));
        context.tasks.track(session)
    }
}
