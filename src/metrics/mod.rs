//! What happens, counted; and the page that shows it, in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! | file | what |
//! |---|---|
//! | `families` | every metric there is: name, type, labels, what it says; `docs/metrics.md` has the same table |
//! | `slots` | the closed sets that label values come from, and where each has its counter |
//! | `histogram` | counts by size |
//! | `page` | the page |
//! | `text` | how a line is written |
//! | `rates` | what happened per second lately |
//!
//! The flows decide and the driver tells; here is only arithmetic. To count is a few relaxed additions to numbers whose
//! place is known: no lock, no hash, no text. All label values come from closed sets, so whatever strangers send, the
//! page stays as large as it is.

mod families;
mod histogram;
mod page;
mod rates;
mod slots;
mod text;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use families::{ALL, Family, Kind};
pub use page::{Around, Requests};
pub use rates::{Rates, Totals};

use crate::domain::ids::AppName;
use crate::flows::data::{Answer, Decided, Line, Place};
use histogram::Histogram;
use slots::{ANSWERS, CLASSES, DECISIONS, INPUTS, OUTCOMES, REASONS};

/// So many apps have counters of their own; what happens to further ones is counted for all of these together.
const APPS: usize = 64;

/// A count that only grows. The driver alone counts, and others read, so nothing need be locked to add: ten counts for
/// each push would wait for the bus otherwise.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.0.store(self.value().wrapping_add(more), Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters.
#[derive(Debug)]
pub struct Metrics {
    decisions: [[Count; CLASSES.len()]; DECISIONS.len()],
    answers: [Count; ANSWERS.len()],
    /// How long it took to decide, by input.
    decided: [Histogram; INPUTS.len()],
    /// How long after a push a session was back.
    resumed: Histogram,
    /// How long third parties' push services took to answer.
    relayed: Histogram,
    /// Filled from the front, and never emptied.
    apps: [OnceLock<AppCounts>; APPS],
    other: AppCounts,
}

/// What is counted for each app.
#[derive(Debug)]
struct AppCounts {
    name: AppName,
    outcomes: [Count; OUTCOMES.len()],
    reasons: [Count; REASONS.len()],
    vendor: Histogram,
    whole: Histogram,
}

impl AppCounts {
    fn new(name: AppName) -> Self {
        Self {
            name,
            outcomes: Default::default(),
            reasons: std::array::from_fn(|_| Count::default()),
            vendor: Histogram::new(&histogram::VENDOR),
            whole: Histogram::new(&histogram::WHOLE),
        }
    }
}

impl Metrics {
    /// Counters for these apps; all of them are on the page from the start.
    #[must_use]
    pub fn new<'a>(apps: impl IntoIterator<Item = &'a AppName>) -> Self {
        let metrics = Self {
            decisions: std::array::from_fn(|_| Default::default()),
            answers: Default::default(),
            decided: std::array::from_fn(|_| Histogram::new(&histogram::DECIDED)),
            resumed: Histogram::new(&histogram::RESUMED),
            relayed: Histogram::new(&histogram::VENDOR),
            apps: std::array::from_fn(|_| OnceLock::new()),
            other: AppCounts::new(AppName::new("other")),
        };
        apps.into_iter().for_each(|app| metrics.know(app));
        metrics
    }

    /// Has counters of its own for an app of the configuration from now on. Without it, what happens to an app is
    /// counted for `other`.
    pub fn know(&self, app: &AppName) {
        for slot in &self.apps {
            if slot.get_or_init(|| AppCounts::new(app.clone())).name == *app {
                return;
            }
        }
    }

    /// Something was decided.
    pub fn noted(&self, line: &Line) {
        let (decision, class) = slots::decision(&line.what);
        if let Some(count) = self.decisions.get(decision).and_then(|classes| classes.get(slots::class(class))) {
            count.add(1);
        }
        match (&line.what, &line.place) {
            (Decided::Resumed { woken: Some(span) }, _) => self.resumed.observe(*span),
            (Decided::HandedOver { took, relayed: true, .. }, _) => self.relayed.observe(*took),
            (what, Place::Device(app, _)) => self.noted_of_app(app, what),
            _ => {}
        }
    }

    fn noted_of_app(&self, app: &AppName, what: &Decided) {
        let Some(outcome) = slots::outcome(what) else { return };
        let app = self.app(app);
        if let Some(count) = app.outcomes.get(outcome) {
            count.add(1);
        }
        match what {
            Decided::Accepted { took, waited, .. } => {
                app.vendor.observe(*took);
                app.whole.observe(*waited);
            }
            Decided::NotAccepted { reason, took, .. } => {
                app.vendor.observe(*took);
                if let Some(count) = app.reasons.get(slots::reason(reason)) {
                    count.add(1);
                }
            }
            _ => {}
        }
    }

    /// An input of this name took so long to be decided, with all that it led to.
    pub fn decided(&self, input: &str, took: Duration) {
        if let Some(histogram) = self.decided.get(slots::input(input)) {
            histogram.observe(took);
        }
    }

    /// Something from outside was answered.
    pub fn answered(&self, answer: &Answer) {
        if let Some(count) = self.answers.get(slots::answer(answer)) {
            count.add(1);
        }
    }

    /// What [`Rates`] are made of.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let input = |name| self.decided.get(slots::input(name)).map_or(0, Histogram::count);
        let outcome = |names: &[&str]| -> u64 {
            let of_app = |app: &AppCounts| -> u64 {
                let counts = OUTCOMES.iter().zip(&app.outcomes).filter(|(name, _)| names.contains(name));
                counts.map(|(_, count)| count.value()).sum()
            };
            self.all_apps().map(of_app).sum()
        };
        let refused = ANSWERS.iter().zip(&self.answers).skip(slots::FIRST_REFUSAL).map(|(_, count)| count.value());
        [
            input("publish"),
            outcome(&["accepted"]),
            outcome(&["retried", "dropped", "gone"]),
            refused.sum(),
            input("signals"),
            self.decision("pushed"),
            self.relayed.count(),
        ]
    }

    fn decision(&self, name: &str) -> u64 {
        let at = DECISIONS.iter().position(|decision| decision.name == name);
        let counts = at.and_then(|at| self.decisions.get(at));
        counts.into_iter().flatten().map(Count::value).sum()
    }

    fn app(&self, name: &AppName) -> &AppCounts {
        let known = self.apps.iter().map_while(OnceLock::get);
        known.into_iter().find(|app| app.name == *name).unwrap_or(&self.other)
    }

    fn all_apps(&self) -> impl Iterator<Item = &AppCounts> {
        self.apps.iter().map_while(OnceLock::get).chain([&self.other])
    }
}

#[cfg(test)]
mod tests;
