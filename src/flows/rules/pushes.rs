//! Bursts go out: to devices of our own, or by relay to a third party's push service; and what comes of them.

use super::edit::Edit;
use super::keeper;
use crate::domain::class::Class;
use crate::domain::collector::Burst;
use crate::domain::ids::{Account, Domain};
use crate::domain::publish::{Priority, Publish};
use crate::domain::redact::{self, Words};
use crate::domain::registration::{Registration, RegistrationKey, Said, Status};
use crate::domain::session::Sid;
use crate::domain::time::Now;
use crate::flows::data::{Change, Decided, Inner, Registered, Step};
use crate::flows::dice::Dice;
use crate::flows::hosts::{Host, HostMemory};
use crate::flows::live::{Flight, Live, MOST_FLIGHTS, RELAY_WITHIN};
use crate::flows::signals::{OrderId, OrderKind};
use crate::flows::state::State;

/// Sends a push, or lets it wait until one more may go.
///
/// What it says to the client alone is sealed here: only what is collected for a moment is kept open.
pub(super) fn launch(edit: &mut Edit<'_>, to: &RegistrationKey, mut burst: Burst) {
    let Some(registration) = edit.state.registrations.get(to).filter(|registration| registration.is_there()) else {
        return;
    };
    burst.words.seal(burst.class, registration.extensions.as_deref(), || edit.nonce());
    let full = edit.live().pushing(to).is_some_and(|pushing| pushing.flights.len() >= MOST_FLIGHTS);
    if is_own(edit, to) {
        if full {
            // The next one to land takes it along.
            return edit.live_mut().pushing_mut(to).wait(burst);
        }
        return to_device(edit, registration, burst);
    }
    let has_room = |host: &Host| host.is_linked() && host.relays.has_room_beside(&to.service, &edit.relayed_to);
    let room = edit.host().is_some_and(has_room);
    if room && !full {
        return relay(edit, registration, burst);
    }
    let pushing = edit.live_mut().pushing_mut(to);
    let queues = pushing.waiting.is_some();
    pushing.wait(burst);
    let unlinked = !edit.host().is_some_and(Host::is_linked);
    edit.decided(to, Decided::Waits { unlinked });
    if !queues {
        edit.remember(HostMemory::Waits(to.clone()));
    }
}

fn is_own(edit: &Edit<'_>, to: &RegistrationKey) -> bool {
    *to.service == *edit.policy().own.as_str()
}

/// Publishes to our own push service as the account's host would: the same checks, without the way there.
fn to_device(edit: &mut Edit<'_>, registration: &Registration, burst: Burst) {
    let publish = Publish {
        from: edit.domain(),
        from_full_jid: false,
        node: registration.key.node.clone(),
        secret: registration.options.as_ref().and_then(|options| options.secret.clone()),
        module: None,
        notification: redact::notification(burst.class, burst.words.clone()),
    };
    let flight = edit.number();
    took_off(edit, registration, flight, false, burst);
    let registration = registration.key.clone();
    edit.then(Inner::Push { registration, flight, publish: Box::new(publish) });
}

fn relay(edit: &mut Edit<'_>, registration: &Registration, burst: Burst) {
    let flight = edit.number();
    let asks = registration.extensions.as_ref().is_some_and(|extensions| extensions.priority);
    let priority = asks.then(|| Priority::of(burst.class));
    let what = OrderKind::Relay {
        to: registration.key.clone(),
        options: registration.options.clone(),
        words: Words { priority, ..burst.words.clone() },
    };
    took_off(edit, registration, flight, true, burst);
    edit.relayed_to.push(registration.key.service.clone());
    edit.remember(HostMemory::Sent(registration.key.service.clone()));
    edit.order_as(flight, what);
}

fn took_off(edit: &mut Edit<'_>, registration: &Registration, id: u64, relayed: bool, burst: Burst) {
    let what = Decided::Pushed { class: burst.class, stanzas: burst.keys.len() };
    edit.decided_on(&registration.key, id, what);
    let flight = Flight { id, sent: edit.now.steady, relayed, burst };
    edit.live_mut().pushing_mut(&registration.key).flights.push(flight);
}

/// What came of a push.
pub(super) fn settled(edit: &mut Edit<'_>, of: &RegistrationKey, flight: u64, said: &Said) {
    let Some(pushing) = edit.live().pushing(of) else { return };
    let Some(at) = pushing.flights.iter().position(|known| known.id == flight) else { return };
    let flight = edit.live_mut().pushing_mut(of).flights.remove(at);
    if flight.relayed {
        edit.remember(HostMemory::Done(of.service.clone()));
        // If it was given up, it may never be answered.
        edit.remember(HostMemory::Answered(OrderId(flight.id)));
        edit.then(Inner::Pump(edit.domain()));
    }
    if *said == Said::Unsent {
        // It goes with the next link.
        launch(edit, of, flight.burst);
    } else if let Some(registration) = edit.state.registrations.get(of).filter(|registration| registration.is_there()) {
        judge(edit, registration, &flight, said);
    }
    // Where it goes to our own devices, nothing but this makes room again; relays are pumped.
    if let Some(burst) = edit.live_mut().pushing_mut(of).waiting.take_if(|_| !flight.relayed) {
        launch(edit, of, burst);
    }
}

fn judge(edit: &mut Edit<'_>, registration: &Registration, flight: &Flight, said: &Said) {
    let key = &registration.key;
    let mut record = registration.record.clone();
    if *said == Said::TakenBack {
        // Whichever way the call is told of again, it is over.
        for stanza in &flight.burst.keys {
            record.keys.add(*stanza);
        }
        edit.decided_on(key, flight.id, Decided::Cancelled);
        return edit.change(Change::Record(key.clone(), Box::new(record)));
    }
    let passed = edit.now.steady - flight.sent;
    record.last_push = Some(earlier(edit.now, passed));
    let disabled = record.judge(said, edit.rules().max_errors, edit.now.wall);
    if said.is_handed_over() {
        for stanza in &flight.burst.keys {
            record.keys.add(*stanza);
        }
        let took = edit.now.steady - flight.sent;
        edit.decided_on(
            key,
            flight.id,
            Decided::HandedOver { took, silent: *said == Said::Silence, relayed: flight.relayed },
        );
        for sid in &flight.burst.sids {
            keeper::handed_over(edit, sid);
        }
    } else {
        let why = record.last_error.clone().unwrap_or_default();
        edit.decided_on(key, flight.id, Decided::NotTaken(why));
    }
    edit.change(Change::Record(key.clone(), Box::new(record)));
    let status = match (registration.status, disabled) {
        (Status::Enabled, Some(why)) => Some((Status::Disabled { at: edit.now.wall, why }, Registered::Disabled(why))),
        (Status::Disabled { .. }, _) if *said == Said::Taken => Some((Status::Enabled, Registered::Revived)),
        _ => None,
    };
    if let Some((status, what)) = status {
        edit.change(Change::Registration(Box::new(Registration { status, ..registration.clone() })));
        edit.became(key, what);
        if status != Status::Enabled {
            stops(edit, key);
        }
    }
}

fn earlier(now: Now, span: std::time::Duration) -> crate::domain::time::Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    crate::domain::time::Timestamp::from_millis(now.wall.millis().saturating_sub(millis))
}

/// No pushes go to a registration any more: nothing is collected for it, and the session that it was bound to is
/// nobody's to stretch, unless another registration wakes the same client.
pub(super) fn stops(edit: &mut Edit<'_>, key: &RegistrationKey) {
    if edit.live().pushing(key).is_none() {
        return;
    }
    let pushing = edit.live_mut().pushing_mut(key);
    pushing.collector.clear();
    pushing.waiting = None;
    let bound: Option<Sid> = pushing.bound.clone();
    if let Some(sid) = bound {
        let others = edit.bound_to(&sid).iter().any(|other| other.key != *key);
        if !others {
            keeper::relax(edit, &sid);
        }
    }
}

/// Time passed: bursts are over, and relays that nobody will answer any more are given up.
pub(super) fn due(edit: &mut Edit<'_>) {
    let (now, window) = (edit.now.steady, edit.rules().burst_window);
    let mut bursts = Vec::new();
    let mut silent = Vec::new();
    for pushing in &mut edit.live_mut().pushing {
        bursts.extend(pushing.collector.take(window, now).map(|burst| (pushing.key.clone(), burst)));
        pushing.forget_calls(now);
        let late = pushing.flights.iter().filter(|flight| flight.relayed && flight.sent + RELAY_WITHIN <= now);
        silent.extend(late.map(|flight| (pushing.key.clone(), flight.id)));
    }
    for (key, burst) in bursts {
        launch(edit, &key, burst);
    }
    for (registration, flight) in silent {
        edit.then(Inner::Settled { registration, flight, said: Said::Silence });
    }
    tidy(edit);
}

/// Forgets what was known of registrations that are no more.
pub(super) fn tidy(edit: &mut Edit<'_>) {
    let registrations = edit.registrations();
    let there = |key: &RegistrationKey| registrations.iter().any(|known| known.key == *key && known.is_there());
    if edit.live().pushing.iter().any(|pushing| !there(&pushing.key)) {
        edit.live_mut().pushing.retain(|pushing| there(&pushing.key) || !pushing.flights.is_empty());
    }
}

/// The registration that waited longest for its host goes, if there is room.
pub(super) fn pump(state: &State, host: &Domain, now: Now, dice: &mut Dice) -> Step {
    let waits = state.hosts.get(host).filter(|host| host.is_linked()).and_then(|host| host.relays.next());
    let Some(key) = waits else { return Step::default() };
    let mut edit = Edit::new(state, &key.account, now, dice);
    edit.remember(HostMemory::Goes);
    let room = state.hosts.get(host).is_some_and(|host: &Host| host.relays.has_room(&key.service));
    if room {
        if edit.live().pushing(key).is_some_and(|pushing| pushing.waiting.is_some())
            && let Some(burst) = edit.live_mut().pushing_mut(key).waiting.take()
        {
            launch(&mut edit, key, burst);
        }
        if edit.relayed_to.is_empty() {
            edit.remember(HostMemory::Passes(key.service.clone()));
        }
    } else {
        edit.remember(HostMemory::Waits(key.clone()));
    }
    edit.then(Inner::Pump(host.clone()));
    edit.finish()
}

/// Relays were lost with the stream that they, or their answers, were on. What left just before, the host has not had:
/// it goes again. The rest it has, most likely, and a second push would be one too many.
pub(super) fn lost(edit: &mut Edit<'_>) {
    let now = edit.now.steady;
    let mut again = Vec::new();
    for pushing in &mut edit.live_mut().pushing {
        let young = |flight: &mut Flight| flight.relayed && now - flight.sent < JUST_BEFORE;
        let bursts = pushing.flights.extract_if(.., young).map(|flight| (pushing.key.clone(), flight.burst));
        again.extend(bursts);
    }
    for (key, burst) in again {
        edit.remember(HostMemory::Done(key.service.clone()));
        // Not linked, so it waits, and goes with the next link.
        launch(edit, &key, burst);
    }
}

/// Which accounts of a host have relays on their way.
pub(crate) fn relaying<'a>(state: &'a State, host: &'a Domain) -> impl Iterator<Item = &'a Account> {
    let relayed = |live: &Live| live.pushing.iter().any(|pushing| pushing.flights.iter().any(|flight| flight.relayed));
    state.lives.of_host(host).filter(move |(_, live)| relayed(live)).map(|(account, _)| account)
}

/// How long before a stream broke something may have been written that its reader never saw.
const JUST_BEFORE: std::time::Duration = std::time::Duration::from_secs(1);

/// A wake: it says nothing, and speaks for no stanza.
pub(super) fn wake() -> Burst {
    Burst { class: Class::Unimportant, words: Words::default(), keys: Vec::new(), sids: Vec::new() }
}
