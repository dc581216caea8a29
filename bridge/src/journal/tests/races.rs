//! Other writers, and stores that answer late, twice or not at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::*;
use crate::log::{self, Observer, Page, Snapshot};

/// What a store does with one append.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Writes it and says that it failed.
    WritesAndFails,
    /// Never answers, and does not write it.
    Hangs,
    /// Writes it when `released` says so.
    Waits,
    /// Never answers, and writes it when it is asked for anything else.
    HangsAndWritesLate,
    /// Says that another record came first, although none did.
    Stale,
    /// Writes it twice: the second copy is one more writer.
    WritesTwice,
}

/// A log in memory that does not always do what it should.
#[derive(Debug, Default)]
struct Odd {
    log: MemoryLog,
    ways: Mutex<VecDeque<Way>>,
    late: Mutex<Option<(StreamKey, u64, Arc<Record>)>>,
    hung: Notify,
    released: Notify,
    appends: AtomicUsize,
    /// Whether events cannot be read yet although they are durable, as on a replica.
    is_read_behind: AtomicBool,
}

impl Odd {
    async fn write_late(&self) {
        let late = self.late.lock().take();
        if let Some((stream, expected, record)) = late {
            self.log.append(&stream, expected, record).await.unwrap();
        }
    }
}

impl Log for Odd {
    fn observe(&self, observer: Observer) {
        self.log.observe(observer);
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamKey,
        expected: u64,
        record: Arc<Record>,
    ) -> BoxFuture<'a, Result<log::Append, LogError>> {
        Box::pin(async move {
            self.appends.fetch_add(1, Ordering::SeqCst);
            let way = self.ways.lock().pop_front();
            match way {
                None => self.log.append(stream, expected, record).await,
                Some(Way::WritesAndFails) => {
                    self.log.append(stream, expected, record).await.unwrap();
                    Err(LogError::Unavailable("the answer was lost".to_owned()))
                }
                Some(Way::Stale) => Ok(log::Append::Stale { seq: 9 }),
                Some(Way::Waits) => {
                    self.hung.notify_one();
                    self.released.notified().await;
                    self.log.append(stream, expected, record).await
                }
                Some(Way::WritesTwice) => {
                    let first = self.log.append(stream, expected, Arc::clone(&record)).await;
                    assert_ne!(
                        self.log.append(stream, expected, record).await.unwrap(),
                        log::Append::Appended
                    );
                    first
                }
                Some(way) => {
                    if matches!(way, Way::HangsAndWritesLate) {
                        *self.late.lock() = Some((stream.clone(), expected, record));
                    }
                    self.hung.notify_one();
                    std::future::pending().await
                }
            }
        })
    }

    fn head<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Head, LogError>> {
        Box::pin(async move {
            let head = self.log.head(stream).await;
            // After the look: who asks knows of nothing.
            self.write_late().await;
            head
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a StreamKey,
        from: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, LogError>> {
        let max_events = if self.is_read_behind.load(Ordering::SeqCst) { 0 } else { max_events };
        self.log.read(stream, from, max_events, max_bytes)
    }

    crate::log::forward::forward_log!();
}

fn odd(ways: &[Way]) -> (Arc<Odd>, Arc<Journal>) {
    let log = Arc::new(Odd { ways: Mutex::new(ways.iter().copied().collect()), ..Odd::default() });
    let journal = journal_of(Arc::clone(&log) as Arc<dyn Log>);
    (log, journal)
}

/// Sends a message until it is in the log, as a page does; returns how often it was sent.
async fn send(journal: &Arc<Journal>, id: &str) -> (usize, Receipt) {
    for tries in 1.. {
        match journal.append(message("t", id, "hi")).await.unwrap().durable().await {
            Ok(Outcome::Durable(receipt)) => return (tries, receipt),
            Ok(other) => panic!("{other:?}"),
            Err(LogError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

// PROTOCOL: SND-1, SND-9
#[tokio::test(start_paused = true)]
async fn a_store_whose_answer_is_lost_applies_a_send_once() {
    for (way, tries, is_repeated) in [
        (Way::WritesAndFails, 2, true),
        (Way::Hangs, 2, false),
        (Way::HangsAndWritesLate, 2, true),
        (Way::WritesTwice, 1, false),
    ] {
        let (_, journal) = odd(&[way]);
        let (tried, receipt) = send(&journal, "s1").await;
        assert_eq!((tried, receipt.is_repeated, receipt.position.offset), (tries, is_repeated, 1), "{way:?}");
        assert_eq!(send(&journal, "s2").await.1.position.offset, 2, "{way:?}");
        assert_eq!(stored(&journal, "t", 1).await.len(), 2, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_for_one_stream_holds_up_no_other() {
    let (log, journal) = odd(&[Way::Hangs]);
    let hanging = journal.append(message("t", "s1", "hi")).await.unwrap();
    log.hung.notified().await;
    publish(&journal, "u", &[json!({"type": "x"})]).await;
    assert!(matches!(hanging.durable().await, Err(LogError::Unavailable(_))));
}

// PROTOCOL: SND-1, SND-4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_bridges_that_share_a_log_decide_as_one() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    // Only the first is notified of commits: the other one finds out when it writes.
    let (one, other) = (journal_of(Arc::clone(&log)), journal_of(Arc::clone(&log)));
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    publish(&one, "t", &[started]).await;
    let writers = [&one, &other].map(|journal| {
        let journal = Arc::clone(journal);
        tokio::spawn(async move {
            let mut done = 0;
            for n in 0..100 {
                // Each id is sent to both, as by a page whose socket moved.
                if !receipt(&journal, message("t", &format!("s{n}"), "hi")).await.is_repeated {
                    done += 1;
                }
            }
            let end = Append {
                precondition: Precondition::RunOpen("r".into()),
                ..events("t", &[json!({"type": "agent_completed", "runId": "r"})])
            };
            (done, receipt(&journal, end).await.status)
        })
    });
    let mut done = 0;
    let mut ends = Vec::new();
    for writer in writers {
        let (of_one, status) = writer.await.unwrap();
        done += of_one;
        ends.push(status);
    }
    assert_eq!(done, 100);
    assert_eq!(ends.iter().filter(|status| **status == Status::Accepted).count(), 1, "{ends:?}");
    assert_eq!(stored(&one, "t", 1).await.len(), 102);
    assert_eq!(open_runs(&other, "t").await, Vec::<String>::new());
    let ids: std::collections::HashSet<_> = stored(&one, "t", 1)
        .await
        .iter()
        .filter_map(|event| event["sendId"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn a_record_that_came_first_costs_one_try_more() {
    let log = Arc::new(Odd::default());
    // Nobody tells this journal what others write.
    let journal = Arc::new(Journal::new(Arc::clone(&log) as Arc<dyn Log>, Tasks::new(), DAY, DAY));
    publish(&journal, "t", &[json!({"type": "x"})]).await;
    let record = Record { seq: 2, first: 2, events: Vec::new(), facts: Vec::new(), at_ms: 1, is_open: false };
    log.log.append(&key("t"), 1, Arc::new(record)).await.unwrap();
    assert_eq!(publish(&journal, "t", &[json!({"type": "y"})]).await, 2);
    assert_eq!(log.appends.load(Ordering::SeqCst), 3);
    assert_eq!(journal.state(&key("t")).await.unwrap().head.seq, 3);
}

#[tokio::test]
async fn a_store_that_always_says_stale_is_an_error_and_no_loop() {
    let (log, journal) = odd(&[Way::Stale; 64]);
    let ticket = journal.append(events("t", &[json!({"type": "y"})])).await.unwrap();
    assert!(matches!(ticket.durable().await, Err(LogError::Unavailable(_))));
    assert_eq!(log.appends.load(Ordering::SeqCst), 64);
    assert_eq!(publish(&journal, "t", &[json!({"type": "y"})]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_follows_from_a_record_follows_once_whatever_its_writer_is_told() {
    for (way, expected) in [
        (None, &[1][..]),
        (Some(Way::WritesAndFails), &[1]),
        (Some(Way::HangsAndWritesLate), &[1]),
        (Some(Way::WritesTwice), &[1]),
        (Some(Way::Hangs), &[]),
    ] {
        let ways: Vec<_> = way.into_iter().collect();
        let (log, journal) = odd(&ways);
        let followed = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&followed);
        journal.follow(Box::new(move |_, record| noted.lock().push(record.seq)));
        let _ = journal.append(message("t", "s1", "hi")).await.unwrap().durable().await;
        // What is late is written now.
        log.head(&key("t")).await.unwrap();
        assert_eq!(*followed.lock(), expected, "{way:?}");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_yet_is_an_error_until_it_can() {
    let (log, journal) = odd(&[]);
    send(&journal, "s1").await;
    log.is_read_behind.store(true, Ordering::SeqCst);
    let error = journal.next_pending(&key("t"), &BTreeSet::new()).await.unwrap_err();
    assert_eq!(error, LogError::Unavailable("event 1 of ada/t cannot be read yet".to_owned()));
    log.is_read_behind.store(false, Ordering::SeqCst);
    assert_eq!(journal.next_pending(&key("t"), &BTreeSet::new()).await.unwrap().unwrap().offset, 1);
}

#[tokio::test]
async fn a_message_whose_text_is_gone_holds_up_none_after_it() {
    let (log, journal) = odd(&[]);
    send(&journal, "s1").await;
    send(&journal, "s2").await;
    // Not by the journal, whose ledger still has it.
    log.log.trim(&key("t"), 1).await.unwrap();
    assert_eq!(journal.next_pending(&key("t"), &BTreeSet::new()).await.unwrap().unwrap().offset, 2);
}

#[tokio::test]
async fn an_epoch_begins_behind_the_record_that_is_under_way() {
    let (log, journal) = odd(&[Way::Waits]);
    let sent = journal.append(message("t", "s1", "hi")).await.unwrap();
    log.hung.notified().await;
    let old = journal.state(&key("t")).await.unwrap().head.epoch;
    let (of_epoch, of_old) = (Arc::clone(&journal), Arc::clone(&old));
    let begun = tokio::spawn(async move { of_epoch.new_epoch(&key("t"), &of_old).await });
    // On this thread, it has come as far as it can.
    tokio::task::yield_now().await;
    log.released.notify_one();
    let Outcome::Durable(receipt) = sent.durable().await.unwrap() else { panic!("not durable") };
    assert_eq!(receipt.position.epoch, old);
    let new = begun.await.unwrap().unwrap();
    assert!(new.epoch != old && new.base == receipt.position.offset, "{new:?}");
    assert_eq!(send(&journal, "s2").await.1.position.epoch, new.epoch);
}
