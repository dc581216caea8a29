//! The suite for event logs, and what is special to this one.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use agentwire_bridge::StreamKey;
#[cfg(unix)]
use agentwire_bridge::log::testing::process;
use agentwire_bridge::log::{Append, Log, LogError, Record};
use file_log::FileLog;

/// How long a child process may take to begin its program.
const PATIENCE: Duration = Duration::from_secs(20);

fn open(path: &Path) -> FileLog {
    // A child process that another test starts right now has the files of this one open until it runs its program, and
    // with them their locks.
    let is_busy = |error: &std::io::Error| error.to_string().contains("another process");
    loop {
        match FileLog::open(path) {
            Err(error) if is_busy(&error) => wait_for_lock(path),
            opened => return opened.unwrap(),
        }
    }
}

/// Waits until nobody has the lock of a file, as the system tells it.
fn wait_for_lock(path: &Path) {
    let file = fs::File::open(path).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let locked = file.lock();
        drop(file);
        tell.send(locked)
    });
    told.recv_timeout(PATIENCE).expect("somebody keeps the lock of the log").unwrap();
}

agentwire_bridge::log_tests!({
    let folder = tempfile::tempdir().unwrap();
    (open(&folder.path().join("log")), folder)
}; |log: FileLog, folder: &tempfile::TempDir| {
    drop(log);
    open(&folder.path().join("log"))
});

#[cfg(unix)]
#[test]
fn records_survive_a_kill() {
    process::records_survive_a_kill("records_survive_a_kill", open);
}

#[cfg(unix)]
#[test]
fn a_full_disk_costs_no_record() {
    process::a_full_disk_costs_no_record("a_full_disk_costs_no_record", open);
}

fn key() -> StreamKey {
    StreamKey::new("ada", "t").unwrap()
}

/// Appends a record with two events, of which the second is secret.
async fn append(log: &FileLog) -> Result<Append, LogError> {
    let head = log.head(&key()).await.unwrap();
    let events = [r#"{"type":"note"}"#, r#"{"type":"note","text":"hush"}"#];
    let record = Record {
        seq: head.seq + 1,
        first: head.offset + 1,
        events: events.map(Arc::from).into(),
        facts: Vec::new(),
        at_ms: 7,
        is_open: false,
    };
    log.append(&key(), head.seq, Arc::new(record)).await
}

#[tokio::test]
async fn a_line_that_a_crash_cut_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(&path);
    append(&log).await.unwrap();
    let whole = fs::read(&path).unwrap();
    append(&log).await.unwrap();
    drop(log);
    let both = fs::read(&path).unwrap();
    for end in whole.len()..both.len() {
        fs::write(&path, &both[..end]).unwrap();
        let log = open(&path);
        assert_eq!(log.head(&key()).await.unwrap().seq, 1, "cut at byte {end}");
        append(&log).await.unwrap();
        drop(log);
        assert_eq!(fs::read(&path).unwrap(), both, "cut at byte {end}");
    }
}

#[tokio::test]
async fn anything_else_that_is_broken_is_an_error_that_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(&path);
    append(&log).await.unwrap();
    append(&log).await.unwrap();
    drop(log);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let cut = &lines[1][1..];
    for (broken, what) in [
        (format!("{}\n{cut}\n{}\n", lines[0], lines[2]), "line 2: "),
        (format!("{}\n{}\n\n", lines[0], lines[1]), "line 3: "),
        (format!("{}\n{}\n", lines[0], lines[0]), "line 2: another log begins here"),
        (format!("{}\n{}\n", lines[1], lines[2]), "line 1: not an event log"),
        ("the text of somebody else".to_owned(), "line 1: not an event log"),
    ] {
        fs::write(&path, &broken).unwrap();
        let error = FileLog::open(&path).map(drop).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), broken, "what cannot be read is left as it is");
    }
}

#[tokio::test]
async fn a_log_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(&path);
    let error = FileLog::open(&path).map(drop).unwrap_err();
    assert!(error.to_string().contains("another process uses this log"), "{error}");
    drop(log);
    open(&path);
}

#[tokio::test]
async fn what_is_redacted_or_trimmed_stays_so_and_is_still_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(&path);
    for _ in 0..3 {
        append(&log).await.unwrap();
    }
    log.redact(&key(), 4).await.unwrap();
    log.trim(&key(), 2).await.unwrap();
    append(&log).await.unwrap();
    let seen = (log.head(&key()).await.unwrap(), log.records(&key(), 0, 9).await.unwrap());
    let events = seen.1.iter().flat_map(|record| &record.events);
    assert_eq!(events.filter(|event| event.contains("hush")).count(), 2);
    drop(log);
    let log = open(&path);
    assert_eq!((log.head(&key()).await.unwrap(), log.records(&key(), 0, 9).await.unwrap()), seen);
    // The README says so.
    assert_eq!(fs::read_to_string(&path).unwrap().matches("hush").count(), 4);
}

#[tokio::test]
async fn a_check_adds_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(&path);
    log.check().await.unwrap();
    append(&log).await.unwrap();
    log.check().await.unwrap();
    log.check().await.unwrap();
    drop(log);
    assert_eq!(open(&path).head(&key()).await.unwrap().seq, 1);
    assert_eq!(fs::read_to_string(&path).unwrap().trim_end().lines().count(), 2);
}

#[tokio::test]
async fn appends_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("log"));
    let (key, event) = (key(), Arc::<str>::from(r#"{"type":"note"}"#));
    let appends = (1..=50_u64).map(|seq| {
        let events = vec![Arc::clone(&event)];
        let record = Record { seq, first: seq, events, facts: Vec::new(), at_ms: 7, is_open: false };
        log.append(&key, seq - 1, Arc::new(record))
    });
    // None waits for the one before it.
    for append in futures_util::future::join_all(appends).await {
        assert_eq!(append.unwrap(), Append::Appended);
    }
}
