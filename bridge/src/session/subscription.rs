//! One stream on one socket: how far it was sent, and how far the page has acknowledged.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::in_flight::InFlight;
use crate::context::Context;
use crate::hub::{Durable, Encoded, Shape, Watch};
use crate::log::LogError;
use crate::measures;
use crate::seal::Seals;
use crate::stream::StreamKey;
use crate::wire::encode::{self, ServerFrame};
use crate::wire::{Malformed, Window};

pub(super) struct Subscription {
    pub(super) ch: u32,
    pub(super) name: String,
    pub(super) key: StreamKey,
    watch: Watch,
    epoch_number: u64,
    /// The head of `subscribed`: later events are live.
    head: u64,
    /// Runs that are open at that head; `None` when they are too many to name.
    open_runs: Option<Vec<Arc<str>>>,
    is_caught_up: bool,
    /// The last offset that was sent, or declared lost.
    sent: u64,
    /// The last offset that the page may acknowledge: a replay can be ahead of `sent`.
    ackable: u64,
    /// The last offset that the page has acknowledged: a replay can bring it, and its `ack`, ahead of `sent`.
    acked: u64,
    reads_deltas: bool,
    window: Window,
    in_flight: InFlight,
    /// When live events were sent last.
    live_sent: Option<Instant>,
    /// When those are due that wait for others.
    live_due: Option<Instant>,
    replays: VecDeque<Replay>,
    /// Whether a replay was served last.
    replayed: bool,
}

struct Replay {
    req: u64,
    next: u64,
    to: u64,
}

/// What a subscription has to send.
pub(super) enum Next {
    /// Nothing now, or there is no room in the window.
    Nothing,
    /// A frame.
    Frame(Bytes),
    /// Nothing any more: the epoch it was opened in has ended (GAP-2).
    EpochEnded,
}

/// Where a subscription begins.
pub(super) struct Start {
    pub(super) ch: u32,
    pub(super) name: String,
    pub(super) key: StreamKey,
    pub(super) watch: Watch,
    pub(super) epoch_number: u64,
    pub(super) head: u64,
    pub(super) next: u64,
    pub(super) open_runs: Option<Vec<Arc<str>>>,
    pub(super) reads_deltas: bool,
    pub(super) window: Window,
}

impl Subscription {
    pub(super) fn new(start: Start) -> Self {
        Self {
            ch: start.ch,
            name: start.name,
            key: start.key,
            watch: start.watch,
            epoch_number: start.epoch_number,
            head: start.head,
            open_runs: start.open_runs,
            is_caught_up: false,
            sent: start.next - 1,
            ackable: start.next - 1,
            acked: start.next - 1,
            reads_deltas: start.reads_deltas,
            window: start.window,
            in_flight: InFlight::new(start.window.events),
            live_sent: None,
            live_due: None,
            replays: VecDeque::new(),
            replayed: false,
        }
    }

    /// Bytes that were sent and are not acknowledged.
    pub(super) const fn in_flight_bytes(&self) -> usize {
        self.in_flight.bytes()
    }

    /// Replay requests that are not over.
    pub(super) fn open_replays(&self) -> usize {
        self.replays.len()
    }

    pub(super) fn replay(&mut self, req: u64, from: u64, to: u64) {
        self.replays.push_back(Replay { req, next: from, to });
    }

    /// Whether the right of the user to the stream was withdrawn.
    pub(super) fn ended(&self) -> Option<&'static str> {
        self.watch.ended()
    }

    /// When live events are due that wait for others.
    pub(super) fn live_due(&self) -> Option<Instant> {
        self.live_due
    }

    /// The durable head and its seal, if it is one of the epoch that the page knows.
    pub(super) fn head(&self, seals: &Seals) -> Option<(u32, u64, String)> {
        let durable = self.watch.durable();
        let is_known = durable.epoch_number == self.epoch_number;
        is_known.then(|| (self.ch, durable.head, seals.seal(&self.key, &durable.epoch, durable.head)))
    }

    /// The page has delivered everything up to `offset` (FLO-2, FLO-3).
    pub(super) fn ack(&mut self, offset: u64) -> Result<(), Malformed> {
        if offset > self.ackable {
            return Err(Malformed::Contradiction("the `ack` is above what was sent"));
        }
        self.acked = self.acked.max(offset);
        self.in_flight.acked(self.acked);
        Ok(())
    }

    /// What comes next of this stream.
    /// `others`: bytes that are in flight on the other streams of the socket.
    pub(super) async fn next(&mut self, context: &Context, others: usize) -> Result<Next, LogError> {
        let durable = self.watch.durable();
        match durable.epoch_number.cmp(&self.epoch_number) {
            // The state of the log was newer than what the hub knows; the hub will wake us.
            Ordering::Less => Ok(Next::Nothing),
            Ordering::Equal => {
                Ok(self.next_frame(context, &durable, others).await?.map_or(Next::Nothing, Next::Frame))
            }
            Ordering::Greater => Ok(Next::EpochEnded),
        }
    }

    async fn next_frame(
        &mut self,
        context: &Context,
        durable: &Durable,
        others: usize,
    ) -> Result<Option<Bytes>, LogError> {
        if self.sent + 1 < durable.oldest {
            return Ok(Some(self.skip_trimmed(durable.oldest).into()));
        }
        if !self.is_caught_up && self.sent >= self.head {
            self.is_caught_up = true;
            let open_runs = self.open_runs.take();
            let max = context.limits.max_frame_bytes;
            let seal = context.seals.seal(&self.key, &durable.epoch, self.head);
            return Ok(Some(encode::caught_up(self.ch, self.head, &seal, open_runs.as_deref(), max).into()));
        }
        // In turn, so that neither holds up the other.
        if !self.replayed
            && let Some(frame) = self.next_replay(context, durable).await?
        {
            self.replayed = true;
            return Ok(Some(frame));
        }
        self.replayed = false;
        if let Some(frame) = self.next_events(context, durable, others).await? {
            return Ok(Some(frame));
        }
        self.next_replay(context, durable).await
    }

    fn skip_trimmed(&mut self, oldest: u64) -> String {
        let from = self.sent + 1;
        self.sent = oldest - 1;
        self.ackable = self.ackable.max(self.sent);
        measures::gap(self.sent + 1 - from);
        ServerFrame::Gap { ch: self.ch, from, to: self.sent, reason: "trimmed" }.encode()
    }

    async fn next_events(
        &mut self,
        context: &Context,
        durable: &Durable,
        others: usize,
    ) -> Result<Option<Bytes>, LogError> {
        // Up to the head of `subscribed` first, so that `caughtUp` stands at its place.
        let end = if self.is_caught_up { durable.head } else { durable.head.min(self.head) };
        let room = self.window.events.saturating_sub(self.in_flight.events());
        let of_stream = self.window.bytes.saturating_sub(self.in_flight.bytes());
        let of_socket = self.window.total_bytes.saturating_sub(self.in_flight.bytes() + others);
        let room_bytes = of_stream.min(of_socket);
        if self.sent >= end || room == 0 || room_bytes == 0 {
            self.live_due = None;
            return Ok(None);
        }
        let limits = &context.limits;
        if self.is_caught_up {
            // The first one goes out at once; those that follow it closely share a frame.
            let now = Instant::now();
            self.live_due = self.live_sent.map(|sent| sent + limits.live_batch).filter(|due| now < *due);
            if self.live_due.is_some() {
                return Ok(None);
            }
        }
        let max_events =
            limits.page_events.min(room).min(usize::try_from(end - self.sent).unwrap_or(usize::MAX));
        let max_bytes = page_bytes(context).min(room_bytes);
        let live = self
            .is_caught_up
            .then(|| self.watch.live_frame(self.shape(), self.sent + 1, max_events, max_bytes));
        if let Some(live) = live.flatten()
            && live.epoch_number == self.epoch_number
        {
            self.count_sent(live.encoded.sizes.iter().copied());
            self.note_live(durable);
            return Ok(Some(live.encoded.text));
        }
        let page = context.hub.read(&self.watch, self.sent + 1, max_events, max_bytes).await?;
        let bytes: usize = page.bodies.iter().map(|body| body.len()).sum();
        if page.epoch_number == self.epoch_number
            && page.oldest <= self.sent + 1
            && page.first > self.sent + 1
        {
            // A hole in the log itself. It can't be read, so it is declared.
            tracing::error!(stream = %self.key, from = self.sent + 1, to = page.first - 1, "events of the log are missing");
            return Ok(Some(self.skip_trimmed(page.first).into()));
        }
        // Trimmed or begun anew meanwhile: the hub knows it, or will wake us when it does.
        let is_other = page.epoch_number != self.epoch_number || page.first != self.sent + 1;
        // A single event can be larger than the window, but only alone (FLO-1).
        let is_alone = self.in_flight.events() == 0;
        let is_too_large =
            (bytes > of_stream && !is_alone) || (bytes > of_socket && !(is_alone && others == 0));
        if is_other || is_too_large || page.bodies.is_empty() {
            self.live_due = None;
            return Ok(None);
        }
        let encoded = Encoded::new(self.shape(), page.first, &page.bodies);
        self.count_sent(encoded.sizes.iter().copied());
        self.note_live(durable);
        Ok(Some(encoded.text))
    }

    /// How its frames are written.
    fn shape(&self) -> Shape {
        Shape { ch: self.ch, deltas: self.reads_deltas }
    }

    /// Notes when live events went out. What did not fit into that frame does not wait.
    fn note_live(&mut self, durable: &Durable) {
        self.live_sent = (self.is_caught_up && self.sent >= durable.head).then(Instant::now);
    }

    /// Counts events that go out, by their bytes.
    fn count_sent(&mut self, sizes: impl IntoIterator<Item = usize>) {
        for bytes in sizes {
            self.sent += 1;
            if self.sent > self.acked {
                self.in_flight.sent(self.sent, bytes);
            }
        }
        self.ackable = self.ackable.max(self.sent);
    }

    /// A page of the oldest replay request, or its end (RPL-1). It does not count against the window (FLO-5).
    async fn next_replay(&mut self, context: &Context, durable: &Durable) -> Result<Option<Bytes>, LogError> {
        let shape = self.shape();
        let Some(replay) = self.replays.front_mut() else {
            return Ok(None);
        };
        let to = replay.to.min(durable.head);
        let next = replay.next.max(durable.oldest);
        let mut oldest = durable.oldest;
        let left = usize::try_from((to + 1).saturating_sub(next)).unwrap_or(usize::MAX);
        if left > 0 {
            let max_events = context.limits.page_events.min(left);
            let page = context.hub.read(&self.watch, next, max_events, page_bytes(context)).await?;
            if page.epoch_number != self.epoch_number {
                // The epoch ended meanwhile, and the subscription will, with its requests.
                return Ok(None);
            }
            let last = page.first + page.bodies.len() as u64 - 1;
            if !page.bodies.is_empty() && last <= to {
                let encoded = Encoded::new(shape, page.first, &page.bodies);
                replay.next = page.first + encoded.sizes.len() as u64;
                self.ackable = self.ackable.max(replay.next - 1);
                return Ok(Some(encoded.text));
            }
            // More can have been trimmed meanwhile.
            oldest = oldest.max(page.oldest);
        }
        let frame = ServerFrame::ReplayEnd { req: replay.req, to: replay.next - 1, oldest }.encode();
        self.replays.pop_front();
        Ok(Some(frame.into()))
    }
}

/// Bytes of events that a frame aims at: half a frame at the most leaves room for what stands between them.
fn page_bytes(context: &Context) -> usize {
    context.limits.page_bytes.min(context.limits.max_frame_bytes / 2)
}
