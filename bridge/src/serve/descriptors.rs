//! How many files and sockets the process can have open.

/// Descriptors that connections leave alone: for the log, for logs of lines, and for what else the process opens.
#[cfg(unix)]
const RESERVE: u64 = 64;

/// How many connections there can be: as many as are wanted, or as the system allows. Asks the system to allow as many
/// as it can.
#[cfg(unix)]
pub(super) fn sockets(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed = if raised.is_ok() { limit.maximum } else { limit.current };
    let Some(allowed) = allowed else { return wanted };
    let most = usize::try_from(allowed.saturating_sub(RESERVE.min(allowed / 2))).unwrap_or(usize::MAX);
    if most < wanted {
        tracing::warn!(
            wanted,
            most,
            "the system allows fewer open files than there may be connections; raise `ulimit -n` or lower `max_connections`"
        );
    }
    wanted.min(most)
}

#[cfg(not(unix))]
pub(super) fn sockets(wanted: usize) -> usize {
    wanted
}
