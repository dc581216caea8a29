//! What the parts of a bridge share. It knows none of them.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::auth::Gate;
use crate::bounds::buffers::Buffers;
use crate::bounds::connections::Connections;
use crate::bounds::heavy::Heavy;
use crate::bounds::users::Users;
use crate::health::Health;
use crate::hub::Hub;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::live::LiveRuns;
use crate::origins::Origins;
use crate::outside::OutsideRun;
use crate::outside::changes::Changes;
use crate::outside::leases::Leases;
use crate::seal::Seals;
use crate::tasks::Tasks;

/// Called with a run whose agent is in another process. It must be quick.
pub(crate) type OnOutsideRun = Box<dyn Fn(OutsideRun) + Send + Sync>;

/// What the parts of a bridge share.
pub(crate) struct Context {
    pub(crate) journal: Arc<Journal>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) gate: Gate,
    pub(crate) seals: Seals,
    pub(crate) live: LiveRuns,
    /// Of runs whose agents are in other processes.
    pub(crate) leases: Leases,
    /// Called for each of these runs when it begins, and for those that are open when the bridge starts.
    pub(crate) on_outside_run: Option<OnOutsideRun>,
    /// Wakes those who wait for the ledger of a stream.
    pub(crate) changes: Changes,
    pub(crate) connections: Connections,
    pub(crate) buffers: Buffers,
    pub(crate) users: Users,
    pub(crate) heavy: Heavy,
    pub(crate) health: Health,
    pub(crate) tasks: Tasks,
    /// Cancelled when the bridge stops.
    pub(crate) closing: CancellationToken,
    pub(crate) limits: Limits,
    /// Which pages may connect.
    pub(crate) origins: Origins,
    /// Whether messages wait for an agent of this bridge.
    pub(crate) has_agents: bool,
    /// Whether inboxes are notified of what happens in threads.
    pub(crate) has_inboxes: bool,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("journal", &self.journal).finish_non_exhaustive()
    }
}
