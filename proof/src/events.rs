//! What is made from the table of event types is up to date: schema, TypeScript, Python, and the table of the protocol.

use std::fs;

use agentwire_events_generate::{Application, Made};
use anyhow::{Context as _, Result, bail};
use xtask::context::Context;
use xtask::test::report::Report;

use crate::section;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Writes the files instead of comparing them.
    #[arg(long, conflicts_with = "schema")]
    write: bool,
    #[command(flatten)]
    application: Application,
}

/// A file, and the lines between which the text is in it; without them the text is all of it.
struct Place {
    file: &'static str,
    section: Option<(&'static str, &'static str)>,
    text: fn(&Made) -> &str,
}

const PLACES: [Place; 4] = [
    Place { file: "events/schema/events.json", section: None, text: |made| &made.schema },
    Place { file: "events/python/agentwire_events.py", section: None, text: |made| &made.python },
    Place {
        file: "pkg/src/thread/events.ts",
        section: Some((
            "// The types are written by `cargo xtask events --write`, from events/src/types.rs.",
            "// The written types end.",
        )),
        text: |made| &made.typescript,
    },
    Place {
        file: "docs/PROTOCOL.md",
        section: Some((
            "<!-- The table is written by `cargo xtask events --write`, from events/src/types.rs. -->",
            "<!-- The table ends. -->",
        )),
        text: |made| &made.protocol,
    },
];

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    if args.application.schema.is_some() {
        let count = args.application.write()?;
        println!("events: wrote {count} types");
        return Ok(());
    }
    if args.write {
        let made = Made::new()?;
        for place in &PLACES {
            let (path, text) = (ctx.root.join(place.file), place.updated(ctx, &made)?.1);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
            }
            fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))?;
        }
    }
    let report = check(ctx)?;
    if !report.failures.is_empty() {
        bail!("{}", report.failures.join("\n  "));
    }
    println!("events: {}", report.note);
    Ok(())
}

/// Every file is what the table makes of it.
pub(crate) fn check(ctx: &Context) -> Result<Report> {
    let made = Made::new()?;
    let mut report = Report {
        note: "schema, TypeScript, Python and protocol are up to date".to_owned(),
        ..Report::default()
    };
    for place in &PLACES {
        let (current, updated) = place.updated(ctx, &made)?;
        if current != updated {
            report.failures.push(format!("{} is stale: run `cargo xtask events --write`", place.file));
        }
    }
    report.counts.failed = report.failures.len() as u64;
    report.counts.passed = PLACES.len() as u64 - report.counts.failed;
    Ok(report)
}

impl Place {
    /// The file as it is, and as it should be. One that is made as a whole may be missing.
    fn updated(&self, ctx: &Context, made: &Made) -> Result<(String, String)> {
        let (path, text) = (ctx.root.join(self.file), (self.text)(made));
        let current = match fs::read_to_string(&path) {
            Err(error) if self.section.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            current => current.with_context(|| format!("{} can't be read", path.display()))?,
        };
        let updated = match self.section {
            None => text.to_owned(),
            Some((begins, ends)) => section::replaced(self.file, &current, begins, ends, text)?,
        };
        Ok((current, updated))
    }
}
