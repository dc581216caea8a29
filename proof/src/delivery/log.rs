//! Reads the server's log file itself, past everything that sent or received it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::canonical::{canonical, fingerprint};
use super::checker::Logged;

/// One stream of a log file, open for reading.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Connection,
    stream: i64,
}

/// What the check needs to know about a stream beside its events.
#[derive(Debug)]
pub(crate) struct Facts {
    /// `agent_started` events.
    pub(crate) runs: u64,
    /// `agent_died` events whose cause is `restarted`.
    pub(crate) died: u64,
}

impl LogFile {
    /// Opens the stream called `key` in the log at `path`.
    ///
    /// # Errors
    /// When the file can't be read as a log, or holds no such stream.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Self> {
        let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("the log {} can't be opened", path.display()))?;
        let stream = file
            .query_row("SELECT id FROM streams WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .with_context(|| format!("{} is not a log of the bridge", path.display()))?
            .with_context(|| format!("the log {} has no stream {key}", path.display()))?;
        Ok(Self { file, stream })
    }

    /// Returns the offset of the last event.
    ///
    /// # Errors
    /// When the log can't be read.
    pub(crate) fn head(&self) -> Result<u64> {
        let sql = "SELECT coalesce(max(first + count - 1), 0) FROM records WHERE stream = ?1";
        self.file.query_row(sql, [self.stream], |row| row.get(0)).context("the log's head can't be read")
    }

    /// Reads the whole stream.
    ///
    /// # Errors
    /// When the log can't be read, or contradicts itself: its offsets must be 1 to its head.
    pub(crate) fn read(&self) -> Result<(Logged, Facts)> {
        let sql = "SELECT epoch, oldest FROM streams WHERE id = ?1";
        let (epoch, oldest): (String, u64) = self
            .file
            .query_row(sql, [self.stream], |row| Ok((row.get(0)?, row.get(1)?)))
            .context("the log's streams can't be read")?;
        ensure!(oldest == 1, "the log's oldest event is {oldest}, but nothing was trimmed");
        let mut rows = self
            .file
            .prepare("SELECT offset, body FROM events WHERE stream = ?1 ORDER BY offset")
            .context("the log's events can't be read")?;
        let mut rows = rows.query([self.stream])?;
        let mut bodies = Vec::new();
        let mut facts = Facts { runs: 0, died: 0 };
        while let Some(row) = rows.next()? {
            let (offset, body): (u64, String) = (row.get(0)?, row.get(1)?);
            ensure!(
                offset == bodies.len() as u64 + 1,
                "the log itself is not whole: offset {offset} follows {}",
                bodies.len()
            );
            let text = canonical(&body).with_context(|| format!("at offset {offset}"))?;
            let event: serde_json::Value = serde_json::from_str(&body)?;
            facts.runs += u64::from(event["type"] == "agent_started");
            facts.died += u64::from(event["type"] == "agent_died" && event["cause"] == "restarted");
            bodies.push((text.clone(), fingerprint(&text)));
        }
        let head = self.head()?;
        ensure!(
            head == bodies.len() as u64,
            "the log itself is not whole: its head is {head}, its last event {}",
            bodies.len()
        );
        Ok((Logged { epoch, bodies }, facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(offsets: &[u64], head: u64) -> tempfile::TempPath {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let file = Connection::open(&path).unwrap();
        file.execute_batch(
            "CREATE TABLE streams(id INTEGER PRIMARY KEY, key TEXT UNIQUE, epoch TEXT, oldest INTEGER);
             CREATE TABLE records(stream INTEGER, first INTEGER, count INTEGER);
             CREATE TABLE events(stream INTEGER, offset INTEGER, body TEXT);
             INSERT INTO streams VALUES (4, 'ada/other', 'e0', 1), (7, 'ada/thread', 'e1', 1);",
        )
        .unwrap();
        for offset in offsets {
            let body = r#"{"type":"agent_died","cause":"restarted"}"#;
            file.execute("INSERT INTO events VALUES (7, ?1, ?2)", (offset, body)).unwrap();
            file.execute("INSERT INTO records VALUES (7, ?1, 1)", [offset]).unwrap();
        }
        // One without events stands behind the last.
        file.execute("INSERT INTO records VALUES (7, ?1, 0)", [head + 1]).unwrap();
        path
    }

    #[test]
    fn reads_a_stream_and_its_head() {
        let path = log(&[1, 2, 3], 3);
        let log = LogFile::open(&path, "ada/thread").unwrap();
        assert_eq!(log.head().unwrap(), 3);
        let (logged, facts) = log.read().unwrap();
        assert_eq!((logged.epoch.as_str(), logged.bodies.len(), facts.died), ("e1", 3, 3));
    }

    #[test]
    fn a_log_with_a_hole_or_a_wrong_head_is_an_error() {
        for (offsets, head) in [(&[1, 3][..], 3), (&[1, 2], 3)] {
            let path = log(offsets, head);
            let error = LogFile::open(&path, "ada/thread").unwrap().read().unwrap_err();
            assert!(error.to_string().starts_with("the log itself is not whole"), "{error}");
        }
    }

    #[test]
    fn an_unknown_stream_is_named() {
        let path = log(&[], 0);
        let error = LogFile::open(&path, "ada/elsewhere").unwrap_err();
        assert!(error.to_string().ends_with("has no stream ada/elsewhere"), "{error}");
    }
}
