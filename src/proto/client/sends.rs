//! Sends: when they go out, and how long their receipts may take.

use super::{Client, Link, Session};
use crate::proto::{
    close_code::CloseCode,
    config::{LATE_ANSWER, ROOM_DELAY},
    ids::Slot,
    input::SendKind,
    outbox::FirstSent,
    output::{Event, Outcome, Output},
    text::Text,
    timer::Timer,
};

impl Client {
    pub(super) fn on_send(
        &mut self,
        kind: SendKind,
        (id, stream, about): (Text, Text, Option<Text>),
        (body, bytes): (Slot, u32),
        first_sent: FirstSent,
    ) {
        if self.is_terminal() {
            self.fx.report(Event::Settled { id, stream, outcome: Outcome::Failed(Text::CLOSED) });
            self.fx.release(body);
        } else {
            let made = (first_sent, self.now);
            self.outbox.push(kind, (id, stream, about), (body, bytes), made, &mut self.fx);
            self.flush_outbox();
        }
    }

    pub(super) fn flush_outbox(&mut self) {
        let Link::Live(Session { socket, send_horizon, server_time, .. }) = self.link else {
            return;
        };
        let server_now = server_time.map(|(time, at)| time + self.now.since(at).as_millis());
        let (fx, outbox) = (&mut self.fx, &mut self.outbox);
        outbox.expire((self.now, server_now), send_horizon, fx);
        let flushed =
            outbox.flush(self.now, server_now, |frame| fx.push(Output::SendFrame { socket, frame }));
        if let Some(at) = flushed.retry_at {
            self.timers.set(Timer::Resend, at);
        }
        if flushed.measure {
            fx.push(Output::Measure(socket));
        }
        self.watch_receipts();
    }

    /// Takes note of what waits in the socket, and writes what there is room for (SND-22).
    pub(super) fn on_buffered(&mut self, bytes: u32) {
        if self.outbox.on_buffered(bytes) {
            self.flush_outbox();
        } else {
            self.timers.set_earliest(Timer::Resend, self.now + ROOM_DELAY);
        }
    }

    pub(super) fn watch_receipts(&mut self) {
        match self.outbox.receipt_deadline() {
            None => self.timers.stop(Timer::Receipt),
            Some(at) if at <= self.now => self.drop_socket(CloseCode::RECEIPT_TIMEOUT),
            Some(at) => {
                self.timers.set(Timer::Receipt, at);
                self.timers.set_earliest(Timer::Answer, self.now + LATE_ANSWER);
            }
        }
    }
}
