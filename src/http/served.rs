//! How many requests were answered, by kind of status.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// Kinds of status: what went well, what the one who asked did wrong, and what we did not manage.
const KINDS: [&str; 4] = ["2xx", "4xx", "5xx", "other"];

/// Counts requests that were answered.
#[derive(Debug, Default)]
pub struct Served([AtomicU64; KINDS.len()]);

impl Served {
    /// Counts one.
    pub(super) fn count(&self, status: StatusCode) {
        let kind = match status.as_u16() {
            200..=299 => 0,
            400..=499 => 1,
            500..=599 => 2,
            _ => 3,
        };
        if let Some(count) = self.0.get(kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were, by kind of status.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_status_has_a_count() {
        let served = Served::default();
        for status in [200, 204, 404, 429, 500, 503, 101] {
            served.count(StatusCode::from_u16(status).unwrap());
        }
        assert_eq!(served.counts().collect::<Vec<_>>(), [("2xx", 2), ("4xx", 2), ("5xx", 2), ("other", 1)]);
    }
}
