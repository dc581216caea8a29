//! `docs/SERVER.md` says what the server does: its example is read, and its tables are compared with the configuration.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;

use agentwire_server::config::{Config, DeliverMode, Flags, LimitsSection, Reading, RightsMode};

use super::support::{least, read};

const DOCS: &str = include_str!("../../../docs/SERVER.md");

/// A key, its default and its range.
type Row = (String, String, String);

/// The table under a heading.
fn table(heading: &str) -> Vec<Row> {
    let start = DOCS.find(&format!("\n## {heading}\n")).unwrap();
    let section = &DOCS[start + 1..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let row = |line: &str| {
        let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
        let key = cells[0].strip_prefix("| `")?.strip_suffix('`')?;
        Some((key.to_owned(), cells[1].to_owned(), cells[2].trim_matches('|').trim().to_owned()))
    };
    section.lines().filter(|line| line.starts_with("| `")).map(|line| row(line).unwrap()).collect()
}

/// The section of each table, with the keys that it has.
fn tables() -> Vec<(&'static str, Vec<Row>)> {
    let (files, threads): (Vec<_>, Vec<_>) =
        table("`[log]` and `[threads]`").into_iter().partition(|(key, _, _)| key.starts_with("log."));
    let plain = |rows: Vec<Row>| {
        let row = |(key, default, range): Row| (key.split_once('.').unwrap().1.to_owned(), default, range);
        rows.into_iter().map(row).collect::<Vec<_>>()
    };
    vec![
        ("server", table("`[server]`")),
        ("log", plain(files)),
        ("threads", plain(threads)),
        ("runs", table("`[runs]`")),
        ("retention", table("`[retention]`")),
        ("auth", table("Tokens of users")),
        ("keys", table("Service keys")),
        ("rights", table("Rights")),
        ("deliver", table("Deliveries")),
        ("limits", table("Limits")),
    ]
}

fn set(key: &str, value: &str) -> Reading {
    let flags = Flags { sets: vec![format!("{key}={value}")], ..Flags::default() };
    Config::read(&flags, [])
}

/// The keys of a section, as the error of an unknown one names them.
fn known(section: &str) -> BTreeSet<String> {
    let (key, value) = match section {
        "keys" => ("keys".to_owned(), "[{ zzzz = 1 }]"),
        _ => (format!("{section}.zzzz"), "1"),
    };
    let problems = set(&key, value).problems;
    let problem = problems.iter().find(|problem| problem.key.ends_with("zzzz")).unwrap();
    let list = problem.message.split_once("there are ").unwrap().1;
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_is_in_the_tables_and_no_other() {
    for (section, rows) in tables() {
        let documented: BTreeSet<_> = rows.iter().map(|(key, _, _)| key.clone()).collect();
        assert_eq!(documented.len(), rows.len(), "[{section}] has a key twice");
        assert_eq!(documented, known(section), "[{section}]");
    }
}

#[test]
fn the_defaults_of_the_tables_are_those_of_the_server() {
    let mut compared = 0;
    for (section, rows) in tables() {
        for (key, default, _) in rows.iter().filter(|(_, default, _)| default != "—") {
            let value = default.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap();
            let value = value.trim_matches('"');
            let Reading { config, unread, .. } = set(&format!("{section}.{key}"), value);
            assert!(unread.is_empty(), "{section}.{key} = {value} cannot be read");
            let mut config = config;
            if section == "limits" {
                assert_eq!(config.limits.limits(), LimitsSection::default().limits(), "{key}");
                assert_eq!(
                    config.limits.max_body_bytes(),
                    LimitsSection::default().max_body_bytes(),
                    "{key}"
                );
                config.limits = LimitsSection::default();
            }
            assert_eq!(config, Config::default(), "{section}.{key} = {value} is not the default");
            compared += 1;
        }
    }
    assert!(compared > 70, "{compared}");
    for (key, value) in LimitsSection::default().values() {
        let rows = table("Limits");
        let (_, default, _) = rows.iter().find(|(name, _, _)| name == key).unwrap();
        assert_eq!(default == "—", value.is_none(), "{key}");
    }
}

#[test]
fn the_ranges_of_the_tables_are_those_of_the_server() {
    let mut checked = 0;
    // A key of a list has no number in a range.
    for (section, rows) in tables().into_iter().filter(|(section, _)| *section != "keys") {
        for (key, _, range) in rows {
            let bounds =
                range.split_once(" to ").map(|(min, max)| [min, max].map(|text| text.replace(',', "")));
            let Some([min, max]) = bounds else { continue };
            let key = format!("{section}.{key}");
            let is_wrong =
                |value: u64| set(&key, &value.to_string()).problems.iter().any(|problem| problem.key == key);
            for (bound, outside) in [(min, -1), (max, 1)] {
                // A bound that is another key.
                let Ok(bound) = bound.parse::<u64>() else { continue };
                assert!(!is_wrong(bound), "{key} = {bound} is refused");
                let Some(outside) = bound.checked_add_signed(outside) else { continue };
                assert!(is_wrong(outside), "{key} = {outside} is accepted");
                checked += 1;
            }
        }
    }
    assert!(checked > 90, "{checked}");
}

#[test]
fn the_example_is_read() {
    let example = DOCS.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("backend.key"), "the-key-of-the-example-with-32-bytes\n").unwrap();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
    std::fs::write(folder.path().join("webhook.secret"), secret).unwrap();
    let example = example.replace("/etc/agentwire", folder.path().to_str().unwrap());
    let config = read(&example, &[], &[]).unwrap();
    assert_eq!((config.keys.len(), config.rights.mode), (2, RightsMode::Members));
    assert_eq!((config.deliver.mode, config.limits.limits().max_connections), (DeliverMode::Webhook, 5000));
    assert!(config.deliver.signing_keys().0.is_some());
    assert!(read(&least(), &[], &[]).is_ok());
}
