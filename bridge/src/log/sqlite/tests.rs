use std::sync::Arc;

use super::*;
use crate::log::{Append, VOID};

fn open_in(folder: &tempfile::TempDir) -> SqliteLog {
    SqliteLog::open(folder.path().join("log.sqlite")).unwrap()
}

fn key(name: &str) -> StreamKey {
    StreamKey::new("ada", name).unwrap()
}

fn note(n: u64) -> Arc<str> {
    format!("{{\"type\":\"note\",\"n\":{n}}}").into()
}

/// Appends notes, each as a record of its own.
async fn append(log: &SqliteLog, name: &str, count: u64) -> Head {
    for _ in 0..count {
        let head = log.head(&key(name)).await.unwrap();
        let record = Record {
            seq: head.seq + 1,
            first: head.offset + 1,
            events: vec![note(head.offset + 1)],
            facts: Vec::new(),
            at_ms: 1,
            is_open: false,
        };
        assert_eq!(log.append(&key(name), head.seq, Arc::new(record)).await.unwrap(), Append::Appended);
    }
    log.head(&key(name)).await.unwrap()
}

/// The file, past the log.
fn file(folder: &tempfile::TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.path().join("log.sqlite")).unwrap()
}

#[test]
fn errors_of_opening_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let log = SqliteLog::open(path("log.sqlite")).unwrap();
    let error = SqliteLog::open(path("log.sqlite")).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    drop(log);
    SqliteLog::open(path("log.sqlite")).unwrap();

    let text = "this is no database, but a text that is long enough to be one";
    std::fs::write(path("text"), text.repeat(20)).unwrap();
    let error = SqliteLog::open(path("text")).unwrap_err();
    assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");

    rusqlite::Connection::open(path("other")).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let error = SqliteLog::open(path("other")).unwrap_err();
    assert!(matches!(error, OpenError::NotALog(_)), "{error}");

    let newer = rusqlite::Connection::open(path("log.sqlite")).unwrap();
    newer.pragma_update(None, "user_version", 7).unwrap();
    drop(newer);
    let error = SqliteLog::open(path("log.sqlite")).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 7, .. }), "{error}");

    let error = SqliteLog::open(path("missing/log.sqlite")).unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
}

#[test]
fn a_file_that_was_cut_in_the_middle_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let whole = include_bytes!("../../../tests/fixtures/log-schema-3.sqlite");
    for length in [0, 1, 50, 100, 4_096, 10_000, whole.len() / 2] {
        let path = folder.path().join(format!("cut-{length}"));
        std::fs::write(&path, &whole[..length]).unwrap();
        match SqliteLog::open(&path) {
            // SQLite takes a file without the beginning of a header for a new one.
            Ok(_) => assert!(length <= 1, "{length}"),
            Err(error) => assert!(
                matches!(
                    error,
                    OpenError::NotADatabase(_) | OpenError::Unusable { .. } | OpenError::NotALog(_)
                ),
                "{length}: {error}"
            ),
        }
    }
}

// PROTOCOL: LIF-4
#[tokio::test]
async fn a_log_that_is_closed_is_whole_in_its_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    let before = append(&log, "t", 100).await;
    // A reader was at work, too.
    assert_eq!(log.read(&key("t"), 1, 1_000, 1 << 20).await.unwrap().bodies.len(), 100);
    drop(log);
    let copy = folder.path().join("copy.sqlite");
    std::fs::copy(folder.path().join("log.sqlite"), &copy).unwrap();
    assert!(!folder.path().join("log.sqlite-wal").exists());
    assert_eq!(SqliteLog::open(&copy).unwrap().head(&key("t")).await.unwrap(), before);
}

#[tokio::test]
async fn a_backup_of_a_log_in_use_is_one_moment_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(open_in(&folder));
    append(&log, "t", 50).await;
    let writer = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { append(&log, "t", 200).await })
    };
    let copy = folder.path().join("it's a copy.sqlite");
    log.backup(&copy).await.unwrap();
    writer.await.unwrap();
    let error = log.backup(&copy).await.unwrap_err();
    assert!(matches!(error, LogError::Unavailable(_)), "a backup overwrites nothing");
    let restored = SqliteLog::open_restored(&copy).unwrap();
    let head = restored.head(&key("t")).await.unwrap();
    assert!(head.offset >= 50 && head.seq == head.offset, "{head:?}");
    let page = restored.read(&key("t"), 1, 1_000, 1 << 20).await.unwrap();
    assert_eq!(page.bodies, (1..=head.offset).map(note).collect::<Vec<_>>());
}

#[tokio::test]
async fn dropping_the_log_commits_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    let before = append(&log, "t", 1).await;
    let record = |seq| Record {
        seq,
        first: seq,
        events: vec![note(seq)],
        facts: Vec::new(),
        at_ms: 1,
        is_open: false,
    };
    for seq in 2..=100 {
        let stream = key("t");
        let mut queued = log.append(&stream, seq - 1, Arc::new(record(seq)));
        assert!(futures_util::FutureExt::now_or_never(&mut queued).is_none_or(|done| done.is_ok()));
    }
    drop(log);
    let after = open_in(&folder).head(&key("t")).await.unwrap();
    assert_eq!((after.epoch, after.offset), (before.epoch, 100));
}

#[tokio::test]
async fn a_damaged_record_is_sent_as_void_and_the_others_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    append(&log, "t", 5).await;
    file(&folder)
        .execute_batch("UPDATE records SET events = replace(events, '\"n\":2', '\"n\":') WHERE seq = 2")
        .unwrap();
    file(&folder).execute_batch("UPDATE records SET events = CAST(x'5bff' AS TEXT) WHERE seq = 4").unwrap();
    let page = log.read(&key("t"), 1, 10, 1 << 20).await.unwrap();
    assert_eq!(page.bodies, [note(1), VOID.into(), note(3), VOID.into(), note(5)]);
}

// PROTOCOL: GAP-1
#[tokio::test]
async fn a_hole_in_the_file_moves_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    append(&log, "t", 9).await;
    file(&folder).execute_batch("DELETE FROM records WHERE seq IN (3, 4, 9)").unwrap();
    let read = async |from| {
        let page = log.read(&key("t"), from, 10, 1 << 20).await.unwrap();
        (page.first, page.bodies)
    };
    assert_eq!(read(1).await, (1, vec![note(1), note(2)]));
    assert_eq!(read(3).await, (5, (5..=8).map(note).collect()));
    assert_eq!(read(9).await, (9, Vec::new()));
}

#[tokio::test]
async fn one_row_that_cannot_be_written_costs_the_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    append(&log, "bad", 1).await;
    append(&log, "good", 1).await;
    drop(log);
    // A row that the log knows nothing of is in the way of the next record of one stream.
    file(&folder)
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON records
             WHEN new.stream = (SELECT id FROM streams WHERE key = 'ada/bad') BEGIN SELECT raise(FAIL, 'no'); END",
        )
        .unwrap();
    let log = open_in(&folder);
    let record = Arc::new(Record {
        seq: 2,
        first: 2,
        events: vec![note(2)],
        facts: Vec::new(),
        at_ms: 1,
        is_open: false,
    });
    let (bad, good) = (key("bad"), key("good"));
    let (bad, good) = futures_util::join!(
        log.append(&bad, 1, Arc::clone(&record)),
        log.append(&good, 1, Arc::clone(&record))
    );
    assert!(matches!(bad, Err(LogError::Unavailable(_))), "{bad:?}");
    assert_eq!(good.unwrap(), Append::Appended);
    assert_eq!(append(&log, "good", 1).await.offset, 3);
}

#[tokio::test]
async fn the_view_of_events_shows_what_pages_get() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    append(&log, "t", 4).await;
    log.trim(&key("t"), 2).await.unwrap();
    log.redact(&key("t"), 4).await.unwrap();
    let file = file(&folder);
    let mut rows = file.prepare("SELECT offset, body FROM events ORDER BY offset").unwrap();
    let rows: Vec<(u64, String)> =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [(3, note(3).to_string()), (4, VOID.to_owned())]);
}

// PROTOCOL: LIF-4
#[tokio::test]
async fn a_restored_log_begins_a_new_epoch_of_every_stream() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_in(&folder);
    let before = [append(&log, "t", 3).await, append(&log, "u", 1).await];
    log.put_snapshot(&key("u"), Snapshot { seq: 1, offset: 1, ledger: "{}".into() }).await.unwrap();
    log.trim(&key("u"), 1).await.unwrap();
    let unborn = log.head(&key("unborn")).await.unwrap();
    drop(log);
    let log = SqliteLog::open_restored(folder.path().join("log.sqlite")).unwrap();
    let mut epochs = vec![unborn.epoch.clone()];
    epochs.extend(before.iter().map(|head| Arc::clone(&head.epoch)));
    for (name, before) in ["t", "u"].into_iter().zip(before) {
        let after = log.head(&key(name)).await.unwrap();
        // A position of one stream must not pass for one of another.
        assert!(!epochs.contains(&after.epoch) && after.epoch.len() <= 64, "{}", after.epoch);
        assert_eq!(after.epoch_number, before.epoch_number + 1);
        assert_eq!((after.base, after.offset), (before.offset, before.offset));
        epochs.push(after.epoch);
    }
    // One that the backup does not know may have been written since.
    assert!(!epochs.contains(&log.head(&key("unborn")).await.unwrap().epoch));
    // A new file has nothing to begin anew.
    drop(log);
    SqliteLog::open_restored(folder.path().join("new.sqlite")).unwrap();
}
