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
    wire::{ClientFrame, ReceiptError},
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
            settle(id, body, Outcome::Failed(Text::OUTBOX_FULL), fx);
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
            let (id, stream, body) = (entry.id, entry.stream, entry.body);
            send(match entry.kind {
                SendKind::Approve => ClientFrame::Approve { id, stream, body },
                SendKind::Cancel => ClientFrame::Cancel { id, stream, body },
                SendKind::Message => ClientFrame::Send { id, stream, body },
            });
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
        for entry in self.take_where(&expired) {
            settle(entry.id, entry.body, Outcome::Failed(Text::OUTCOME_UNKNOWN), fx);
        }
    }

    /// Takes a receipt. Returns when to send again, if the server could not take it for now.
    pub(crate) fn on_receipt(
        &mut self,
        id: Text,
        error: Option<&ReceiptError>,
        slot: Slot,
        now: Instant,
        fx: &mut Effects,
    ) -> Option<Instant> {
        let index = self.entries.iter().position(|entry| entry.id == id && entry.sent.is_some())?;
        if let Some(error) = error.filter(|error| error.retryable) {
            let delay = error.retry_after_ms.map_or(RESEND_DELAY, Duration::from_millis);
            let entry = &mut self.entries[index];
            entry.sent = None;
            entry.not_before = Some(now + delay);
            return entry.not_before;
        }
        let entry = self.entries.remove(index);
        settle(entry.id, entry.body, Outcome::Receipt { slot }, fx);
        None
    }

    /// Settles one send: it can never be sent.
    pub(crate) fn fail(&mut self, id: Text, code: Text, fx: &mut Effects) {
        for entry in self.take_where(&|entry| entry.id == id) {
            settle(entry.id, entry.body, Outcome::Failed(code), fx);
        }
    }

    /// Settles one send that never went out: the application takes it back.
    pub(crate) fn withdraw(&mut self, id: Text, reason: Text, fx: &mut Effects) {
        for entry in self.take_where(&|entry| entry.id == id && entry.first_sent.is_none()) {
            settle(entry.id, entry.body, Outcome::Failed(reason), fx);
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
            settle(entry.id, entry.body, Outcome::Failed(code), fx);
        }
    }

    fn take_where(&mut self, take: &dyn Fn(&Entry) -> bool) -> Vec<Entry> {
        self.entries.extract_if(.., |entry| take(entry)).collect()
    }
}

fn settle(id: Text, body: Slot, outcome: Outcome, fx: &mut Effects) {
    fx.report(Event::Settled { id, outcome });
    fx.release(body);
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
