//! What goes out: answers first, then the streams in turn, as long as the socket takes it.

use bytes::Bytes;
use tokio::time::Instant;

use super::subscription::{Next, Subscription};
use super::writer::Writer;
use super::{End, Session};
use crate::socket::Frame;

/// Why no further frame was queued.
pub(super) struct Filled {
    /// The socket has no room.
    pub(super) is_blocked: bool,
    /// When live events are due that wait for others.
    pub(super) live_due: Option<Instant>,
}

impl Session {
    /// Queues frames until the socket is full or nothing is to be sent.
    pub(super) async fn fill(&mut self, writer: &Writer) -> Result<Filled, End> {
        loop {
            let Some(place) = writer.try_place().map_err(|()| End::Gone)? else {
                return Ok(Filled { is_blocked: true, live_due: None });
            };
            if std::mem::take(&mut self.ping_due) {
                place.send(Frame::Ping);
                self.silence.asked(Instant::now());
                continue;
            }
            self.end_revoked();
            let frame = match self.control.pop_front() {
                Some(frame) => frame.into(),
                None => match self.next_frame().await? {
                    Some(frame) => frame,
                    None => {
                        let due = self.subscriptions.iter().filter_map(|stream| stream.live_due());
                        return Ok(Filled { is_blocked: false, live_due: due.min() });
                    }
                },
            };
            place.send(Frame::Text(frame));
        }
    }

    /// The next frame of the stream whose turn it is (FLO-4).
    async fn next_frame(&mut self) -> Result<Option<Bytes>, End> {
        let count = self.subscriptions.len();
        let in_flight: usize = self.subscriptions.iter().map(Subscription::in_flight_bytes).sum();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let stream = &mut self.subscriptions[index];
            let others = in_flight - stream.in_flight_bytes();
            let frame = match stream.next(&self.context, others).await? {
                Next::Nothing => continue,
                Next::Frame(frame) => Some(frame),
                Next::EpochEnded => None,
            };
            self.turn = index + 1;
            let ch = stream.ch;
            match frame {
                // Withdrawn while the log was read: nothing of it is sent any more.
                _ if stream.ended().is_some() => self.end_revoked(),
                Some(frame) => return Ok(Some(frame)),
                None => self.end_subscription(ch, "epoch"),
            }
            return Ok(self.control.pop_front().map(Into::into));
        }
        Ok(None)
    }
}
