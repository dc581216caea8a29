//! The suite for event logs, run as a user of the crate runs it: from outside.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

use std::path::Path;

#[cfg(unix)]
use agentwire_bridge::log::testing::process;
use agentwire_bridge::{MemoryLog, SqliteLog};

mod memory {
    agentwire_bridge::log_tests!((super::MemoryLog::new(), ()));
}

mod sqlite {
    use super::*;

    fn open(path: &Path) -> SqliteLog {
        SqliteLog::open(path).unwrap()
    }

    agentwire_bridge::log_tests!({
        let folder = tempfile::tempdir().unwrap();
        (open(&folder.path().join("log")), folder)
    }; |log: SqliteLog, folder: &tempfile::TempDir| {
        drop(log);
        open(&folder.path().join("log"))
    });

    // PROTOCOL: EVT-6, LIF-4
    #[cfg(unix)]
    #[test]
    fn records_survive_a_kill() {
        process::records_survive_a_kill("sqlite::records_survive_a_kill", open);
    }

    #[cfg(unix)]
    #[test]
    fn a_full_disk_costs_no_record() {
        process::a_full_disk_costs_no_record("sqlite::a_full_disk_costs_no_record", open);
    }
}
