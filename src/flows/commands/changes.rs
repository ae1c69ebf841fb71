//! Removing registrations and devices, and enabling what was disabled.

use super::data::{Field, FieldKind, Tone};
use super::turn::{Desk, More, Played, handle};
use crate::domain::device::{Device, GoneReason};
use crate::domain::ids::Account;
use crate::domain::registration::{Registration, RegistrationKey, Status};
use crate::flows::data::{Change, Step};
use crate::flows::state::State;
use crate::flows::{owing, register, rules};

/// The field with what is chosen.
const CHOSEN: &str = "chosen";

/// `remove-registration`.
pub(super) fn remove_registrations(desk: &mut Desk<'_>) -> Played {
    let account = match desk.account() {
        Ok(account) => account,
        Err(played) => return *played,
    };
    let (chosen, _) = match choose(desk, &account, Registration::is_there, |_| false) {
        Ok(chosen) => chosen,
        Err(played) => return *played,
    };
    leave(desk, &account, &chosen, GoneReason::Admin);
    done(chosen.len(), "registration", "removed; their phones are not woken until their apps enable push again")
}

/// `enable-registration`.
pub(super) fn enable_registrations(desk: &mut Desk<'_>) -> Played {
    let account = match desk.account() {
        Ok(account) => account,
        Err(played) => return *played,
    };
    let disabled = |of: &Registration| matches!(of.status, Status::Disabled { .. });
    let (chosen, _) = match choose(desk, &account, disabled, |_| false) {
        Ok(chosen) => chosen,
        Err(played) => return *played,
    };
    let step = rules::enable_again(desk.state, &account, &chosen, desk.now, desk.dice);
    desk.step.append(step);
    done(chosen.len(), "registration", "enabled again")
}

/// `remove-device`.
pub(super) fn remove_devices(desk: &mut Desk<'_>) -> Played {
    let account = match desk.account() {
        Ok(account) => account,
        Err(played) => return *played,
    };
    let (_, chosen) = match choose(desk, &account, |_| false, is_there) {
        Ok(chosen) => chosen,
        Err(played) => return *played,
    };
    let count = chosen.len();
    bury(desk.state, &account, &chosen, GoneReason::Admin, desk.now, &mut desk.step);
    done(count, "device", "removed; servers that publish to them hear that there is no such node")
}

/// `remove-my-device`.
pub(super) fn remove_mine(desk: &mut Desk<'_>) -> Played {
    let account = desk.session.asker.clone();
    let (registrations, devices) = match choose(desk, &account, Registration::is_there, is_there) {
        Ok(chosen) => chosen,
        Err(played) => return *played,
    };
    let count = registrations.len() + devices.len();
    leave(desk, &account, &registrations, GoneReason::Owner);
    bury(desk.state, &account, &devices, GoneReason::Owner, desk.now, &mut desk.step);
    done(count, "device", "removed; they are not woken until their apps register again")
}

const fn is_there(device: &Device) -> bool {
    device.gone.is_none()
}

/// What was chosen of what may be.
fn choose(
    desk: &Desk<'_>,
    account: &Account,
    registration: impl Fn(&Registration) -> bool,
    device: impl Fn(&Device) -> bool,
) -> Result<(Vec<RegistrationKey>, Vec<Device>), Box<Played>> {
    let registrations: Vec<_> = desk.state.registrations.of(account).iter().filter(|of| registration(of)).collect();
    let devices: Vec<_> = desk.state.devices_of(account).filter(|of| device(of)).collect();
    let options: Vec<_> = options(&registrations, &devices).collect();
    if options.is_empty() {
        return Err(Box::new(Played::Done(vec![(Tone::Info, format!("{account} has none."))], None)));
    }
    let chosen: Vec<&str> = desk.answers.values(CHOSEN).collect();
    let field = Field::new(CHOSEN, "Which ones", FieldKind::Some(options)).required();
    let form = || desk.form(&format!("Which ones of {account}?"), vec![field.clone()]);
    if chosen.is_empty() {
        // The first form of a command that has asked for the account before.
        let asked = desk.session.stages.len() > usize::from(!desk.session.name.is_for_owners());
        return Err(Box::new(match asked {
            true => Played::Wrong(form(), More::Last, "At least one must be chosen.".to_owned()),
            false => Played::Ask(form(), More::Last),
        }));
    }
    let is_chosen = |handle: String| chosen.contains(&handle.as_str());
    let keys = registrations.iter().filter(|of| is_chosen(handle("registration", &of.key.service, &of.key.node)));
    let keys: Vec<_> = keys.map(|of| of.key.clone()).collect();
    let devices: Vec<_> =
        devices.into_iter().filter(|of| is_chosen(handle("device", of.key.app.as_str(), &of.node))).collect();
    if keys.len() + devices.len() != chosen.len() {
        return Err(Box::new(Played::Wrong(
            form(),
            More::Last,
            "Not all that was chosen is there any more.".to_owned(),
        )));
    }
    Ok((keys, devices))
}

/// What can be chosen: label and value.
pub(super) fn options<'a>(
    registrations: &'a [&'a Registration],
    devices: &'a [Device],
) -> impl Iterator<Item = (String, String)> {
    let registrations = registrations.iter().map(|of| {
        let state = match of.status {
            Status::Enabled => "enabled",
            Status::Disabled { .. } => "disabled",
            Status::Gone(_) => "gone",
        };
        let (service, node) = (&of.key.service, of.key.node.short());
        let label = format!("{} at {service} (node {node}), {state}, last enabled {}", of.resource, of.renewed);
        (label, handle("registration", service, &of.key.node))
    });
    let devices = devices.iter().map(|of| {
        let (app, node) = (&of.key.app, of.node.short());
        let label = format!("Device of {app} (node {node}), last registered {}", of.renewed);
        (label, handle("device", app.as_str(), &of.node))
    });
    registrations.chain(devices)
}

fn leave(desk: &mut Desk<'_>, account: &Account, keys: &[RegistrationKey], why: GoneReason) {
    if !keys.is_empty() {
        let step = rules::remove(desk.state, account, keys, why, desk.now, desk.dice);
        desk.step.append(step);
    }
}

fn bury(
    state: &State,
    owner: &Account,
    devices: &[Device],
    why: GoneReason,
    now: crate::domain::time::Now,
    step: &mut Step,
) {
    step.changes.extend(register::surplus_gone(state, owner, devices.len()).map(Change::Forget));
    for device in devices {
        step.changes.push(Change::Device(Box::new(device.clone().into_gone(why, now.wall))));
        owing::bury(state, &device.node, step);
    }
}

fn done(count: usize, what: &str, done: &str) -> Played {
    let plural = if count == 1 { "" } else { "s" };
    Played::Done(vec![(Tone::Info, format!("{count} {what}{plural} {done}."))], None)
}
