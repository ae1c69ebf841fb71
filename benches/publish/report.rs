//! What a run gave.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Fallible;

/// Counts and times of one run, as the world saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// How many were answered.
    pub(crate) number: usize,
    /// From the first sent to the last answered.
    pub(crate) took: Duration,
    /// From sent to answered.
    pub(crate) p50: Duration,
    /// As above.
    pub(crate) p99: Duration,
    /// As above.
    pub(crate) max: Duration,
    /// Answers that are results.
    pub(crate) results: usize,
    /// Conditions of the other answers, and how many had them.
    pub(crate) others: BTreeMap<String, usize>,
    /// How many pushes the vendors took meanwhile.
    pub(crate) pushes: u64,
}

impl Report {
    pub(crate) fn new(
        took: Duration,
        mut latencies: Vec<Duration>,
        results: usize,
        others: BTreeMap<String, usize>,
    ) -> Self {
        latencies.sort_unstable();
        let number = latencies.len();
        let at = |percent: usize| latencies.get(number * percent / 100).copied().unwrap_or_default();
        let (p50, p99, max) = (at(50), at(99), latencies.last().copied().unwrap_or_default());
        Self { number, took, p50, p99, max, results, others, pushes: 0 }
    }

    /// An error unless every answer was a result, and stands for a push of its own.
    pub(crate) fn strict(&self) -> Fallible<()> {
        let pushes = usize::try_from(self.pushes)?;
        if self.results == self.number && pushes == self.number { Ok(()) } else { Err(self.wrong()) }
    }

    /// An error if an answer was neither a result nor "not now": publishes may have been merged.
    pub(crate) fn lenient(&self) -> Fallible<()> {
        let later = self.others.get("internal-server-error").copied().unwrap_or_default();
        let right = self.results + later == self.number && usize::try_from(self.pushes)? <= self.results;
        if right { Ok(()) } else { Err(self.wrong()) }
    }

    /// An error unless every answer was a result.
    pub(crate) fn results_only(&self) -> Fallible<()> {
        if self.results == self.number { Ok(()) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> Box<dyn std::error::Error + Send + Sync> {
        let Self { number, results, others, pushes, .. } = self;
        format!("of {number}, {results} had a result, others {others:?}, and there were {pushes} pushes").into()
    }
}
