//! What a stanza is worth, and to whom.

use super::edit::Edit;
use super::pushes;
use crate::domain::class::Class;
use crate::domain::collector::{Burst, Item};
use crate::domain::filter::{Filter, filter};
use crate::domain::ids::Node;
use crate::domain::importance;
use crate::domain::redact::Words;
use crate::domain::registration::{Registration, RegistrationKey, Status};
use crate::domain::session::Sid;
use crate::domain::stanza::{Key, Stanza};
use crate::domain::time::Moment;
use crate::flows::data::{About, Decided, How, Matter};
use crate::flows::live::Rung;

/// Which registrations of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// All of them.
    All,
    /// Those that have no session, connected or hibernated; calls go to all.
    Sessionless,
}

/// Where a stanza stands in a session's queue.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) sid: Sid,
    pub(super) n: Option<u32>,
}

/// A stanza that may be worth a push.
pub(super) struct Offered<'a> {
    pub(super) stanza: &'a Stanza,
    pub(super) class: Option<Class>,
    pub(super) how: How,
    /// Where it stands in a queue, if it does.
    pub(super) place: Option<Place>,
    /// Not before.
    pub(super) ready: Moment,
}

/// What a push for this stanza would be.
pub(super) fn class(edit: &Edit<'_>, stanza: &Stanza, own: bool) -> Option<Class> {
    importance::class(stanza, edit.account.as_str(), own, edit.rules().corrections)
}

/// The account received a message, or sent one (`own`).
pub(super) fn message(edit: &mut Edit<'_>, stanza: &Stanza, own: bool, whom: Whom, ready: Moment, how: How) {
    let class = class(edit, stanza, own);
    if class == Some(Class::Ended) {
        return hang_up(edit, stanza, own);
    }
    let everybody = whom == Whom::All || class == Some(Class::Call);
    let about = about(stanza, how);
    for registration in edit.registrations() {
        let key = &registration.key;
        match registration.status {
            Status::Gone(_) => {}
            Status::Disabled { why, .. } => edit.decided_for(key, about, Decided::Disabled(why)),
            Status::Enabled => match edit.live().session_of(key).filter(|_| !everybody) {
                Some(session) => {
                    let resource = session.report.resource.clone();
                    edit.decided_for(key, about, Decided::HasSession(resource));
                }
                None => {
                    offer(edit, registration, Offered { stanza, class, how, place: None, ready });
                }
            },
        }
    }
}

/// What is noted of a stanza beside a decision.
fn about(stanza: &Stanza, how: How) -> About {
    About { what: Matter::of(stanza), how, contact: stanza.contact }
}

/// Another part of the host asks for a wake.
pub(super) fn ping(edit: &mut Edit<'_>, service: Option<&str>, node: Option<&Node>) {
    for registration in edit.enabled() {
        let key = &registration.key;
        if service.is_none_or(|service| *key.service == *service) && node.is_none_or(|node| key.node == *node) {
            collect(edit, registration, None, Class::Unimportant, Words::default(), None, Moment::default());
        }
    }
}

/// Messages came while nobody listened.
pub(super) fn missed(edit: &mut Edit<'_>, count: u32, keys: &[Key], newest: Option<&Stanza>) {
    // What its bridge can name at most; beyond it there are some that nobody can name.
    let all_named = usize::try_from(count).is_ok_and(|count| count <= keys.len());
    let class = newest.and_then(|newest| class(edit, newest, false));
    // Whatever called then does not ring now.
    let class = class.map(|class| class.min(Class::Important)).filter(|class| *class != Class::Ended);
    for registration in edit.enabled() {
        let pushing = edit.live().pushing(&registration.key);
        let known =
            |key: &&Key| registration.record.keys.contains(**key) || pushing.is_some_and(|pushing| pushing.owes(**key));
        let unknown: Vec<Key> = keys.iter().filter(|key| !known(key)).copied().collect();
        if edit.live().has_session(&registration.key) || (all_named && unknown.is_empty()) {
            continue;
        }
        let filtered = newest.and_then(|newest| filtered(edit, registration, newest));
        let is_all = all_named && newest.is_some_and(|newest| newest.key(None).is_some_and(|key| unknown == [key]));
        if let Some(filter) = filtered.filter(|_| is_all) {
            let about = About { what: Matter::Several(count), how: How::Missed, contact: None };
            edit.decided_for(&registration.key, about, Decided::Filtered(filter));
            continue;
        }
        // Whether its owner wants to know of the others, nobody can tell.
        match newest.zip(class).filter(|_| filtered.is_none()) {
            Some((newest, class)) => {
                let words = words(edit, registration, newest, class);
                collect(edit, registration, None, class, words, None, Moment::default());
            }
            None => collect(edit, registration, None, Class::Unimportant, Words::default(), None, Moment::default()),
        }
        // It speaks for all of them.
        for key in unknown {
            collect(edit, registration, Some(key), Class::Clear, Words::default(), None, Moment::default());
        }
    }
}

/// Offers a stanza to a registration: collected, unless it is worth nothing or pushed already. Says whether it is
/// urgent, stands in a queue, and was handed over before.
pub(super) fn offer(edit: &mut Edit<'_>, registration: &Registration, offered: Offered<'_>) -> bool {
    let Offered { stanza, class, how, place, ready } = offered;
    let about = about(stanza, how);
    let Some(class) = class else {
        edit.decided_for(&registration.key, about, Decided::Worthless);
        return false;
    };
    if class == Class::Ended {
        return false;
    }
    if class < Class::Important && !edit.rules().unimportant {
        edit.decided_for(&registration.key, about, Decided::Unwanted);
        return false;
    }
    if let Some(filter) = filtered(edit, registration, stanza) {
        edit.decided_for(&registration.key, about, Decided::Filtered(filter));
        return false;
    }
    let numbered = place.as_ref().and_then(|place| Some((&place.sid, place.n?)));
    let key = stanza.key(numbered);
    let waits_in = place.as_ref().filter(|_| class.is_urgent()).map(|place| &place.sid);
    if let Some(key) = key {
        if registration.record.keys.contains(key) {
            edit.decided_for(&registration.key, about, Decided::Known);
            return waits_in.is_some();
        }
        let pushing = edit.live_mut().pushing_mut(&registration.key);
        if pushing.covers(key, waits_in) || pushing.collector.contains(key) {
            edit.decided_for(&registration.key, about, Decided::Known);
            return false;
        }
    }
    if class == Class::Call && edit.may_ring(&registration.key) {
        let words = words(edit, registration, stanza, class);
        ring(edit, &registration.key, stanza, key, words, waits_in);
    } else {
        // One call too many is worth as much as a message.
        if class == Class::Call {
            edit.decided_for(&registration.key, about, Decided::TooManyCalls);
        }
        let class = class.min(Class::Important);
        let words = words(edit, registration, stanza, class);
        collect(edit, registration, key, class, words, place, ready);
    }
    false
}

/// What its owner does not want to be woken for.
fn filtered(edit: &Edit<'_>, registration: &Registration, stanza: &Stanza) -> Option<Filter> {
    filter(registration.extensions.as_deref()?, stanza, edit.account.as_str())
}

fn words(edit: &Edit<'_>, registration: &Registration, stanza: &Stanza, class: Class) -> Words {
    let words = edit.rules().redaction(&registration.key.service).words(stanza, class);
    match &registration.extensions {
        Some(extensions) => words.with(extensions, stanza, class),
        None => words,
    }
}

fn collect(
    edit: &mut Edit<'_>,
    registration: &Registration,
    key: Option<Key>,
    class: Class,
    words: Words,
    place: Option<Place>,
    ready: Moment,
) {
    let now = edit.now.steady;
    let item = Item { key, class, words, place: place.map(|place| (place.sid, place.n)), ready };
    edit.live_mut().pushing_mut(&registration.key).collector.add(item, now);
}

/// A call does not wait for a burst to be over.
fn ring(edit: &mut Edit<'_>, to: &RegistrationKey, stanza: &Stanza, key: Option<Key>, words: Words, sid: Option<&Sid>) {
    let burst =
        Burst { class: Class::Call, words, keys: key.into_iter().collect(), sids: sid.into_iter().cloned().collect() };
    if let Some(jingle) = &stanza.jingle {
        let rung = Rung { from: stanza.sender().into(), id: jingle.id.clone(), at: edit.now.steady };
        edit.live_mut().pushing_mut(to).ring(rung);
    }
    pushes::launch(edit, to, burst);
}

/// A call is over, or was taken elsewhere: takes back what has not left, and tells those who rang.
pub(super) fn hang_up(edit: &mut Edit<'_>, stanza: &Stanza, own: bool) {
    let Some(jingle) = &stanza.jingle else { return };
    let own = own || stanza.is_from(edit.account.as_str());
    let caller = (!own).then(|| stanza.sender());
    for registration in edit.enabled() {
        let to = &registration.key;
        if edit.live().pushing(to).is_none() {
            continue;
        }
        let pushing = edit.live_mut().pushing_mut(to);
        let Some(rung) = pushing.hang_up(caller, &jingle.id) else { continue };
        if pushing.take_back(Key::call(&rung.from, &rung.id)) {
            edit.decided(to, Decided::Cancelled);
        } else {
            let extensions = registration.extensions.as_deref();
            let caller = stanza.from.as_deref().filter(|_| !own).unwrap_or(&rung.from);
            let words = extensions.map(|extensions| Words::over(extensions, jingle, caller)).unwrap_or_default();
            let burst = Burst { class: Class::Ended, words, keys: Vec::new(), sids: Vec::new() };
            pushes::launch(edit, to, burst);
        }
    }
}
