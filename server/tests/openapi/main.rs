//! `server/openapi.json` is what the server does: its paths, its codes, and what answers look like.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]

mod document;
mod live;
#[path = "../server/support.rs"]
#[expect(dead_code, reason = "the tests of the server use all of it")]
mod support;

use std::collections::BTreeSet;

use self::document::Document;

const ROUTES: &str = include_str!("../../src/api.rs");
const DOCS: &str = include_str!("../../../docs/HTTP.md");

#[test]
fn the_paths_are_the_routes_of_the_server() {
    let lines: Vec<_> = ROUTES.lines().filter(|line| line.contains(".route(")).collect();
    let mut routes = BTreeSet::new();
    for line in &lines {
        let (path, handlers) = line.split_once(".route(\"").unwrap().1.split_once("\", ").unwrap();
        for method in ["get", "put", "post", "delete", "patch"] {
            let call = format!("{method}(");
            if handlers.starts_with(&call) || handlers.contains(&format!(".{call}")) {
                routes.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    assert!(lines.len() > 10 && routes.len() > lines.len(), "{routes:?}");
    assert_eq!(Document::read().operations(), routes);
}

#[test]
fn the_codes_of_errors_are_those_of_the_table() {
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let status = cells.get(1)?.parse::<u16>().ok()?;
        Some((status, cells.get(2)?.trim_matches('`').to_owned()))
    };
    let table: BTreeSet<_> = DOCS.lines().filter_map(row).collect();
    assert!(table.len() > 10, "{table:?}");
    assert_eq!(Document::read().codes(), table);
}

#[test]
fn its_version_is_that_of_the_server() {
    assert_eq!(Document::read().version(), env!("CARGO_PKG_VERSION"));
}
