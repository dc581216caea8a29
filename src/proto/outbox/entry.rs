//! One send that has no receipt yet, and which receipts can answer it.

use crate::proto::{
    Duration,
    config::UPLOAD_WINDOW,
    effects::Effects,
    ids::Slot,
    input::SendKind,
    instant::Instant,
    output::{Event, Outcome},
    text::Text,
    wire::{Contradiction, Receipt},
};

/// One send.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: SendKind,
    pub(super) id: Text,
    pub(super) stream: Text,
    /// The key of the message that it is about.
    pub(super) about: Option<Text>,
    pub(super) body: Slot,
    pub(super) bytes: u32,
    /// When it went out for the first time; the server's horizon counts from here (SND-5).
    pub(super) first_sent: Option<Instant>,
    /// What had passed of the horizon before this core was given it, if it went out before.
    pub(super) sent_ago: Option<Duration>,
    /// The server's time when it went out for the first time, if the server tells its time: no clock of the page counts then.
    pub(super) sent_at: Option<u64>,
    /// When it went out on this socket; `None` while it waits to go out.
    pub(super) sent: Option<Instant>,
    pub(super) not_before: Option<Instant>,
    /// How often it went out, and how often the socket was then closed because something was too large.
    pub(super) transmissions: u32,
    pub(super) refused_sizes: u32,
    /// When it went out: the last times, as many as may be within [`UPLOAD_WINDOW`].
    pub(super) uploads: Vec<Instant>,
    /// Sockets in a row that were lost soon after it had gone out; alone, if `is_suspect`.
    pub(super) losses: u32,
    /// It was the only send on its way when a socket was lost: nothing else can have been the cause.
    pub(super) is_suspect: bool,
    /// Rejections in a row that ask to try again.
    pub(super) refusals: u32,
    /// One of them came on this socket: the server takes nothing that overtakes it (SND-9).
    pub(super) is_refused: bool,
}

impl Entry {
    /// Tells whether the server may know it.
    pub(super) const fn may_be_stored(&self) -> bool {
        self.first_sent.is_some()
    }

    /// Tells whether it is a message or another text for one.
    pub(super) const fn has_content(&self) -> bool {
        matches!(self.kind, SendKind::Edit | SendKind::Message | SendKind::RunMessage)
    }

    /// Tells whether it is a cancel, a withdrawal or an approval that may go out before another send that was made before it (SND-4).
    pub(super) fn may_pass(&self, other: &Self) -> bool {
        let is_about = self.about.is_some_and(|about| other.id == about || other.about == Some(about));
        let is_free = other.sent.is_none() && !other.is_refused && other.kind != SendKind::RunMessage;
        !self.has_content()
            && self.sent.is_none()
            && !self.is_suspect
            && other.has_content()
            && (other.stream != self.stream || (is_free && !is_about))
    }

    /// Returns when it may go out, as far as the limit on uploads is concerned (SND-19).
    pub(super) fn upload_allowed_at(&self, most: usize) -> Option<Instant> {
        self.uploads.first().filter(|_| self.uploads.len() >= most).map(|&oldest| oldest + UPLOAD_WINDOW)
    }

    /// Settles it.
    pub(super) fn settle(self, outcome: Outcome, fx: &mut Effects) {
        settle((self.id, self.stream), self.body, outcome, fx);
    }
}

/// Settles what has no entry, or no more.
pub(super) fn settle((id, stream): (Text, Text), body: Slot, outcome: Outcome, fx: &mut Effects) {
    fx.report(Event::Settled { id, stream, outcome });
    fx.release(body);
}

/// Checks that a receipt can answer a frame of this kind (SND-11).
pub(super) fn check(receipt: &Receipt, kind: SendKind) -> Result<(), Contradiction> {
    let decided = [Text::ACCEPTED, Text::ALREADY_RESOLVED];
    let others: &[Text] = match kind {
        SendKind::Approve => {
            &[Text::ACCEPTED, Text::ALREADY_RESOLVED, Text::RUN_OVER, Text::UNKNOWN_APPROVAL]
        }
        SendKind::Cancel => &[Text::CANCELLED, Text::ALREADY_FINISHED, Text::UNKNOWN_RUN, Text::UNKNOWN_SEND],
        SendKind::Edit => &[Text::ACCEPTED, Text::ALREADY_CLAIMED, Text::UNKNOWN_SEND, Text::WITHDRAWN],
        SendKind::Message | SendKind::RunMessage => &[Text::ACCEPTED],
        SendKind::Withdraw => &[Text::WITHDRAWN, Text::ALREADY_CLAIMED, Text::UNKNOWN_SEND],
    };
    if receipt.status != Text::REJECTED && !others.contains(&receipt.status) {
        return Err(Contradiction::StatusOfAnother);
    }
    if kind == SendKind::Approve && decided.contains(&receipt.status) && receipt.decision.is_none() {
        return Err(Contradiction::DecisionMissing);
    }
    Ok(())
}
