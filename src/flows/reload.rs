//! The configuration was read again: what follows from other settings, while all goes on.
//!
//! Most settings are looked at when something is decided, and so hold from the next decision on. What was reckoned by
//! them before is reckoned anew when they are applied ([`Memory::Policy`]). What is left is here: apps whose pushes go
//! another way, and hosts that come, go, or must tell more or less than before.

use super::commands;
use super::data::{Change, Decided, Effect, Inner, Line, Place, Reloaded, Step, Trail};
use super::memory::Memory;
use super::policy::Policy;
use super::state::State;
use crate::domain::app::Credentials;
use crate::domain::ids::Domain;
use crate::domain::time::Now;

/// Takes the operator's new settings, if there are any: else nothing changes.
#[must_use]
pub fn reloaded(state: &State, reloaded: Reloaded, now: Now) -> Step {
    let mut step = Step::default();
    commands::reloaded(state, &reloaded, &mut step);
    let Some(policy) = reloaded.policy else { return step };
    let before = &state.policy;
    for host in before.hosts.iter().filter(|host| !policy.hosts.contains(host)) {
        forsake(state, host, now, &mut step);
    }
    step.remember(Memory::Policy(policy.clone()));
    step.then.push(Inner::Credentials);
    apps(state, &policy, &mut step);
    let is_new = |host: &Domain| !before.hosts.contains(host);
    let all = asks_otherwise(before, &policy);
    let hosts = policy.hosts.iter().filter(|host| all || is_new(host));
    step.then.extend(hosts.cloned().map(Inner::Relink));
    step
}

/// A step of its own: what the others let happen need not wait for the disk.
#[must_use]
pub(super) fn note_credentials(state: &State, now: Now) -> Step {
    let mut step = Step::default();
    credentials(state, now, &mut step);
    step
}

/// Notes which apps have other credentials than before. While the store takes no writes, nobody could: that is made up
/// for when it does.
pub(super) fn credentials(state: &State, now: Now, step: &mut Step) {
    if state.is_read_only() {
        return;
    }
    for app in &state.policy.apps {
        let known = state.app(&app.name).and_then(|app| app.credentials);
        if known.is_none_or(|known| known.fingerprint != app.fingerprint) {
            let credentials = Credentials { fingerprint: app.fingerprint, since: now.wall };
            step.changes.push(Change::Credentials(app.name.clone(), credentials));
        }
    }
}

/// Apps that are new, or whose pushes go another way: nothing counts that the former one met, and what is owed goes at
/// once. What is owed to those that left waits, in case they come back.
fn apps(state: &State, policy: &Policy, step: &mut Step) {
    let before = &state.policy;
    for app in policy.apps.iter().map(|app| &app.name) {
        let was_there = before.apps.iter().any(|known| known.name == *app);
        let way = policy.ways.get(app);
        let digest = |policy: &Policy| policy.ways.get(app).map(|way| way.digest);
        if was_there && digest(before) == digest(policy) {
            continue;
        }
        if state.app(app).is_some_and(|known| known.withdrawn) {
            step.effects.push(Effect::Offer(app.clone(), true));
        }
        step.remember(Memory::Renewed(app.clone(), way.and_then(|way| way.expires)));
        step.then.push(Inner::Drain(app.clone()));
    }
}

/// A host is not one of ours any more: nobody answers for the relays that it carries.
fn forsake(state: &State, host: &Domain, now: Now, step: &mut Step) {
    for (account, live) in state.lives.of_host(host) {
        for pushing in &live.pushing {
            for flight in pushing.flights.iter().filter(|flight| flight.relayed) {
                let (account, place) = (account.clone(), Place::of(&pushing.key));
                let what = Decided::NotTaken("its host was removed from [[hosts]]".into());
                let trail = Some(Trail::Rules(flight.id));
                step.remember(Memory::Noted(Box::new(Line { at: now.wall, account, place, about: None, trail, what })));
            }
        }
    }
}

/// Whether bridges are to tell more, or less, than they were asked for.
fn asks_otherwise(before: &Policy, after: &Policy) -> bool {
    let texts = |policy: &Policy| {
        let services = policy.rules.services.iter().map(|(service, redaction)| (service.clone(), redaction.with_body));
        (policy.rules.redaction.with_body, services.collect::<Vec<_>>())
    };
    texts(before) != texts(after) || before.sessions.max_ack_delay != after.sessions.max_ack_delay
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
