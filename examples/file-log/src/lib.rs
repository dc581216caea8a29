//! An event log in one file, to which each change adds a line of JSON. An example for those who write their own log.
//!
//! A change is checked against what is in memory, then written and synced, then made in memory, and only then told to
//! the observer and to its writer. Reads look at memory, so they see only what is durable.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::future::ready;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use agentwire_bridge::log::*;
use agentwire_bridge::{MemoryLog, StreamKey};
use futures_util::future::{BoxFuture, FutureExt, TryFutureExt};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

type Answer<'a, T> = BoxFuture<'a, std::result::Result<T, LogError>>;

/// A line of the file. The first one is `Log`.
#[derive(Serialize, Deserialize)]
enum Line {
    /// The version of the format, the id of the log, and its secret.
    Log(u8, String, [u8; 32]),
    Record(StreamKey, Box<RawValue>),
    Epoch(StreamKey, Arc<str>),
    Trim(StreamKey, u64),
    Redact(StreamKey, u64),
    /// The number of the record, its offset, and the ledger.
    Snapshot(StreamKey, u64, u64, Arc<str>),
    /// Written, and cut off again.
    Check,
}

/// Keeps streams in a file, and all of them in memory.
pub struct FileLog {
    state: Arc<State>,
    writer: Arc<tokio::sync::Mutex<Writer>>,
}

/// What the file says.
struct State {
    memory: MemoryLog,
    /// Names of epochs after the first one of a stream. A log in memory chooses others.
    epochs: Mutex<BTreeMap<StreamKey, Arc<str>>>,
    incarnation: Incarnation,
    secret: [u8; 32],
    observer: OnceLock<Observer>,
}

struct Writer {
    state: Arc<State>,
    path: PathBuf,
    file: File,
    /// Bytes of whole lines that are durable.
    length: u64,
    /// Whether the file has these bytes and no more, under its name.
    is_sound: bool,
    _lock: File,
}

impl FileLog {
    /// Opens the log at `path`, and creates it when there is none. A last line that was not written to its end is
    /// dropped: nobody was told that it is durable.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let say = |kind, what: String| Error::new(kind, format!("{}: {what}", path.display()));
        // A file of its own: the log becomes another file when something is redacted.
        let lock = open(&path.with_added_extension("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => say(ErrorKind::ResourceBusy, "another process uses this log".into()),
            TryLockError::Error(error) => error,
        })?;
        let (mut file, mut bytes) = (open(&path)?, Vec::new());
        file.read_to_end(&mut bytes)?;
        let is_empty = bytes.is_empty();
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        let length = bytes.len() as u64;
        let mut lines = lines(&bytes).zip(1..);
        let (memory, new) = (MemoryLog::new(), Incarnation::default());
        let (incarnation, secret) = match lines.next().map(|(line, _)| serde_json::from_slice(line)) {
            None if is_empty => (new, memory.secret()),
            Some(Ok(Line::Log(1, id, secret))) => (Incarnation::new(&id), secret),
            _ => return Err(say(ErrorKind::InvalidData, "line 1: not a log of this version".into())),
        };
        let id = incarnation.log().to_owned();
        let state =
            State { memory, epochs: Mutex::default(), incarnation, secret, observer: OnceLock::new() };
        for (line, number) in lines {
            let line = serde_json::from_slice(line).map_err(Error::from);
            line.and_then(|line| state.apply(line))
                .map_err(|error| say(ErrorKind::InvalidData, format!("line {number}: {error}")))?;
        }
        let state = Arc::new(state);
        let mut writer =
            Writer { state: Arc::clone(&state), path, file, length, is_sound: false, _lock: lock };
        writer.repair()?;
        if length == 0 {
            writer.commit(Line::Log(1, id, secret))?;
        }
        Ok(Self { state, writer: Arc::new(tokio::sync::Mutex::new(writer)) })
    }

    /// Writes the line that `decide` makes of a head, if any. Answers the heads before and after it.
    fn change(
        &self,
        stream: &StreamKey,
        decide: impl FnOnce(&Head) -> Result<Option<Line>> + Send + 'static,
    ) -> Answer<'static, (Head, Head)> {
        let (stream, writer) = (stream.clone(), Arc::clone(&self.writer));
        let done = async move {
            // Who comes first is first: this lock is fair. A file blocks, so it has a thread.
            let mut writer = writer.lock_owned().await;
            let work = tokio::task::spawn_blocking(move || {
                let before = writer.state.head(&stream)?;
                decide(&before)?.map_or(Ok(()), |line| writer.commit(line))?;
                Ok((before, writer.state.head(&stream)?))
            });
            work.await.unwrap_or_else(|panicked| Err(Error::other(panicked))).map_err(unavailable)
        };
        done.boxed()
    }
}

fn open(path: &Path) -> Result<File> {
    File::options().create(true).read(true).append(true).open(path)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

fn unavailable(error: Error) -> LogError {
    LogError::Unavailable(error.to_string())
}

/// The record as a line, which [`Record::to_json`] is not when it has two events.
fn to_line(stream: StreamKey, record: &Record) -> Result<Line> {
    Ok(Line::Record(stream, RawValue::from_string(record.to_json().replace('\n', ""))?))
}

/// A log in memory answers at once.
fn now<T>(answer: Answer<'_, T>) -> Result<T> {
    answer.now_or_never().unwrap_or(Err(LogError::Closed)).map_err(Error::other)
}

impl State {
    fn head(&self, stream: &StreamKey) -> Result<Head> {
        let epochs = self.epochs.lock();
        let epoch = epochs.get(stream).cloned().unwrap_or_else(|| self.incarnation.first_epoch(stream));
        Ok(Head { epoch, ..now(self.memory.head(stream))? })
    }

    /// Does in memory what a line says.
    fn apply(&self, line: Line) -> Result<Option<Commit>> {
        let (stream, change) = match line {
            Line::Record(stream, text) => {
                let (record, head) = (Arc::new(Record::from_json(text.get())?), self.head(&stream)?);
                if (record.seq, record.first) != (head.seq + 1, head.offset + 1) {
                    return Err(Error::other(format!("record {} does not follow {head:?}", record.seq)));
                }
                now(self.memory.append(&stream, head.seq, Arc::clone(&record)))?;
                (stream, Change::Appended(record))
            }
            Line::Epoch(stream, epoch) => {
                let mut epochs = self.epochs.lock();
                let old = now(self.memory.head(&stream))?.epoch;
                let number = now(self.memory.new_epoch(&stream, &old))?.epoch_number;
                epochs.insert(stream.clone(), Arc::clone(&epoch));
                (stream, Change::NewEpoch { epoch, number })
            }
            Line::Trim(stream, through) => {
                let oldest = now(self.memory.trim(&stream, through))?;
                (stream, Change::Trimmed { oldest })
            }
            Line::Redact(stream, offset) => {
                now(self.memory.redact(&stream, offset))?;
                (stream, Change::Redacted { offset })
            }
            Line::Snapshot(stream, seq, offset, ledger) => {
                now(self.memory.put_snapshot(&stream, Snapshot { seq, offset, ledger }))?;
                return Ok(None);
            }
            Line::Check | Line::Log(..) => return Ok(None),
        };
        Ok(Some(Commit { stream, change }))
    }
}

impl Writer {
    /// Makes a line durable, then true, then known.
    fn commit(&mut self, line: Line) -> Result<()> {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.repair()?;
        let length = self.length;
        match &line {
            Line::Trim(stream, through) => self.rewrite(stream, 0, *through, &text)?,
            Line::Redact(stream, offset) => self.rewrite(stream, *offset, *offset, &text)?,
            _ => self.write(&text)?,
        }
        if let Line::Check = line {
            (self.length, self.is_sound) = (length, false);
        }
        // What cannot be true is cut off again.
        let commit =
            self.state.apply(line).inspect_err(|_| (self.length, self.is_sound) = (length, false))?;
        if let (Some(commit), Some(observer)) = (commit, self.state.observer.get()) {
            observer(&commit);
        }
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        self.is_sound = false;
        if let Err(error) = self.file.write_all(text).and_then(|()| self.file.sync_data()) {
            // What was not durable in time must not become so. It is tried again before the next write.
            let _ = self.repair();
            return Err(error);
        }
        self.length += text.len() as u64;
        self.is_sound = true;
        Ok(())
    }

    /// Cuts off what a failed write left, and makes the rest durable, and the name of the file.
    fn repair(&mut self) -> Result<()> {
        if !self.is_sound {
            self.file.set_len(self.length)?;
            self.file.sync_all()?;
            self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
            self.is_sound = true;
        }
        Ok(())
    }

    /// Replaces the file by one in which events are void, and which has one more line.
    fn rewrite(&mut self, stream: &StreamKey, from: u64, through: u64, last: &[u8]) -> Result<()> {
        let mut text = Vec::new();
        for line in lines(&fs::read(&self.path)?) {
            match serde_json::from_slice(line)? {
                Line::Record(key, record) if key == *stream => {
                    let mut record = Record::from_json(record.get())?;
                    let events = (record.first..).zip(&mut record.events);
                    events
                        .filter(|(at, _)| (from..=through).contains(at))
                        .for_each(|(_, event)| *event = VOID.into());
                    serde_json::to_writer(&mut text, &to_line(key, &record)?)?;
                    text.push(b'\n');
                }
                _ => text.extend_from_slice(line),
            }
        }
        text.extend_from_slice(last);
        let path = self.path.with_added_extension("new");
        let mut new = open(&path)?;
        let written = new.set_len(0).and_then(|()| new.write_all(&text)).and_then(|()| new.sync_data());
        if let Err(error) = written.and_then(|()| fs::rename(&path, &self.path)) {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        (self.file, self.length, self.is_sound) = (new, text.len() as u64, false);
        self.repair()
    }
}

impl Log for FileLog {
    fn observe(&self, observer: Observer) {
        // The first one is kept.
        let _ = self.state.observer.set(observer);
    }

    fn append<'a>(&'a self, key: &'a StreamKey, expected: u64, record: Arc<Record>) -> Answer<'a, Append> {
        let stream = key.clone();
        let decide = move |head: &Head| (head.seq == expected).then(|| to_line(stream, &record)).transpose();
        let answer = move |(Head { seq, .. }, _)| match seq {
            seq if seq == expected => Append::Appended,
            seq => Append::Stale { seq },
        };
        self.change(key, decide).map_ok(answer).boxed()
    }

    fn head<'a>(&'a self, key: &'a StreamKey) -> Answer<'a, Head> {
        ready(self.state.head(key).map_err(unavailable)).boxed()
    }

    fn read<'a>(&'a self, key: &'a StreamKey, from: u64, events: usize, bytes: usize) -> Answer<'a, Page> {
        self.state.memory.read(key, from, events, bytes)
    }

    fn records<'a>(&'a self, key: &'a StreamKey, after: u64, max: usize) -> Answer<'a, Vec<Record>> {
        self.state.memory.records(key, after, max)
    }

    fn snapshot<'a>(&'a self, key: &'a StreamKey) -> Answer<'a, Option<Snapshot>> {
        self.state.memory.snapshot(key)
    }

    fn put_snapshot<'a>(&'a self, key: &'a StreamKey, snapshot: Snapshot) -> Answer<'a, ()> {
        let line = Line::Snapshot(key.clone(), snapshot.seq, snapshot.offset, snapshot.ledger);
        self.change(key, |_| Ok(Some(line))).map_ok(drop).boxed()
    }

    fn trim<'a>(&'a self, key: &'a StreamKey, through: u64) -> Answer<'a, u64> {
        let stream = key.clone();
        let decide = move |head: &Head| {
            let through = through.min(head.offset);
            Ok((through >= head.oldest).then_some(Line::Trim(stream, through)))
        };
        self.change(key, decide).map_ok(|(_, after)| after.oldest).boxed()
    }

    fn redact<'a>(&'a self, key: &'a StreamKey, offset: u64) -> Answer<'a, bool> {
        let (stream, is_there) =
            (key.clone(), move |head: &Head| (head.oldest..=head.offset).contains(&offset));
        let decide = move |head: &Head| Ok(is_there(head).then_some(Line::Redact(stream, offset)));
        self.change(key, decide).map_ok(move |(before, _)| is_there(&before)).boxed()
    }

    fn new_epoch<'a>(&'a self, key: &'a StreamKey, current: &'a str) -> Answer<'a, Head> {
        let line = Line::Epoch(key.clone(), self.state.incarnation.next_epoch());
        let current = current.to_owned();
        let decide = move |head: &Head| Ok((*head.epoch == current).then_some(line));
        self.change(key, decide).map_ok(|(_, after)| after).boxed()
    }

    fn unfinished<'a>(&'a self, after: Option<&'a StreamKey>, max: usize) -> Answer<'a, Vec<StreamKey>> {
        self.state.memory.unfinished(after, max)
    }

    fn secret(&self) -> [u8; 32] {
        self.state.secret
    }

    fn check(&self) -> Answer<'_, ()> {
        let any = StreamKey::new("check", "check").map_err(|error| LogError::Unavailable(error.to_string()));
        ready(any).and_then(|any| self.change(&any, |_| Ok(Some(Line::Check)))).map_ok(drop).boxed()
    }
}

impl std::fmt::Debug for FileLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileLog").finish_non_exhaustive()
    }
}
