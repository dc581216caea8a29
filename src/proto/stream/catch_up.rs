//! What a consumer was missing, and what of it came.

use crate::proto::{
    output::{Gap, ResumeResult},
    text::Text,
};

/// The catch-up of one consumer: from the request for its stream until the last missing offset was sent to it.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// The first offset that it was missing; 0 until it has a place.
    pub(super) from: u64,
    pub(super) replayed: u64,
    pub(super) duplicates: u64,
    pub(super) gap: Option<Gap>,
    /// What exists of a new epoch and is not owed to it, because the stream was not opened from the start.
    pub(super) skipped: Option<(u64, u64)>,
    /// Requests that it took.
    pub(super) attempts: u32,
}

impl CatchUp {
    /// `next` is the consumer's next offset, `through` the end of the catch-up, `open_runs` the runs open there.
    pub(super) fn result(
        self,
        epoch: Text,
        next: u64,
        through: u64,
        open_runs: Option<&[Text]>,
    ) -> ResumeResult {
        // A consumer that begins behind the end of the catch-up missed nothing, and the runs open there say nothing
        // about the place where it is.
        let began_behind = self.from > through + 1;
        ResumeResult {
            recovered: self.gap.is_none(),
            epoch,
            from: self.from,
            to: if began_behind { next - 1 } else { through },
            replayed: self.replayed,
            duplicates_dropped: self.duplicates,
            gap: self.gap,
            skipped: self.skipped,
            attempts: self.attempts,
            open_runs: open_runs.filter(|_| !began_behind).map(<[Text]>::to_vec),
        }
    }
}
