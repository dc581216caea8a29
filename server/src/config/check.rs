//! What a value must be, beyond its type.

use super::{Config, Problem};

/// All that is wrong with `config`.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    config.limits.check(&mut problems);
    problems
}
