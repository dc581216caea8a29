//! The CPU time of another process, as Linux counts it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Says that this needs Linux where there is nothing to read.
pub(super) fn check() -> Result<()> {
    ensure!(Path::new("/proc/self/stat").is_file(), "the load is measured with /proc: run it on Linux");
    Ok(())
}

/// What a process has used so far, in user and system mode; threads that have ended count.
pub(super) fn used(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let stat =
        fs::read_to_string(&path).with_context(|| format!("{path} can't be read; the process is gone"))?;
    let ticks = ticks(&stat).with_context(|| format!("{path} has no CPU time: {stat}"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// `utime` and `stime` (proc_pid_stat(5)). They come after the name in brackets, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194560 9000 0 0 0 120 30 0 0 20 0 5 0 100 1000 200";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("17"), None);
    }

    #[test]
    fn a_process_that_works_uses_time() {
        let before = used(std::process::id()).unwrap();
        while used(std::process::id()).unwrap() <= before {}
    }
}
