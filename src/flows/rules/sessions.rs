//! Sessions come, go away, come back and end; registrations are bound to them.

use std::sync::Arc;
use std::time::Duration;

use super::edit::Edit;
use super::stanzas::{self, Offered, Place};
use super::{keeper, pushes};
use crate::domain::class::Class;
use crate::domain::registration::{Registration, RegistrationKey};
use crate::domain::session::{EndReason, Report, Sid, Standing};
use crate::domain::time::Moment;
use crate::flows::data::{Decided, How, Inner};
use crate::flows::live::{Live, Old, Session};
use crate::flows::signals::{Queued, Turn};

/// How many sessions of an account are known at a time; the one known longest is forgotten. Each event of an account
/// looks at all of them.
const MOST_SESSIONS: usize = 1000;

/// Something happened to a session.
pub(super) fn turned(edit: &mut Edit<'_>, node: &Arc<str>, report: Report, turn: Turn, stanzas: &[Queued]) {
    let sid = report.sid.clone();
    if let Turn::Ended(reason) = turn {
        if let Some(session) = edit.live_mut().session_mut(&sid) {
            session.report = report;
        }
        return ended(edit, &sid, reason);
    }
    let before = edit.live().session(&sid).map(|session| session.report.state);
    let hibernation = edit.live().session(&sid).and_then(|session| session.hibernation.as_ref());
    let slept = hibernation.map(|hibernation| hibernation.lasts(edit.now.steady));
    let (h_out, state) = (report.h_out, report.state);
    let new = seen(edit, node, report);
    if new || matches!(turn, Turn::Bound | Turn::Described) {
        bind(edit, &sid, turn == Turn::Bound);
    }
    // A resumption that nobody told us of is one all the same.
    if before == Some(Standing::Hibernated) && !state.is_away() {
        resumed(edit, &sid);
        came_back(edit, &sid, slept.unwrap_or_default());
    }
    match turn {
        Turn::Bound | Turn::Ended(_) => {}
        Turn::Resumed => resumed(edit, &sid),
        Turn::Acked => {
            if let Some(h) = h_out {
                taken_out(edit, |collector| collector.acked(&sid, h));
            }
        }
        Turn::AckDelayed | Turn::Queued => {
            keeper::found(edit, &sid);
            queued(edit, &sid, stanzas);
        }
        Turn::Hibernated | Turn::Described => {
            match turn {
                Turn::Described => keeper::described(edit, &sid),
                _ => keeper::found(edit, &sid),
            }
            queued(edit, &sid, stanzas);
            keeper::stretch(edit, &sid);
            keeper::limit(edit);
        }
    }
}

/// Notes a session as it is now; says whether it is new. Whoever held its resource is over.
pub(super) fn seen(edit: &mut Edit<'_>, node: &Arc<str>, report: Report) -> bool {
    let holds = |session: &&Session| session.report.resource == report.resource && session.report.sid != report.sid;
    let replaced: Vec<Sid> =
        edit.live().sessions.iter().filter(holds).map(|session| session.report.sid.clone()).collect();
    for sid in replaced {
        ended(edit, &sid, EndReason::Replaced);
    }
    let away = report.state.is_away();
    if edit.live().session(&report.sid).is_none()
        && edit.live().sessions.len() >= MOST_SESSIONS
        && let Some(oldest) = edit.live().sessions.first().map(|session| session.report.sid.clone())
    {
        ended(edit, &oldest, EndReason::Unknown);
    }
    let live = edit.live_mut();
    if !away && live.session(&report.sid).is_some_and(|session| session.report.state.is_away()) {
        live.pushing.iter_mut().for_each(|pushing| pushing.left_queue(&report.sid));
    }
    if let Some(session) = live.session_mut(&report.sid) {
        // Another hibernation has another beginning.
        if !away || session.report.since != report.since {
            session.hibernation = None;
        }
        session.report = report;
        session.node = node.clone();
        false
    } else {
        live.sessions.push(Session { report, node: node.clone(), hibernation: None });
        true
    }
}

/// Binds to a session the registrations whose client it is; `back` if the client has just come back by it.
pub(super) fn bind(edit: &mut Edit<'_>, sid: &Sid, back: bool) {
    let Some(session) = edit.live().session(sid) else { return };
    let report = session.report.clone();
    let its = |registration: &&Registration| is_of(registration, &report);
    let there = edit.registrations().iter().filter(|registration| registration.is_there());
    let keys: Vec<RegistrationKey> = there.filter(its).map(|of| of.key.clone()).collect();
    for key in keys {
        bind_to(edit, &key, sid, back);
    }
}

/// Binds a registration to a session.
pub(super) fn bind_to(edit: &mut Edit<'_>, key: &RegistrationKey, sid: &Sid, back: bool) {
    let pushing = edit.live_mut().pushing_mut(key);
    pushing.bound = Some(sid.clone());
    if back && !(pushing.collector.is_empty() && pushing.waiting.is_none()) {
        pushing.collector.bound();
        // A call rings all the same: it began before its client was there to hear of it.
        pushing.waiting.take_if(|waiting| waiting.class != Class::Call && waiting.sids.is_empty());
        if pushing.collector.is_empty() && pushing.waiting.is_none() {
            edit.decided(key, Decided::Cancelled);
        }
    }
}

/// Whether that session is the client that made the registration: by the client's own name if it has one, else by the
/// resource.
fn is_of(registration: &Registration, report: &Report) -> bool {
    let named = registration.client_id.is_some() && registration.client_id == report.client_id;
    named || registration.resource == report.resource
}

/// The client is back on the same session: it has, or is getting, all that waited there.
fn resumed(edit: &mut Edit<'_>, sid: &Sid) {
    taken_out(edit, |collector| collector.resumed(sid));
    let bound: Vec<RegistrationKey> = edit.bound_to(sid).iter().map(|of| of.key.clone()).collect();
    for key in bound {
        bind_to(edit, &key, sid, true);
    }
}

/// Notes that a client is back that hibernated for so long, and how long ago it was woken, if it was meanwhile.
fn came_back(edit: &mut Edit<'_>, sid: &Sid, slept: Duration) {
    let bound = edit.bound_to(sid);
    let (now, live) = (edit.now, edit.live());
    let settled = bound.iter().filter_map(|of| Some(now.wall - of.record.last_push?));
    let flights = bound.iter().filter_map(|of| live.pushing(&of.key)).flat_map(|pushing| &pushing.flights);
    let woken = settled.chain(flights.map(|flight| now.steady - flight.sent)).filter(|since| *since <= slept).min();
    edit.decided_of(sid, Decided::Resumed { woken });
}

/// Takes out of what is collected what its client has got.
fn taken_out(edit: &mut Edit<'_>, mut take: impl FnMut(&mut crate::domain::collector::Collector)) {
    let mut cancelled = Vec::new();
    for pushing in &mut edit.live_mut().pushing {
        let before = pushing.collector.is_empty();
        take(&mut pushing.collector);
        if !before && pushing.collector.is_empty() {
            cancelled.push(pushing.key.clone());
        }
    }
    for key in cancelled {
        edit.decided(&key, Decided::Cancelled);
    }
}

/// Stanzas stand in the queue of a session.
fn queued(edit: &mut Edit<'_>, sid: &Sid, stanzas: &[Queued]) {
    let mut handed = false;
    for registration in edit.bound_to(sid) {
        for queued in stanzas {
            let place = Place { sid: sid.clone(), n: queued.n };
            let class = stanzas::class(edit, &queued.stanza, false);
            let (how, ready) = (How::Queued, Moment::default());
            let offered = Offered { stanza: &queued.stanza, class, how, place: Some(place), ready };
            handed |= stanzas::offer(edit, registration, offered);
        }
    }
    if handed {
        keeper::handed_before(edit, sid);
    }
    // The end of a call reaches those who rang, whichever way it comes.
    for queued in stanzas {
        if stanzas::class(edit, &queued.stanza, false) == Some(Class::Ended) {
            stanzas::hang_up(edit, &queued.stanza, false);
        }
    }
}

/// A session is over.
fn ended(edit: &mut Edit<'_>, sid: &Sid, reason: EndReason) {
    let most = edit.policy().sessions.max_old;
    let now = edit.now.wall;
    let live: &mut Live = edit.live_mut();
    let Some(at) = live.sessions.iter().position(|session| session.report.sid == *sid) else { return };
    let session = live.sessions.remove(at);
    if reason == EndReason::Timeout {
        live.old.push_back(Old { resource: session.report.resource, at: now, h_in: session.report.h_in });
    }
    while live.old.len() > most {
        live.old.pop_front();
    }
    for pushing in &mut live.pushing {
        pushing.bound.take_if(|bound| bound == sid);
        pushing.collector.ended(sid);
        pushing.left_queue(sid);
    }
}

/// A session is not there any more, and nobody said why. `wake`: its host has started anew meanwhile.
pub(super) fn vanished(edit: &mut Edit<'_>, sid: &Sid, wake: bool) {
    let Some(session) = edit.live().session(sid) else { return };
    let hibernated = session.report.state == Standing::Hibernated;
    if wake && hibernated && edit.policy().sessions.wake_on_start {
        let keys: Vec<RegistrationKey> = edit.bound_to(sid).iter().map(|of| of.key.clone()).collect();
        edit.step.remember(crate::flows::memory::Memory::ToWake(keys));
    }
    ended(edit, sid, EndReason::Unknown);
    pushes::tidy(edit);
}

impl Inner {
    /// A session that its host no longer names.
    pub(crate) fn vanished(account: &crate::domain::ids::Account, sid: &Sid, wake: bool) -> Self {
        Self::Vanished { account: account.clone(), sid: sid.clone(), wake }
    }
}
