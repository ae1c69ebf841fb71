//! `<enable/>` and `<disable/>` (XEP-0357 §5, §6).

use std::sync::Arc;
use std::time::Duration;

use super::edit::Edit;
use super::{pushes, sessions};
use crate::domain::device::{Gone, GoneReason};
use crate::domain::extensions::Extensions;
use crate::domain::ids::Node;
use crate::domain::rate::Rate;
use crate::domain::refusal::Refusal;
use crate::domain::registration::{Options, Record, Registration, RegistrationKey, Status};
use crate::domain::session::{Report, Sid};
use crate::flows::data::{Answer, Change, Registered, Ticket};
use crate::flows::hosts::Host;
use crate::flows::memory::{Limit, Memory};
use crate::flows::signals::{Facts, OrderKind, Watched, Wish};

/// How many registrations that are gone an account keeps.
const GONE_PER_ACCOUNT: usize = 16;

/// Which client enables.
pub(super) struct Client {
    resource: Arc<str>,
    client_id: Option<Arc<str>>,
    /// Its session, if it is known.
    sid: Option<Sid>,
    /// Whether its bridge handed this on, and so knows that the account is to be watched.
    by_bridge: bool,
}

impl Client {
    /// The client whose session that is.
    pub(super) fn of(report: &Report) -> Self {
        let Report { resource, client_id, sid, .. } = report;
        Self { resource: resource.clone(), client_id: client_id.clone(), sid: Some(sid.clone()), by_bridge: true }
    }
}

/// A client says to us what others say to their own account. Its session may become known only later: what is
/// registered is bound by the resource then.
pub(super) fn to_us(edit: &mut Edit<'_>, ticket: Ticket, resource: Arc<str>, what: Wish) {
    if !edit.host().is_some_and(Host::is_linked) {
        return edit.step.answer(ticket, Answer::Refused(Refusal::HostNotLinked));
    }
    let session = edit.live().sessions.iter().find(|session| session.report.resource == resource);
    let client = match session {
        Some(session) => Client { by_bridge: false, ..Client::of(&session.report) },
        None => Client { resource, client_id: None, sid: None, by_bridge: false },
    };
    wish(edit, ticket, &client, what);
}

/// How often an account may enable push. Clients do so whenever they connect; each time is written to the disk before
/// it is answered.
const ENABLING: Rate = Rate { count: 60, per: Duration::from_secs(60) };

/// An account owner wants pushes to go somewhere, or no longer.
pub(super) fn wish(edit: &mut Edit<'_>, ticket: Ticket, client: &Client, wish: Wish) {
    match wish {
        Wish::Enable { service: Some(service), node, options, extensions } if may_be(edit, &service) => {
            let Some(bucket) = edit.state.enabling.less_one(&edit.account, ENABLING, edit.now.steady) else {
                return edit.step.answer(ticket, Answer::Refused(Refusal::TooManyRegistrations));
            };
            edit.step.remember(Memory::Drawn(Limit::Enabling(edit.account.clone()), bucket, edit.now.steady));
            enable(edit, client, &service, node, options, extensions);
            edit.step.answer(ticket, Answer::Done);
        }
        Wish::Disable { service: Some(service), node } => {
            disable(edit, &service, node.as_ref());
            edit.step.answer(ticket, Answer::Done);
        }
        Wish::Refused(refusal) => edit.step.answer(ticket, Answer::Refused(refusal)),
        Wish::Enable { .. } | Wish::Disable { .. } => {
            edit.step.answer(ticket, Answer::Refused(Refusal::BadService));
        }
    }
}

/// Whether that can be a push service for this account.
fn may_be(edit: &Edit<'_>, service: &str) -> bool {
    edit.policy().may_be_service(&edit.domain(), service)
}

fn enable(
    edit: &mut Edit<'_>,
    client: &Client,
    service: &str,
    node: Node,
    options: Option<Options>,
    extensions: Option<Arc<Extensions>>,
) {
    let now = edit.now.wall;
    let key = RegistrationKey { account: edit.account.clone(), service: service.into(), node };
    let known = edit.state.registrations.get(&key);
    let made = known.filter(|known| known.is_there()).map_or(now, |known| known.made);
    let registration = Registration {
        key: key.clone(),
        options,
        extensions,
        client_id: client.client_id.clone(),
        resource: client.resource.clone(),
        made,
        renewed: now,
        status: Status::Enabled,
        record: Record::default(),
    };
    make_room(edit, &key);
    forget_seals(edit, &registration);
    let new = registration.clone();
    edit.change(Change::Registration(Box::new(registration)));
    // It has been mended, or so its owner says; what it pushed, it still pushed.
    if let Some(known) = known.filter(|known| !known.is_enabled()) {
        edit.change(Change::Record(key.clone(), Box::new(known.record.forgiven())));
    }
    edit.became(&key, Registered::Enabled);
    if let Some(sid) = &client.sid {
        sessions::bind_to(edit, &key, sid, false);
    }
    // Its bridge watches it by itself if it handed this on, but tells nothing beside shapes.
    let facts = edit.rules().facts(staying(edit).filter(|other| other.key != key).chain([&new]));
    if !client.by_bridge || facts != Facts::default() || facts != told(edit) {
        watch(edit, facts);
    }
}

/// An operator has mended what a registration failed for.
pub(super) fn again(edit: &mut Edit<'_>, registration: &Registration) {
    let key = &registration.key;
    edit.change(Change::Registration(Box::new(Registration { status: Status::Enabled, ..registration.clone() })));
    edit.change(Change::Record(key.clone(), Box::new(registration.record.forgiven())));
    edit.became(key, Registered::Revived);
}

/// What still waits for a registration was sealed to a key that its client may not have any more: then it says no more
/// than others may read.
fn forget_seals(edit: &mut Edit<'_>, new: &Registration) {
    let key = |of: &Registration| Some(of.extensions.as_ref()?.encrypt.as_ref()?.key.clone());
    let known = edit.state.registrations.get(&new.key);
    if known.is_none_or(|known| key(known) == key(new)) || edit.live().pushing(&new.key).is_none() {
        return;
    }
    if let Some(waiting) = &mut edit.live_mut().pushing_mut(&new.key).waiting {
        waiting.words.sealed = None;
    }
}

fn disable(edit: &mut Edit<'_>, service: &str, node: Option<&Node>) {
    let its = |of: &&Registration| *of.key.service == *service && node.is_none_or(|node| of.key.node == *node);
    let leaving: Vec<&Registration> = edit.registrations().iter().filter(|of| of.is_there()).filter(its).collect();
    for registration in leaving {
        leave(edit, registration, GoneReason::Owner);
    }
    unwatch(edit);
}

/// A registration is gone, but remembered for a while.
pub(super) fn leave(edit: &mut Edit<'_>, registration: &Registration, why: GoneReason) {
    let status = Status::Gone(Gone { at: edit.now.wall, why });
    // Its secrets are nobody's any more.
    let gone = Registration { status, options: None, extensions: None, ..registration.clone() };
    edit.change(Change::Registration(Box::new(gone)));
    edit.became(&registration.key, Registered::Gone(why));
    pushes::stops(edit, &registration.key);
    // What is on its way still lands, but no session is its own any more.
    let live = edit.live_mut();
    live.pushing_mut(&registration.key).bound = None;
    live.pushing.retain(|pushing| pushing.key != registration.key || !pushing.flights.is_empty());
    forget_oldest_gone(edit);
}

/// If none of the account's registrations is there any more after this step, its host need not tell more of it than of
/// others.
pub(super) fn unwatch(edit: &mut Edit<'_>) {
    let left = staying(edit).next().is_some();
    if left {
        let facts = edit.rules().facts(staying(edit));
        if facts != told(edit) {
            watch(edit, facts);
        }
    } else if !edit.registrations().is_empty() {
        let accounts = vec![edit.account.clone()];
        edit.order(OrderKind::Unwatch { accounts });
    }
}

fn watch(edit: &mut Edit<'_>, facts: Facts) {
    let accounts = vec![Watched { account: edit.account.clone(), facts }];
    edit.order(OrderKind::Watch { list: None, complete: false, accounts });
}

/// What the account's host tells beside shapes before this step.
fn told(edit: &Edit<'_>) -> Facts {
    edit.rules().facts(edit.registrations().iter().filter(|known| known.is_there()))
}

/// The account's registrations that were there before this step, and do not leave in it.
fn staying<'a>(edit: &'a Edit<'_>) -> impl Iterator<Item = &'a Registration> {
    let leaves = |key: &RegistrationKey| {
        let left = |change: &Change| matches!(change, Change::Registration(new) if new.key == *key && !new.is_there());
        edit.step.changes.iter().any(left)
    };
    edit.registrations().iter().filter(move |known| known.is_there() && !leaves(&known.key))
}

/// An account may have so many registrations. Those that are disabled go first, then the one that was enabled longest
/// ago.
fn make_room(edit: &mut Edit<'_>, arriving: &RegistrationKey) {
    let most = edit.rules().max_devices;
    let there = |of: &&Registration| of.is_there() && of.key != *arriving;
    let mut others: Vec<&Registration> = edit.registrations().iter().filter(there).collect();
    others.sort_by_key(|other| (other.is_enabled(), other.renewed, other.made));
    let surplus = (others.len() + 1).saturating_sub(most.max(1));
    for other in others.into_iter().take(surplus) {
        leave(edit, other, GoneReason::MaxDevices);
    }
}

fn forget_oldest_gone(edit: &mut Edit<'_>) {
    let gone = |of: &&Registration| !of.is_there();
    let mut all: Vec<&Registration> = edit.registrations().iter().filter(gone).collect();
    all.sort_by_key(|of| match of.status {
        Status::Gone(gone) => gone.at,
        Status::Enabled | Status::Disabled { .. } => edit.now.wall,
    });
    let surplus = (all.len() + 1).saturating_sub(GONE_PER_ACCOUNT);
    for oldest in all.into_iter().take(surplus) {
        // Another one that leaves in this step may have had it forgotten already; twice does no harm.
        edit.change(Change::ForgetRegistration(oldest.key.clone()));
    }
}
