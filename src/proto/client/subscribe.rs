//! Which streams are asked for, and which are left.

use super::{Client, Link};
use crate::proto::{
    config::LATE_ANSWER,
    ids::{ConsumerId, StreamId},
    input::Begin,
    stream::Phase,
    text::Text,
    timer::Timer,
    wire::{ClientFrame, Open, StreamRequest},
};

impl Client {
    pub(super) fn on_subscribe(
        &mut self,
        (id, name, name_bytes): (StreamId, Text, u32),
        open: Open,
        (consumer, begin, max_queued): (ConsumerId, Begin, Option<u32>),
    ) {
        // Nobody is notified of anything after the end. A consumer that is attached twice would get everything twice.
        if self.is_terminal() || self.streams.of_consumer(consumer).is_some() {
            return;
        }
        let Some((stream, renamed)) = self.streams.open(id, (name, name_bytes), open) else { return };
        stream.attach(consumer, begin, max_queued, &mut self.fx);
        if let (Link::Live(session), Some(renamed)) = (&mut self.link, renamed) {
            session.rename(renamed);
        }
    }

    /// Asks for what was attached since the last flush, in as few frames as it takes.
    pub(super) fn flush_subscriptions(&mut self) {
        if !matches!(self.link, Link::Live(_)) {
            return;
        }
        for stream in self.streams.iter_mut().filter(|stream| stream.subscription().is_some()) {
            stream.place_consumers(&mut self.fx);
        }
        let ahead = self.streams.iter().filter(|stream| stream.is_ahead()).map(|stream| stream.id);
        for id in ahead.collect::<Vec<_>>() {
            self.leave_channel(id);
        }
        self.subscribe_detached();
        // A consumer that joined a stream may have all of it, or may be owed an earlier part.
        self.serve_all();
    }

    /// Asks for the streams that no one has asked for on this socket.
    pub(super) fn subscribe_detached(&mut self) {
        let Link::Live(session) = &self.link else { return };
        let (socket, room) = (session.socket, session.frame_room());
        loop {
            let streams = self.requests(room);
            if streams.is_empty() {
                break;
            }
            self.send(socket, ClientFrame::Subscribe { streams });
            self.watch_answers();
            self.note_calm();
        }
        let later =
            self.streams.iter().filter(|stream| stream.is_wanted()).filter_map(|stream| stream.ask_at);
        if let Some(at) = later.min() {
            self.timers.set(Timer::Subscribe, at);
        }
    }

    /// Makes the requests of streams that no one has asked for on this socket, as many as fit into one frame (GEN-7).
    pub(super) fn requests(&mut self, most_bytes: usize) -> Vec<StreamRequest> {
        let Self { streams, fx, now, .. } = self;
        let mut bytes = 0;
        streams
            .iter_mut()
            .filter(|stream| stream.is_wanted() && matches!(stream.phase, Phase::Detached))
            .filter(|stream| stream.ask_at.is_none_or(|at| at <= *now))
            .take_while(|stream| {
                bytes += stream.max_request_bytes();
                bytes <= most_bytes
            })
            .map(|stream| stream.request(*now, fx))
            .collect()
    }

    pub(super) fn on_unsubscribe(&mut self, consumer: ConsumerId) {
        let Some(stream) = self.streams.of_consumer(consumer) else { return };
        let id = stream.id;
        if !stream.detach(consumer, &mut self.fx) {
            // It may have been the one that the others waited for.
            self.serve(id);
            return;
        }
        // A request under way is answered first: asking for a name twice on one socket is malformed (SUB-2).
        self.leave_channel(id);
        self.streams.forget_idle(id);
        self.note_calm();
    }

    /// Ends the subscription of a stream on this socket, if there is one.
    pub(super) fn leave_channel(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        let (Some(subscription), Link::Live(session)) = (stream.subscription(), &mut self.link) else {
            return;
        };
        let (ch, socket) = (subscription.ch, session.socket);
        session.forget_channel(ch, id);
        stream.abandon(&mut self.fx);
        self.send(socket, ClientFrame::Unsubscribe { ch });
        // Its requests ended with it, and another stream may have waited for that.
        self.serve_all();
    }

    pub(super) fn serve_all(&mut self) {
        for id in self.streams.iter().map(|stream| stream.id).collect::<Vec<_>>() {
            self.serve(id);
        }
    }

    /// Every stream that was asked for is answered in time, or the socket is dropped (SUB-13).
    pub(super) fn watch_answers(&mut self) {
        if self.streams.iter().any(|stream| stream.answer_due(self.now).is_some()) {
            self.timers.set_earliest(Timer::Answer, self.now + LATE_ANSWER);
        }
    }
}
