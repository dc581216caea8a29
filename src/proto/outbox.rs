//! Messages, cancels and approvals that have no receipt yet.

mod entry;

use crate::proto::Duration;

use super::{
    close_code::CloseCode,
    config::{
        HOLD_DELAY, MAX_BUFFERED, MAX_RESEND_DELAY, QUICK_LOSS, RECEIPT_TIMEOUT, RESEND_DELAY, SMALL_SEND,
    },
    effects::Effects,
    ids::Slot,
    input::SendKind,
    instant::Instant,
    output::{ClientError, Outcome},
    text::Text,
    wire::{ClientFrame, Contradiction, Receipt},
};
use entry::{Entry, check, settle};

/// The sends of a client, in the order they were made.
///
/// An entry leaves by exactly one [`Event::Settled`] (I6).
#[derive(Debug)]
#[allow(
    clippy::vec_box,
    reason = "an entry that changes its place is then a pointer that moves: 112 bytes less of gzip"
)]
pub(crate) struct Outbox {
    entries: Vec<Box<Entry>>,
    max: usize,
    max_uploads: usize,
    /// One at a time: a send among those that were on their way may be the reason that sockets are lost (SND-20).
    is_careful: bool,
    /// Bytes that wait in the socket: what was measured last, and what was written since.
    buffered: u32,
    /// They are being measured.
    is_measuring: bool,
}

/// What a flush leaves to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// When to try again.
    pub(crate) retry_at: Option<Instant>,
    /// Ask how many bytes wait in the socket.
    pub(crate) measure: bool,
}

/// When a send went out for the first time, through an earlier core or before it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstSent {
    /// How long ago, by the page's clocks. `None`: it cannot have gone out.
    pub ago: Option<Duration>,
    /// The server's time, in milliseconds since the Unix epoch, if it is known.
    pub at: Option<u64>,
}

impl Outbox {
    pub(crate) const fn new(max: usize, max_uploads: u32) -> Self {
        Self {
            entries: Vec::new(),
            max,
            max_uploads: max_uploads as usize,
            is_careful: false,
            buffered: 0,
            is_measuring: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives each text that it holds.
    pub(crate) fn texts(&self, mark: &mut dyn FnMut(Text)) {
        for entry in &self.entries {
            mark(entry.id);
            mark(entry.stream);
            entry.about.map(&mut *mark);
        }
    }

    /// Queues a send, or settles it when there is no room or its key is in use.
    pub(crate) fn push(
        &mut self,
        kind: SendKind,
        (id, stream, about): (Text, Text, Option<Text>),
        (body, bytes): (Slot, u32),
        (first_sent, now): (FirstSent, Instant),
        fx: &mut Effects,
    ) {
        if self.entries.iter().any(|entry| entry.id == id && entry.stream == stream) {
            // The entry that is queued settles this id; a second answer would break I6.
            fx.release(body);
            return;
        }
        if self.entries.len() >= self.max {
            settle((id, stream), body, Outcome::Failed(Text::OUTBOX_FULL), fx);
            return;
        }
        self.entries.push(Box::new(Entry {
            kind,
            id,
            stream,
            about,
            body,
            bytes,
            first_sent: first_sent.ago.map(|_| now),
            sent_ago: first_sent.ago,
            sent_at: first_sent.at,
            sent: None,
            not_before: None,
            transmissions: 0,
            refused_sizes: 0,
            uploads: Vec::new(),
            losses: 0,
            is_suspect: false,
            refusals: 0,
            is_refused: false,
        }));
    }

    /// Writes what may go out now, oldest first.
    ///
    /// A send that has to wait holds back the later ones of its stream (SND-4). `server_now` is the server's time, if it told it.
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        server_now: Option<u64>,
        mut send: impl FnMut(ClientFrame),
    ) -> Flushed {
        self.bring_forward();
        let mut held = Vec::new();
        let mut retry_at = None::<Instant>;
        let mut has_no_room = false;
        let mut is_full = self.is_careful && self.entries.iter().any(|entry| entry.sent.is_some());
        for entry in &mut self.entries {
            if entry.sent.is_some() || held.contains(&entry.stream) {
                continue;
            }
            // A cancel or an approval that was on no lost socket is not what is looked for.
            if is_full && (entry.has_content() || entry.losses > 0) {
                held.push(entry.stream);
                continue;
            }
            let upload_at = entry.upload_allowed_at(self.max_uploads);
            if let Some(at) = entry.not_before.max(upload_at).filter(|&at| at > now) {
                held.push(entry.stream);
                retry_at = Some(retry_at.map_or(at, |earlier| earlier.min(at)));
                continue;
            }
            if entry.has_content() && entry.bytes > SMALL_SEND && self.buffered >= MAX_BUFFERED {
                held.push(entry.stream);
                has_no_room = true;
                continue;
            }
            // Beyond four billion bytes that nobody had to measure, it begins anew.
            self.buffered = self.buffered.wrapping_add(entry.bytes);
            let first_sent_at = entry.sent_at.filter(|_| entry.may_be_stored());
            if !entry.may_be_stored() {
                entry.sent_at = server_now;
            }
            entry.sent = Some(now);
            entry.first_sent.get_or_insert(now);
            entry.transmissions += 1;
            entry.uploads.push(now);
            if entry.uploads.len() > self.max_uploads {
                entry.uploads.remove(0);
            }
            is_full = self.is_careful;
            let Entry { kind, id, stream, body, .. } = **entry;
            send(ClientFrame::Keyed { kind, id, stream, body, first_sent_at });
        }
        let measure = has_no_room && !self.is_measuring;
        self.is_measuring |= measure;
        Flushed { retry_at, measure }
    }

    /// Brings cancels, withdrawals and approvals before what they do not have to wait for (SND-4).
    fn bring_forward(&mut self) {
        for mut at in 1..self.entries.len() {
            while at > 0 && self.entries[at].may_pass(&self.entries[at - 1]) {
                self.entries.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    /// Takes note of the bytes that wait in the socket. Returns whether it has room.
    pub(crate) const fn on_buffered(&mut self, bytes: u32) -> bool {
        self.is_measuring = false;
        self.buffered = bytes;
        bytes < MAX_BUFFERED
    }

    /// Returns when the oldest send that has no receipt went out on this socket.
    pub(crate) fn oldest_on_way(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.sent).min()
    }

    /// Returns when the patience with the oldest send on this socket ends (SND-10).
    pub(crate) fn receipt_deadline(&self) -> Option<Instant> {
        self.oldest_on_way().map(|sent| sent + RECEIPT_TIMEOUT)
    }

    /// Settles what the server no longer remembers (SND-5).
    pub(crate) fn expire(
        &mut self,
        (now, server_now): (Instant, Option<u64>),
        horizon: Duration,
        fx: &mut Effects,
    ) {
        let age = |entry: &Entry| {
            // Between two times of the server no clock of the page counts, nor does its sleep.
            let by_server = entry.sent_at.zip(server_now);
            let by_server = by_server.map(|(at, now)| Duration::from_millis(now.saturating_sub(at)));
            by_server
                .or_else(|| entry.first_sent.map(|sent| now.since(sent) + entry.sent_ago.unwrap_or_default()))
        };
        let expired = |entry: &Entry| entry.sent.is_none() && age(entry).is_some_and(|age| age > horizon);
        for entry in self.take_where(&expired) {
            entry.settle(Outcome::Failed(Text::OUTCOME_UNKNOWN), fx);
        }
    }

    /// Takes a receipt. Returns when to send again, if the server could not take it for now.
    ///
    /// # Errors
    ///
    /// When the receipt does not fit the kind of frame that it answers (SND-11).
    pub(crate) fn on_receipt(
        &mut self,
        receipt: &Receipt,
        slot: Slot,
        now: Instant,
        fx: &mut Effects,
    ) -> Result<Option<Instant>, Contradiction> {
        let is_answered =
            |entry: &Entry| entry.id == receipt.id && entry.stream == receipt.stream && entry.sent.is_some();
        let Some(index) = self.entries.iter().position(|entry| is_answered(entry)) else { return Ok(None) };
        check(receipt, self.entries[index].kind)?;
        if let Some(error) = receipt.error.as_ref().filter(|error| error.retryable) {
            let entry = &mut self.entries[index];
            // Four times as long each time: the uploads that are allowed then reach over more than a minute. What the server
            // asks for is done as it says.
            let own = RESEND_DELAY.saturating_mul(4_u32.saturating_pow(entry.refusals)).min(MAX_RESEND_DELAY);
            let delay = error.retry_after_ms.map_or(own, Duration::from_millis);
            entry.refusals += 1;
            entry.is_refused = true;
            entry.losses = 0;
            entry.sent = None;
            entry.not_before = Some(now + delay);
            return Ok(entry.not_before);
        }
        self.entries.remove(index).settle(Outcome::Receipt { slot }, fx);
        Ok(None)
    }

    /// Settles one send: it is too large for the server. An earlier copy of it was not, if it went out.
    pub(crate) fn fail_too_large(&mut self, id: Text, stream: Text, fx: &mut Effects) {
        for entry in self.take_where(&|entry| entry.id == id && entry.stream == stream) {
            // This attempt counted as the first one.
            let is_known = entry.transmissions > 1 || entry.sent_ago.is_some();
            let code = if is_known { Text::OUTCOME_UNKNOWN } else { Text::MESSAGE_TOO_LARGE };
            entry.settle(Outcome::Failed(code), fx);
        }
    }

    /// Looks for the send that may have been the cause of a loss (SND-20), before [`on_link_down`](Self::on_link_down). Returns
    /// whether nothing but one send can have been: it was alone on its way.
    pub(crate) fn on_socket_lost(&mut self, code: CloseCode, now: Instant, fx: &mut Effects) -> bool {
        let is_size = matches!(code, CloseCode::MESSAGE_TOO_BIG | CloseCode::FRAME_TOO_LARGE);
        let is_accused = is_size || matches!(code, CloseCode::INVALID_PAYLOAD | CloseCode::BAD_FRAME);
        let on_way = |entry: &&mut Box<Entry>| entry.sent.is_some();
        let is_alone = self.entries.iter_mut().filter(on_way).count() == 1;
        let mut is_careful = self.is_careful;
        let mut too_large = None;
        for entry in self.entries.iter_mut().filter(on_way) {
            let is_soon = entry.sent.is_some_and(|sent| now.since(sent) <= QUICK_LOSS);
            let may_be_cause = is_accused || (code.may_be_a_crash() && is_soon);
            if !may_be_cause {
                continue;
            }
            entry.refused_sizes += u32::from(is_size);
            if is_alone && is_size {
                too_large = Some((entry.id, entry.stream));
                continue;
            }
            entry.losses += if is_accused { 2 } else { 1 };
            if entry.losses < 2 {
                continue;
            }
            is_careful = true;
            if is_alone {
                entry.is_suspect = true;
                entry.not_before = Some(now + HOLD_DELAY.saturating_mul(1 << (entry.losses - 2).min(6)));
                fx.error(ClientError::SendHeld(entry.id));
            }
        }
        self.is_careful = is_careful;
        if let Some((id, stream)) = too_large {
            for entry in self.take_where(&|entry| entry.id == id && entry.stream == stream) {
                let is_known = entry.transmissions > entry.refused_sizes || entry.sent_ago.is_some();
                let code = if is_known { Text::OUTCOME_UNKNOWN } else { Text::MESSAGE_TOO_LARGE };
                entry.settle(Outcome::Failed(code), fx);
            }
        }
        is_alone && is_accused
    }

    /// A connection lasted: what was lost before says nothing of what is left.
    pub(crate) fn on_success(&mut self) {
        self.is_careful = self.entries.iter().any(|entry| entry.is_suspect);
        for entry in &mut self.entries {
            entry.refusals = 0;
            if !entry.is_suspect {
                entry.losses = 0;
            }
        }
    }

    /// Settles one send that never went out: the application takes it back.
    pub(crate) fn take_back(&mut self, id: Text, reason: Text, fx: &mut Effects) {
        for entry in self.take_where(&|entry| entry.id == id && entry.first_sent.is_none()) {
            entry.settle(Outcome::Failed(reason), fx);
        }
    }

    /// Forgets what is on the way: the socket is gone.
    pub(crate) fn on_link_down(&mut self) {
        (self.buffered, self.is_measuring) = (0, false);
        for entry in &mut self.entries {
            entry.sent = None;
            entry.is_refused = false;
        }
    }

    /// Settles everything: the client has ended.
    pub(crate) fn settle_all(&mut self, code: Text, fx: &mut Effects) {
        for entry in std::mem::take(&mut self.entries) {
            entry.settle(Outcome::Failed(code), fx);
        }
    }

    #[allow(clippy::vec_box, reason = "see `Outbox`")]
    fn take_where(&mut self, take: &dyn Fn(&Entry) -> bool) -> Vec<Box<Entry>> {
        self.entries.extract_if(.., |entry| take(entry)).collect()
    }
}

#[cfg(test)]
mod tests;
