//! Every check and test, part by part: a failed part does not stop the next.

pub mod basics;
pub mod counts;
mod links;
pub mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::setup::{self, Needs};
use crate::test::counts::Counts;
use crate::test::report::Report;

/// The arguments of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs only these parts, in their usual order.
    #[arg(long, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<String>,
    /// Lists the parts and runs nothing.
    #[arg(long)]
    list: bool,
}

/// One part of a test run.
#[derive(Debug)]
pub struct Part {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// What must be set up for it.
    pub needs: fn() -> Needs,
    /// Runs it.
    pub run: fn(&Context) -> Result<Report>,
}

/// A part that is over.
struct Row {
    name: &'static str,
    report: Report,
    elapsed: Duration,
}

/// Runs the parts that were asked for, one after the other, and says what came of each.
///
/// # Errors
/// When a part is not known, or what the parts need can't be brought; a part that fails is in the exit code.
pub fn run(args: &Args, parts: &[Part], ctx: &Context) -> Result<ExitCode> {
    if args.list {
        for part in parts {
            println!("{:<11} {}", part.name, part.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let parts = chosen(parts, &args.only)?;
    let ctx = &Context { program: hold(&ctx.program)?, ..ctx.clone() };

    let started = Instant::now();
    setup::ensure(ctx, &needs(&parts))?;
    let set_up = started.elapsed();

    let started = Instant::now();
    let mut rows = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        println!("[{}/{}] {}: {}", index + 1, parts.len(), part.name, part.about);
        let began = Instant::now();
        let report = (part.run)(ctx)
            .unwrap_or_else(|error| Report { failures: vec![format!("{error:#}")], ..Report::default() });
        let row = Row { name: part.name, report, elapsed: began.elapsed() };
        for failure in &row.report.failures {
            println!("  FAILED: {failure}");
        }
        println!("  {}", row.sentence());
        rows.push(row);
    }

    println!();
    for row in &rows {
        println!("  {:<11} {}", row.name, row.sentence());
    }
    println!("{}", last_line(&rows, started.elapsed(), set_up));
    Ok(if rows.iter().all(Row::passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A second name for `program` that stays when cargo builds a new one in its place during the run.
fn hold(program: &Path) -> Result<PathBuf> {
    let held = program.with_file_name(format!("xtask-in-test{}", env::consts::EXE_SUFFIX));
    match fs::remove_file(&held) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} can't be replaced", held.display()));
        }
        _ => {}
    }
    fs::hard_link(program, &held)
        .or_else(|_| fs::copy(program, &held).map(drop))
        .with_context(|| format!("{} can't be kept for the run", program.display()))?;
    Ok(held)
}

/// The parts named, in the order of the table; all of them when none is named.
fn chosen<'a>(parts: &'a [Part], only: &[String]) -> Result<Vec<&'a Part>> {
    let wanted: BTreeSet<&str> = only.iter().map(|name| name.trim()).collect();
    if let Some(unknown) = wanted.iter().find(|name| parts.iter().all(|part| part.name != **name)) {
        let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
        bail!("there is no part called {unknown}; the parts are {}", names.join(", "));
    }
    Ok(parts.iter().filter(|part| wanted.is_empty() || wanted.contains(part.name)).collect())
}

/// What the parts need together.
fn needs(parts: &[&Part]) -> Needs {
    let mut needs = Needs::default();
    for part in parts {
        let of_part = (part.needs)();
        needs.target |= of_part.target;
        needs.tools = needs.tools.max(of_part.tools);
        needs.npm |= of_part.npm;
        needs.size |= of_part.size;
        needs.page |= of_part.page;
        needs.tests |= of_part.tests;
        needs.importers |= of_part.importers;
        needs.bench |= of_part.bench;
        needs.node_library |= of_part.node_library;
        needs.python |= of_part.python;
        needs.nginx |= of_part.nginx;
        needs.npm_tools |= of_part.npm_tools;
        for browser in of_part.browsers {
            if !needs.browsers.contains(&browser) {
                needs.browsers.push(browser);
            }
        }
    }
    needs
}

impl Row {
    fn passed(&self) -> bool {
        self.report.failures.is_empty() && self.report.counts.failed == 0
    }

    /// How many tests failed; a part that failed without naming one counts as one.
    fn failed(&self) -> u64 {
        if self.passed() { 0 } else { self.report.counts.failed.max(1) }
    }

    fn sentence(&self) -> String {
        let Counts { passed, ignored, .. } = self.report.counts;
        let result = if self.passed() { "ok" } else { "FAILED" };
        let mut sentence = format!("{result:<6} {:>7.1} s", self.elapsed.as_secs_f64());
        if passed > 0 || self.failed() > 0 {
            sentence += &format!("  {passed} passed, {} failed", self.failed());
        }
        if ignored > 0 {
            sentence += &format!(", {ignored} ignored");
        }
        if !self.report.note.is_empty() {
            sentence += &format!("  ({})", self.report.note);
        }
        sentence
    }
}

fn last_line(rows: &[Row], elapsed: Duration, set_up: Duration) -> String {
    let passed: u64 = rows.iter().map(|row| row.report.counts.passed).sum();
    let failed: u64 = rows.iter().map(Row::failed).sum();
    let seconds = elapsed.as_secs();
    format!(
        "test: {} parts, {passed} tests passed, {failed} failed in {:02}:{:02} (set-up {} s apart)",
        rows.len(),
        seconds / 60,
        seconds % 60,
        set_up.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [Part; 2] = [
        Part { name: "fmt", about: "", needs: Needs::default, run: basics::fmt },
        Part { name: "native", about: "", needs: Needs::default, run: basics::native },
    ];

    fn row(passed: u64, failed: u64, failures: &[&str]) -> Row {
        let failures = failures.iter().map(|text| (*text).to_owned()).collect();
        Row {
            name: "native",
            report: Report { counts: Counts { passed, failed, ignored: 0 }, failures, ..Report::default() },
            elapsed: Duration::from_millis(1500),
        }
    }

    #[test]
    fn the_last_line_sums_the_parts_up() {
        let line =
            last_line(&[row(40, 0, &[]), row(2, 0, &[])], Duration::from_secs(125), Duration::from_secs(7));
        assert_eq!(line, "test: 2 parts, 42 tests passed, 0 failed in 02:05 (set-up 7 s apart)");
    }

    #[test]
    fn failed_tests_and_failed_parts_count() {
        let rows = [row(40, 3, &["3 tests failed"]), row(0, 0, &["does not compile"]), row(1, 1, &[])];
        assert!(rows.iter().all(|row| !row.passed()));
        let line = last_line(&rows, Duration::ZERO, Duration::ZERO);
        assert_eq!(line, "test: 3 parts, 41 tests passed, 5 failed in 00:00 (set-up 0 s apart)");
    }

    #[test]
    fn parts_run_in_the_order_of_the_table() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            chosen(&PARTS, &only).unwrap().iter().map(|part| part.name).collect()
        };
        assert_eq!(names(&["native", "fmt"]), ["fmt", "native"]);
        assert_eq!(names(&[]), ["fmt", "native"]);
    }

    #[test]
    fn an_unknown_part_is_an_error_that_lists_the_parts() {
        let error = chosen(&PARTS, &["natve".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no part called natve; the parts are fmt, native");
    }

    #[test]
    fn a_held_program_outlives_a_new_build() {
        let folder = env::temp_dir().join(format!("xtask-hold-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("xtask");
        fs::write(&program, "old").unwrap();
        let held = hold(&program).unwrap();
        // As cargo does it: the old file goes, a new one comes.
        fs::remove_file(&program).unwrap();
        assert_eq!(fs::read_to_string(&held).unwrap(), "old");
        fs::write(&program, "new").unwrap();
        assert_eq!(fs::read_to_string(hold(&program).unwrap()).unwrap(), "new");
        fs::remove_dir_all(&folder).unwrap();
    }
}
