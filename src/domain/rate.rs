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

/// When a bucket would be full again: the whole state of a token bucket (GCRA) in one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Moment,
}

impl Bucket {
    /// The bucket with one taken out; `None` if it is empty.
    #[must_use]
    pub fn less_one(self, rate: Rate, now: Moment) -> Option<Self> {
        let interval = rate.per.checked_div(rate.count)?;
        let full_at = self.full_at.max(now) + interval;
        (full_at - now <= rate.per).then_some(Self { full_at })
    }

    /// Whether it holds its whole burst again, and so remembers nothing.
    #[must_use]
    pub fn is_full(self, now: Moment) -> bool {
        self.full_at <= now
    }
}

/// A bucket per key, for keys that strangers choose: only so many are remembered at a time.
#[derive(Debug)]
pub struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
    capacity: usize,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Remembers at most this many.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { buckets: HashMap::new(), capacity }
    }

    /// The key's bucket with one taken out, to be [`put`](Self::put) back; `None` if it is empty.
    #[must_use]
    pub fn less_one(&self, key: &K, rate: Rate, now: Moment) -> Option<Bucket> {
        self.buckets.get(key).copied().unwrap_or_default().less_one(rate, now)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.buckets.clear();
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Remembers a key's bucket. When there are too many, those that are full again are forgotten; if all are in
    /// use, all are forgotten: a flood of strangers must neither fill the memory nor lock out the others.
    pub fn put(&mut self, key: K, bucket: Bucket, now: Moment) {
        if self.buckets.len() >= self.capacity && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= self.capacity {
                self.buckets.clear();
            }
        }
        self.buckets.insert(key, bucket);
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

    /// Takes one out if there is one, and says whether there was.
    fn take(bucket: &mut Bucket, now: Moment) -> bool {
        let taken = bucket.less_one(TEN_A_SECOND, now);
        *bucket = taken.unwrap_or(*bucket);
        taken.is_some()
    }

    #[test]
    fn a_burst_passes_and_then_one_every_tenth_of_a_second() {
        let mut bucket = Bucket::default();
        for _ in 0..10 {
            assert!(take(&mut bucket, at(5000)));
        }
        for (millis, taken) in [(5000, false), (5099, false), (5100, true), (5100, false)] {
            assert_eq!(take(&mut bucket, at(millis)), taken, "{millis}");
        }
        assert!(!bucket.is_full(at(6099)));
        assert!(bucket.is_full(at(6100)));
    }

    #[test]
    fn a_rate_of_none_at_all_lets_nothing_pass() {
        let none = Rate { count: 0, per: Duration::from_secs(1) };
        assert_eq!(Bucket::default().less_one(none, at(0)), None);
    }

    #[test]
    fn a_flood_of_strangers_fills_no_memory_and_locks_nobody_out() {
        let mut buckets = Buckets::new(2);
        for key in ["a", "b", "c", "d"] {
            let bucket = buckets.less_one(&key, TEN_A_SECOND, at(0)).unwrap();
            buckets.put(key, bucket, at(0));
            assert!(buckets.buckets.len() <= 2);
        }
        // Full ones go first: "d" is in use at 50 ms, "c" is put anew.
        let bucket = buckets.less_one(&"c", TEN_A_SECOND, at(100)).unwrap();
        buckets.put("c", bucket, at(100));
        let bucket = buckets.less_one(&"e", TEN_A_SECOND, at(150)).unwrap();
        buckets.put("e", bucket, at(150));
        assert!(buckets.buckets.contains_key("c") && buckets.buckets.contains_key("e"));
    }

    proptest! {
        /// Over any span, at most the burst plus what the span refills.
        #[test]
        fn never_more_than_the_rate(steps in prop::collection::vec(0_u64..400, 1..200)) {
            let mut bucket = Bucket::default();
            let (mut now, mut taken) = (0, 0_u64);
            for step in steps {
                now += step;
                if take(&mut bucket, at(now)) {
                    taken += 1;
                }
                prop_assert!(taken <= 10 + now / 100);
            }
        }
    }
}
