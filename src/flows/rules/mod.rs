//! The rules engine and the session keeper: what is made of what happens to an account.
//!
//! | file | what |
//! |---|---|
//! | `sessions` | a session is bound, goes away, comes back, ends; registrations are bound to it |
//! | `stanzas` | a stanza is worth a push, or not, and to whom; calls |
//! | `pushes` | bursts go out, to our own devices or by relay; what comes of them |
//! | `keeper` | the windows of hibernated sessions, and how many there may be |
//! | `enable` | `<enable/>` and `<disable/>` |
//! | `fate` | what time alone brings: wakes, trials of disabled registrations, the end |
//! | `edit` | one account under the pen |

mod edit;
mod enable;
#[cfg(test)]
mod extension_tests;
mod fate;
#[cfg(test)]
mod hostile_tests;
mod keeper;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod oracle_tests;
pub(super) mod pushes;
#[cfg(test)]
mod registration_tests;
#[cfg(test)]
mod reload_tests;
#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod session_tests;
mod sessions;
mod stanzas;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod storm_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::domain::class::Class;
use crate::domain::collector::Burst;
use crate::domain::device::GoneReason;
use crate::domain::ids::Account;
use crate::domain::registration::RegistrationKey;
use crate::domain::stanza::Stanza;
use crate::domain::time::{Moment, Now};
use crate::flows::data::{How, Inner, Step, Ticket};
use crate::flows::dice::Dice;
use crate::flows::signals::{Event, What, Wish};
use crate::flows::state::State;
use edit::Edit;
use enable::Client;
use stanzas::Whom;

/// Takes what one step handed to the next.
#[must_use]
pub fn inner(state: &State, inner: Inner, now: Now, dice: &mut Dice) -> Step {
    match inner {
        Inner::Event { node, event, ticket, .. } => {
            event_(state, &node, *event, ticket.map(|ticket| *ticket), now, dice)
        }
        Inner::Settled { registration, flight, said } => {
            let mut edit = Edit::new(state, &registration.account, now, dice);
            pushes::settled(&mut edit, &registration, flight, &said);
            if let Some(number) = state.trials.of(&registration, flight) {
                edit.then(Inner::Tried { number, said });
            }
            edit.finish()
        }
        Inner::Pump(host) => pushes::pump(state, &host, now, dice),
        Inner::Lost(account) => {
            let mut edit = Edit::new(state, &account, now, dice);
            pushes::lost(&mut edit);
            edit.finish()
        }
        Inner::Due(account) => {
            let mut edit = Edit::new(state, &account, now, dice);
            pushes::due(&mut edit);
            keeper::due(&mut edit);
            edit.finish()
        }
        Inner::Fate(registration, what) => {
            let mut edit = Edit::new(state, &registration.account, now, dice);
            fate::befall(&mut edit, &registration, what);
            edit.finish()
        }
        Inner::Wake(registration) => {
            let mut edit = Edit::new(state, &registration.account, now, dice);
            // It may have waited for its turn, and its client be back.
            if !edit.live().has_session(&registration) {
                fate::wake(&mut edit, &registration);
            }
            edit.finish()
        }
        Inner::Window { account, sid, report } => {
            let mut edit = Edit::new(state, &account, now, dice);
            keeper::told(&mut edit, &sid, report.as_deref());
            edit.finish()
        }
        Inner::Vanished { account, sid, wake } => {
            let mut edit = Edit::new(state, &account, now, dice);
            sessions::vanished(&mut edit, &sid, wake);
            edit.finish()
        }
        // Taken by others.
        Inner::Push { .. }
        | Inner::Trial { .. }
        | Inner::Tried { .. }
        | Inner::HostDue(_)
        | Inner::Drain(_)
        | Inner::Synced { .. }
        | Inner::MissedAll(_)
        | Inner::Credentials
        | Inner::Relink(_)
        | Inner::Reloaded => Step::default(),
    }
}

/// A client of a host of ours wants pushes to go somewhere, or no longer, and says so to us.
#[must_use]
pub fn wish(
    state: &State,
    ticket: Ticket,
    account: &Account,
    resource: Arc<str>,
    wish: Wish,
    now: Now,
    dice: &mut Dice,
) -> Step {
    let mut edit = Edit::new(state, account, now, dice);
    enable::to_us(&mut edit, ticket, resource, wish);
    edit.finish()
}

/// Somebody removes registrations of an account.
#[must_use]
pub fn remove(
    state: &State,
    account: &Account,
    keys: &[RegistrationKey],
    why: GoneReason,
    now: Now,
    dice: &mut Dice,
) -> Step {
    let mut edit = Edit::new(state, account, now, dice);
    for registration in edit.registrations().iter().filter(|of| of.is_there() && keys.contains(&of.key)) {
        enable::leave(&mut edit, registration, why);
    }
    enable::unwatch(&mut edit);
    edit.finish()
}

/// Somebody enables registrations of an account again that were disabled for errors.
#[must_use]
pub fn enable_again(state: &State, account: &Account, keys: &[RegistrationKey], now: Now, dice: &mut Dice) -> Step {
    let mut edit = Edit::new(state, account, now, dice);
    for registration in edit.registrations().iter().filter(|of| of.is_there() && keys.contains(&of.key)) {
        enable::again(&mut edit, registration);
    }
    edit.finish()
}

/// A test push goes to a registration. Returns the number that it has, if it left.
#[must_use]
pub fn trial(state: &State, key: &RegistrationKey, now: Now, dice: &mut Dice) -> (Step, Option<u64>) {
    let mut edit = Edit::new(state, &key.account, now, dice);
    let before = edit.live().pushing(key).map_or(0, |pushing| pushing.flights.len());
    let words = edit.rules().redaction(&key.service).words(&Stanza::default(), Class::Important);
    let burst = Burst { class: Class::Important, words, keys: Vec::new(), sids: Vec::new() };
    pushes::launch(&mut edit, key, burst);
    let flights = edit.live().pushing(key).map_or(&[][..], |pushing| &pushing.flights);
    let flight = flights.last().filter(|_| flights.len() > before).map(|flight| flight.id);
    (edit.finish(), flight)
}

/// How long an `offline` waits for its client to come back by itself.
const OFFLINE_WAITS: std::time::Duration = std::time::Duration::from_secs(1);

fn event_(state: &State, node: &Arc<str>, event: Event, ticket: Option<Ticket>, now: Now, dice: &mut Dice) -> Step {
    match event.what {
        What::Session { account, report, turn, stanzas } => {
            let mut edit = Edit::new(state, &account, now, dice);
            sessions::turned(&mut edit, node, *report, turn, &stanzas);
            edit.finish()
        }
        What::Archived { account, stanza } => {
            let mut edit = Edit::new(state, &account, now, dice);
            stanzas::message(&mut edit, &stanza, false, Whom::Sessionless, Moment::default(), How::Archived);
            edit.finish()
        }
        What::Offline { account, stanza } => {
            let mut edit = Edit::new(state, &account, now, dice);
            stanzas::message(&mut edit, &stanza, false, Whom::All, now.steady + OFFLINE_WAITS, How::Offline);
            edit.finish()
        }
        What::Urgent { account, stanza, sent } => {
            let mut edit = Edit::new(state, &account, now, dice);
            // Only calls are urgent: what else comes this way is worth nothing to those who are away.
            if matches!(stanzas::class(&edit, &stanza, sent), Some(Class::Call | Class::Ended)) {
                stanzas::message(&mut edit, &stanza, sent, Whom::All, Moment::default(), How::Urgent);
            }
            edit.finish()
        }
        What::Ping { account, service, node } => {
            let mut edit = Edit::new(state, &account, now, dice);
            stanzas::ping(&mut edit, service.as_deref(), node.as_ref());
            edit.finish()
        }
        What::Missed { account: Some(account), count, keys, newest } => {
            let mut edit = Edit::new(state, &account, now, dice);
            stanzas::missed(&mut edit, count, &keys, newest.as_deref());
            edit.finish()
        }
        What::UserDeleted { account } => {
            let mut edit = Edit::new(state, &account, now, dice);
            fate::user_deleted(&mut edit);
            edit.finish()
        }
        What::Registration { account, report, wish } => {
            let mut edit = Edit::new(state, &account, now, dice);
            sessions::seen(&mut edit, node, *report.clone());
            sessions::bind(&mut edit, &report.sid, false);
            if let Some(ticket) = ticket {
                enable::wish(&mut edit, ticket, &Client::of(&report), wish);
            }
            edit.finish()
        }
        // Taken before they come here.
        What::Missed { account: None, .. } | What::Hello | What::Synced | What::Unknown => Step::default(),
    }
}
