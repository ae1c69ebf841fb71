//! Counts by size. To observe is two additions; what Prometheus wants cumulated is cumulated when it asks.

use std::time::Duration;

use super::Count;

/// So many bounds has a histogram at most.
pub(super) const MOST: usize = 14;

/// The upper bounds of its buckets, and how the page writes them. What is above all of them is in a bucket of its own.
pub(super) type Bounds = [(Duration, &'static str)];

const fn micros(micros: u64, text: &'static str) -> (Duration, &'static str) {
    (Duration::from_micros(micros), text)
}

const fn millis(millis: u64, text: &'static str) -> (Duration, &'static str) {
    (Duration::from_millis(millis), text)
}

/// For decisions: a step takes tens of microseconds.
pub(super) static DECIDED: [(Duration, &str); 10] = [
    micros(10, "0.00001"),
    micros(25, "0.000025"),
    micros(50, "0.00005"),
    micros(100, "0.0001"),
    micros(250, "0.00025"),
    millis(1, "0.001"),
    millis(5, "0.005"),
    millis(25, "0.025"),
    millis(100, "0.1"),
    millis(1000, "1"),
];

/// For answers of vendors and push services: up to the longest that is waited for.
pub(super) static VENDOR: [(Duration, &str); 11] = [
    millis(5, "0.005"),
    millis(10, "0.01"),
    millis(25, "0.025"),
    millis(50, "0.05"),
    millis(100, "0.1"),
    millis(250, "0.25"),
    millis(500, "0.5"),
    millis(1000, "1"),
    millis(2500, "2.5"),
    millis(5000, "5"),
    millis(20_000, "20"),
];

/// For the whole way of a push, which may be kept for a day.
pub(super) static WHOLE: [(Duration, &str); 14] = [
    millis(5, "0.005"),
    millis(10, "0.01"),
    millis(25, "0.025"),
    millis(50, "0.05"),
    millis(100, "0.1"),
    millis(250, "0.25"),
    millis(500, "0.5"),
    millis(1000, "1"),
    millis(2500, "2.5"),
    millis(5000, "5"),
    millis(30_000, "30"),
    millis(300_000, "300"),
    millis(3_600_000, "3600"),
    millis(21_600_000, "21600"),
];

/// For a phone to wake, connect and resume.
pub(super) static RESUMED: [(Duration, &str); 12] = [
    millis(500, "0.5"),
    millis(1000, "1"),
    millis(2000, "2"),
    millis(3000, "3"),
    millis(5000, "5"),
    millis(10_000, "10"),
    millis(20_000, "20"),
    millis(30_000, "30"),
    millis(60_000, "60"),
    millis(300_000, "300"),
    millis(3_600_000, "3600"),
    millis(86_400_000, "86400"),
];

/// Counts by size.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static Bounds,
    /// One for each bound, and one for what is above all; not cumulated.
    buckets: [Count; MOST + 1],
    nanos: Count,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// By bound, each with all below it; the last is `+Inf`, and the count.
    pub(super) buckets: Vec<(&'static str, u64)>,
    /// The sum, in seconds.
    pub(super) sum: f64,
}

impl Histogram {
    /// With these bounds, of which there are [`MOST`] at most, growing.
    pub(super) fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, buckets: Default::default(), nanos: Count::default() }
    }

    /// Counts one.
    pub(super) fn observe(&self, took: Duration) {
        let at = self.bounds.iter().position(|(bound, _)| took <= *bound).unwrap_or(self.bounds.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.add(1);
        }
        self.nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(Count::value).sum()
    }

    /// As it is now. The count is made of the buckets, so the two fit together whatever is counted meanwhile.
    pub(super) fn seen(&self) -> Seen {
        let names = self.bounds.iter().map(|(_, name)| *name).chain(["+Inf"]);
        let mut sum = 0;
        let cumulated = names.zip(&self.buckets).map(|(name, bucket)| {
            sum += bucket.value();
            (name, sum)
        });
        let buckets = cumulated.collect();
        Seen { buckets, sum: Duration::from_nanos(self.nanos.value()).as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_in_the_first_bucket_whose_bound_it_does_not_exceed_and_in_all_above() {
        let histogram = Histogram::new(&VENDOR);
        for millis in [5, 6, 100, 20_000, 20_001] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen = histogram.seen();
        let expected = [
            ("0.005", 1),
            ("0.01", 2),
            ("0.025", 2),
            ("0.05", 2),
            ("0.1", 3),
            ("0.25", 3),
            ("0.5", 3),
            ("1", 3),
            ("2.5", 3),
            ("5", 3),
            ("20", 4),
            ("+Inf", 5),
        ];
        assert_eq!(seen.buckets, expected);
        assert_eq!((seen.sum, histogram.count()), (40.112, 5));
    }

    #[test]
    fn bounds_grow_and_are_written_as_they_are() {
        let all: [&Bounds; 4] = [&DECIDED, &VENDOR, &WHOLE, &RESUMED];
        for bounds in all {
            assert!(bounds.len() <= MOST);
            assert!(bounds.is_sorted_by(|one, next| one.0 < next.0));
            for (bound, text) in bounds {
                assert_eq!(text.parse(), Ok(bound.as_secs_f64()), "{text}");
            }
        }
    }
}
