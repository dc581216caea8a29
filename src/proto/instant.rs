//! Points in time as the core knows them.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A point in time, counted from an arbitrary start that the driver chooses.
///
/// The core never asks for the time: `std::time::Instant` cannot be made without a clock, and asking for one traps on
/// `wasm32-unknown-unknown`. The driver passes `now` with each input; tests pass any number they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The start that the driver counts from.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Makes the point that lies `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Returns the whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0.as_secs() * 1_000 + self.0.subsec_millis() as u64
    }

    /// Returns the time from `earlier` to this point, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}
