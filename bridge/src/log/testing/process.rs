//! What a log that is a file must do on Unix when its process is killed, or the disk is full.
//!
//! Both tests start the test program again, with only the named test in it: the same test is the child then.
//!
//! ```ignore
//! use agentwire_bridge::log::testing::process;
//!
//! fn open(path: &std::path::Path) -> MyLog {
//!     MyLog::open(path).unwrap()
//! }
//!
//! #[test]
//! fn records_survive_a_kill() {
//!     process::records_survive_a_kill("records_survive_a_kill", open);
//! }
//!
//! #[test]
//! fn a_full_disk_costs_no_record() {
//!     process::a_full_disk_costs_no_record("a_full_disk_costs_no_record", open);
//! }
//! ```

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{append, bodies, key, note, record};
use crate::log::{Append, Log, LogError};

/// Names the file to the child.
const PATH: &str = "AGENTWIRE_LOG_TEST_PATH";

/// Acknowledged records after which a child is killed.
const ENOUGH: u64 = 200;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// Starts this test program again, with one test.
fn child(test: &str, path: &Path) -> Child {
    // A write beyond the largest size of a file is an error then, and no signal that ends the process.
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn acknowledge(n: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {n}").unwrap();
    out.flush().unwrap();
}

/// The number of an acknowledgement. The test harness prints without a line break before the first one.
fn acknowledged(line: &str) -> Option<u64> {
    line.split_once("acknowledged ")?.1.trim().parse().ok()
}

/// A process that is killed while it writes has lost nothing that it acknowledged, and left nothing that is broken.
///
/// `test`: the whole name of the calling test.
pub fn records_survive_a_kill<L: Log>(test: &str, open: fn(&Path) -> L) {
    if let Ok(path) = std::env::var(PATH) {
        block_on(async {
            let log = open(Path::new(&path));
            loop {
                acknowledge(append(&log, "t", 1).await.offset);
            }
        })
    }
    let folder = new_folder();
    let path = folder.join("log");
    let mut last = 0;
    for _ in 0..3 {
        let mut child = child(test, &path);
        let mut acked = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Some(n) = acknowledged(&line.unwrap()) else { continue };
            acked = n;
            if n == last + ENOUGH {
                // SIGKILL. What it still writes to the pipe is read as well.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acked >= last + ENOUGH, "the child stopped after {acked} records");
        last = block_on(async {
            let log = open(&path);
            let head = log.head(&key("t")).await.unwrap();
            assert!(head.offset >= acked, "{acked} records were acknowledged, {} are there", head.offset);
            assert_eq!(head.seq, head.offset);
            assert_eq!(bodies(&log, "t", 1).await, (1..=head.offset).map(note).collect::<Vec<_>>());
            append(&log, "t", 1).await.offset
        });
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A disk that is full costs an error, and no record: neither one that was acknowledged nor one that comes later.
///
/// `test`: the whole name of the calling test.
pub fn a_full_disk_costs_no_record<L: Log>(test: &str, open: fn(&Path) -> L) {
    let Ok(path) = std::env::var(PATH) else {
        let folder = new_folder();
        let mut child = child(test, &folder.join("log"));
        let mut acked = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            acked = acknowledged(&line.unwrap()).unwrap_or(acked);
        }
        assert!(child.wait().unwrap().success() && acked > 0, "the child failed after {acked} records");
        std::fs::remove_dir_all(folder).unwrap();
        return;
    };
    block_on(async {
        let log = open(Path::new(&path));
        let told = Arc::new(AtomicU64::new(0));
        let hears = Arc::clone(&told);
        log.observe(Arc::new(move |_| {
            hears.fetch_add(1, Ordering::Relaxed);
        }));
        append(&log, "t", 1).await;
        // No file of this process may grow further than this: a full disk, for a while.
        let (before, small) = (getrlimit(Resource::Fsize), 1 << 20);
        let limit =
            |current| setrlimit(Resource::Fsize, Rlimit { current, maximum: before.maximum }).unwrap();
        limit(Some(small));
        let mut written = 1;
        let failed = loop {
            let head = match log.head(&key("t")).await {
                Ok(head) => head,
                Err(error) => break error,
            };
            let mut large = record(&head, 1);
            large.events = vec![format!("{{\"type\":\"note\",\"text\":\"{}\"}}", "x".repeat(20_000)).into()];
            match log.append(&key("t"), head.seq, Arc::new(large)).await {
                Ok(Append::Appended) => written += 1,
                Ok(Append::Stale { seq }) => panic!("nobody else wrote record {seq}"),
                Err(error) => break error,
            }
            assert!(written < 1_000, "the disk is never full");
        };
        assert!(matches!(failed, LogError::Unavailable(_)), "{failed:?}");
        assert!(written > 1);
        limit(before.current);
        let head = append(&log, "t", 1).await;
        assert!((written + 1..=written + 2).contains(&head.seq), "{written} were written: {head:?}");
        assert_eq!(bodies(&log, "t", 1).await.len() as u64, head.offset);
        assert_eq!(told.load(Ordering::Relaxed), head.seq, "nobody is notified of a failed append");
        drop(log);
        let log = open(Path::new(&path));
        assert_eq!(log.head(&key("t")).await.unwrap(), head);
        assert_eq!(bodies(&log, "t", 1).await.len() as u64, head.offset);
        acknowledge(written);
    });
}

/// A folder of its own for one test.
fn new_folder() -> std::path::PathBuf {
    let name = format!("agentwire-log-{}", uuid::Uuid::new_v4().simple());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}
