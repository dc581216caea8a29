//! Which test proves which clause of the protocol: read from `PROTOCOL:` comments, kept as a table in `docs/TESTING.md`.
//!
//! A tag is a comment right before a test, or the first thing in it: `// PROTOCOL: SUB-4, GAP-5`. What follows a `;` or a
//! `:` is for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use xtask::context::Context;
use xtask::test::report::Report;

use crate::section;

/// Where tests are.
const FOLDERS: [&str; 11] = [
    "bridge/src",
    "bridge/tests",
    "events/src",
    "examples",
    "fuzz/tests",
    "pkg/test",
    "proof",
    "sim/src",
    "src",
    "tests",
    "xtask/src",
];

/// Folders that hold what others wrote or what was made.
const NOT_OURS: [&str; 7] = [".test", "dist", "fixtures", "node_modules", "target", "test-dist", "wasm"];

/// Clauses that no test proves, and why.
const SET_ASIDE: [(&str, &str); 3] = [
    (
        "HIS-1",
        "no server here offers history, which HIS-4 allows; the shape of the request is in the vectors",
    ),
    ("HIS-2", "as HIS-1; the shape of the answer is in the vectors"),
    ("HIS-3", "as HIS-1: there is no folded history to compare with"),
];

const TABLE_BEGINS: &str = "<!-- The table is written by `cargo xtask clauses --write`. -->";
const TABLE_ENDS: &str = "<!-- The table ends. -->";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Writes the table into docs/TESTING.md instead of comparing it.
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    if args.write {
        let file = page(ctx);
        let text = read(&file)?;
        fs::write(&file, with_table(&text, &Survey::of(&ctx.root)?.table())?)
            .with_context(|| format!("{} can't be written", file.display()))?;
    }
    let report = check(ctx)?;
    if !report.failures.is_empty() {
        bail!("{}", report.failures.join("\n  "));
    }
    println!("clauses: {}", report.note);
    Ok(())
}

/// Every clause has a test or a reason, every tag names a clause and stands at a test, and the table is what they say.
pub(crate) fn check(ctx: &Context) -> Result<Report> {
    let survey = Survey::of(&ctx.root)?;
    let mut failures = survey.failures();
    let file = page(ctx);
    let text = read(&file)?;
    if with_table(&text, &survey.table())? != text {
        failures.push("the table in docs/TESTING.md is stale: run `cargo xtask clauses --write`".to_owned());
    }
    let mut report = Report { note: survey.summary(), failures, ..Report::default() };
    report.counts.passed = survey.tested() as u64;
    report.counts.failed = report.failures.len() as u64;
    Ok(report)
}

fn page(ctx: &Context) -> PathBuf {
    ctx.root.join("docs/TESTING.md")
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))
}

/// The clauses and the tests that name them.
#[derive(Debug, Default)]
struct Survey {
    /// In the order of the protocol.
    clauses: Vec<String>,
    /// By clause: file and name of each test.
    tests: BTreeMap<String, BTreeSet<(String, String)>>,
    /// What is wrong with tags, each with its place.
    faults: Vec<String>,
}

impl Survey {
    fn of(root: &Path) -> Result<Self> {
        let clauses = clauses(&read(&root.join("docs/PROTOCOL.md"))?);
        if clauses.is_empty() {
            bail!("docs/PROTOCOL.md defines no clause; each begins a line as in `- **SUB-1**`");
        }
        let mut survey = Self { clauses, ..Self::default() };
        for folder in FOLDERS {
            for file in sources(&root.join(folder))? {
                let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
                survey.add(&name, &read(&file)?);
            }
        }
        Ok(survey)
    }

    /// Takes the tags of one file.
    fn add(&mut self, file: &str, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(tag) = line.trim_start().strip_prefix("// PROTOCOL: ") else { continue };
            let place = format!("{file}:{}", index + 1);
            let test = match test_at(&lines, index) {
                Ok(test) => test,
                Err(why) => {
                    self.faults.push(format!("{place}: {why}"));
                    continue;
                }
            };
            let named = tag.split([';', ':']).next().unwrap_or_default();
            for clause in named.split(',').map(str::trim) {
                if self.clauses.iter().any(|known| known == clause) {
                    self.tests.entry(clause.to_owned()).or_default().insert((file.to_owned(), test.clone()));
                } else {
                    self.faults.push(format!("{place}: docs/PROTOCOL.md has no clause {clause}"));
                }
            }
        }
    }

    fn failures(&self) -> Vec<String> {
        let mut failures = self.faults.clone();
        for clause in &self.clauses {
            match (self.tests.contains_key(clause), set_aside(clause)) {
                (false, None) => failures
                    .push(format!("no test names {clause}: write one with the comment `PROTOCOL: {clause}`")),
                (true, Some(_)) => failures.push(format!(
                    "{clause} is set aside in proof/src/clauses.rs, and a test names it: drop one of them"
                )),
                (true, None) | (false, Some(_)) => {}
            }
        }
        for (clause, _) in SET_ASIDE {
            if !self.clauses.iter().any(|known| known == clause) {
                failures.push(format!(
                    "{clause} is set aside in proof/src/clauses.rs, and docs/PROTOCOL.md does not have it"
                ));
            }
        }
        failures
    }

    fn tested(&self) -> usize {
        self.tests.len()
    }

    fn summary(&self) -> String {
        let tests: BTreeSet<_> = self.tests.values().flatten().collect();
        format!(
            "{} clauses: {} proven by {} tests, {} set aside",
            self.clauses.len(),
            self.tested(),
            tests.len(),
            SET_ASIDE.len()
        )
    }

    /// The table, a line per clause.
    fn table(&self) -> String {
        let mut table = format!("{}.\n\n| clause | tests |\n|---|---|\n", self.summary());
        for clause in &self.clauses {
            let cell = match (self.tests.get(clause), set_aside(clause)) {
                (Some(tests), _) => by_file(tests),
                (None, Some(reason)) => format!("*{reason}*"),
                (None, None) => "none".to_owned(),
            };
            table.push_str(&format!("| {clause} | {cell} |\n"));
        }
        table
    }
}

fn set_aside(clause: &str) -> Option<&'static str> {
    SET_ASIDE.iter().find(|(name, _)| *name == clause).map(|(_, reason)| *reason)
}

/// Tests as `file: one, two; other file: three`.
fn by_file(tests: &BTreeSet<(String, String)>) -> String {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (file, test) in tests {
        files.entry(file).or_default().push(test.replace('|', "\\|"));
    }
    files
        .into_iter()
        .map(|(file, tests)| format!("`{file}`: {}", tests.join(", ")))
        .collect::<Vec<_>>()
        .join("<br>")
}

/// The clauses that the protocol defines, in its order.
fn clauses(protocol: &str) -> Vec<String> {
    protocol
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**"))
        .map(|(name, _)| name)
        .filter(|name| is_clause(name))
        .map(str::to_owned)
        .collect()
}

/// Three capitals, a dash and a number.
fn is_clause(name: &str) -> bool {
    name.split_once('-').is_some_and(|(section, number)| {
        section.len() == 3
            && section.bytes().all(|byte| byte.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The test that a tag in line `index` stands at: the one it opens, or the one that follows.
fn test_at(lines: &[&str], index: usize) -> Result<String, &'static str> {
    let is_aside = |line: &&str| {
        let line = line.trim();
        line.is_empty() || line.starts_with("//")
    };
    let before = lines[..index].iter().rposition(|line| !is_aside(line));
    let opened = before.filter(|&before| lines[before].trim_end().ends_with('{'));
    let found = match opened {
        Some(opened) => {
            // The signature may take several lines.
            let from = opened.saturating_sub(4);
            (from..=opened).rev().find_map(|at| named(&lines[at..]).map(|name| (at, name)))
        }
        None => {
            let to = (index + 8).min(lines.len());
            (index + 1..to).find_map(|at| named(&lines[at..]).map(|name| (at, name)))
        }
    };
    let Some((at, name)) = found else {
        return Err("this tag does not stand at a test");
    };
    let attributes: Vec<&str> = lines[..at]
        .iter()
        .rev()
        .take_while(|line| is_aside(line) || line.trim_start().starts_with("#["))
        .copied()
        .collect();
    let has =
        |word: &str| attributes.iter().any(|line| line.trim_start().starts_with("#[") && line.contains(word));
    match name {
        Named::Js(name) => Ok(name),
        Named::Rust(_) if has("ignore") => Err("this tag stands at a test that is ignored"),
        Named::Rust(name) if has("test") => Ok(name),
        Named::Rust(_) => Err("this tag stands at a function that is no test"),
    }
}

enum Named {
    Js(String),
    Rust(String),
}

/// The test or function that the first line begins. The name of a test may be in the second.
fn named(lines: &[&str]) -> Option<Named> {
    let line = lines.first()?.trim_start();
    if let Some(rest) = line.strip_prefix("test(").or_else(|| line.strip_prefix("await test(")) {
        let rest = if rest.is_empty() { lines.get(1)?.trim_start() } else { rest };
        let quote = rest.chars().next().filter(|char| ['"', '\'', '`'].contains(char))?;
        return Some(Named::Js(rest[1..].split(quote).next()?.to_owned()));
    }
    let rest = ["fn ", "async fn ", "pub fn ", "pub async fn ", "pub(crate) fn "]
        .iter()
        .find_map(|start| line.strip_prefix(start))?;
    Some(Named::Rust(rest.split(['(', '<']).next()?.to_owned()))
}

/// The text of the page with `table` between its markers.
fn with_table(page: &str, table: &str) -> Result<String> {
    section::replaced("docs/TESTING.md", page, TABLE_BEGINS, TABLE_ENDS, table)
}

/// The source files below a folder, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("{} can't be read", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !NOT_OURS.contains(&name.as_ref()) {
                found.extend(sources(&path)?);
            }
        } else if ["rs", "ts", "tsx", "js", "mjs"]
            .iter()
            .any(|end| path.extension().is_some_and(|own| own == *end))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: &str =
        "# Protocol\n- **SUB-1** One.\nSee **SUB-9**.\n- **GAP-2** Two.\n- **note** Three.\n";

    fn survey(text: &str) -> Survey {
        let mut survey = Survey { clauses: clauses(PROTOCOL), ..Survey::default() };
        survey.add("tests/a.rs", text);
        survey
    }

    #[test]
    fn clauses_are_what_begins_a_line() {
        assert_eq!(clauses(PROTOCOL), ["SUB-1", "GAP-2"]);
    }

    #[test]
    fn a_tag_before_a_test_and_one_inside_of_it_count() {
        let before = survey("// PROTOCOL: SUB-1, GAP-2; I3\n#[tokio::test]\nasync fn before() {\n");
        let inside = survey("#[test]\nfn inside() {\n    // PROTOCOL: GAP-2: the words\n");
        let js = survey("// PROTOCOL: SUB-1\ntest(\"in words, (with) more\", () => {\n");
        let below = survey("// PROTOCOL: SUB-1\ntest(\n\t\"on a line of its own\",\n\tinWorld(() => {\n");
        let name = |survey: &Survey, clause: &str| survey.tests[clause].iter().next().unwrap().1.clone();
        assert_eq!(name(&before, "SUB-1"), "before");
        assert_eq!(name(&before, "GAP-2"), "before");
        assert_eq!(name(&inside, "GAP-2"), "inside");
        assert_eq!(name(&js, "SUB-1"), "in words, (with) more");
        assert_eq!(name(&below, "SUB-1"), "on a line of its own");
        assert!([before, inside, js, below].iter().all(|survey| survey.faults.is_empty()));
    }

    #[test]
    fn a_tag_without_a_clause_or_a_test_is_an_error() {
        let fault = |text: &str| survey(text).faults.join("; ");
        let unknown = fault("// PROTOCOL: SUB-9\n#[test]\nfn a() {\n");
        assert_eq!(unknown, "tests/a.rs:1: docs/PROTOCOL.md has no clause SUB-9");
        assert!(fault("// PROTOCOL: SUB-1\nfn helper() {\n").contains("no test"));
        assert!(fault("// PROTOCOL: SUB-1\n#[test]\n#[ignore]\nfn later() {\n").contains("ignored"));
        assert!(fault("// PROTOCOL: SUB-1\nconst A: u8 = 1;\n").contains("does not stand at a test"));
    }

    #[test]
    fn a_clause_without_a_test_fails() {
        let failures = survey("// PROTOCOL: SUB-1\n#[test]\nfn a() {\n").failures();
        assert!(failures.iter().any(|failure| failure.starts_with("no test names GAP-2")), "{failures:?}");
        assert!(!failures.iter().any(|failure| failure.contains("SUB-1")), "{failures:?}");
    }

    #[test]
    fn only_the_table_between_the_markers_changes() {
        let page = format!("above\n\n{TABLE_BEGINS}\nold\n{TABLE_ENDS}\n\nbelow\n");
        let once = with_table(&page, "| new |\n").unwrap();
        assert!(once.starts_with("above\n\n") && once.ends_with("\n\nbelow\n"), "{once}");
        assert!(once.contains("| new |") && !once.contains("old"), "{once}");
        assert_eq!(with_table(&once, "| new |\n").unwrap(), once);
        assert!(with_table("no markers", "").is_err());
    }
}
