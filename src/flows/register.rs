//! An app registers a device, or takes it back.

use std::collections::BTreeMap;

use super::data::{Answer, Change, DeviceRegistration, DeviceUnregistration, Door, Step, Ticket};
use super::dice::Dice;
use super::guests;
use super::memory::{Limit, Memory};
use super::owing;
use super::state::State;
use crate::domain::app::{self, App, Provider, Style};
use crate::domain::device::{Access, Device, DeviceKey, GoneReason, History};
use crate::domain::ids::{Account, DeviceHash, Domain, Node};
use crate::domain::refusal::Refusal;
use crate::domain::subscription::Subscription;
use crate::domain::time::{Now, Timestamp};

/// How many dead devices of one account are remembered; the longest dead are forgotten first.
const GONE_PER_ACCOUNT: usize = 64;

/// How many rooms one device may be registered for; the oldest goes.
const ROOMS_PER_DEVICE: usize = 128;

/// Registers a device, or gives a known one its new token. Node and secret stay what they were.
#[must_use]
pub fn register(state: &State, ticket: Ticket, registration: DeviceRegistration, now: Now, dice: &mut Dice) -> Step {
    let mut step = Step::default();
    let domain = registration.owner.domain();
    if !state.policy.register.allows(&domain) {
        return step.refuse(ticket, Refusal::Forbidden);
    }
    let Some(app) = app::choose(&state.policy.apps, &registration.service) else {
        return step.refuse(ticket, Refusal::NoSuchApp);
    };
    let key = DeviceKey {
        app: app.name.clone(),
        account: registration.account,
        channel: registration.room.as_ref().map(|room| room.channel),
    };
    if let Some(refusal) = unfit(state, app, &registration, &key) {
        return step.refuse(ticket, refusal);
    }
    let known = state.registered(&key);
    if let Some(refusal) = draw(state, &registration.owner, &domain, now, &mut step) {
        // A phone that binds often registers often. The same device with the same token changes nothing, so it costs
        // nothing.
        return match known.filter(|device| {
            device.gone.is_none() && device.token == registration.token && device.voip_token == registration.voip_token
        }) {
            Some(device) => {
                step.answer(ticket, registered(&registration, &device));
                step
            }
            None => step.refuse(ticket, refusal),
        };
    }
    let was_gone = known.as_ref().is_some_and(|known| known.gone.is_some());
    let device = match known {
        Some(known) => renewed(known, &registration, now.wall),
        None => made(state, key, &registration, domain, now.wall, dice),
    };
    if was_gone {
        // What was owed to it before it died, and not given up when the process ended.
        owing::bury(state, &device.node, &mut step);
    }
    make_room(state, &device, now.wall, &mut step);
    step.answer(ticket, registered(&registration, &device));
    step.changes.push(Change::Device(Box::new(device)));
    step
}

/// Why an app does not take this registration, if it does not.
fn unfit(state: &State, app: &App, registration: &DeviceRegistration, key: &DeviceKey) -> Option<Refusal> {
    if app.provider == Provider::WebPush {
        let subscription = Subscription::of_token(&registration.token);
        let allowed = subscription.is_some_and(|subscription| subscription.is_allowed(&app.allow_hosts));
        return (!allowed).then_some(Refusal::BadToken);
    }
    let node = registration.node.as_ref()?;
    // A client that may choose its node could choose somebody else's: that is for apps that cannot do without.
    if app.style != Style::Monal {
        return Some(Refusal::NoSuchApp);
    }
    // Not another device of the same owner, either: one node would be two devices then.
    let taken = state.device(node).is_some_and(|known| known.key != *key);
    let token = guests::is_token(node.as_str()) && state.policy.apps.iter().any(|app| app.token_nodes);
    (taken || token).then_some(Refusal::Forbidden)
}

/// Takes a device back; without a room, also the rooms it was registered for.
///
/// Over HTTP nobody vouches for who asks: there the token is the proof, so only a device that is named by its token is
/// meant ([`Access::Node`]). One that is gone already is success then: its app asks until it hears so, and whoever can
/// name it knows its token.
#[must_use]
pub fn unregister(state: &State, ticket: Ticket, unregistration: DeviceUnregistration, now: Now) -> Step {
    let mut step = Step::default();
    let Some(app) = app::choose(&state.policy.apps, &unregistration.service) else {
        return step.refuse(ticket, Refusal::NoSuchApp);
    };
    let stranger = matches!(ticket.door, Door::Http(_));
    let meant = |device: &Device| {
        let key = &device.key;
        let channel = unregistration.channel.is_none() || key.channel == unregistration.channel;
        let proven = !stranger || device.access == Access::Node;
        key.app == app.name && key.account == unregistration.account && channel && proven
    };
    let (leaving, left): (Vec<Device>, Vec<Device>) =
        state.devices_of(&unregistration.owner).filter(meant).partition(|device| device.gone.is_none());
    if leaving.is_empty() && (left.is_empty() || !stranger) {
        return step.refuse(ticket, Refusal::NotRegistered);
    }
    step.changes.extend(surplus_gone(state, &unregistration.owner, leaving.len()).map(Change::Forget));
    for device in leaving {
        step.changes.push(gone(&device, GoneReason::Owner, now.wall));
        owing::bury(state, &device.node, &mut step);
    }
    step.answer(ticket, Answer::Unregistered { command: unregistration.command });
    step
}

/// The nodes of the account's longest dead devices, as many as must go before `dying` more can be remembered. One that
/// somebody still waits for stays until it has its verdict: they would never be answered.
pub(super) fn surplus_gone(state: &State, owner: &Account, dying: usize) -> impl Iterator<Item = Node> + use<> {
    let dead = state.devices_of(owner).filter_map(|device| Some((device.gone?.at, device.node)));
    let mut dead: Vec<(Timestamp, Node)> = dead.collect();
    dead.sort();
    let surplus = (dead.len() + dying).saturating_sub(GONE_PER_ACCOUNT);
    dead.retain(|(_, node)| !state.is_under_way(node));
    dead.into_iter().take(surplus).map(|(_, node)| node)
}

/// Draws upon the limits of account and domain; refuses if one is used up.
fn draw(state: &State, owner: &Account, domain: &Domain, now: Now, step: &mut Step) -> Option<Refusal> {
    let policy = &state.policy.register;
    let mut drawn = Vec::new();
    if let Some(rate) = policy.rate_per_account {
        match state.registering_accounts.less_one(owner, rate, now.steady) {
            None => return Some(Refusal::TooManyRegistrations),
            Some(bucket) => drawn.push((Limit::RegisteringAccount(owner.clone()), bucket)),
        }
    }
    if let Some(rate) = policy.rate_per_domain {
        match state.registering_domains.less_one(domain, rate, now.steady) {
            None => return Some(Refusal::TooManyRegistrations),
            Some(bucket) => drawn.push((Limit::RegisteringDomain(domain.clone()), bucket)),
        }
    }
    for (limit, bucket) in drawn {
        step.remember(Memory::Drawn(limit, bucket, now.steady));
    }
    None
}

fn made(
    state: &State,
    key: DeviceKey,
    registration: &DeviceRegistration,
    domain: Domain,
    now: Timestamp,
    dice: &mut Dice,
) -> Device {
    let mut node = registration.node.clone().unwrap_or_else(|| dice.node());
    while registration.node.is_none() && state.device(&node).is_some() {
        node = dice.node();
    }
    let room = registration.room.as_ref().map(|room| room.domain.clone());
    Device {
        node,
        secret: dice.secret(),
        key,
        owner: registration.owner.clone(),
        permitted: room.into_iter().chain([domain]).collect(),
        access: registration.access,
        token: registration.token.clone(),
        voip_token: registration.voip_token.clone(),
        generation: 1,
        made: now,
        renewed: now,
        history: History::default(),
        gone: None,
    }
}

fn renewed(known: Device, registration: &DeviceRegistration, now: Timestamp) -> Device {
    // The hash names the owner's device and no other. Of one that came from another push service it is the first to say
    // whose it is.
    let owner = registration.owner.clone();
    let same = known.gone.is_none() && known.token == registration.token && known.voip_token == registration.voip_token;
    let mut device = Device {
        owner,
        renewed: now,
        token: registration.token.clone(),
        voip_token: registration.voip_token.clone(),
        gone: None,
        ..known
    };
    // "Gone since" is measured against this registration from now on.
    device.history.doubted = false;
    if !same {
        device.generation = device.generation.wrapping_add(1);
        // What became of the old token says nothing of the new one.
        device.history = History { last_publish: device.history.last_publish, ..History::default() };
    }
    if let Some(room) = &registration.room {
        device.permitted.insert(room.domain.clone());
    }
    device
}

/// Lets the oldest devices of the account go, as many as the new one needs.
fn make_room(state: &State, device: &Device, now: Timestamp, step: &mut Step) {
    let of_owner = state.devices_of(&device.owner);
    let others: Vec<Device> = of_owner.filter(|other| other.gone.is_none() && other.node != device.node).collect();
    let this = (&device.key.app, device.key.account);
    // One phone may hold several nodes: its own and its rooms'. It was last seen when the latest was renewed.
    let mut phones: BTreeMap<(_, DeviceHash), Timestamp> = BTreeMap::new();
    for other in &others {
        let seen = phones.entry((&other.key.app, other.key.account)).or_insert(other.renewed);
        *seen = other.renewed.max(*seen);
    }
    phones.remove(&this);
    let mut oldest: Vec<_> = phones.into_iter().map(|(phone, seen)| (seen, phone)).collect();
    oldest.sort();
    let surplus = (oldest.len() + 1).saturating_sub(state.policy.register.max_devices_per_account.max(1));
    let leaving: Vec<_> = oldest.into_iter().take(surplus).map(|(_, phone)| phone).collect();

    let mut rooms: Vec<&Device> = others
        .iter()
        .filter(|other| (&other.key.app, other.key.account) == this && other.key.channel.is_some())
        .collect();
    rooms.sort_by_key(|room| (room.renewed, room.node.clone()));
    let arriving = usize::from(device.key.channel.is_some());
    let surplus = (rooms.len() + arriving).saturating_sub(ROOMS_PER_DEVICE);

    let evicted = others.iter().filter(|other| leaving.contains(&(&other.key.app, other.key.account)));
    let evicted: Vec<&Device> = evicted.chain(rooms.into_iter().take(surplus)).collect();
    step.changes.extend(
        surplus_gone(state, &device.owner, evicted.len()).filter(|node| *node != device.node).map(Change::Forget),
    );
    for other in evicted {
        step.changes.push(gone(other, GoneReason::MaxDevices, now));
        owing::bury(state, &other.node, step);
    }
}

fn gone(device: &Device, why: GoneReason, now: Timestamp) -> Change {
    Change::Device(Box::new(device.clone().into_gone(why, now)))
}

fn registered(registration: &DeviceRegistration, device: &Device) -> Answer {
    Answer::Registered {
        command: registration.command.clone(),
        node: device.node.clone(),
        secret: device.secret.clone(),
    }
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
