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

/// A part of a stream that one user may not read any more (GAP-3).
#[derive(Clone, Debug)]
pub struct Withheld {
    /// The user.
    pub subject: String,
    /// The first offset of it.
    pub from: u64,
    /// The last offset of it.
    pub to: u64,
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
    /// The offset of the last event that is written; what is above the head is lost with the process.
    pub written: u64,
    /// The largest head it ever had: whatever is above it was never durable (I13).
    pub durable: u64,
    /// The event of offset 1 first; those that were trimmed or lost are kept here, as the truth of what was.
    pub events: Vec<Stored>,
    /// The head at which it began: what is at or below it was written in a former life.
    pub base: u64,
    /// The largest offset that was ever sent to anybody, or reported to be out of reach.
    pub shown: u64,
    /// What some users may not read. It only grows.
    pub withheld: Vec<Withheld>,
}

impl Life {
    /// An epoch that nothing was written in.
    pub fn new(epoch: &str) -> Self {
        Self {
            epoch: epoch.into(),
            oldest: 1,
            head: 0,
            written: 0,
            durable: 0,
            events: Vec::new(),
            base: 0,
            shown: 0,
            withheld: Vec::new(),
        }
    }

    fn covers(&self, subject: &str, offset: u64) -> Option<u64> {
        let of_both = |part: &&Withheld| part.subject == subject && (part.from..=part.to).contains(&offset);
        self.withheld.iter().filter(of_both).map(|part| part.to).max()
    }

    /// The last offset in a row that a user may not read, from one on; `None` if that one may be read.
    pub fn withheld_through(&self, subject: &str, offset: u64) -> Option<u64> {
        let mut last = self.covers(subject, offset)?;
        while let Some(further) = self.covers(subject, last + 1) {
            last = further;
        }
        Some(last)
    }

    /// The last offset before `to` in a row that a user may read, from one on that may be.
    pub(crate) fn readable_through(&self, subject: &str, offset: u64, to: u64) -> u64 {
        let parts = self.withheld.iter().filter(|part| part.subject == subject && part.to >= offset);
        parts.map(|part| part.from.saturating_sub(1)).fold(to, u64::min)
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

    /// Writes an event; it is durable with the next [`commit`](Self::commit).
    pub(crate) fn append(&mut self, send: Option<String>) -> u64 {
        let life = self.life_mut();
        // What was lost and never shown is written over.
        life.events.truncate(life.written as usize);
        life.events.push(Stored { send, void: false });
        life.written += 1;
        life.written
    }

    /// Makes durable what is written.
    pub(crate) fn commit(&mut self) {
        let life = self.life_mut();
        life.head = life.written;
        life.durable = life.durable.max(life.head);
    }

    /// Puts the log back to what was durable, or to less than that.
    pub(crate) fn cut_back(&mut self, head: u64) {
        let life = self.life_mut();
        life.head = life.head.min(head);
        life.written = life.head;
        life.base = life.base.min(life.head);
    }

    /// Begins another life, empty or with what the present one holds.
    pub(crate) fn begin_life(&mut self, epoch: &str, keep: bool) {
        let mut life = Life::new(epoch);
        if keep {
            let before = self.life();
            life.events = before.events[..before.head as usize].to_vec();
            (life.oldest, life.head, life.written) = (before.oldest, before.head, before.head);
            (life.durable, life.base) = (life.head, life.head);
            life.withheld = before.withheld.clone();
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
                None => {
                    let text = text_of(time);
                    write!(out, r#"{{"type":"message_delta","time":{time},"text":"{text}"}}"#)
                }
            };
        }
    }

    /// The bytes of an event's JSON, as the window counts them (FLO-1).
    pub(crate) fn bytes_of(&self, offset: u64) -> u64 {
        let stored = &self.life().events[offset as usize - 1];
        let time = self.number(self.lives.len() - 1, offset);
        let digits = u64::from(time.ilog10()) + 1;
        match &stored.send {
            _ if stored.void => r#"{"type":"void"}"#.len() as u64,
            Some(id) => {
                let frame = r#"{"type":"user_message","content":"hello","sendId":"","time":}"#;
                (frame.len() + id.len()) as u64 + digits
            }
            None => {
                let frame = r#"{"type":"message_delta","time":,"text":""}"#;
                (frame.len() + text_of(time).len()) as u64 + digits
            }
        }
    }

    /// Tells whether a range holds deltas only.
    pub(crate) fn is_deltas(&self, first: u64, last: u64) -> bool {
        self.life().events[first as usize - 1..last as usize]
            .iter()
            .all(|stored| !stored.void && stored.send.is_none())
    }
}

/// The text of a delta: most are a token, some are a page, a few are larger than a small window.
pub(crate) fn text_of(number: u64) -> &'static str {
    const PAGE: &str = "a paragraph of an answer, as a model writes it when it is asked for one";
    match number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56 {
        0..=2 => HUGE,
        3..=40 => PAGE,
        _ => "x",
    }
}

/// Larger than the smallest window of bytes.
const HUGE: &str = match std::str::from_utf8(&[b'h'; 1_500]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_an_event_are_those_of_its_json() {
        let mut log = Log::new(3);
        for index in 0..400 {
            log.append((index % 7 == 0).then(|| format!("p1-m{index}")));
        }
        log.commit();
        log.life_mut().events[4].void = true;
        for offset in 1..=400 {
            let mut text = String::new();
            log.write_events(offset, offset, &mut text);
            assert_eq!(log.bytes_of(offset), text.len() as u64, "{text}");
        }
    }

    #[test]
    fn a_withheld_part_ends_where_the_user_may_read_again() {
        let mut life = Life::new("e1");
        for (subject, from, to) in [("ada", 3, 5), ("ada", 6, 8), ("eve", 1, 20), ("ada", 12, 12)] {
            life.withheld.push(Withheld { subject: subject.into(), from, to });
        }
        assert_eq!(life.withheld_through("ada", 2), None);
        assert_eq!(life.withheld_through("ada", 4), Some(8));
        assert_eq!(life.readable_through("ada", 1, 100), 2);
        assert_eq!(life.readable_through("ada", 9, 100), 11);
        assert_eq!(life.readable_through("ada", 13, 100), 100);
    }
}
