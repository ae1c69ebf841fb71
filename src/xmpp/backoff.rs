//! How long to wait before the next try.

use std::time::Duration;

/// Doubles the wait with each failure up to a limit, and spreads it, so that many components that lost one host do
/// not come back in step.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// From the first wait to the longest.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The next wait: between three quarters of the full one and all of it, by chance.
    pub fn next(&mut self, random: u32) -> Duration {
        let full = self.next.min(self.longest);
        self.next = (full * 2).min(self.longest);
        let quarter = full / 4;
        full - quarter.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// All was well for a while: begin again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let waits: Vec<_> = (0..9).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next(0).as_millis(), 250);
    }

    #[test]
    fn chance_takes_up_to_a_quarter_off() {
        for (random, millis) in [(0, 1000), (u32::MAX / 2, 875), (u32::MAX, 750)] {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
            assert_eq!(backoff.next(random).as_millis(), millis, "{random}");
        }
    }
}
