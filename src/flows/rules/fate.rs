//! What befalls registrations: wakes, trials of those that failed, and the end.

use std::collections::VecDeque;

use super::edit::Edit;
use super::{enable, pushes};
use crate::domain::device::GoneReason;
use crate::domain::registration::{Fate, Record, Registration, RegistrationKey};
use crate::flows::data::Change;

/// Time brought something to a registration.
pub(super) fn befall(edit: &mut Edit<'_>, key: &RegistrationKey, what: Fate) {
    let Some(registration) = edit.state.registrations.get(key) else { return };
    match what {
        Fate::Expire => gone(edit, registration, GoneReason::Expired),
        Fate::GiveUp => gone(edit, registration, GoneReason::Errors),
        Fate::Forget => edit.change(Change::ForgetRegistration(key.clone())),
        Fate::Try => {
            // Noted first: however it ends, the next trial is a day away.
            let record = Record { tried: Some(edit.now.wall), ..registration.record.clone() };
            edit.change(Change::Record(key.clone(), Box::new(record)));
            if edit.host().is_none() {
                return;
            }
            pushes::launch(edit, key, pushes::wake());
        }
    }
}

fn gone(edit: &mut Edit<'_>, registration: &Registration, why: GoneReason) {
    enable::leave(edit, registration, why);
    enable::unwatch(edit);
}

/// A registration is woken, whatever happened; unless its host is not one of ours any more.
pub(super) fn wake(edit: &mut Edit<'_>, key: &RegistrationKey) {
    if edit.host().is_some() && edit.state.registrations.get(key).is_some_and(Registration::is_enabled) {
        pushes::launch(edit, key, pushes::wake());
    }
}

/// The account is no more, and all that it had with us.
pub(super) fn user_deleted(edit: &mut Edit<'_>) {
    for registration in edit.registrations().iter().filter(|registration| registration.is_there()) {
        enable::leave(edit, registration, GoneReason::AccountDeleted);
    }
    enable::unwatch(edit);
    let devices = edit.state.devices_of(&edit.account).filter(|device| device.gone.is_none());
    let now = edit.now.wall;
    let devices: Vec<Change> =
        devices.map(|device| Change::Device(Box::new(device.into_gone(GoneReason::AccountDeleted, now)))).collect();
    edit.step.changes.extend(devices);
    let live = edit.live_mut();
    (live.sessions, live.old) = (Vec::new(), VecDeque::new());
    live.pushing.retain(|pushing| !pushing.flights.is_empty());
}
