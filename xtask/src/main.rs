//! Builds, tests and measures agentwire.
fn main() {}
