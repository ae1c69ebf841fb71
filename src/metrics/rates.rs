//! What happened per second lately, from the same counters: whoever keeps time takes a sample now and then.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Moment;

/// Names of the rates, for people.
pub(super) const NAMES: [&str; 7] =
    ["publishes", "pushes accepted", "pushes refused", "requests refused", "signals", "pushes by rules", "relays"];

/// What is counted for them, in the order of their names.
pub type Totals = [u64; NAMES.len()];

/// What "lately" is.
const LATELY: Duration = Duration::from_secs(60);

/// Samples of a minute.
#[derive(Debug, Default)]
pub struct Rates(VecDeque<(Moment, Totals)>);

impl Rates {
    /// Takes a sample, and forgets those that are not needed any more.
    pub fn sample(&mut self, now: Moment, totals: Totals) {
        self.0.push_back((now, totals));
        // The youngest that is a minute old is needed.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= LATELY) {
            self.0.pop_front();
        }
    }

    /// How many per second between the oldest sample, a minute ago or at the start, and now; rounded.
    #[must_use]
    pub fn per_second(&self, now: Moment, totals: Totals) -> Vec<(&'static str, u32)> {
        let (since, before) = self.0.front().copied().unwrap_or_default();
        let millis = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |(total, before): (u64, u64)| {
            let per_second = (total.saturating_sub(before).saturating_mul(1000) + millis / 2) / millis;
            u32::try_from(per_second).unwrap_or(u32::MAX)
        };
        NAMES.into_iter().zip(totals.into_iter().zip(before).map(rate)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::since_start(Duration::from_secs(secs))
    }

    fn publishes(rates: &Rates, secs: u64, total: u64) -> u32 {
        let all = rates.per_second(at(secs), [total, 0, 0, 0, 0, 0, 0]);
        assert_eq!(all.len(), 7);
        all[0].1
    }

    #[test]
    fn a_rate_is_of_the_last_minute_and_until_then_of_all_time() {
        let mut rates = Rates::default();
        assert_eq!(publishes(&rates, 0, 0), 0);
        rates.sample(at(0), [0; 7]);
        assert_eq!(publishes(&rates, 2, 200), 100);
        for secs in (5..=300).step_by(5) {
            rates.sample(at(secs), [100 * secs.min(200), 0, 0, 0, 0, 0, 0]);
        }
        assert_eq!(rates.0.len(), 13, "a minute of samples, five seconds apart");
        assert_eq!(publishes(&rates, 300, 20_000), 0, "nothing for a hundred seconds");
        assert_eq!(publishes(&rates, 300, 20_089), 1, "89 in a minute");
        assert_eq!(publishes(&rates, 300, 20_029), 0, "29 in a minute");
    }
}
