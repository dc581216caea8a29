//! Bugs that are planted to put the oracle on trial: none here.
//!
//! `cargo xtask simulate --trial` copies the core and this crate, plants the bugs of `sim/planted.toml` in the copy, and puts
//! another module in the place of this one. So the code that decides anything holds no bug, not even a switched-off one.

/// The names of the planted bugs.
pub const NAMES: &[&str] = &[];

/// Switches on the planted bug of this number for the present thread, or none.
pub const fn switch_on(_bug: Option<usize>) {}
