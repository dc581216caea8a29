//! The logs of the model server, with everything that was ever in them.

use std::fmt::Write as _;

/// One event of a log.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The id of the send that brought it; `None` for what an agent wrote.
    pub send: Option<String>,
    /// Whether it was taken out (EVT-7).
    pub void: bool,
}

/// One life of a log: an epoch.
#[derive(Clone, Debug)]
pub struct Life {
    /// The name of the epoch.
    pub epoch: String,
    /// The smallest offset that is left; it only grows.
    pub oldest: u64,
    /// The offset of the last event that is durable now.
    pub head: u64,
    /// The event of offset 1 first; those that were trimmed or lost are kept here, as the truth of what was.
    pub events: Vec<Stored>,
    /// The largest offset that was ever sent to anybody.
    pub shown: u64,
}

impl Life {
    fn new(epoch: &str) -> Self {
        Self { epoch: epoch.into(), oldest: 1, head: 0, events: Vec::new(), shown: 0 }
    }
}

/// A log: its lives, the present one last.
#[derive(Debug)]
pub struct Log {
    /// Where the log stands in the server's list; part of every event's number.
    pub index: u64,
    /// Every life it had.
    pub lives: Vec<Life>,
}

impl Log {
    pub(crate) fn new(index: u64) -> Self {
        Self { index, lives: vec![Life::new("e1")] }
    }

    /// The life that is served.
    pub fn life(&self) -> &Life {
        &self.lives[self.lives.len() - 1]
    }

    pub(crate) fn life_mut(&mut self) -> &mut Life {
        let last = self.lives.len() - 1;
        &mut self.lives[last]
    }

    /// The place of an epoch among the lives.
    pub fn place_of(&self, epoch: &str) -> Option<usize> {
        self.lives.iter().position(|life| life.epoch == epoch)
    }

    /// The number by which an event is known: no two events of a server share one.
    pub const fn number(&self, life: usize, offset: u64) -> u64 {
        (self.index << 44) | ((life as u64) << 28) | offset
    }

    pub(crate) fn append(&mut self, send: Option<String>) -> u64 {
        let life = self.life_mut();
        // What was lost and never shown is written over.
        life.events.truncate(life.head as usize);
        life.events.push(Stored { send, void: false });
        life.head += 1;
        life.head
    }

    /// Begins another life, empty or with what the present one holds.
    pub(crate) fn begin_life(&mut self, epoch: &str, keep: bool) {
        let mut life = Life::new(epoch);
        if keep {
            let before = self.life();
            life.events = before.events[..before.head as usize].to_vec();
            (life.oldest, life.head) = (before.oldest, before.head);
        }
        self.lives.push(life);
    }

    /// Tells whether the present life lost events that somebody saw, and nobody has noticed (SUB-6).
    pub fn went_back(&self) -> bool {
        self.life().shown > self.life().head
    }

    /// Writes the events of a range, as they are sent.
    pub(crate) fn write_events(&self, first: u64, last: u64, out: &mut String) {
        let place = self.lives.len() - 1;
        for offset in first..=last {
            if offset > first {
                out.push(',');
            }
            let stored = &self.life().events[offset as usize - 1];
            let time = self.number(place, offset);
            let _ = match &stored.send {
                _ if stored.void => write!(out, r#"{{"type":"void"}}"#),
                Some(id) => write!(
                    out,
                    r#"{{"type":"user_message","content":"hello","sendId":"{id}","time":{time}}}"#
                ),
                None => write!(out, r#"{{"type":"message_delta","time":{time},"text":"x"}}"#),
            };
        }
    }

    /// Tells whether a range holds deltas only.
    pub(crate) fn is_deltas(&self, first: u64, last: u64) -> bool {
        self.life().events[first as usize - 1..last as usize]
            .iter()
            .all(|stored| !stored.void && stored.send.is_none())
    }
}
