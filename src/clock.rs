//! The one place that asks what time it is.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::domain::time::{Moment, Now, Timestamp};

/// Both clocks of this process. Cheap to clone; every clone tells the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    /// In tests, the wall clock's time at `start`: it then follows tokio's clock, paused or not.
    wall_at_start: Option<Timestamp>,
}

impl Clock {
    /// The system's clocks; the steady one starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn system() -> Self {
        Self { start: Instant::now(), wall_at_start: None }
    }

    /// A clock for tests: the wall shows `wall` now and follows tokio's (pausable) clock from there.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { start: Instant::now(), wall_at_start: Some(wall) }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { wall: self.wall(), steady: self.steady() }
    }

    /// Both clocks, a moment after they were read: only the steady one is read again, and the wall's moved by as much.
    #[must_use]
    pub fn later(&self, before: Now) -> Now {
        let steady = self.steady();
        Now { wall: before.wall + (steady - before.steady), steady }
    }

    /// The steady clock.
    #[must_use]
    pub fn steady(&self) -> Moment {
        Moment::since_start(self.start.elapsed())
    }

    /// The wall clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn wall(&self) -> Timestamp {
        match self.wall_at_start {
            Some(start) => start + self.start.elapsed(),
            None => from_system(SystemTime::now()),
        }
    }

    /// A moment as tokio's timers want it.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        // A moment too far away to be an instant is one that nobody lives to see.
        const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        self.start + moment.uptime().min(FAR)
    }
}

/// The system's CLOCK_MONOTONIC in microseconds: what a service manager compares with its own (`sd_notify(3)`,
/// `MONOTONIC_USEC`). Not [`Clock::steady`], which starts with this process.
#[must_use]
pub fn monotonic_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither is ever negative.
    let (secs, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    secs.saturating_mul(1_000_000).saturating_add(nanos / 1000)
}

fn from_system(time: SystemTime) -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => Timestamp::from_millis(millis(after)),
        Err(before) => Timestamp::from_millis(-millis(before.duration())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_test_clock_follows_paused_time() {
        let clock = Clock::starting_at(Timestamp::from_secs(100));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.wall(), Timestamp::from_secs(105));
        assert_eq!(clock.steady(), Moment::since_start(Duration::from_secs(5)));
        assert_eq!(clock.instant(clock.steady()) - clock.instant(Moment::default()), Duration::from_secs(5));
    }

    #[test]
    fn times_before_the_epoch_are_negative() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(2);
        assert_eq!(from_system(before), Timestamp::from_secs(-2));
    }
}
