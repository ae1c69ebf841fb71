//! Circuits: while an app's vendor takes nothing, be it that the vendor is down or that the operator's credentials are
//! at fault, its pushes are kept, and one at a time is tried.

use std::time::Duration;

use super::data::{Effect, Inner, Notice, Step};
use super::memory::Memory;
use super::state::State;
use crate::domain::app::Provider;
use crate::domain::ids::{AppName, PushId};
use crate::domain::outcome::{Outcome, Reason, Verdict};
use crate::domain::time::{Moment, Now};

/// So many pushes in a row, over at least so long, that a vendor was in no state to take are an outage.
const OUTAGE_PUSHES: u32 = 10;
const OUTAGE_SPAN: Duration = Duration::from_secs(5);

/// How soon the first trial is; each that fails doubles it, up to the latter.
const FIRST_TRIAL: Duration = Duration::from_secs(2);
const TRIAL_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// The longest that a vendor may have us wait, for a device or for an app.
const MOST_WAIT: Duration = Duration::from_secs(3600);

/// Whose fault it is that an app's pushes are kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator's: key, certificate, topic, clock, quota.
    Operator,
    /// The vendor's: down, or not to be reached.
    Vendor,
}

/// A circuit that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Whose fault.
    pub fault: Fault,
    /// The vendor's word for it.
    pub reason: Reason,
    /// Since when.
    pub opened: Moment,
    /// When the next push is tried.
    pub next_trial: Moment,
    /// The one that is being tried.
    pub trial: Option<PushId>,
    /// How many were in vain.
    pub trials: u32,
}

impl Circuit {
    /// Whether a push may be tried now.
    #[must_use]
    pub fn is_trial_due(&self, now: Moment) -> bool {
        self.trial.is_none() && self.next_trial <= now
    }
}

/// What a verdict says of an app's way to its vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Credentials and vendor work, whatever became of the push.
    Works,
    /// The vendor is in no state to take it.
    Fails,
    /// The credentials are at fault, or may be.
    Refuses,
    /// Nothing.
    Unknown,
}

/// Whether the app has many vendors, of which a client chooses the one that is asked (Web Push). That one of them takes
/// nothing, or refuses what is signed with a key that others take, says nothing of the others: else whoever can choose
/// where to subscribe could keep everybody's pushes back.
pub(super) fn is_one_of_many(state: &State, app: &AppName) -> bool {
    state.policy.apps.iter().any(|known| known.name == *app && known.provider == Provider::WebPush)
}

/// A vendor spoke: counts for its app's circuit, which it may open or close.
pub(super) fn mind(state: &State, verdict: &Verdict, health: Health, now: Now, step: &mut Step) {
    let name = &verdict.app;
    let app = state.app(name);
    let refused = !matches!(verdict.outcome, Outcome::Accepted | Outcome::Withheld);
    let one_of_many = refused && is_one_of_many(state, name);
    // Push services say "gone" without a look at the signature.
    let is_gone = one_of_many && matches!(verdict.outcome, Outcome::Gone { .. });
    let health = match health {
        Health::Works if is_gone => Health::Unknown,
        Health::Fails if one_of_many => Health::Unknown,
        Health::Refuses if one_of_many && app.is_some_and(|app| app.works) => Health::Unknown,
        other => other,
    };
    let asked = retry_after(&verdict.outcome).filter(|_| !one_of_many);
    let before = app.and_then(|app| app.failing);
    let failing = match (health, before) {
        (Health::Works | Health::Refuses, _) => None,
        (Health::Fails, None) => Some((1, now.steady)),
        (Health::Fails, Some((count, since))) => Some((count.saturating_add(1), since)),
        (Health::Unknown, before) => before,
    };
    let error = refused.then(|| Box::new((now.wall, reason(verdict))));
    step.remember(Memory::Spoke { app: name.clone(), at: now.steady, failing, error });
    let long = failing.is_some_and(|(count, since)| count >= OUTAGE_PUSHES && now.steady - since >= OUTAGE_SPAN);
    match (app.and_then(|app| app.circuit.as_ref()), health) {
        (Some(_), Health::Works) => {
            step.remember(Memory::Circuit(name.clone(), None));
            step.effects.push(Effect::Notice(Notice::CircuitClosed { app: name.clone() }));
        }
        // It was no trial.
        (Some(circuit), _) if circuit.trial == Some(verdict.push) && (is_gone || !verdict.outcome.is_the_vendors()) => {
            step.remember(Memory::Circuit(name.clone(), Some(Box::new(Circuit { trial: None, ..circuit.clone() }))));
        }
        (Some(circuit), _) if circuit.trial == Some(verdict.push) => {
            let trials = circuit.trials.saturating_add(1);
            let next_trial = now.steady + pause(trials, asked);
            let circuit = Circuit { trial: None, trials, next_trial, ..circuit.clone() };
            step.remember(Memory::Circuit(name.clone(), Some(Box::new(circuit))));
        }
        (None, Health::Refuses) => open(name, Fault::Operator, verdict, now, step),
        (None, Health::Fails) if long => open(name, Fault::Vendor, verdict, now, step),
        _ => {}
    }
    if state.queues().is_ready(name) {
        step.then.push(Inner::Drain(name.clone()));
    }
}

fn open(app: &AppName, fault: Fault, verdict: &Verdict, now: Now, step: &mut Step) {
    let reason = reason(verdict);
    let next_trial = now.steady + pause(0, retry_after(&verdict.outcome));
    let circuit = Circuit { fault, reason: reason.clone(), opened: now.steady, next_trial, trial: None, trials: 0 };
    step.remember(Memory::Circuit(app.clone(), Some(Box::new(circuit))));
    step.effects.push(Effect::Notice(Notice::CircuitOpened { app: app.clone(), fault, reason }));
}

fn pause(trials: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST_TRIAL.saturating_mul(1 << trials.min(5));
    doubled.min(TRIAL_AT_LEAST_EVERY).max(asked.unwrap_or_default())
}

/// What the vendor says of when to come again, within limits.
pub(super) fn retry_after(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Throttled { retry_after, .. } | Outcome::Unavailable { retry_after, .. } => {
            retry_after.map(|asked| asked.min(MOST_WAIT))
        }
        _ => None,
    }
}

/// The vendor's word for what happened.
pub(super) fn reason(verdict: &Verdict) -> Reason {
    verdict.outcome.reason().map_or_else(|| verdict.outcome.name().into(), |reason| reason.to_owned().into())
}
