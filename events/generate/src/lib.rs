//! Writes what is made from the table of event types: the JSON Schema, and from it TypeScript, Python and the table of the
//! protocol. An application's own schema goes the same way.
//!
//! It is apart from the table, so that a server does not compile it.

mod lines;
mod model;
mod node;
mod protocol;
mod python;
mod read;
mod schema;
mod typescript;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// What is made from the table.
#[derive(Debug)]
pub struct Made {
    /// A JSON Schema (draft 2020-12) of all events.
    pub schema: String,
    /// The interfaces of the events and `EventMap`, for the npm package.
    pub typescript: String,
    /// A Python module.
    pub python: String,
    /// The table of section 12 of the protocol.
    pub protocol: String,
}

impl Made {
    /// Writes everything anew.
    ///
    /// # Errors
    /// When the table cannot be described: a fault of this crate or of the table.
    pub fn new() -> Result<Self> {
        let schema =
            serde_json::to_string_pretty(&schema::schema()).context("the schema can't be written")? + "\n";
        let events = read::read(&schema).context("the schema of the table can't be read")?;
        let about =
            "The events of an agentwire stream.\n\nWritten by `cargo xtask events --write`. Do not edit.\n";
        Ok(Self {
            typescript: typescript::listed(&events),
            python: python::module(&events, about, "AgentEvent"),
            protocol: protocol::table(&events),
            schema,
        })
    }
}

/// The events of an application.
#[derive(Clone, Debug, clap::Args)]
pub struct Application {
    /// A JSON Schema (draft 2020-12) with one schema per event type in `$defs`; property `type` is a `const`.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Writes the types into this TypeScript module, and adds them to `EventMap`.
    #[arg(long, value_name = "FILE", requires = "schema")]
    pub typescript: Option<PathBuf>,
    /// Writes the types into this Python module.
    #[arg(long, value_name = "FILE", requires = "schema")]
    pub python: Option<PathBuf>,
}

impl Application {
    /// Writes what was asked for, and returns the number of event types.
    ///
    /// # Errors
    /// When the schema can't be read, with the place in it; or a file can't be written.
    pub fn write(&self) -> Result<usize> {
        let file = self.schema.as_deref().context("say which schema: `--schema FILE`")?;
        ensure!(
            self.typescript.is_some() || self.python.is_some(),
            "say what to write: `--typescript FILE`, `--python FILE` or both"
        );
        let text = fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
        let events =
            application(&text).with_context(|| format!("{} is no schema of events", file.display()))?;
        let source =
            file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().replace(char::is_control, "");
        if let Some(out) = &self.typescript {
            write(out, &typescript::application(&events, &source))?;
        }
        if let Some(out) = &self.python {
            let source = source.replace('\\', "\\\\").replace('"', "\\\"");
            let about = format!(
                "Events of an application.\n\nWritten by `agentwire-events` from {source}. Do not edit.\n"
            );
            write(out, &python::module(&events, &about, "AppEvent"))?;
        }
        Ok(events.events.len())
    }
}

/// The events of an application: they have `time`, and none is one that agentwire lists.
fn application(text: &str) -> Result<model::Schema> {
    let mut schema = read::read(text)?;
    for event in &mut schema.events {
        ensure!(
            agentwire_events::find(&event.name).is_none(),
            "#/$defs/{}: this type is one of agentwire's own; choose another name",
            event.name
        );
        if event.field("time").is_none() {
            let about = "When it happened: milliseconds since the Unix epoch.".to_owned();
            let kind = model::Kind::Integer(model::Range::default());
            event.fields.insert(0, model::Field { name: "time".to_owned(), kind, is_required: true, about });
        }
    }
    Ok(schema)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
}

#[cfg(test)]
mod tests;
