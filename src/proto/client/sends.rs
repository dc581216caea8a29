//! Sends: when they go out, and how long their receipts may take.

use crate::proto::Duration;

use super::{Client, Link, Session};
use crate::proto::{
    close_code::CloseCode,
    ids::Slot,
    input::SendKind,
    output::{Event, Outcome, Output},
    text::Text,
    timer::Timer,
};

impl Client {
    pub(super) fn on_send(
        &mut self,
        kind: SendKind,
        id: Text,
        stream: Text,
        body: Slot,
        sent_ago: Option<Duration>,
    ) {
        if self.is_terminal() {
            self.fx.report(Event::Settled { id, stream, outcome: Outcome::Failed(Text::CLOSED) });
            self.fx.release(body);
        } else {
            self.outbox.push(kind, id, stream, body, (sent_ago, self.now), &mut self.fx);
            self.flush_outbox();
        }
    }

    pub(super) fn flush_outbox(&mut self) {
        let Link::Live(Session { socket, send_horizon, .. }) = self.link else {
            return;
        };
        let (fx, outbox) = (&mut self.fx, &mut self.outbox);
        outbox.expire(self.now, send_horizon, fx);
        let retry_at = outbox.flush(self.now, |frame| fx.push(Output::SendFrame { socket, frame }));
        if let Some(at) = retry_at {
            self.timers.set(Timer::Resend, at);
        }
        self.watch_receipts();
    }

    pub(super) fn watch_receipts(&mut self) {
        match self.outbox.receipt_deadline() {
            None => self.timers.stop(Timer::Receipt),
            Some(at) if at <= self.now => self.drop_socket(CloseCode::RECEIPT_TIMEOUT),
            Some(at) => self.timers.set(Timer::Receipt, at),
        }
    }
}
