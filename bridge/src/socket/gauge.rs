//! What a socket may send: little before its page is known, and what its user may send after that.

use std::sync::{Arc, OnceLock};

use tokio::sync::OwnedSemaphorePermit;

use crate::bounds::pace::Pace;
use crate::bounds::users::Intake;
use crate::wire::MAX_HELLO_BYTES;

/// What a socket may send. Shared by the session, which says who the user is, and the transport, which obeys.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    welcomed: OnceLock<Welcomed>,
}

#[derive(Debug)]
pub(super) struct Welcomed {
    max_bytes: usize,
    intake: Arc<Intake>,
}

/// Room for a large message; given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room(#[expect(dead_code, reason = "held")] Vec<OwnedSemaphorePermit>);

impl Gauge {
    /// The page is known from now on.
    pub(crate) fn welcome(&self, max_bytes: usize, intake: Arc<Intake>) {
        // A socket is welcomed once.
        let _ = self.welcomed.set(Welcomed { max_bytes, intake });
    }

    pub(super) fn welcomed(&self) -> Option<&Welcomed> {
        self.welcomed.get()
    }

    /// The largest message that is read.
    pub(super) fn max_bytes(&self) -> usize {
        self.welcomed().map_or(MAX_HELLO_BYTES, |welcomed| welcomed.max_bytes)
    }
}

impl Welcomed {
    pub(super) fn bytes(&self) -> &Pace {
        &self.intake.bytes
    }

    /// Waits until a large message may be read.
    pub(super) fn large(&self) -> impl Future<Output = Room> + Send + use<> {
        let gates = self.intake.large.clone();
        async move {
            let mut permits = Vec::with_capacity(gates.len());
            for gate in gates {
                // Nobody closes them.
                permits.extend(gate.acquire_owned().await);
            }
            Room(permits)
        }
    }
}
