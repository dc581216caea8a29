//! Time as the core knows it: whole milliseconds.

use std::{
    fmt,
    ops::{Add, Div, Mul, Sub},
};

/// A span of time, in whole milliseconds: all that timers of a browser can tell apart, in half the code that
/// [`std::time::Duration`] takes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

impl Duration {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// The longest span.
    pub const MAX: Self = Self(u64::MAX);

    /// Makes a span of so many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a span of so many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Returns the milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the span so many times, at most [`MAX`](Self::MAX).
    pub const fn saturating_mul(self, times: u32) -> Self {
        Self(self.0.saturating_mul(times as u64))
    }

    /// Returns the span without another, at least [`ZERO`](Self::ZERO).
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.0)
    }
}

impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl Mul<u32> for Duration {
    type Output = Self;

    fn mul(self, times: u32) -> Self {
        self.saturating_mul(times)
    }
}

impl Mul<Duration> for u32 {
    type Output = Duration;

    fn mul(self, span: Duration) -> Duration {
        span.saturating_mul(self)
    }
}

impl Div<u32> for Duration {
    type Output = Self;

    fn div(self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts))
    }
}

/// A point in time, counted from an arbitrary start that the driver chooses.
///
/// The core never asks for the time: `std::time::Instant` cannot be made without a clock, and asking for one traps on
/// `wasm32-unknown-unknown`. The driver passes `now` with each input; tests pass any number they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start that the driver counts from.
    pub const ZERO: Self = Self(0);

    /// Makes the point that lies `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this point, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
}
