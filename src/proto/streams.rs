//! The streams of a client: one per name.

use super::{
    config::MAX_IDLE_STREAMS,
    effects::Effects,
    ids::{ConsumerId, StreamId},
    stream::Stream,
    text::Text,
    wire::Open,
};

/// Every stream that somebody follows, and those that were left last. No two have one name, and no two have one number.
#[derive(Debug)]
pub(crate) struct Streams {
    list: Vec<Stream>,
    window: u32,
}

/// A stream got another number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renamed {
    pub(crate) from: StreamId,
    pub(crate) to: StreamId,
}

impl Streams {
    pub(crate) const fn new(window: u32) -> Self {
        Self { list: Vec::new(), window }
    }

    /// Finds the stream of a name, or makes it. Its number is the one given last.
    ///
    /// `None` when the number stands for a stream of another name: what is reported of one would be taken for the other's.
    pub(crate) fn open(
        &mut self,
        id: StreamId,
        (name, name_bytes): (Text, u32),
        open: Open,
    ) -> Option<(&mut Stream, Option<Renamed>)> {
        if self.list.iter().any(|known| known.id == id && known.name != name) {
            return None;
        }
        let index = self.list.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.list.push(Stream::new(id, (name, name_bytes), open, self.window));
            self.list.len() - 1
        });
        let stream = &mut self.list[index];
        let from = std::mem::replace(&mut stream.id, id);
        stream.reopen(open);
        Some((stream, (from != id).then_some(Renamed { from, to: id })))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.list.iter_mut()
    }

    pub(crate) fn get(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.list.iter_mut().find(|stream| stream.id == id)
    }

    pub(crate) fn named(&mut self, name: Text) -> Option<&mut Stream> {
        self.list.iter_mut().find(|stream| stream.name == name)
    }

    pub(crate) fn of_consumer(&mut self, consumer: ConsumerId) -> Option<&mut Stream> {
        self.list.iter_mut().find(|stream| stream.has(consumer))
    }

    pub(crate) fn on_link_down(&mut self, fx: &mut Effects) {
        for stream in &mut self.list {
            stream.on_link_down(fx);
        }
    }

    /// Bounds what is remembered of streams that nobody follows any more (I9): `left` is the last one.
    pub(crate) fn forget_idle(&mut self, left: StreamId) {
        // Behind all that were left before it.
        if let Some(place) = self.list.iter().position(|stream| stream.id == left) {
            let stream = self.list.remove(place);
            self.list.push(stream);
        }
        while self.list.iter().filter(|stream| stream.is_idle()).count() > MAX_IDLE_STREAMS
            && let Some(oldest) = self.list.iter().position(Stream::is_idle)
        {
            self.list.remove(oldest);
        }
    }
}
