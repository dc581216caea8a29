//! What is durable, and everything that ever was: the truth that all are judged by.
//!
//! It does what a log does, at once and without a fault. [`faulty`](crate::faulty) stands between it and a bridge.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentwire_bridge::StreamKey;
use agentwire_bridge::log::{Append, Change, Commit, Head, Observer, Page, Record, Snapshot, VOID, take};
use agentwire_sim::Server;
use agentwire_sim::log::{Life, Log, Stored};
use parking_lot::Mutex;
use serde_json::Value;

/// What an event is, for those who judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of a user.
    Message {
        /// The id its page chose.
        send: String,
        /// Who sent it.
        user: String,
        /// How it reaches a run, if not behind the others.
        mode: Option<String>,
        /// Its text.
        content: String,
    },
    /// Another text for a message that waits.
    Edited {
        /// The message.
        send: String,
        /// The text.
        content: String,
    },
    /// A message waits behind so many.
    Queued {
        /// The message.
        send: String,
        /// How many.
        ahead: u64,
    },
    /// A message waits no more.
    Dequeued {
        /// The message.
        send: String,
        /// Why.
        reason: String,
    },
    /// An event of a run; the first one starts it.
    Run {
        /// The run.
        run: String,
        /// The message that it says it answers.
        answers: Option<String>,
        /// Whether it ends the run, and by which type of event.
        ends: Option<String>,
        /// What else it says.
        part: Part,
    },
    /// A line of an inbox: the thread, and the place in it.
    Line {
        /// The thread.
        thread: String,
        /// The place.
        head: u64,
    },
    /// Something else.
    Other,
}

/// What an event of a run says of approvals, messages and other runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It asks a person.
    Asks {
        /// The approval.
        approval: String,
        /// When that expires.
        expires_at_ms: Option<u64>,
    },
    /// An approval is decided.
    Resolved {
        /// The approval.
        approval: String,
        /// How.
        decision: String,
        /// By whom.
        by: Option<String>,
    },
    /// A message is for the run.
    Steered {
        /// The message.
        send: String,
    },
    /// The run takes a message that is for it.
    Took {
        /// The message.
        send: String,
    },
    /// The run is a part of another one.
    Below {
        /// That one.
        parent: String,
    },
    /// Nothing.
    Other,
}

impl Kind {
    fn of(body: &Value) -> Self {
        let optional = |key: &str| body[key].as_str().map(str::to_owned);
        let text = |key: &str| optional(key).unwrap_or_default();
        let number = |key: &str| body[key].as_u64().unwrap_or(0);
        let kind = body["type"].as_str().unwrap_or_default();
        let send = text("sendId");
        match kind {
            "user_message" => {
                return Self::Message {
                    send,
                    user: text("user"),
                    mode: optional("mode"),
                    content: text("content"),
                };
            }
            "message_edited" => return Self::Edited { send, content: text("content") },
            "message_queued" => return Self::Queued { send, ahead: number("ahead") },
            "message_dequeued" => return Self::Dequeued { send, reason: text("reason") },
            "thread_changed" => return Self::Line { thread: text("thread"), head: number("head") },
            _ => {}
        }
        let Some(run) = optional("runId") else { return Self::Other };
        let ends = match kind {
            "agent_completed" | "agent_cancelled" | "agent_died" => true,
            "agent_error" => body["recoverable"] != true,
            _ => false,
        };
        let part = match kind {
            "approval_requested" => {
                Part::Asks { approval: text("approvalId"), expires_at_ms: body["expiresAt"].as_u64() }
            }
            "approval_resolved" => Part::Resolved {
                approval: text("approvalId"),
                decision: text("decision"),
                by: optional("user"),
            },
            "steering_requested" => Part::Steered { send },
            "steering_taken" => Part::Took { send },
            "agent_started" => optional("parentRunId").map_or(Part::Other, |parent| Part::Below { parent }),
            _ => Part::Other,
        };
        let answers = if kind == "agent_started" { optional("sendId") } else { None };
        Self::Run { run, answers, ends: ends.then(|| kind.to_owned()), part }
    }
}

/// An event as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its JSON.
    pub body: Arc<str>,
    /// What it is.
    pub kind: Kind,
}

#[derive(Debug)]
struct Stream {
    name: String,
    head: Head,
    /// Every record of the present life, with the number of its commit among all.
    records: Vec<(u64, Arc<Record>)>,
    /// Records up to this one are gone.
    gone: u64,
    /// Events that were taken out, each with the number of the commit.
    void: BTreeMap<u64, u64>,
    /// What was trimmed: the number of the commit, the new oldest offset, and the last record that was gone then.
    trims: Vec<(u64, u64, u64)>,
    /// Every snapshot, with the number of its commit: the last one counts.
    snapshots: Vec<(u64, Snapshot)>,
    /// What each life wrote, the event of offset 1 first.
    lives: Vec<Vec<Written>>,
}

/// All streams.
#[derive(Default)]
struct Inner {
    streams: BTreeMap<StreamKey, Stream>,
    commits: u64,
    epochs: u64,
    process: u64,
    observer: Option<Observer>,
    broken: Option<String>,
}

/// The store of one run.
pub struct Store {
    inner: Mutex<Inner>,
    /// The same, as the oracle of the pages wants it.
    truth: Mutex<Server>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("commits", &self.inner.lock().commits).finish_non_exhaustive()
    }
}

impl Store {
    /// A store with these streams, by key and by the name that pages know them by.
    pub fn new(streams: &[(StreamKey, String)]) -> Self {
        let mut truth = Server::default();
        let inner = Inner::default();
        let store = Self { inner: Mutex::new(inner), truth: Mutex::new(Server::default()) };
        for (index, (key, name)) in streams.iter().enumerate() {
            store.make(key, name);
            let epoch = format!("f-{}", key.as_str());
            truth.logs.insert(name.clone(), Log { index: index as u64 + 1, lives: vec![Life::new(&epoch)] });
        }
        *store.truth.lock() = truth;
        store
    }

    fn make(&self, key: &StreamKey, name: &str) {
        let stream = Stream {
            name: name.into(),
            head: first_head(key),
            records: Vec::new(),
            gone: 0,
            void: BTreeMap::new(),
            trims: Vec::new(),
            snapshots: Vec::new(),
            lives: vec![Vec::new()],
        };
        self.inner.lock().streams.insert(key.clone(), stream);
    }

    /// Looks at the truth as the oracle of the pages wants it.
    pub fn with_truth<T>(&self, look: impl FnOnce(&Server) -> T) -> T {
        look(&self.truth.lock())
    }

    /// The first thing that a bridge did which no log would take.
    pub fn broken(&self) -> Option<String> {
        self.inner.lock().broken.clone()
    }

    /// A new process opens the log: what the one before it still asks for is not done.
    pub fn open(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.process += 1;
        inner.observer = None;
        inner.process
    }

    /// Whether this process has the log.
    pub fn is_open(&self, process: u64) -> bool {
        self.inner.lock().process == process
    }

    /// Sets who is notified.
    pub fn observe(&self, process: u64, observer: Observer) {
        let mut inner = self.inner.lock();
        if inner.process == process {
            inner.observer = Some(observer);
        }
    }

    fn change<T>(&self, key: &StreamKey, change: impl FnOnce(&mut Stream, u64) -> (T, Option<Change>)) -> T {
        if !self.inner.lock().streams.contains_key(key) {
            self.make(key, key.as_str());
        }
        let mut inner = self.inner.lock();
        inner.commits += 1;
        let commits = inner.commits;
        let stream = inner.streams.get_mut(key).expect("it was made");
        let (answer, change) = change(stream, commits);
        if let Some(change) = change {
            self.mirror(&stream.name, stream, &change);
            if let Some(observer) = inner.observer.clone() {
                observer(&Commit { stream: key.clone(), change });
            }
        }
        answer
    }

    /// Writes a change into the truth of the oracle.
    fn mirror(&self, name: &str, stream: &Stream, change: &Change) {
        let mut truth = self.truth.lock();
        let truth = &mut *truth;
        let Some(log) = truth.logs.get_mut(name) else { return };
        match change {
            Change::NewEpoch { epoch, .. } => {
                let before = log.life().clone();
                let head = stream.head.offset;
                let mut events = before.events[..head as usize].to_vec();
                for (offset, stored) in (1..).zip(&mut events) {
                    stored.void = stream.void.contains_key(&offset);
                }
                log.lives.push(Life {
                    events,
                    oldest: stream.head.oldest,
                    head,
                    written: head,
                    durable: head,
                    base: head,
                    withheld: before.withheld,
                    ..Life::new(epoch)
                });
            }
            Change::Appended(record) => {
                let life = log.lives.last_mut().expect("a log has a life");
                let written = stream.lives.last().expect("a stream has a life");
                for (offset, event) in (record.first..).zip(&written[record.first as usize - 1..]) {
                    let send = match &event.kind {
                        Kind::Message { send, .. } => Some(send.clone()),
                        _ => None,
                    };
                    truth.applied.extend(send.clone().map(|send| (name.to_owned(), send, String::new())));
                    life.events.push(Stored { send, void: false });
                    life.written = offset;
                }
                life.head = life.written;
                life.durable = life.durable.max(life.head);
            }
            Change::Trimmed { oldest } => {
                let life = log.lives.last_mut().expect("a log has a life");
                life.oldest = *oldest;
            }
            Change::Redacted { offset } => {
                let life = log.lives.last_mut().expect("a log has a life");
                if let Some(stored) = life.events.get_mut(*offset as usize - 1) {
                    stored.void = true;
                }
            }
            _ => {}
        }
    }

    fn look<T>(&self, key: &StreamKey, look: impl FnOnce(&Stream) -> T) -> T {
        if !self.inner.lock().streams.contains_key(key) {
            self.make(key, key.as_str());
        }
        look(&self.inner.lock().streams[key])
    }

    // --- What a log does ---

    /// Appends a record, if none came between.
    pub fn append(&self, key: &StreamKey, expected: u64, record: Arc<Record>) -> Append {
        let mut broken = None;
        let appended = self.change(key, |stream, commit| {
            if expected != stream.head.seq {
                return (Append::Stale { seq: stream.head.seq }, None);
            }
            if record.seq != expected + 1 || record.first != stream.head.offset + 1 {
                broken =
                    Some(format!("{key}: record {} at {} after {:?}", record.seq, record.first, stream.head));
            }
            let life = stream.lives.last_mut().expect("a stream has a life");
            life.extend(record.events.iter().map(|body| Written {
                body: Arc::clone(body),
                kind: Kind::of(&serde_json::from_str(body).unwrap_or_default()),
            }));
            (stream.head.seq, stream.head.offset) = (record.seq, record.head());
            stream.records.push((commit, Arc::clone(&record)));
            (Append::Appended, Some(Change::Appended(record)))
        });
        if broken.is_some() {
            self.inner.lock().broken = broken;
        }
        appended
    }

    /// Where a stream stands.
    pub fn head(&self, key: &StreamKey) -> Head {
        self.look(key, |stream| stream.head.clone())
    }

    /// Reads events.
    pub fn read(&self, key: &StreamKey, from: u64, max_events: usize, max_bytes: usize) -> Page {
        self.look(key, |stream| {
            let (head, written) = (&stream.head, stream.lives.last().expect("a stream has a life"));
            let first = from.max(head.oldest);
            let bodies = (first..=head.offset).map(|offset| stream.body(written, offset));
            let bodies = take(bodies, max_events, max_bytes);
            Page { epoch_number: head.epoch_number, oldest: head.oldest, first, bodies }
        })
    }

    /// Reads records.
    pub fn records(&self, key: &StreamKey, after: u64, max: usize) -> Vec<Record> {
        self.look(key, |stream| {
            let left = stream.records.iter().filter(|(_, record)| record.seq > after.max(stream.gone));
            left.take(max).map(|(_, record)| stream.left_of(record)).collect()
        })
    }

    /// The newest snapshot.
    pub fn snapshot(&self, key: &StreamKey) -> Option<Snapshot> {
        self.look(key, |stream| stream.snapshots.last().map(|(_, snapshot)| snapshot.clone()))
    }

    /// Keeps a snapshot.
    pub fn put_snapshot(&self, key: &StreamKey, snapshot: Snapshot) {
        self.change(key, |stream, commit| {
            if stream.snapshots.last().is_none_or(|(_, one)| one.seq < snapshot.seq) {
                stream.snapshots.push((commit, snapshot));
            }
            ((), None)
        });
    }

    /// Forgets the beginning of a stream.
    pub fn trim(&self, key: &StreamKey, through: u64) -> u64 {
        self.change(key, |stream, commit| {
            let oldest = through.min(stream.head.offset) + 1;
            if oldest <= stream.head.oldest {
                return (stream.head.oldest, None);
            }
            stream.head.oldest = oldest;
            let kept = stream.snapshots.last().map_or(0, |(_, snapshot)| snapshot.seq);
            let is_gone = |record: &Record| record.seq <= kept && record.head() < oldest;
            let gone = stream.records.iter().map(|(_, record)| record).take_while(|record| is_gone(record));
            stream.gone = gone.last().map_or(0, |record| record.seq).max(stream.gone);
            stream.trims.push((commit, oldest, stream.gone));
            (oldest, Some(Change::Trimmed { oldest }))
        })
    }

    /// Takes an event out.
    pub fn redact(&self, key: &StreamKey, offset: u64) -> bool {
        self.change(key, |stream, commit| {
            if !(stream.head.oldest..=stream.head.offset).contains(&offset) {
                return (false, None);
            }
            stream.void.entry(offset).or_insert(commit);
            (true, Some(Change::Redacted { offset }))
        })
    }

    /// Begins a new epoch.
    pub fn new_epoch(&self, key: &StreamKey, current: &str) -> Head {
        let name = self.next_epoch();
        self.change(key, |stream, _| {
            if *stream.head.epoch != *current {
                return (stream.head.clone(), None);
            }
            let change = stream.begin(&name);
            (stream.head.clone(), Some(change))
        })
    }

    fn next_epoch(&self) -> Arc<str> {
        let mut inner = self.inner.lock();
        inner.epochs += 1;
        format!("e-{}", inner.epochs).into()
    }

    /// Streams whose last record is open.
    pub fn unfinished(&self, after: Option<&StreamKey>, max: usize) -> Vec<StreamKey> {
        let inner = self.inner.lock();
        let later = inner.streams.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        let open =
            later.filter(|(_, stream)| stream.records.last().is_some_and(|(_, record)| record.is_open));
        open.take(max).map(|(key, _)| key.clone()).collect()
    }

    /// Streams that something was written to.
    pub fn streams(&self, after: Option<&StreamKey>, max: usize) -> Vec<StreamKey> {
        let inner = self.inner.lock();
        let later = inner.streams.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        let written = later.filter(|(_, stream)| !stream.records.is_empty());
        written.take(max).map(|(key, _)| key.clone()).collect()
    }

    // --- What happens to a log ---

    /// Another process appends a record with an event.
    pub fn append_foreign(&self, key: &StreamKey, event: &str, at_ms: u64) {
        let head = self.head(key);
        let is_open =
            self.look(key, |stream| stream.records.last().is_some_and(|(_, record)| record.is_open));
        let (seq, first) = (head.seq + 1, head.offset + 1);
        let record = Record { seq, first, events: vec![event.into()], facts: Vec::new(), at_ms, is_open };
        self.append(key, head.seq, Arc::new(record));
    }

    /// How many commits there were: what a backup is made of.
    pub fn commits(&self) -> u64 {
        self.inner.lock().commits
    }

    /// Puts the log back to what it was after so many commits, in a new epoch of every stream. Returns how many events
    /// were lost. No process may have it open.
    pub fn restore(&self, commits: u64) -> u64 {
        let keys: Vec<_> = self.inner.lock().streams.keys().cloned().collect();
        let mut lost = 0;
        for key in keys {
            let epoch = self.next_epoch();
            lost += self.change(&key, |stream, _| {
                let lost = self.cut(stream, commits);
                (lost, Some(stream.begin(&epoch)))
            });
        }
        lost
    }

    fn cut(&self, stream: &mut Stream, commits: u64) -> u64 {
        let before = stream.head.offset;
        stream.records.retain(|(commit, _)| *commit <= commits);
        stream.trims.retain(|(commit, ..)| *commit <= commits);
        stream.void.retain(|_, commit| *commit <= commits);
        stream.snapshots.retain(|(commit, _)| *commit <= commits);
        let last = stream.records.last().map(|(_, record)| Arc::clone(record));
        stream.head.seq = last.as_ref().map_or(0, |record| record.seq);
        stream.head.offset = last.map_or(0, |record| record.head());
        (stream.head.oldest, stream.gone) =
            stream.trims.last().map_or((1, 0), |(_, oldest, gone)| (*oldest, *gone));
        let head = stream.head.offset;
        let life = stream.lives.last().expect("a stream has a life");
        let mut truth = self.truth.lock();
        for event in &life[head as usize..] {
            if let Kind::Message { send, .. } = &event.kind {
                truth.lost.push((stream.name.clone(), send.clone(), String::new()));
            }
        }
        before - head
    }

    // --- What those who judge look at ---

    /// What a life of a stream wrote, by the epoch.
    pub fn written<T>(&self, key: &StreamKey, epoch: &str, look: impl FnOnce(&[Written]) -> T) -> Option<T> {
        let inner = self.inner.lock();
        let stream = inner.streams.get(key)?;
        let place = self.truth.lock().logs.get(&stream.name)?.place_of(epoch)?;
        stream.lives.get(place).map(|life| look(life))
    }

    /// The event at an offset of the present life.
    pub fn event(&self, key: &StreamKey, offset: u64) -> Option<Value> {
        self.look(key, |stream| {
            let event = stream.lives.last()?.get(offset.checked_sub(1)? as usize)?;
            serde_json::from_str(&event.body).ok()
        })
    }

    /// Every record of the present life, with what its events are.
    pub fn history<T>(
        &self,
        key: &StreamKey,
        look: impl FnOnce(&mut dyn Iterator<Item = (&Record, &[Written])>) -> T,
    ) -> T {
        self.look(key, |stream| {
            let written = stream.lives.last().expect("a stream has a life");
            let events = |record: &Record| &written[record.first as usize - 1..record.head() as usize];
            look(&mut stream.records.iter().map(|(_, record)| (&**record, events(record))))
        })
    }

    /// Whether the event at an offset was taken out of the present life.
    pub fn is_void(&self, key: &StreamKey, offset: u64) -> bool {
        self.look(key, |stream| stream.void.contains_key(&offset))
    }
}

/// The head of a stream that was never written.
fn first_head(key: &StreamKey) -> Head {
    let epoch = format!("f-{}", key.as_str()).into();
    Head { epoch, epoch_number: 1, base: 0, oldest: 1, offset: 0, seq: 0 }
}

impl Stream {
    fn body(&self, written: &[Written], offset: u64) -> Arc<str> {
        if self.void.contains_key(&offset) {
            VOID.into()
        } else {
            Arc::clone(&written[offset as usize - 1].body)
        }
    }

    /// A record without what was trimmed or taken out.
    fn left_of(&self, record: &Record) -> Record {
        let mut record = record.clone();
        for (offset, body) in (record.first..).zip(&mut record.events) {
            if offset < self.head.oldest || self.void.contains_key(&offset) {
                *body = VOID.into();
            }
        }
        record
    }

    fn begin(&mut self, epoch: &Arc<str>) -> Change {
        self.head.epoch = Arc::clone(epoch);
        self.head.epoch_number += 1;
        self.head.base = self.head.offset;
        let written = self.lives.last().expect("a stream has a life");
        self.lives.push(written[..self.head.offset as usize].to_vec());
        Change::NewEpoch { epoch: Arc::clone(epoch), number: self.head.epoch_number }
    }
}
