//! Messages, cancels and approvals that have no receipt yet.

use crate::proto::Duration;

use super::{
    close_code::CloseCode,
    config::{HOLD_DELAY, MAX_RESEND_DELAY, QUICK_LOSS, RECEIPT_TIMEOUT, RESEND_DELAY, UPLOAD_WINDOW},
    effects::Effects,
    ids::Slot,
    input::SendKind,
    instant::Instant,
    output::{ClientError, Event, Outcome},
    text::Text,
    wire::{ClientFrame, Contradiction, Receipt},
};

#[derive(Debug)]
struct Entry {
    kind: SendKind,
    id: Text,
    stream: Text,
    body: Slot,
    /// When it went out for the first time; the server's horizon counts from here (SND-5).
    first_sent: Option<Instant>,
    /// What had passed of the horizon before this core was given it, if it went out before.
    sent_ago: Option<Duration>,
    /// The server's time when it went out for the first time, if the server tells its time: no clock of the page counts then.
    sent_at: Option<u64>,
    /// When it went out on this socket; `None` while it waits to go out.
    sent: Option<Instant>,
    not_before: Option<Instant>,
    /// How often it went out, and how often the socket was then closed because something was too large.
    transmissions: u32,
    refused_sizes: u32,
    /// When it went out, within the last [`UPLOAD_WINDOW`].
    uploads: Vec<Instant>,
    /// Sockets in a row that were lost soon after it had gone out; alone, if `is_suspect`.
    losses: u32,
    /// It was the only send on its way when a socket was lost: nothing else can have been the cause.
    is_suspect: bool,
    /// Rejections in a row that ask to try again.
    refusals: u32,
}

impl Entry {
    /// Tells whether the server may know it.
    const fn may_be_stored(&self) -> bool {
        self.first_sent.is_some()
    }

    /// Returns when it may go out, as far as the limit on uploads is concerned (SND-19).
    fn upload_allowed_at(&mut self, now: Instant, most: usize) -> Option<Instant> {
        self.uploads.retain(|&at| now.since(at) < UPLOAD_WINDOW);
        let oldest = self.uploads.len().checked_sub(most)?;
        self.uploads.get(oldest).map(|&at| at + UPLOAD_WINDOW)
    }
}

/// The sends of a client, in the order they were made.
///
/// An entry leaves by exactly one [`Event::Settled`] (I6).
#[derive(Debug)]
pub(crate) struct Outbox {
    entries: Vec<Entry>,
    max: usize,
    max_uploads: usize,
    /// One at a time: a send among those that were on their way may be the reason that sockets are lost (SND-20).
    is_careful: bool,
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
        Self { entries: Vec::new(), max, max_uploads: max_uploads as usize, is_careful: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives each text that it holds.
    pub(crate) fn texts(&self, mark: &mut dyn FnMut(Text)) {
        for entry in &self.entries {
            mark(entry.id);
            mark(entry.stream);
        }
    }

    /// Queues a send, or settles it when there is no room or its key is in use.
    pub(crate) fn push(
        &mut self,
        kind: SendKind,
        id: Text,
        stream: Text,
        body: Slot,
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
        self.entries.push(Entry {
            kind,
            id,
            stream,
            body,
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
        });
    }

    /// Writes what may go out now, oldest first; returns when to try again.
    ///
    /// A send that has to wait holds back the later ones of its stream (SND-4). `server_now` is the server's time, if it told it.
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        server_now: Option<u64>,
        mut send: impl FnMut(ClientFrame),
    ) -> Option<Instant> {
        let mut held = Vec::new();
        let mut retry_at = None::<Instant>;
        let mut is_full = self.is_careful && self.entries.iter().any(|entry| entry.sent.is_some());
        for entry in &mut self.entries {
            if entry.sent.is_some() || is_full || held.contains(&entry.stream) {
                continue;
            }
            let upload_at = entry.upload_allowed_at(now, self.max_uploads);
            if let Some(at) = entry.not_before.max(upload_at).filter(|&at| at > now) {
                held.push(entry.stream);
                retry_at = Some(retry_at.map_or(at, |earlier| earlier.min(at)));
                continue;
            }
            let first_sent_at = entry.sent_at.filter(|_| entry.may_be_stored());
            if !entry.may_be_stored() {
                entry.sent_at = server_now;
            }
            entry.sent = Some(now);
            entry.first_sent.get_or_insert(now);
            entry.transmissions += 1;
            entry.uploads.push(now);
            is_full = self.is_careful;
            let Entry { kind, id, stream, body, .. } = *entry;
            send(ClientFrame::Keyed { kind, id, stream, body, first_sent_at });
        }
        retry_at
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
        let Some(index) = self.entries.iter().position(is_answered) else { return Ok(None) };
        check(receipt, self.entries[index].kind)?;
        if let Some(error) = receipt.error.as_ref().filter(|error| error.retryable) {
            let entry = &mut self.entries[index];
            // Four times as long each time: the uploads that are allowed then reach over more than a minute. What the server
            // asks for is done as it says.
            let own = RESEND_DELAY.saturating_mul(4_u32.saturating_pow(entry.refusals)).min(MAX_RESEND_DELAY);
            let delay = error.retry_after_ms.map_or(own, Duration::from_millis);
            entry.refusals += 1;
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
        let on_way = |entry: &&mut Entry| entry.sent.is_some();
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
        for entry in &mut self.entries {
            entry.sent = None;
        }
    }

    /// Settles everything: the client has ended.
    pub(crate) fn settle_all(&mut self, code: Text, fx: &mut Effects) {
        for entry in self.take_where(&|_| true) {
            entry.settle(Outcome::Failed(code), fx);
        }
    }

    fn take_where(&mut self, take: &dyn Fn(&Entry) -> bool) -> Vec<Entry> {
        self.entries.extract_if(.., |entry| take(entry)).collect()
    }
}

impl Entry {
    fn settle(self, outcome: Outcome, fx: &mut Effects) {
        settle((self.id, self.stream), self.body, outcome, fx);
    }
}

fn settle((id, stream): (Text, Text), body: Slot, outcome: Outcome, fx: &mut Effects) {
    fx.report(Event::Settled { id, stream, outcome });
    fx.release(body);
}

/// Checks that a receipt can answer a frame of this kind (SND-11).
fn check(receipt: &Receipt, kind: SendKind) -> Result<(), Contradiction> {
    let decided = [Text::ACCEPTED, Text::ALREADY_RESOLVED];
    let others: &[Text] = match kind {
        SendKind::Approve => {
            &[Text::ACCEPTED, Text::ALREADY_RESOLVED, Text::RUN_OVER, Text::UNKNOWN_APPROVAL]
        }
        SendKind::Cancel => &[Text::CANCELLED, Text::ALREADY_FINISHED, Text::UNKNOWN_RUN, Text::UNKNOWN_SEND],
        SendKind::Edit => &[Text::ACCEPTED, Text::ALREADY_CLAIMED, Text::UNKNOWN_SEND, Text::WITHDRAWN],
        SendKind::Message => &[Text::ACCEPTED],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_is_given_up_only_when_it_is_older_than_the_horizon() {
        // PROTOCOL: SND-5
        let first = Instant::from_millis(1_000);
        let horizon = Duration::from_secs(60);
        let mut fx = Effects::default();
        let mut outbox = Outbox::new(8, 5);
        let made = (FirstSent::default(), Instant::ZERO);
        outbox.push(SendKind::Message, "m1".into(), "t".into(), Slot(1), made, &mut fx);
        assert_eq!(outbox.flush(first, None, |_| {}), None);
        outbox.on_link_down();
        outbox.expire((first + horizon, None), horizon, &mut fx);
        assert_eq!(outbox.len(), 1);
        outbox.expire((first + horizon + Duration::from_millis(1), None), horizon, &mut fx);
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn the_servers_time_decides_the_age_of_a_send_and_no_clock_of_the_page() {
        // PROTOCOL: SND-5
        let horizon = Duration::from_secs(60);
        let mut fx = Effects::default();
        let mut outbox = Outbox::new(8, 5);
        let made = (FirstSent::default(), Instant::ZERO);
        outbox.push(SendKind::Message, "m1".into(), "t".into(), Slot(1), made, &mut fx);
        outbox.flush(Instant::from_millis(1_000), Some(1_790_000_000_000), |frame| {
            assert!(matches!(frame, ClientFrame::Keyed { first_sent_at: None, .. }));
        });
        outbox.on_link_down();
        // The user set the clock forward by a day.
        let day = Instant::from_millis(86_400_000);
        outbox.expire((day, Some(1_790_000_001_000)), horizon, &mut fx);
        assert_eq!(outbox.len(), 1);
        outbox.flush(day, Some(1_790_000_001_000), |frame| {
            let at = Some(1_790_000_000_000);
            assert!(matches!(frame, ClientFrame::Keyed { first_sent_at, .. } if first_sent_at == at));
        });
        outbox.on_link_down();
        outbox.expire((day, Some(1_790_000_060_001)), horizon, &mut fx);
        assert_eq!(outbox.len(), 0);
    }
}
