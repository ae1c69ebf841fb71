//! A bridge told something: taken once, in order, and asked for again if a part is missing.

use std::sync::Arc;

use super::data::{Answer, Inner, Step, Ticket};
use super::dice::Dice;
use super::hosts::{Host, HostMemory, Phase};
use super::linking;
use super::memory::Memory;
use super::signals::{Batch, Event, What};
use super::state::State;
use crate::domain::class::Class;
use crate::domain::ids::Domain;
use crate::domain::importance;
use crate::domain::refusal::{Later, Refusal};
use crate::domain::time::Now;

/// Takes a batch: answers it at once, whatever it leads to, and hands its events on, one step each.
#[must_use]
pub fn batch(state: &State, ticket: Ticket, domain: &Domain, batch: Batch, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    let Some(host) = state.hosts.get(domain) else {
        step.answer(ticket, Answer::Refused(Refusal::Forbidden));
        return step;
    };
    let registration = batch.events.iter().any(|event| matches!(event.what, What::Registration { .. }));
    if batch.events.iter().any(|event| event.what == What::Hello) {
        step.answer(ticket, Answer::Done);
        linking::again(state, domain, true, now, dice, &mut step);
        return step;
    }
    let known = host.nodes.get(&batch.node).filter(|node| node.epoch == batch.epoch);
    let Some(node) = known.filter(|_| host.link.phase != Phase::Down) else {
        // Nobody acts on what a bridge tells that is not linked, and this one does not know yet.
        let later = Answer::Refused(Refusal::TryLater(Later::Store));
        step.answer(ticket, if registration { later } else { Answer::Done });
        if host.is_linked() {
            linking::again(state, domain, true, now, dice, &mut step);
        }
        return step;
    };
    let mut ticket = Some(ticket);
    if !registration && let Some(ticket) = ticket.take() {
        step.answer(ticket, Answer::Done);
    }
    let change = |step: &mut Step, change| step.remember(Memory::Host(domain.clone(), change));
    let last = batch.seq + batch.events.len().saturating_sub(1) as u64;
    let gap = batch.seq > node.taken + 1;
    if last > node.taken {
        change(&mut step, HostMemory::Taken(batch.node.clone(), last));
    }
    for (seq, event) in (batch.seq..).zip(batch.events) {
        if seq <= node.taken {
            continue;
        }
        take(state, domain, host, &batch.node, event, &mut ticket, &mut step);
    }
    if let Some(repeated) = ticket {
        step.answer(repeated, Answer::Done);
    }
    if gap && host.is_linked() {
        linking::again(state, domain, false, now, dice, &mut step);
    }
    step
}

/// Hands an event on, or holds it back until the snapshot is complete.
fn take(
    state: &State,
    domain: &Domain,
    host: &Host,
    node: &Arc<str>,
    event: Event,
    ticket: &mut Option<Ticket>,
    step: &mut Step,
) {
    let token = match &host.link.phase {
        Phase::Linked { token, .. } => Some(token),
        _ => None,
    };
    // Of a snapshot that nobody waits for any more.
    if event.token.is_some() && event.token.as_ref() != token {
        return;
    }
    let change = |step: &mut Step, change| step.remember(Memory::Host(domain.clone(), change));
    let running = host.nodes.get(node).and_then(|node| node.snapshot.as_ref());
    if running.is_some()
        && let What::Session { report, .. } | What::Registration { report, .. } = &event.what
    {
        change(step, HostMemory::Named(node.clone(), report.sid.clone()));
    }
    match event.what {
        What::Synced => step.then.push(Inner::Synced { host: domain.clone(), node: node.clone() }),
        What::Missed { account: None, .. } => change(step, HostMemory::MissedAll(node.clone())),
        _ => {
            let waits = waits_for_snapshot(state, &event) && host.holds_back(node);
            let ticket = ticket.take_if(|_| matches!(event.what, What::Registration { .. })).map(Box::new);
            let inner = Inner::Event { host: domain.clone(), node: node.clone(), event: Box::new(event), ticket };
            if waits {
                change(step, HostMemory::Held(node.clone(), Box::new(inner)));
            } else {
                step.then.push(inner);
            }
        }
    }
}

/// Whether an event is decided only when all sessions are known. Calls ring at once.
fn waits_for_snapshot(state: &State, event: &Event) -> bool {
    match &event.what {
        What::Archived { account, stanza } | What::Offline { account, stanza } => {
            let class = importance::class(stanza, account.as_str(), false, state.policy.rules.corrections);
            !matches!(class, Some(Class::Call | Class::Ended))
        }
        What::Ping { .. } | What::Missed { .. } => true,
        _ => false,
    }
}

/// A snapshot is complete: what it did not name is no more, and what was held back is decided.
#[must_use]
pub fn synced(state: &State, domain: &Domain, name: &Arc<str>) -> Step {
    let mut step = Step::default();
    let Some(node) = state.hosts.get(domain).and_then(|host| host.nodes.get(name)) else { return step };
    let Some(snapshot) = &node.snapshot else { return step };
    for (account, live) in state.lives.of_host(domain) {
        let here = live.sessions.iter().filter(|session| session.node == *name);
        let unnamed = here.filter(|session| !snapshot.named.contains(&session.report.sid));
        step.then.extend(unnamed.map(|session| Inner::vanished(account, &session.report.sid, node.restarted)));
    }
    step.then.extend(snapshot.held.iter().cloned());
    step.then.extend(snapshot.missed_all.then(|| Inner::MissedAll(domain.clone())));
    step.remember(Memory::Host(domain.clone(), HostMemory::Synced(name.clone())));
    step
}

/// A bridge lost count of whose messages came while nobody listened: whoever has no session is woken, one after the
/// other.
#[must_use]
pub fn missed_all(state: &State, domain: &Domain) -> Step {
    let mut step = Step::default();
    let mut keys = Vec::new();
    for account in state.registrations.accounts_of(domain) {
        let live = state.lives.of(account);
        let enabled = state.registrations.of(account).iter().filter(|registration| registration.is_enabled());
        keys.extend(enabled.filter(|of| !live.has_session(&of.key)).map(|of| of.key.clone()));
    }
    step.remember(Memory::ToWake(keys));
    step
}
