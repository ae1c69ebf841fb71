//! `<enable/>` and `<disable/>` (XEP-0357 §5, §6).

use std::time::Duration;

use super::edit::Edit;
use super::{pushes, sessions};
use crate::domain::device::{Gone, GoneReason};
use crate::domain::ids::Node;
use crate::domain::rate::Rate;
use crate::domain::refusal::Refusal;
use crate::domain::registration::{Options, Record, Registration, RegistrationKey, Status};
use crate::domain::session::Report;
use crate::flows::data::{Answer, Change, Notice, Registered, Ticket};
use crate::flows::memory::{Limit, Memory};
use crate::flows::signals::{OrderKind, Wish};

/// How many registrations that are gone an account keeps.
const GONE_PER_ACCOUNT: usize = 16;

/// How often an account may enable push. Clients do so whenever they connect; each time is written to the disk before
/// it is answered, and said in the log.
const ENABLING: Rate = Rate { count: 60, per: Duration::from_secs(60) };

/// An account owner wants pushes to go somewhere, or no longer.
pub(super) fn wish(edit: &mut Edit<'_>, ticket: Ticket, report: &Report, wish: Wish) {
    match wish {
        Wish::Enable { service: Some(service), node, options } if may_be(edit, &service) => {
            let Some(bucket) = edit.state.enabling.less_one(&edit.account, ENABLING, edit.now.steady) else {
                return edit.step.answer(ticket, Answer::Refused(Refusal::TooManyRegistrations));
            };
            edit.step.remember(Memory::Drawn(Limit::Enabling(edit.account.clone()), bucket, edit.now.steady));
            enable(edit, report, &service, node, options);
            edit.step.answer(ticket, Answer::Done);
        }
        Wish::Disable { service: Some(service), node } => {
            disable(edit, &service, node.as_ref());
            edit.step.answer(ticket, Answer::Done);
        }
        Wish::Enable { .. } | Wish::Disable { .. } => {
            edit.step.answer(ticket, Answer::Refused(Refusal::BadService));
        }
    }
}

/// Whether that can be a push service for this account: neither the account nor another of our hosts', nor a host
/// itself, however it is spelt. It would be pushed to by the very messages that it is sent.
fn may_be(edit: &Edit<'_>, service: &str) -> bool {
    let Ok(service) = jid::BareJid::new(crate::domain::stanza::bare(service)) else { return false };
    let domain = service.domain().as_str().trim_end_matches('.');
    domain != edit.domain().as_str() && edit.policy().hosts.iter().all(|host| domain != host.as_str())
}

fn enable(edit: &mut Edit<'_>, report: &Report, service: &str, node: Node, options: Option<Options>) {
    let now = edit.now.wall;
    let key = RegistrationKey { account: edit.account.clone(), service: service.into(), node };
    let known = edit.state.registrations.get(&key);
    let made = known.filter(|known| known.is_there()).map_or(now, |known| known.made);
    let registration = Registration {
        key: key.clone(),
        options,
        client_id: report.client_id.clone(),
        resource: report.resource.clone(),
        made,
        renewed: now,
        status: Status::Enabled,
        record: Record::default(),
    };
    make_room(edit, &key);
    edit.change(Change::Registration(Box::new(registration)));
    // It has been mended, or so its owner says; what it pushed, it still pushed.
    if let Some(known) = known.filter(|known| !known.is_enabled()) {
        let record = Record {
            errors: 0,
            errors_since: None,
            unreached: 0,
            unreached_since: None,
            tried: None,
            ..known.record.clone()
        };
        edit.change(Change::Record(key.clone(), Box::new(record)));
    }
    edit.notice(Notice::Registration { key: key.clone(), what: Registered::Enabled });
    sessions::bind_to(edit, &key, &report.sid, false);
    // Its bridge watches it by itself, but not whole.
    if edit.rules().redaction(service).with_body {
        let accounts = vec![(edit.account.clone(), true)];
        edit.order(OrderKind::Watch { list: None, complete: false, accounts });
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
    let gone = Registration { status, options: None, ..registration.clone() };
    edit.change(Change::Registration(Box::new(gone)));
    edit.notice(Notice::Registration { key: registration.key.clone(), what: Registered::Gone(why) });
    pushes::stops(edit, &registration.key);
    let key = registration.key.clone();
    edit.live_mut().pushing.retain(|pushing| pushing.key != key || !pushing.flights.is_empty());
    forget_oldest_gone(edit);
}

/// If none of the account's registrations is there any more after this step, its host need not tell more of it than of
/// others.
pub(super) fn unwatch(edit: &mut Edit<'_>) {
    let changed = |key: &RegistrationKey| {
        edit.step
            .changes
            .iter()
            .any(|change| matches!(change, Change::Registration(new) if new.key == *key && !new.is_there()))
    };
    let left = edit.registrations().iter().any(|known| known.is_there() && !changed(&known.key));
    if !left && !edit.registrations().is_empty() {
        let accounts = vec![edit.account.clone()];
        edit.order(OrderKind::Unwatch { accounts });
    }
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
