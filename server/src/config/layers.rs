//! Lays the file, the variables and the flags over each other, and reads what comes out.

use std::collections::HashSet;
use std::fs;
use std::path::Path as FilePath;

use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

use super::problem::plain;
use super::{Config, Flags, Problem, Reading};

/// What the names of variables begin with.
const PREFIX: &str = "AGENTWIRE__";

/// The keys that a value is at, from the outermost on.
type Keys = Vec<String>;

pub(super) fn read(flags: &Flags, variables: impl IntoIterator<Item = (String, String)>) -> Reading {
    let mut layers = Layers::default();
    if let Some(path) = &flags.config {
        match file(path) {
            Ok(tree) => layers.tree = tree,
            Err(message) => {
                layers.unread.insert(String::new());
                layers.problems.push(Problem::new(path.display().to_string(), message));
            }
        }
    }
    for (name, text) in variables {
        if let Some(rest) = name.strip_prefix(PREFIX) {
            let keys = rest.to_ascii_lowercase().split("__").map(str::to_owned).collect();
            layers.set(keys, text, &name);
        }
    }
    for (key, text) in flags.values() {
        // The text is not shown: it can be a secret.
        let Some(text) = text else {
            layers.problems.push(Problem::new("--set", "has no `=`: write --set section.key=value"));
            continue;
        };
        let keys = key.split('.').map(str::to_owned).collect();
        layers.set(keys, text, &format!("--set {key}"));
    }
    layers.read()
}

fn file(path: &FilePath) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    text.parse::<Table>().map_err(|error| {
        // The whole error shows the line, which can hold a secret.
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is no TOML: {}", error.message())
    })
}

#[derive(Default)]
struct Layers {
    tree: Table,
    /// Where texts of variables and flags are. They are read as TOML where the key wants no text.
    texts: HashSet<Keys>,
    problems: Vec<Problem>,
    unread: HashSet<String>,
}

impl Layers {
    /// Sets one value; `origin` is the variable or the flag that it comes from.
    fn set(&mut self, keys: Keys, text: String, origin: &str) {
        let Some((last, sections)) = keys.split_last().filter(|(last, _)| !last.is_empty()) else {
            return self.problems.push(Problem::new(origin, "names no key"));
        };
        let mut table = &mut self.tree;
        for section in sections {
            let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else {
                let message = format!("`{section}` has no keys of its own");
                return self.problems.push(Problem::new(origin, message));
            };
            table = inner;
        }
        table.insert(last.clone(), Value::String(text));
        self.texts.insert(keys);
    }

    /// Reads the configuration. What is wrong is noted and taken out, so that everything that is wrong is found at once.
    fn read(mut self) -> Reading {
        let config = loop {
            let deserializer = Value::Table(self.tree.clone());
            let error = match serde_path_to_error::deserialize::<_, Config>(deserializer) {
                Ok(config) => break config,
                Err(error) => error,
            };
            let keys = keys(error.path());
            if self.texts.remove(&keys) && self.read_text(&keys) {
                continue;
            }
            let problem = Problem::new(error.path().to_string(), plain(error.inner().message()));
            self.unread.insert(problem.section().to_owned());
            self.problems.push(problem);
            if !take_out(&mut self.tree, error.path()) {
                self.unread.insert(String::new());
                break Config::default();
            }
        };
        let checked = config.check();
        let mut reading = Reading { config, problems: self.problems, unread: self.unread };
        reading.add(checked);
        reading
    }

    /// Reads a text as the TOML value that it is; false if it is none.
    fn read_text(&mut self, keys: &[String]) -> bool {
        let Some((last, sections)) = keys.split_last() else { return false };
        let mut table = &mut self.tree;
        for section in sections {
            let Some(Value::Table(inner)) = table.get_mut(section) else { return false };
            table = inner;
        }
        let Some(Value::String(text)) = table.get(last) else { return false };
        let Ok(mut line) = format!("value = {text}").parse::<Table>() else { return false };
        let Some(value) = line.remove("value").filter(|_| line.is_empty()) else { return false };
        table.insert(last.clone(), value);
        true
    }
}

/// The keys of a path, up to the first place in a list.
fn keys(path: &Path) -> Keys {
    let key = |segment: &Segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        _ => None,
    };
    path.iter().map_while(key).collect()
}

/// Takes out the value at a path, or the list that holds it; false if nothing is there.
fn take_out(tree: &mut Table, path: &Path) -> bool {
    let segments: Vec<_> = path.iter().collect();
    // The last key that is in a table. What is behind it are places in lists.
    let Some(last) = segments.iter().rposition(|segment| matches!(segment, Segment::Map { .. })) else {
        return false;
    };
    let mut table = tree;
    let mut segments = segments[..=last].iter().peekable();
    while let Some(segment) = segments.next() {
        let Segment::Map { key } = segment else { return false };
        if segments.peek().is_none() {
            return table.remove(key).is_some();
        }
        let mut value = table.get_mut(key);
        while let Some(Segment::Seq { index }) = segments.peek() {
            value = value.and_then(|value| value.get_mut(*index));
            segments.next();
        }
        let Some(Value::Table(inner)) = value else { return false };
        table = inner;
    }
    false
}
