//! What every event log must do, as tests. `log_tests!` makes one test of each function for an implementation.
//!
//! ```ignore
//! // In the tests of your log, with the feature `testing`:
//! agentwire_bridge::log_tests!({
//!     let folder = tempfile::tempdir().unwrap();
//!     // The second value is kept until the test ends.
//!     (MyLog::open(folder.path().join("log")).unwrap(), folder)
//! }; |log: MyLog, folder: &tempfile::TempDir| {
//!     drop(log);
//!     MyLog::open(folder.path().join("log")).unwrap()
//! });
//! ```
//!
//! A log that is a file on this machine also passes [`process`]: a killed process and a full disk.
#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Append, Change, Fact, Head, Log, Origin, Record, Snapshot, VOID};
use crate::stream::StreamKey;

#[cfg(all(unix, feature = "testing"))]
pub mod process;

/// Makes the tests of one log. A log that survives its process says how it is opened again.
#[macro_export]
macro_rules! log_tests {
    ($make:expr; $reopen:expr) => {
        $crate::log_tests! { $make }

        #[tokio::test]
        async fn a_restart_keeps_everything() {
            let (log, guard) = $make;
            let reopen = $reopen;
            $crate::log::testing::a_restart_keeps_everything(log, |log| reopen(log, &guard)).await;
        }
    };
    ($make:expr) => {
        $crate::log_tests! { @each $make;
            records_keep_their_order_and_reads_are_bounded
            a_stale_append_writes_nothing
            reading_writes_nothing
            observers_are_notified_after_the_commit_and_in_order
            a_record_can_hold_no_event
            snapshots_replace_older_ones
            trimming_forgets_events_and_keeps_facts
            trimming_behind_a_snapshot_forgets_records
            redacting_leaves_a_void
            an_epoch_begins_once_and_knows_its_head
            open_streams_are_listed_in_pages
            streams_are_listed_in_pages
            six_writers_share_a_stream
        }
    };
    (@each $make:expr; $($test:ident)+) => {$(
        #[tokio::test]
        async fn $test() {
            let (log, _guard) = $make;
            $crate::log::testing::$test(log).await;
        }
    )+};
}

fn key(name: &str) -> StreamKey {
    StreamKey::new("ada", name).unwrap()
}

fn note(n: u64) -> Arc<str> {
    format!("{{\"type\":\"note\",\"text\":\"a,b\\n\",\"n\":{n}}}").into()
}

/// The next record of a stream, with events that hold their offsets.
fn record(head: &Head, events: u64) -> Record {
    let first = head.offset + 1;
    Record {
        seq: head.seq + 1,
        first,
        events: (first..first + events).map(note).collect(),
        facts: Vec::new(),
        at_ms: 7,
        is_open: false,
    }
}

/// Appends events as one record; returns the head after it.
async fn append(log: &dyn Log, name: &str, events: u64) -> Head {
    let head = log.head(&key(name)).await.unwrap();
    put(log, name, record(&head, events)).await
}

async fn put(log: &dyn Log, name: &str, record: Record) -> Head {
    let appended = log.append(&key(name), record.seq - 1, Arc::new(record)).await.unwrap();
    assert_eq!(appended, Append::Appended);
    log.head(&key(name)).await.unwrap()
}

fn claimed(offset: u64) -> Fact {
    Fact::Claimed { offset }
}

async fn bodies(log: &dyn Log, name: &str, from: u64) -> Vec<Arc<str>> {
    log.read(&key(name), from, 10_000, 1 << 24).await.unwrap().bodies
}

/// Records come back as they were given; reads stop at their bounds.
pub async fn records_keep_their_order_and_reads_are_bounded(log: impl Log) {
    for events in [1, 3, 2, 4] {
        append(&log, "t", events).await;
    }
    let head = log.head(&key("t")).await.unwrap();
    assert_eq!((head.oldest, head.offset, head.seq, head.epoch_number, head.base), (1, 10, 4, 1, 0));
    let page = log.read(&key("t"), 3, 4, 1 << 20).await.unwrap();
    let expected: Vec<_> = (3..7).map(note).collect();
    assert_eq!((page.first, page.oldest, page.epoch_number, page.bodies), (3, 1, 1, expected));
    let size = note(1).len();
    for (max_bytes, count) in [(0, 1), (1, 1), (size, 1), (size * 2, 2), (size * 3 - 1, 2)] {
        let page = log.read(&key("t"), 1, 100, max_bytes).await.unwrap();
        assert_eq!(page.bodies.len(), count, "{max_bytes}");
    }
    assert_eq!(bodies(&log, "t", 10).await, [note(10)]);
    for beyond in [11, 12, u64::MAX >> 11] {
        let page = log.read(&key("t"), beyond, 100, 1 << 20).await.unwrap();
        assert_eq!((page.first, page.bodies.len()), (beyond, 0));
    }
    let records = log.records(&key("t"), 1, 2).await.unwrap();
    let places: Vec<_> = records.iter().map(|one| (one.seq, one.first, one.events.len())).collect();
    assert_eq!(places, [(2, 2, 3), (3, 5, 2)]);
    assert_eq!(log.records(&key("t"), 4, 100).await.unwrap(), []);
    // Another stream has numbers of its own.
    assert_eq!(append(&log, "u", 1).await.seq, 1);
    let full = Record {
        facts: vec![
            claimed(3),
            Fact::RunStarted { run: "r\"\n".into(), offset: 11, origin: Origin::default() },
        ],
        at_ms: 1_790_000_000_000,
        is_open: true,
        ..record(&head, 2)
    };
    put(&log, "t", full.clone()).await;
    assert_eq!(log.records(&key("t"), 4, 100).await.unwrap(), [full]);
    log.check().await.unwrap();
}

/// The number of the last record is the condition of an append.
pub async fn a_stale_append_writes_nothing(log: impl Log) {
    let empty = log.head(&key("t")).await.unwrap();
    let (first, second) = (Arc::new(record(&empty, 1)), Arc::new(record(&empty, 2)));
    assert_eq!(log.append(&key("t"), 0, first).await.unwrap(), Append::Appended);
    for expected in [0, 2, 7] {
        let stale = log.append(&key("t"), expected, Arc::clone(&second)).await.unwrap();
        assert_eq!(stale, Append::Stale { seq: 1 }, "{expected}");
    }
    assert_eq!(bodies(&log, "t", 1).await, [note(1)]);
}

/// Asking for a stream does not make it, and tells the epoch that it will have.
pub async fn reading_writes_nothing(log: impl Log) {
    let asked = log.head(&key("t")).await.unwrap();
    assert_eq!((asked.offset, asked.seq, asked.oldest, asked.epoch_number), (0, 0, 1, 1));
    assert!((1..=64).contains(&asked.epoch.len()));
    assert_ne!(asked.epoch, log.head(&key("u")).await.unwrap().epoch);
    assert_eq!(log.read(&key("t"), 1, 10, 10).await.unwrap().bodies.len(), 0);
    assert_eq!(log.records(&key("t"), 0, 10).await.unwrap(), []);
    assert_eq!(log.snapshot(&key("t")).await.unwrap(), None);
    assert_eq!(log.unfinished(None, 10).await.unwrap(), []);
    let written = append(&log, "t", 1).await;
    assert_eq!((&written.epoch, written.epoch_number), (&asked.epoch, 1));
    assert_eq!(log.secret(), log.secret());
}

/// An observer knows of a record when its writer does, and of each change in its order.
pub async fn observers_are_notified_after_the_commit_and_in_order(log: impl Log) {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = Arc::clone(&heard);
    log.observe(Arc::new(move |commit| {
        let what = match &commit.change {
            Change::Appended(record) => format!("{}+{}", record.first, record.events.len()),
            Change::NewEpoch { number, .. } => format!("epoch {number}"),
            Change::Trimmed { oldest } => format!("oldest {oldest}"),
            Change::Redacted { offset } => format!("void {offset}"),
        };
        hears.lock().push(format!("{} {what}", commit.stream.name()));
    }));
    append(&log, "t", 1).await;
    assert_eq!(heard.lock().len(), 1, "before its writer is answered");
    append(&log, "t", 2).await;
    append(&log, "u", 1).await;
    let head = log.head(&key("t")).await.unwrap();
    log.redact(&key("t"), 2).await.unwrap();
    log.new_epoch(&key("t"), &head.epoch).await.unwrap();
    log.trim(&key("t"), 1).await.unwrap();
    // What changes nothing is not told.
    log.append(&key("t"), 0, Arc::new(record(&head, 1))).await.unwrap();
    log.redact(&key("t"), 99).await.unwrap();
    log.new_epoch(&key("t"), &head.epoch).await.unwrap();
    log.trim(&key("t"), 1).await.unwrap();
    assert_eq!(*heard.lock(), ["t 1+1", "t 2+2", "u 1+1", "t void 2", "t epoch 2", "t oldest 2"]);
}

/// A record of facts alone has a number and no offset.
pub async fn a_record_can_hold_no_event(log: impl Log) {
    let head = append(&log, "t", 2).await;
    let facts = |head: &Head, offset| Record { facts: vec![claimed(offset)], ..record(head, 0) };
    let head = put(&log, "t", facts(&head, 1)).await;
    let head = put(&log, "t", facts(&head, 2)).await;
    assert_eq!((head.seq, head.offset), (3, 2));
    append(&log, "t", 1).await;
    assert_eq!(bodies(&log, "t", 1).await, [note(1), note(2), note(3)]);
    let records = log.records(&key("t"), 0, 10).await.unwrap();
    assert_eq!(records.iter().map(|one| one.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(records[2].facts, [claimed(2)]);
    // A stream can begin with one.
    let empty = log.head(&key("u")).await.unwrap();
    assert_eq!(put(&log, "u", facts(&empty, 1)).await.offset, 0);
    assert_eq!(append(&log, "u", 1).await.offset, 1);
}

/// The newest snapshot counts, in whatever order they come.
pub async fn snapshots_replace_older_ones(log: impl Log) {
    append(&log, "t", 3).await;
    append(&log, "t", 1).await;
    let snapshot = |seq, offset| Snapshot { seq, offset, ledger: format!("{{\"at\":{seq}}}").into() };
    for one in [snapshot(1, 3), snapshot(2, 4), snapshot(1, 3)] {
        log.put_snapshot(&key("t"), one).await.unwrap();
    }
    assert_eq!(log.snapshot(&key("t")).await.unwrap(), Some(snapshot(2, 4)));
    assert_eq!(log.snapshot(&key("u")).await.unwrap(), None);
    assert_eq!(bodies(&log, "t", 1).await.len(), 4);
}

/// Without a snapshot, records keep what they say beside their events.
pub async fn trimming_forgets_events_and_keeps_facts(log: impl Log) {
    for _ in 0..3 {
        let head = log.head(&key("t")).await.unwrap();
        put(&log, "t", Record { facts: vec![claimed(head.seq)], ..record(&head, 3) }).await;
    }
    assert_eq!(log.trim(&key("t"), 4).await.unwrap(), 5);
    assert_eq!(log.trim(&key("t"), 2).await.unwrap(), 5);
    let page = log.read(&key("t"), 1, 100, 1 << 20).await.unwrap();
    assert_eq!((page.first, page.oldest), (5, 5));
    assert_eq!(page.bodies, (5..10).map(note).collect::<Vec<_>>());
    let records = log.records(&key("t"), 0, 10).await.unwrap();
    let facts: Vec<_> = records.iter().flat_map(|one| one.facts.clone()).collect();
    assert_eq!(facts, [claimed(0), claimed(1), claimed(2)]);
    let left: String = records.iter().flat_map(|one| &one.events).map(|body| &**body).collect();
    assert!(!left.contains("\"n\":4") && left.contains("\"n\":5"), "what is forgotten is gone: {left}");
    assert_eq!(log.trim(&key("t"), u64::MAX).await.unwrap(), 10);
    let head = log.head(&key("t")).await.unwrap();
    assert_eq!((head.oldest, head.offset, head.seq), (10, 9, 3));
    assert_eq!(bodies(&log, "t", 1).await.len(), 0);
    assert_eq!(append(&log, "t", 1).await.offset, 10);
}

/// With a snapshot, whole records may go; the stream stands where it stood.
pub async fn trimming_behind_a_snapshot_forgets_records(log: impl Log) {
    for _ in 0..4 {
        append(&log, "t", 2).await;
    }
    let head = log.head(&key("t")).await.unwrap();
    put(&log, "t", Record { is_open: true, ..record(&head, 2) }).await;
    log.put_snapshot(&key("t"), Snapshot { seq: 3, offset: 6, ledger: "{}".into() }).await.unwrap();
    assert_eq!(log.trim(&key("t"), 7).await.unwrap(), 8);
    let records = log.records(&key("t"), 3, 10).await.unwrap();
    assert_eq!(records.iter().map(|one| one.seq).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(bodies(&log, "t", 1).await, [note(8), note(9), note(10)]);
    log.put_snapshot(&key("t"), Snapshot { seq: 5, offset: 10, ledger: "{}".into() }).await.unwrap();
    assert_eq!(log.trim(&key("t"), 10).await.unwrap(), 11);
    let head = log.head(&key("t")).await.unwrap();
    assert_eq!((head.oldest, head.offset, head.seq), (11, 10, 5));
    assert_eq!(log.records(&key("t"), 5, 10).await.unwrap(), []);
    // What its last record said is still true.
    assert_eq!(log.unfinished(None, 10).await.unwrap(), [key("t")]);
    let head = append(&log, "t", 1).await;
    assert_eq!((head.offset, head.seq), (11, 6));
    assert_eq!(log.unfinished(None, 10).await.unwrap(), []);
}

/// A redacted event keeps its place.
pub async fn redacting_leaves_a_void(log: impl Log) {
    append(&log, "t", 3).await;
    append(&log, "t", 2).await;
    log.trim(&key("t"), 1).await.unwrap();
    assert!(log.redact(&key("t"), 4).await.unwrap());
    assert!(log.redact(&key("t"), 4).await.unwrap());
    for gone in [0, 1, 6, u64::MAX >> 11] {
        assert!(!log.redact(&key("t"), gone).await.unwrap(), "{gone}");
    }
    assert!(!log.redact(&key("u"), 1).await.unwrap());
    assert_eq!(bodies(&log, "t", 2).await, [note(2), note(3), VOID.into(), note(5)]);
    let records = log.records(&key("t"), 1, 10).await.unwrap();
    assert_eq!(records[0].events, [VOID.into(), note(5)]);
}

/// Of two that end one epoch, the second finds it done.
pub async fn an_epoch_begins_once_and_knows_its_head(log: impl Log) {
    let old = append(&log, "t", 2).await;
    let new = log.new_epoch(&key("t"), &old.epoch).await.unwrap();
    assert_ne!(new.epoch, old.epoch);
    assert_eq!((new.epoch_number, new.base, new.oldest, new.offset, new.seq), (2, 2, 1, 2, 1));
    assert_eq!(log.new_epoch(&key("t"), &old.epoch).await.unwrap(), new);
    let head = append(&log, "t", 1).await;
    assert_eq!((&head.epoch, head.base, head.offset), (&new.epoch, 2, 3));
    assert_eq!(log.read(&key("t"), 1, 1, 1).await.unwrap().epoch_number, 2);
    log.trim(&key("t"), u64::MAX).await.unwrap();
    let third = log.new_epoch(&key("t"), &head.epoch).await.unwrap();
    assert_eq!((third.epoch_number, third.base, third.oldest), (3, 3, 4));
    // One that was never written can begin anew, too.
    let unborn = log.head(&key("u")).await.unwrap();
    let begun = log.new_epoch(&key("u"), &unborn.epoch).await.unwrap();
    assert_eq!((begun.epoch_number, begun.base, begun.offset), (2, 0, 0));
    assert_eq!(append(&log, "u", 1).await.epoch, begun.epoch);
}

/// The last record of a stream says whether it is open.
pub async fn open_streams_are_listed_in_pages(log: impl Log) {
    for (name, is_open) in [("c", true), ("a", true), ("d", true), ("b", true), ("e", false)] {
        let head = log.head(&key(name)).await.unwrap();
        put(&log, name, Record { is_open, ..record(&head, 1) }).await;
    }
    append(&log, "d", 1).await;
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = log.unfinished(after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        names.extend(page.iter().map(StreamKey::name));
    }
    assert_eq!(names, ["a", "b", "c"]);
}

/// Streams are listed when something was written to them, and not when they were only asked for.
pub async fn streams_are_listed_in_pages(log: impl Log) {
    assert_eq!(log.streams(None, 10).await.unwrap(), []);
    for name in ["c", "a", "b"] {
        append(&log, name, 1).await;
    }
    log.head(&key("asked")).await.unwrap();
    assert_eq!(log.streams(None, 2).await.unwrap(), [key("a"), key("b")]);
    assert_eq!(log.streams(Some(&key("b")), 2).await.unwrap(), [key("c")]);
    assert_eq!(log.streams(Some(&key("c")), 2).await.unwrap(), []);
    // One whose events are gone is a stream all the same.
    log.trim(&key("a"), u64::MAX).await.unwrap();
    assert_eq!(log.streams(None, 1).await.unwrap(), [key("a")]);
}

/// Six writers that know nothing of each other repeat no number and lose nothing.
pub async fn six_writers_share_a_stream(log: impl Log) {
    const EACH: u64 = 25;
    let log = Arc::new(log);
    let writers = (0..6_u64).map(|writer| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut stale = 0_u64;
            for n in 0..EACH {
                loop {
                    let head = log.head(&key("t")).await.unwrap();
                    let mut next = record(&head, 1);
                    next.events = vec![format!("{{\"type\":\"note\",\"writer\":{writer},\"n\":{n}}}").into()];
                    match log.append(&key("t"), head.seq, Arc::new(next)).await.unwrap() {
                        Append::Appended => break,
                        Append::Stale { seq } => assert!(seq > head.seq),
                    }
                    stale += 1;
                }
            }
            stale
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let head = log.head(&key("t")).await.unwrap();
    assert_eq!((head.seq, head.offset), (6 * EACH, 6 * EACH));
    let bodies = bodies(&*log, "t", 1).await;
    for writer in 0..6 {
        let of = format!("\"writer\":{writer},");
        let own: Vec<_> = bodies.iter().filter(|body| body.contains(&of)).collect();
        assert_eq!(own.len() as u64, EACH);
        for (n, body) in own.into_iter().enumerate() {
            assert!(body.ends_with(&format!("\"n\":{n}}}")), "{body} at {n}");
        }
    }
}

/// What a log says of itself is the same after a restart.
pub async fn a_restart_keeps_everything<L: Log>(log: L, reopen: impl Fn(L) -> L) {
    let old = append(&log, "t", 2).await;
    log.new_epoch(&key("t"), &old.epoch).await.unwrap();
    let head = log.head(&key("t")).await.unwrap();
    put(&log, "t", Record { is_open: true, facts: vec![claimed(1)], ..record(&head, 2) }).await;
    log.put_snapshot(&key("t"), Snapshot { seq: 1, offset: 2, ledger: "{}".into() }).await.unwrap();
    log.trim(&key("t"), 1).await.unwrap();
    log.redact(&key("t"), 3).await.unwrap();
    append(&log, "closed", 1).await;
    let say = async |log: &L| {
        (
            log.head(&key("t")).await.unwrap(),
            log.head(&key("never written")).await.unwrap(),
            bodies(log, "t", 1).await,
            log.records(&key("t"), 1, 10).await.unwrap(),
            log.snapshot(&key("t")).await.unwrap(),
            log.unfinished(None, 10).await.unwrap(),
            log.secret(),
        )
    };
    let before = say(&log).await;
    let log = reopen(log);
    assert_eq!(say(&log).await, before);
    assert_eq!(append(&log, "t", 1).await.offset, 5);
    // No two epochs share a name, before and after.
    let next = log.new_epoch(&key("t"), &before.0.epoch).await.unwrap();
    assert!(next.epoch != before.0.epoch && next.epoch != old.epoch);
}
