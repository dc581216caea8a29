//! A configuration together with what is wrong with it.

use std::collections::HashSet;

use super::{Config, Problem, Problems};

/// A configuration as it was read.
#[derive(Debug)]
pub struct Reading {
    /// What could be read; the default for the rest.
    pub config: Config,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
    /// Sections in which a value could not be read, so that they lack what they should have.
    pub unread: HashSet<String>,
}

impl Reading {
    /// Adds what others found wrong, unless it may come from a value that could not be read.
    pub fn add(&mut self, problems: Vec<Problem>) {
        let is_read = |problem: &Problem| {
            // Without the whole file everything is missing.
            !self.unread.contains("") && !self.unread.contains(problem.section())
        };
        self.problems.extend(problems.into_iter().filter(is_read));
    }

    /// The configuration, if nothing is wrong with it.
    pub fn finish(self) -> Result<Config, Problems> {
        if self.problems.is_empty() { Ok(self.config) } else { Err(Problems(self.problems)) }
    }
}
