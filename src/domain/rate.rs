//! Rates: a token bucket that is told the time and never asks it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::time::Moment;

/// So many in so long; the bucket holds one period's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// When a bucket would be empty again: the whole state of a token bucket (GCRA) in one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Moment,
}

impl Bucket {
    /// Takes one, if there is one; says whether there was.
    pub fn take(&mut self, rate: Rate, now: Moment) -> Taken {
        let Some(interval) = rate.per.checked_div(rate.count) else { return Taken::TooMany };
        let start = self.full_at.max(now);
        let next = start + interval;
        if next - now > rate.per {
            return Taken::TooMany;
        }
        self.full_at = next;
        Taken::One
    }

    /// Whether it holds its whole burst again, and so remembers nothing.
    #[must_use]
    pub fn is_full(&self, now: Moment) -> bool {
        self.full_at <= now
    }
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Go on.
    One,
    /// Over the rate.
    TooMany,
}

/// A bucket per key, for keys that strangers choose: at most `capacity` of them are remembered at a time, the full
/// ones are forgotten first.
#[derive(Debug)]
pub struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Remembers at most this many.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { buckets: HashMap::new(), capacity }
    }

    /// Takes one from the key's bucket. `None` as the rate is no limit.
    pub fn take(&mut self, key: &K, rate: Option<Rate>, now: Moment) -> Taken {
        let Some(rate) = rate else { return Taken::One };
        if let Some(bucket) = self.buckets.get_mut(key) {
            return bucket.take(rate, now);
        }
        if self.buckets.len() >= self.capacity {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            // All are in use by others: a stranger more is one too many.
            if self.buckets.len() >= self.capacity {
                return Taken::TooMany;
            }
        }
        self.buckets.entry(key.clone()).or_default().take(rate, now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::since_start(Duration::from_millis(millis))
    }

    const TEN_A_SECOND: Rate = Rate { count: 10, per: Duration::from_secs(1) };

    #[test]
    fn a_burst_passes_and_then_one_every_tenth_of_a_second() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            assert_eq!(bucket.take(TEN_A_SECOND, at(5000)), Taken::One);
        }
        assert_eq!(bucket.take(TEN_A_SECOND, at(5000)), Taken::TooMany);
        assert_eq!(bucket.take(TEN_A_SECOND, at(5099)), Taken::TooMany);
        assert_eq!(bucket.take(TEN_A_SECOND, at(5100)), Taken::One);
        assert_eq!(bucket.take(TEN_A_SECOND, at(5100)), Taken::TooMany);
        assert!(!bucket.is_full(at(6099)));
        assert!(bucket.is_full(at(6100)));
    }

    #[test]
    fn a_rate_of_none_at_all_lets_nothing_pass() {
        let none = Rate { count: 0, per: Duration::from_secs(1) };
        assert_eq!(Bucket::default().take(none, at(0)), Taken::TooMany);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut buckets = Buckets::new(2);
        assert_eq!(buckets.take(&"a", Some(TEN_A_SECOND), at(0)), Taken::One);
        assert_eq!(buckets.take(&"b", Some(TEN_A_SECOND), at(0)), Taken::One);
        assert_eq!(buckets.take(&"c", Some(TEN_A_SECOND), at(0)), Taken::TooMany);
        assert_eq!(buckets.take(&"a", Some(TEN_A_SECOND), at(0)), Taken::One);
        // "b" is full again and forgotten, "a" is not.
        assert_eq!(buckets.take(&"c", Some(TEN_A_SECOND), at(150)), Taken::One);
        assert_eq!(buckets.take(&"d", None, at(150)), Taken::One);
    }

    proptest! {
        /// Over any span, at most the burst plus what the span refills.
        #[test]
        fn never_more_than_the_rate(steps in prop::collection::vec(0_u64..400, 1..200)) {
            let mut bucket = Bucket::default();
            let (mut now, mut taken) = (0, 0_u64);
            for step in steps {
                now += step;
                if bucket.take(TEN_A_SECOND, at(now)) == Taken::One {
                    taken += 1;
                }
                prop_assert!(taken <= 10 + now / 100);
            }
        }
    }
}
