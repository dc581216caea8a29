//! `cargo xtask load`: what the bridge costs per core, beside a real socket.io server.
//!
//! The server, the pages and this program are processes of their own: only the server's CPU time counts. The pages check the
//! number and the order of all events.

mod cpu;
mod crowd;
mod disk;
mod durable;
mod fanout;
mod figures;
mod lone;
mod programs;
mod replay;
mod sessions;
mod stand;
mod start;
mod window;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::setup::{self, Needs};
use xtask::test::counts::Counts;
use xtask::test::report::Report;

use self::figures::Figure;
use self::programs::Programs;
use crate::interrupts;

/// How long the slice of a test run may take once everything is built.
const QUICK_LIMIT: Duration = Duration::from_secs(3 * 60);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Row {
    /// Durable events per core second, 1,000 sockets × 10/s, beside socket.io.
    Durable,
    /// From a publish to the page, lone events, 100 sockets.
    Lone,
    /// 25 and 100 sessions of npm clients with whole runs at once.
    Sessions,
    /// One thread to 1,000 sockets.
    Fanout,
    /// 100,000 events to one page.
    Replay,
    /// The start with a log of 10,000,000 events.
    Start,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measures only these rows. `start` writes a log of some gigabytes the first time, which takes minutes.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROW,…")]
    only: Vec<Row>,
    /// A small load for a few seconds: proves that every event arrives once and in order, and judges no time.
    #[arg(long)]
    quick: bool,
}

/// What the rows work with.
struct Bench<'a> {
    ctx: &'a Context,
    programs: Programs,
    /// Logs of the servers; on the disk of the checkout, as memory would be no disk.
    folder: PathBuf,
    quick: bool,
}

impl Bench<'_> {
    /// `full`, or `quick` of a slice that judges no time.
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The file of a new log.
    fn new_log(&self, name: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{name}.sqlite"));
        remove_log(&file)?;
        Ok(file)
    }
}

/// Removes a log with the files that SQLite and the bridge keep beside it.
fn remove_log(file: &std::path::Path) -> Result<()> {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mut path = file.as_os_str().to_owned();
        path.push(ending);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("{} can't be removed", PathBuf::from(path).display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the command takes.
pub(crate) fn needs() -> Needs {
    Needs { bench: true, ..Needs::build() }
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    cpu::check()?;
    interrupts::isolate()?;
    setup::ensure(ctx, &needs())?;
    build::package(ctx, Variant::Default, Std::Auto)?;
    let folder = ctx.state.join("load");
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let programs = Programs::build(ctx, args.quick)?;
    let bench = Bench { ctx, programs, folder, quick: args.quick };
    let all = <Row as clap::ValueEnum>::value_variants();
    let rows = if args.only.is_empty() { all } else { &args.only[..] };
    let mut figures = Vec::new();
    for row in rows {
        figures.extend(match row {
            Row::Durable => durable::measure(&bench)?,
            Row::Lone => lone::measure(&bench)?,
            Row::Sessions => sessions::measure(&bench)?,
            Row::Fanout => fanout::measure(&bench)?,
            Row::Replay => replay::measure(&bench)?,
            Row::Start => start::measure(&bench)?,
        });
    }
    conclude(&figures, args.quick)
}

/// Prints the table and the line that sums it up.
fn conclude(figures: &[Figure], quick: bool) -> Result<()> {
    println!();
    for figure in figures {
        println!("{}", figure.line(quick));
    }
    if quick {
        println!("load: {} figures; every event arrived once and in order", figures.len());
        return Ok(());
    }
    let count = |verdict| figures.iter().filter(|figure| figure.verdict() == verdict).count();
    let (aim, must, missed) = (count("aim"), count("must"), count("missed"));
    println!("load: {} figures: {aim} aim, {must} must, {missed} missed", figures.len());
    if missed > 0 {
        bail!("{missed} figures miss what they must reach; the table above has them");
    }
    Ok(())
}

/// The part of a test run: a slice in which only counts and order matter.
pub(crate) fn check(ctx: &Context) -> Result<Report> {
    // By this same program, so that its time limit ends all that it started.
    let outcome =
        ctx.tool(&ctx.program, "test-load").args(["load", "--quick"]).time_limit(QUICK_LIMIT).run()?;
    if !outcome.success {
        return Err(outcome.error("the slice of the load failed"));
    }
    let note = outcome.output.lines().rev().find_map(|line| line.strip_prefix("load: "));
    let note = note.context("the load did not end with its line")?.to_owned();
    Ok(Report { counts: Counts::ONE, note, ..Report::default() })
}
