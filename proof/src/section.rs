//! A part of a file that is written by a program, between two lines that stay.

use anyhow::{Result, bail};

/// Puts `section` between the lines `begins` and `ends` of `page`, whose name is `file`.
pub(crate) fn replaced(file: &str, page: &str, begins: &str, ends: &str, section: &str) -> Result<String> {
    let parts = page.split_once(begins).and_then(|(before, rest)| Some((before, rest.split_once(ends)?.1)));
    let Some((before, after)) = parts else {
        bail!(
            "{file} has lost the place of what is written into it: a line `{begins}` and below it a line `{ends}`"
        );
    };
    Ok(format!("{before}{begins}\n\n{section}\n{ends}{after}"))
}
