//! The table of questions.

use super::Wanted::{Definition, Uses};
use super::*;

fn mentions(terms: &[&str], glob: Option<&str>) -> Plan {
    Plan::Mentions { terms: terms.iter().map(|term| (*term).into()).collect(), glob: glob.map(Into::into) }
}

fn count(term: &str, glob: Option<&str>) -> Plan {
    Plan::Count { term: term.into(), glob: glob.map(Into::into) }
}

fn locate(name: &str, wanted: Wanted, glob: Option<&str>) -> Plan {
    Plan::Locate { name: name.into(), wanted, glob: glob.map(Into::into) }
}

fn list(glob: Option<&str>) -> Plan {
    Plan::List { glob: glob.map(Into::into) }
}

fn read(path: &str, lines: Option<(usize, usize)>) -> Plan {
    Plan::Read { path: path.into(), lines }
}

fn summarise(path: &str) -> Plan {
    Plan::Summarise { path: path.into() }
}

fn explain(topic: &str) -> Plan {
    Plan::Explain { topic: topic.into(), glob: None }
}

fn compare(left: &str, right: &str) -> Plan {
    Plan::Compare { left: left.into(), right: right.into(), glob: None }
}

fn ask_first(term: &str, glob: Option<&str>) -> Plan {
    Plan::AskFirst { term: term.into(), glob: glob.map(Into::into) }
}

fn keywords(words: &[&str]) -> Plan {
    Plan::Keywords { words: words.iter().map(|word| (*word).into()).collect() }
}

#[test]
fn questions_give_plans() {
    let table = [
        ("Which files mention backoff, and how often?", mentions(&["backoff"], None)),
        ("which files mention backoff and how often", mentions(&["backoff"], None)),
        ("Please, which files mention \"retry budget\"?", mentions(&["retry budget"], None)),
        ("What files use serde_json in src/?", mentions(&["serde_json"], Some("src/**"))),
        ("How many files mention epoch in the Rust files?", mentions(&["epoch"], Some("*.rs"))),
        ("find all files that contain TODO or FIXME", mentions(&["TODO", "FIXME"], None)),
        ("Which files talk about gaps, epochs and heads?", mentions(&["gaps", "epochs", "heads"], None)),
        ("search for handle_input", mentions(&["handle_input"], None)),
        ("Show me all occurrences of `tokio::spawn`", mentions(&["tokio::spawn"], None)),
        (
            "How often is the word window mentioned in docs/PROTOCOL.md?",
            count("window", Some("docs/PROTOCOL.md")),
        ),
        ("How many times does backoff appear?", count("backoff", None)),
        ("How many tests are there?", count("tests", None)),
        ("how many unwrap() in *.rs", count("unwrap", Some("*.rs"))),
        ("Count the number of clauses in the docs folder", count("clauses", Some("docs/**"))),
        ("Where is Toolbox defined?", locate("Toolbox", Definition, None)),
        ("Where is Folder defined?", locate("Folder", Definition, None)),
        ("Where is it?", Plan::Help),
        ("Could you tell me where the struct Folder is declared?", locate("Folder", Definition, None)),
        (
            "Where is the function `resolve` implemented in src/?",
            locate("resolve", Definition, Some("src/**")),
        ),
        ("where is maxFrameBytes used?", locate("maxFrameBytes", Uses, None)),
        ("Where do we use rusqlite?", locate("rusqlite", Uses, None)),
        ("Who calls poll_output()?", locate("poll_output", Uses, None)),
        ("usages of StreamKey", locate("StreamKey", Uses, None)),
        ("where is the retry policy", locate("retry policy", Definition, None)),
        ("List files", list(None)),
        ("list all the files in docs/", list(Some("docs/**"))),
        ("What files are there?", list(None)),
        ("What Rust files are there?", list(Some("*.rs"))),
        ("How many files are there?", list(None)),
        ("What's in the docs folder?", list(Some("docs/**"))),
        ("what is in the folder?", list(None)),
        ("ls", list(None)),
        ("Show README.md", read("README.md", None)),
        ("read docs/PROTOCOL.md lines 10-20", read("docs/PROTOCOL.md", Some((10, 20)))),
        ("Please show me lines 3 to 9 of src/main.rs", read("src/main.rs", Some((3, 9)))),
        ("open Cargo.toml line 7", read("Cargo.toml", Some((7, 7)))),
        ("show the first 20 lines of README", read("README", Some((1, 20)))),
        ("read ../../etc/passwd", read("../../etc/passwd", None)),
        ("read /etc/passwd", read("/etc/passwd", None)),
        ("Summarise docs/PROTOCOL.md", summarise("docs/PROTOCOL.md")),
        ("Give me a summary of README.md, please", summarise("README.md")),
        ("What is in src/lib.rs?", summarise("src/lib.rs")),
        ("what does notes/retry.md contain?", summarise("notes/retry.md")),
        ("Explain Cargo.toml", summarise("Cargo.toml")),
        ("How many lines does README.md have?", summarise("README.md")),
        ("walk me through src/lib.rs", summarise("src/lib.rs")),
        ("What is this project about?", Plan::Overview),
        ("Summarize the project", Plan::Overview),
        ("Describe this repository", Plan::Overview),
        ("give me an overview", Plan::Overview),
        ("Give me a tour of this project", Plan::Tour),
        ("Can you walk me through the code base?", Plan::Tour),
        ("Ask me before you search for backoff", ask_first("backoff", None)),
        (
            "Please ask before you look for `retry budget` in docs/",
            ask_first("retry budget", Some("docs/**")),
        ),
        ("Show me a failure", Plan::Failure),
        ("What does an error look like?", Plan::Failure),
        ("Where is the failure?", locate("failure", Definition, None)),
        ("What is an epoch?", explain("epoch")),
        ("Explain group commit", explain("group commit")),
        ("How does backoff work?", explain("backoff")),
        ("What does SUB-6 mean?", explain("SUB-6")),
        ("Tell me about the outbox", explain("outbox")),
        ("describe flow control", explain("flow control")),
        ("Compare SQLite and JetStream", compare("SQLite", "JetStream")),
        ("What is the difference between a gap and an epoch?", compare("gap", "epoch")),
        ("memory vs sqlite", compare("memory", "sqlite")),
        ("How is replay different from resume?", compare("replay", "resume")),
        (
            "What happens when the server restarts during a run?",
            keywords(&["restarts", "server", "during", "run"]),
        ),
        ("slow consumers", keywords(&["consumers", "slow"])),
        (
            "Why is the server slow when a page reconnects?",
            keywords(&["reconnects", "server", "slow", "page"]),
        ),
        ("日本語", keywords(&["日本語"])),
        ("Hello!", Plan::Help),
        ("What can you do?", Plan::Help),
        ("thanks", Plan::Help),
        ("???", Plan::Help),
        ("", Plan::Help),
        ("how are you", Plan::Help),
    ];
    let mut wrong = Vec::new();
    for (question, expected) in table {
        let got = Plan::of(question);
        if got != expected {
            wrong.push(format!("{question:?}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} questions are misunderstood:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_very_long_question_is_cut() {
    let plan = Plan::of(&"word ".repeat(1_000_000));
    assert_eq!(plan, Plan::Keywords { words: vec!["word".into()] });
}

#[test]
fn every_plan_has_bounded_terms() {
    let question =
        format!("which files mention {}", (0..100).map(|n| format!("w{n}")).collect::<Vec<_>>().join(", "));
    let Plan::Mentions { terms, .. } = Plan::of(&question) else { panic!("not understood") };
    assert_eq!(terms.len(), words::MAX_TERMS);
}
