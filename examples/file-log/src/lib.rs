//! An event log in one file that only grows. An example for those who write their own log.
//!
//! A change is checked against what is in memory, written and synced, then made in memory, and then told. So a write
//! that failed leaves nothing to undo in memory, and reads, which look at memory alone, see only what is durable.

use std::fs::{self, File};
use std::io::{Error, Result, Write};
use std::path::Path;
use std::sync::Arc;

use agentwire_bridge::log::*;
use agentwire_bridge::{MemoryLog, StreamKey};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};

type Answer<'a, T> = BoxFuture<'a, std::result::Result<T, LogError>>;

/// A line of the file. The first one is `Log`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Log { id: String, secret: [u8; 32] },
    Commit(Commit),
    Snapshot(StreamKey, Snapshot),
}

/// Keeps streams in a file, and all of them in memory.
#[derive(Debug)]
pub struct FileLog {
    memory: Arc<MemoryLog>,
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    /// Bytes of whole lines that are durable.
    length: u64,
    memory: Arc<MemoryLog>,
}

impl FileLog {
    /// Opens the log at `path`, and creates it when there is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let say = |what: &str| Error::other(format!("{}: {what}", path.display()));
        let mut file = File::options().create(true).read(true).append(true).open(&path)?;
        file.try_lock().map_err(|error| say(&format!("another process uses this log: {error}")))?;
        if file.metadata()?.len() == 0 {
            let new = MemoryLog::new();
            let first = Line::Log { id: new.id().to_owned(), secret: new.secret() };
            writeln!(file, "{}", serde_json::to_string(&first)?)?;
        }
        // What is read counts from now on. It may not be durable yet, nor the name of a new file in its folder.
        file.sync_all()?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
        let bytes = fs::read(&path)?;
        // A last line that was not written to its end is dropped: nobody was told that it is durable.
        let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = bytes[..length].split_inclusive(|byte| *byte == b'\n').zip(1..);
        let first = lines.next().map(|(line, _)| serde_json::from_slice(line));
        let Some(Ok(Line::Log { id, secret })) = first else { return Err(say("line 1: not an event log")) };
        let memory = Arc::new(MemoryLog::with_identity(&id, secret));
        for (line, number) in lines {
            let bad = |error: Error| say(&format!("line {number}: {error}"));
            let line = serde_json::from_slice(line).map_err(Error::from);
            line.and_then(|line| apply(&memory, line)).map_err(bad)?;
        }
        let writer = Writer { file, length: length as u64, memory: Arc::clone(&memory) };
        Ok(Self { memory, writer: Arc::new(tokio::sync::Mutex::new(writer)) })
    }

    /// Works with the file, in the order of the calls: this lock is fair. A file blocks, so the work has a thread,
    /// where it comes to its end even if nobody waits for the answer any more.
    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let mut writer = Arc::clone(&self.writer).lock_owned().await;
            let done = tokio::task::spawn_blocking(move || work(&mut writer)).await;
            done.map_err(Error::other).flatten().map_err(|error| LogError::Unavailable(error.to_string()))
        })
    }

    /// Makes the change that `decide` finds at the head of a stream, if any, and then answers what it says.
    fn change<T: Send + 'static>(
        &self,
        stream: &StreamKey,
        decide: impl FnOnce(Head) -> (T, Option<Change>) + Send + 'static,
    ) -> Answer<'_, T> {
        let stream = stream.clone();
        self.work(move |writer| {
            let (answer, change) = decide(now(writer.memory.head(&stream))?);
            change.map_or(Ok(()), |change| writer.commit(Line::Commit(Commit { stream, change })))?;
            Ok(answer)
        })
    }
}

impl Writer {
    /// Makes a line durable, then true and known.
    fn commit(&mut self, line: Line) -> Result<()> {
        self.write(format!("{}\n", serde_json::to_string(&line)?).as_bytes())?;
        apply(&self.memory, line)
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        // What a failed write left is cut off first.
        self.file.set_len(self.length)?;
        self.file.write_all(text)?;
        self.file.sync_data()?;
        self.length += text.len() as u64;
        Ok(())
    }
}

fn apply(memory: &MemoryLog, line: Line) -> Result<()> {
    match line {
        Line::Commit(commit) => memory.apply(&commit),
        Line::Snapshot(stream, snapshot) => now(memory.put_snapshot(&stream, snapshot))?,
        Line::Log { .. } => return Err(Error::other("another log begins here")),
    }
    Ok(())
}

/// A log in memory answers at once.
fn now<T>(answer: Answer<'_, T>) -> Result<T> {
    answer.now_or_never().unwrap_or(Err(LogError::Closed)).map_err(Error::other)
}

impl Log for FileLog {
    fn append<'a>(&'a self, stream: &'a StreamKey, expected: u64, record: Arc<Record>) -> Answer<'a, Append> {
        self.change(stream, move |Head { seq, .. }| match seq == expected {
            true => (Append::Appended, Some(Change::Appended(record))),
            false => (Append::Stale { seq }, None),
        })
    }

    fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> Answer<'a, u64> {
        self.change(stream, move |head| {
            let oldest = head.oldest.max(through.min(head.offset) + 1);
            (oldest, (oldest > head.oldest).then_some(Change::Trimmed { oldest }))
        })
    }

    fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> Answer<'a, bool> {
        self.change(stream, move |head| {
            let is_there = (head.oldest..=head.offset).contains(&offset);
            (is_there, is_there.then_some(Change::Redacted { offset }))
        })
    }

    fn new_epoch<'a>(&'a self, stream: &'a StreamKey, current: &'a str) -> Answer<'a, Head> {
        // A random name. The log in memory would choose one as well, but only once it has changed.
        let (current, epoch) = (current.to_owned(), Incarnation::default().next_epoch());
        self.change(stream, move |head| {
            if *head.epoch != current {
                return (head, None);
            }
            let (epoch_number, base) = (head.epoch_number + 1, head.offset);
            let change = Change::NewEpoch { epoch: Arc::clone(&epoch), number: epoch_number };
            (Head { epoch, epoch_number, base, ..head }, Some(change))
        })
    }

    fn put_snapshot<'a>(&'a self, stream: &'a StreamKey, snapshot: Snapshot) -> Answer<'a, ()> {
        let line = Line::Snapshot(stream.clone(), snapshot);
        self.work(|writer| writer.commit(line))
    }

    fn check(&self) -> Answer<'_, ()> {
        // Without a line feed it is no line: its length does not count, and the next write cuts it off.
        self.work(|writer| writer.write(b" ").map(|()| writer.length -= 1))
    }

    // The rest is as in memory.
    fn observe(&self, observer: Observer) {
        self.memory.observe(observer);
    }
    fn head<'a>(&'a self, stream: &'a StreamKey) -> Answer<'a, Head> {
        self.memory.head(stream)
    }
    fn read<'a>(&'a self, stream: &'a StreamKey, from: u64, events: usize, bytes: usize) -> Answer<'a, Page> {
        self.memory.read(stream, from, events, bytes)
    }
    fn records<'a>(&'a self, stream: &'a StreamKey, after: u64, max: usize) -> Answer<'a, Vec<Record>> {
        self.memory.records(stream, after, max)
    }
    fn snapshot<'a>(&'a self, stream: &'a StreamKey) -> Answer<'a, Option<Snapshot>> {
        self.memory.snapshot(stream)
    }
    fn unfinished<'a>(&'a self, after: Option<&'a StreamKey>, max: usize) -> Answer<'a, Vec<StreamKey>> {
        self.memory.unfinished(after, max)
    }
    fn streams<'a>(&'a self, after: Option<&'a StreamKey>, max: usize) -> Answer<'a, Vec<StreamKey>> {
        self.memory.streams(after, max)
    }
    fn secret(&self) -> [u8; 32] {
        self.memory.secret()
    }
}
