//! What a client has counted.

/// Counters of one client since it was made. They only grow, except those that say "now".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(target_arch = "wasm32", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Stats {
    /// Attempts to connect.
    pub attempts: u64,
    /// Welcomes.
    pub connects: u64,
    /// Frames that came on the socket in use.
    pub frames_received: u64,
    /// Frames of an unknown type, or of a stream that is not subscribed (GEN-3, SUB-12).
    pub frames_ignored: u64,
    /// Malformed or contradictory frames (GEN-4).
    pub malformed_frames: u64,
    /// Events delivered, counted per consumer.
    pub events_delivered: u64,
    /// Events delivered that were replays, counted per consumer.
    pub events_replayed: u64,
    /// Events that came again and were dropped.
    pub duplicates_dropped: u64,
    /// Frames that came before what precedes them.
    pub out_of_order: u64,
    /// `replay` requests sent.
    pub replay_requests: u64,
    /// Gaps that the server declared.
    pub gaps: u64,
    /// `ack` frames sent.
    pub acks_sent: u64,
    /// Inputs of a socket that is no longer in use.
    pub stale_events: u64,
    /// Early frames that wait, now.
    pub parked_frames: u64,
    /// Sends without a receipt, now.
    pub sends_pending: u64,
}
