//! Plants the bugs of `sim/planted.toml` in a copy of the core and of the simulation.
//!
//! Each becomes `if crate::planted::is(N) { PLANTED } else { ORIGINAL }`, so one build holds them all and the code that ships
//! holds none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use xtask::fingerprint::files_below;

/// The list of bugs.
pub(super) const LIST: &str = "sim/planted.toml";

/// What the copy holds: files, and folders with everything below them.
const COPIED: [&str; 4] = ["Cargo.lock", "sim/Cargo.toml", "sim/src", "src"];
/// The part of the root manifest that names the other members of the workspace, and what it is in the copy.
const MEMBERS: (&str, &str) = (
    r#"members = ["bridge", "events", "events/generate", "examples/agent-chat", "examples/file-log", "examples/quick-start", "proof", "proof/crowd", "proof/faults", "proof/stand", "server", "sim", "sim-bridge", "xtask"]"#,
    r#"members = ["sim"]"#,
);

/// Added to the core: says which bug is on.
const SWITCH: &str = r#"//! The planted bug that is switched on for the present thread.

use std::cell::Cell;

thread_local! {
    static ON: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Switches on the bug of this number for the present thread, or none.
pub fn switch_on(bug: Option<usize>) {
    ON.set(bug);
}

/// Tells whether the bug of this number is on.
pub fn is(bug: usize) -> bool {
    ON.get() == Some(bug)
}
"#;

/// A bug, as the list has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bug {
    pub(super) name: String,
    /// From the root of the checkout.
    file: String,
    /// What it replaces.
    original: String,
    /// What takes its place.
    planted: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    bug: Vec<Bug>,
}

/// Reads the list of bugs.
///
/// # Errors
/// When it is not one, or two bugs have one name.
pub(super) fn read(text: &str) -> Result<Vec<Bug>> {
    let list: List = toml::from_str(text).with_context(|| format!("{LIST} is no list of bugs"))?;
    let mut names = BTreeSet::new();
    for bug in &list.bug {
        ensure!(names.insert(bug.name.as_str()), "{LIST} has two bugs called `{}`", bug.name);
        ensure!(!bug.original.trim().is_empty(), "the bug `{}` replaces nothing", bug.name);
        ensure!(!bug.name.contains("*/"), "the name `{}` cannot stand in a comment", bug.name);
    }
    Ok(list.bug)
}

/// Brings the copy in `folder` up to date. Files that are as they should be are not touched, so cargo builds only what changed.
///
/// # Errors
/// When a bug cannot be planted, or the copy not be written.
pub(super) fn copy(root: &Path, folder: &Path, bugs: &[Bug]) -> Result<()> {
    let mut files = sources(root)?;
    plant_all(&mut files, bugs)?;
    if folder.is_dir() {
        for old in files_below(folder)? {
            if !files.contains_key(&name_of(&old, folder)) {
                fs::remove_file(&old).with_context(|| format!("{} can't be removed", old.display()))?;
            }
        }
    }
    for (name, text) in &files {
        write(&folder.join(name), text)?;
    }
    Ok(())
}

/// The files of the copy by their names, before anything is planted.
fn sources(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for part in COPIED {
        let path = root.join(part);
        let found = if path.is_dir() { files_below(&path)? } else { vec![path] };
        for file in found {
            files.insert(name_of(&file, root), text_of(&file)?);
        }
    }
    let manifest = text_of(&root.join("Cargo.toml"))?;
    ensure!(
        manifest.contains(MEMBERS.0),
        "the members of the workspace are not those that the copy replaces"
    );
    files.insert("Cargo.toml".to_owned(), manifest.replace(MEMBERS.0, MEMBERS.1));
    Ok(files)
}

/// Plants every bug, and the modules that know which one is on.
fn plant_all(files: &mut BTreeMap<String, String>, bugs: &[Bug]) -> Result<()> {
    let mut by_file = BTreeMap::<&str, Vec<(usize, &Bug)>>::new();
    for (number, bug) in bugs.iter().enumerate() {
        by_file.entry(&bug.file).or_default().push((number, bug));
    }
    for (file, bugs) in by_file {
        let Some(text) = files.get_mut(file) else {
            bail!("the bug `{}` is for {file}, which is not in the copy", bugs[0].1.name);
        };
        *text = plant(text, &bugs)?;
    }
    let mut names = String::from("//! The planted bugs.\n\npub use agentwire::planted::{is, switch_on};\n\n");
    let list = bugs.iter().map(|bug| format!("    {:?},\n", bug.name)).collect::<String>();
    let _ = write!(
        names,
        "/// Their names, in the order of their numbers.\npub const NAMES: &[&str] = &[\n{list}];\n"
    );
    files.insert("sim/src/planted.rs".to_owned(), names);
    files.insert("src/planted.rs".to_owned(), SWITCH.to_owned());
    let core = files.get_mut("src/lib.rs").context("the core has no src/lib.rs")?;
    core.push_str("pub mod planted;\n");
    Ok(())
}

/// Plants bugs in one file, each with its number.
fn plant(source: &str, bugs: &[(usize, &Bug)]) -> Result<String> {
    let mut places = BTreeMap::<usize, (Range<usize>, Vec<(usize, &Bug)>)>::new();
    for &(number, bug) in bugs {
        let range = only_place(source, bug)?;
        places.entry(range.start).or_insert_with(|| (range, Vec::new())).1.push((number, bug));
    }
    let mut edits = BTreeMap::<usize, (Range<usize>, String)>::new();
    let mut end = 0;
    let mut before = None;
    for (range, bugs) in places.into_values() {
        let (_, first) = bugs[0];
        if let Some(before) = before.filter(|_| range.start < end) {
            bail!("the bugs `{before}` and `{}` overlap in {}", first.name, first.file);
        }
        if let Some((_, other)) = bugs.iter().find(|(_, bug)| bug.original != first.original) {
            bail!("the bugs `{}` and `{}` overlap in {}", first.name, other.name, first.file);
        }
        (before, end) = (Some(first.name.as_str()), range.end);
        // A switch is no constant.
        if let Some(word) = const_of_function(source, range.start) {
            edits.insert(word.start, (word, String::new()));
        }
        edits.insert(range.start, (range, switched(&bugs)?));
    }
    let mut text = source.to_owned();
    for (range, replacement) in edits.into_values().rev() {
        text.replace_range(range, &replacement);
    }
    Ok(text)
}

/// Where the text of a bug is.
fn only_place(source: &str, bug: &Bug) -> Result<Range<usize>> {
    let Bug { name, file, original, .. } = bug;
    let mut found = source.match_indices(original.as_str());
    let Some((at, _)) = found.next() else {
        bail!("the bug `{name}` replaces a text that {file} does not have:\n{original}");
    };
    let more = found.count();
    ensure!(more == 0, "the bug `{name}` replaces a text that {file} has {} times:\n{original}", more + 1);
    Ok(at..at + original.len())
}

/// The word `const ` of the function that holds a place, if it has one.
fn const_of_function(source: &str, place: usize) -> Option<Range<usize>> {
    let function = source[..place].rfind("fn ")?;
    let word = source[..function].strip_suffix("const ")?.len();
    Some(word..function)
}

/// What stands where the bugs of one text are planted.
fn switched(bugs: &[(usize, &Bug)]) -> Result<String> {
    let (_, first) = bugs[0];
    let (head, original, tail) = match binding(&first.original) {
        Some((head, value)) => (head, value, ";"),
        None => ("", first.original.as_str(), ""),
    };
    let mut text = String::new();
    for (number, bug) in bugs {
        let planted = if tail.is_empty() {
            bug.planted.as_str()
        } else {
            let same = binding(&bug.planted).filter(|(other, _)| *other == head);
            let Some((_, value)) = same else {
                bail!("the bug `{}` replaces a `let` by something else than `{head}…;`", bug.name);
            };
            value
        };
        let name = &bug.name;
        let _ = write!(text, "if crate::planted::is({number} /* {name} */) {{ {planted} }} else ");
    }
    let _ = write!(text, "{{ {original} }}");
    let is_statement = tail.is_empty() && first.original.ends_with([';', '}']);
    Ok(if is_statement { text } else { format!("{head}({text}){tail}") })
}

/// `let x = ` and the value of a text such as `let x = a;`.
fn binding(text: &str) -> Option<(&str, &str)> {
    let equals = text.starts_with("let ").then(|| text.find(" = "))?? + 3;
    Some((&text[..equals], text[equals..].strip_suffix(';')?))
}

fn name_of(file: &Path, folder: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/")
}

pub(super) fn text_of(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))
}

/// Writes a file, unless it holds this already.
fn write(file: &Path, text: &str) -> Result<()> {
    if fs::read(file).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(());
    }
    let failed = || format!("{} can't be written", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(file, text).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bug(name: &str, original: &str, planted: &str) -> Bug {
        let text = |text: &str| text.to_owned();
        Bug { name: text(name), file: text("a.rs"), original: text(original), planted: text(planted) }
    }

    fn planted(source: &str, bugs: &[Bug]) -> Result<String, String> {
        let numbered = bugs.iter().enumerate().collect::<Vec<_>>();
        plant(source, &numbered).map_err(|error| error.to_string())
    }

    #[test]
    fn an_expression_a_statement_and_a_binding_are_switched() {
        let source = "let a = b + 1;\nf(c);\nif d && e {}\n";
        let bugs = [bug("x", "let a = b + 1;", "let a = b;"), bug("y", "f(c);", ""), bug("z", "d && e", "d")];
        assert_eq!(
            planted(source, &bugs).unwrap(),
            "let a = (if crate::planted::is(0 /* x */) { b } else { b + 1 });\n\
             if crate::planted::is(1 /* y */) {  } else { f(c); }\n\
             if (if crate::planted::is(2 /* z */) { d } else { d && e }) {}\n"
        );
    }

    #[test]
    fn two_bugs_of_one_text_are_two_switches() {
        let bugs = [bug("x", "f(a)", "g(a)"), bug("y", "f(a)", "h(a)")];
        let text = "if crate::planted::is(0 /* x */) { g(a) } else if crate::planted::is(1 /* y */) { h(a) } else { f(a) }";
        assert_eq!(planted("f(a)", &bugs).unwrap(), format!("({text})"));
    }

    #[test]
    fn a_function_with_a_bug_is_no_constant() {
        let source = "const fn f() -> u8 { 1 }\nconst fn g() -> u8 { 2 }\n";
        assert_eq!(
            planted(source, &[bug("x", "2", "3")]).unwrap(),
            "const fn f() -> u8 { 1 }\nfn g() -> u8 { (if crate::planted::is(0 /* x */) { 3 } else { 2 }) }\n"
        );
    }

    #[test]
    fn a_text_that_is_missing_or_occurs_twice_is_an_error_that_names_the_bug() {
        let missing = planted("f(a);", &[bug("x", "g(a);", "")]).unwrap_err();
        assert!(missing.starts_with("the bug `x` replaces a text that a.rs does not have"), "{missing}");
        let twice = planted("f(a); f(a);", &[bug("x", "f(a);", "")]).unwrap_err();
        assert!(twice.starts_with("the bug `x` replaces a text that a.rs has 2 times"), "{twice}");
    }

    #[test]
    fn bugs_that_overlap_are_an_error_that_names_both() {
        for (first, second) in [("f(a) + g(b)", "g(b)"), ("f(a)", "f(a) + g(b)")] {
            let error = planted("f(a) + g(b)", &[bug("x", first, ""), bug("y", second, "")]).unwrap_err();
            assert_eq!(error, "the bugs `x` and `y` overlap in a.rs");
        }
    }

    #[test]
    fn a_binding_is_replaced_by_one_of_the_same_name() {
        let error = planted("let a = b;", &[bug("x", "let a = b;", "let c = b;")]).unwrap_err();
        assert_eq!(error, "the bug `x` replaces a `let` by something else than `let a = …;`");
    }

    #[test]
    fn a_bug_for_a_file_that_is_not_in_the_copy_is_an_error_that_names_it() {
        let mut files = BTreeMap::from([("src/lib.rs".to_owned(), String::new())]);
        let error = plant_all(&mut files, &[bug("x", "a", "b")]).unwrap_err().to_string();
        assert_eq!(error, "the bug `x` is for a.rs, which is not in the copy");
    }

    #[test]
    fn a_list_with_an_unknown_field_or_one_name_twice_is_refused() {
        let one = "[[bug]]\nname = 'x'\nfile = 'a.rs'\noriginal = 'a'\nplanted = 'b'\n";
        assert_eq!(read(one).unwrap().len(), 1);
        let twice = read(&one.repeat(2)).unwrap_err().to_string();
        assert_eq!(twice, "sim/planted.toml has two bugs called `x`");
        assert!(read(&format!("{one}why = 'c'\n")).is_err());
        let nothing = read(&one.replace("'a'\n", "''\n")).unwrap_err().to_string();
        assert_eq!(nothing, "the bug `x` replaces nothing");
    }

    #[test]
    fn the_copy_follows_the_checkout_and_leaves_alone_what_did_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let (root, copied) = (folder.path().join("root"), folder.path().join("copy"));
        for (name, text) in [
            ("Cargo.toml", MEMBERS.0),
            ("Cargo.lock", "locked"),
            ("sim/Cargo.toml", ""),
            ("sim/src/planted.rs", "none"),
            ("src/lib.rs", "mod a;\n"),
            ("src/a.rs", "f(a)"),
            ("src/b.rs", ""),
        ] {
            write(&root.join(name), text).unwrap();
        }
        let bugs = [Bug { file: "src/a.rs".to_owned(), ..bug("x", "f(a)", "g(a)") }];
        copy(&root, &copied, &bugs).unwrap();
        let read = |name: &str| fs::read_to_string(copied.join(name)).unwrap();
        assert_eq!(read("Cargo.toml"), MEMBERS.1);
        assert_eq!(read("src/lib.rs"), "mod a;\npub mod planted;\n");
        assert_eq!(read("src/a.rs"), "(if crate::planted::is(0 /* x */) { g(a) } else { f(a) })");
        assert!(read("sim/src/planted.rs").contains(r#"    "x","#), "{}", read("sim/src/planted.rs"));
        let made = |name: &str| fs::metadata(copied.join(name)).unwrap().modified().unwrap();
        let before = made("src/a.rs");
        fs::remove_file(root.join("src/b.rs")).unwrap();
        copy(&root, &copied, &bugs).unwrap();
        assert_eq!(made("src/a.rs"), before);
        assert!(!copied.join("src/b.rs").exists());
    }

    #[test]
    fn every_bug_of_the_list_can_be_planted() {
        let root = xtask::context::Context::find().unwrap().root;
        let bugs = read(&text_of(&root.join(LIST)).unwrap()).unwrap();
        assert!(bugs.len() >= 37, "{} bugs", bugs.len());
        plant_all(&mut sources(&root).unwrap(), &bugs).unwrap();
    }
}
