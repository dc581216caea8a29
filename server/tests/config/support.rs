//! Configurations of the tests.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::Write;

use agentwire_server::auth;
use agentwire_server::config::{Config, Flags, Problem};
use clap::Parser;
use tempfile::NamedTempFile;

pub(crate) const SECRET: &str = "a-secret-of-the-tests-with-32-bytes-and-more";

/// What a server needs at the least.
pub(crate) fn least() -> String {
    format!(
        "[server]\norigins = ['https://chat.example.com']\n[auth]\nsecrets = ['{SECRET}']\n\
         [[keys]]\nname = 'backend'\nkey = 'key-{SECRET}'\nrights = ['publish']\n"
    )
}

pub(crate) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

pub(crate) fn read(text: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, Vec<Problem>> {
    let file = file(text);
    let path = file.path().to_str().unwrap();
    let flags = ["agentwire-bridge", "--config", path].into_iter().chain(flags.iter().copied());
    let flags = Flags::try_parse_from(flags).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    auth::load(&flags, variables).map_err(|problems| problems.0)
}

pub(crate) fn wrong(text: &str, variables: &[(&str, &str)], flags: &[&str]) -> Vec<String> {
    let problems = read(text, variables, flags).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// What is wrong with the least configuration and these lines.
pub(crate) fn wrong_with(more: &str) -> Vec<String> {
    wrong(&(least() + more), &[], &[])
}
