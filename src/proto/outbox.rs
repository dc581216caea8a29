//! Messages, cancels and approvals that have no receipt yet.

use crate::proto::Duration;

use super::{
    config::{RECEIPT_TIMEOUT, RESEND_DELAY},
    effects::Effects,
    ids::Slot,
    input::SendKind,
    instant::Instant,
    output::{Event, Outcome},
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
    /// What had passed of the horizon before this core was given it.
    sent_ago: Duration,
    /// When it went out on this socket; `None` while it waits to go out.
    sent: Option<Instant>,
    not_before: Option<Instant>,
}

/// The sends of a client, in the order they were made.
///
/// An entry leaves by exactly one [`Event::Settled`] (I6).
#[derive(Debug)]
pub(crate) struct Outbox {
    entries: Vec<Entry>,
    max: usize,
}

impl Outbox {
    pub(crate) const fn new(max: usize) -> Self {
        Self { entries: Vec::new(), max }
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
        (sent_ago, now): (Option<Duration>, Instant),
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
            first_sent: sent_ago.map(|_| now),
            sent_ago: sent_ago.unwrap_or_default(),
            sent: None,
            not_before: None,
        });
    }

    /// Writes what may go out now, oldest first; returns when to try again.
    ///
    /// A send that has to wait holds back the later ones of its stream (SND-4).
    pub(crate) fn flush(&mut self, now: Instant, mut send: impl FnMut(ClientFrame)) -> Option<Instant> {
        let mut held = Vec::new();
        let mut retry_at = None::<Instant>;
        for entry in &mut self.entries {
            if entry.sent.is_some() || held.contains(&entry.stream) {
                continue;
            }
            if let Some(at) = entry.not_before.filter(|&at| at > now) {
                held.push(entry.stream);
                retry_at = Some(retry_at.map_or(at, |earlier| earlier.min(at)));
                continue;
            }
            entry.sent = Some(now);
            entry.first_sent.get_or_insert(now);
            let Entry { kind, id, stream, body, .. } = *entry;
            send(ClientFrame::Keyed { kind, id, stream, body });
        }
        retry_at
    }

    /// Returns when the patience with the oldest send on this socket ends (SND-10).
    pub(crate) fn receipt_deadline(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.sent).min().map(|sent| sent + RECEIPT_TIMEOUT)
    }

    /// Settles what the server no longer remembers (SND-5).
    pub(crate) fn expire(&mut self, now: Instant, horizon: Duration, fx: &mut Effects) {
        let expired = |entry: &Entry| {
            entry.sent.is_none()
                && entry.first_sent.is_some_and(|sent| now.since(sent) + entry.sent_ago > horizon)
        };
        for entry in self.take_where(expired) {
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
            let delay = error.retry_after_ms.map_or(RESEND_DELAY, Duration::from_millis);
            let entry = &mut self.entries[index];
            entry.sent = None;
            entry.not_before = Some(now + delay);
            return Ok(entry.not_before);
        }
        self.entries.remove(index).settle(Outcome::Receipt { slot }, fx);
        Ok(None)
    }

    /// Settles one send: it can never be sent.
    pub(crate) fn fail(&mut self, id: Text, stream: Text, code: Text, fx: &mut Effects) {
        for entry in self.take_where(|entry| entry.id == id && entry.stream == stream) {
            entry.settle(Outcome::Failed(code), fx);
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
        for entry in self.take_where(|_| true) {
            entry.settle(Outcome::Failed(code), fx);
        }
    }

    fn take_where(&mut self, take: impl Fn(&Entry) -> bool) -> Vec<Entry> {
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
        let mut outbox = Outbox::new(8);
        let made = (None, Instant::ZERO);
        outbox.push(SendKind::Message, "m1".into(), "t".into(), Slot(1), made, &mut fx);
        assert_eq!(outbox.flush(first, |_| {}), None);
        outbox.on_link_down();
        outbox.expire(first + horizon, horizon, &mut fx);
        assert_eq!(outbox.len(), 1);
        outbox.expire(first + horizon + Duration::from_millis(1), horizon, &mut fx);
        assert_eq!(outbox.len(), 0);
    }
}
