//! What the disk takes for a record: the part of a latency that no server can do without.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

/// Appends `records` of `bytes` to a file in `folder`, each made durable by an `fdatasync`. Returns the times in milliseconds.
pub(super) fn fdatasyncs(folder: &Path, records: u32, bytes: usize) -> Result<Vec<f64>> {
    let path = folder.join("fdatasync");
    let write = || -> std::io::Result<Vec<f64>> {
        let mut file = File::create(&path)?;
        let record = vec![b'x'; bytes];
        let mut times = Vec::new();
        for _ in 0..records {
            let began = Instant::now();
            file.write_all(&record)?;
            file.sync_data()?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        fs::remove_file(&path)?;
        Ok(times)
    };
    write().with_context(|| format!("{} can't be written", path.display()))
}
