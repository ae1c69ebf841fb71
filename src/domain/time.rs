//! Time as values: nobody in `domain` or `flows` asks for it, it is handed in.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the wall clock, in milliseconds since 1970-01-01T00:00:00Z. For what is stored, shown, or told to a
/// vendor. It can jump when an operator or NTP sets the clock, so nothing waits on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down; never negative.
    #[must_use]
    pub const fn secs(self) -> u64 {
        if self.0 < 0 { 0 } else { self.0.unsigned_abs() / 1000 }
    }
}

/// As XEP-0082 has it, in whole seconds: `2026-11-22T19:40:07Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.secs();
        let (days, of_day) = (secs / 86_400, secs % 86_400);
        // The proleptic Gregorian calendar in eras of 400 years, whose years begin in March.
        let z = days + 719_468;
        let (era, of_era) = (z / 146_097, z % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The span from `other` to `self`; zero if `other` is later (the clock was set back).
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, other: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(other.0)).unwrap_or(0))
    }
}

/// A point on the steady clock: the time since this process started. Deadlines and rates live here; no clock jump
/// moves them. Means nothing to another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the start of the process.
    #[must_use]
    pub const fn since_start(span: Duration) -> Self {
        Self(span)
    }

    /// How long after the start of the process this is.
    #[must_use]
    pub const fn uptime(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// The span from `other` to `self`; zero if `other` is later.
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, other: Self) -> Duration {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:.3}s", self.0.as_secs_f64())
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For what is stored, shown or told to others.
    pub wall: Timestamp,
    /// For what waits.
    pub steady: Moment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_gives_no_time_passed() {
        assert_eq!(Timestamp::from_secs(5) - Timestamp::from_secs(9), Duration::ZERO);
        assert_eq!(Timestamp::from_secs(9) - Timestamp::from_secs(5), Duration::from_secs(4));
    }

    #[test]
    fn times_as_text() {
        let rows =
            [(0, "1970-01-01T00:00:00Z"), (951_782_399, "2000-02-28T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z")];
        for (secs, text) in rows {
            assert_eq!(Timestamp::from_secs(secs).to_string(), text);
        }
    }

    #[test]
    fn the_ends_of_time_saturate() {
        assert_eq!(Timestamp::from_millis(i64::MAX) + Duration::from_secs(1), Timestamp::from_millis(i64::MAX));
        assert_eq!(Timestamp::from_millis(-1).secs(), 0);
        assert_eq!(Timestamp::from_millis(1_999).secs(), 1);
        let end = Moment::since_start(Duration::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
    }
}
