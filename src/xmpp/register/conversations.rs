//! The dialect of Conversations and its forks, as the p2 push service speaks it: `register-push-SERVICE` and
//! `unregister-push-SERVICE`. A service is `fcm`, `apns`, `gcm` as it was once called, or the name of an app.

use jid::BareJid;
use xmpp_parsers::data_forms::Field;

use super::{Request, fields};
use crate::domain::ids::{DeviceHash, Domain};
use crate::flows::data::{DeviceRegistration, DeviceUnregistration, Room};
use crate::xmpp::answer::StanzaError;

/// Fields `token`, `device-id` or `android-id`, and in old releases `muc`, the room that the node is for.
pub(super) fn register(request: &Request<'_>, service: &str) -> Result<DeviceRegistration, StanzaError> {
    let form = request.form;
    let device_id = fields::device_id(form).ok_or(StanzaError::BAD_PAYLOAD)?;
    let room = form.value("muc").map(|muc| room(muc, device_id)).transpose()?;
    // A hash does not say which domain will publish; without the room this would be another device.
    if room.is_none() && form.value("channel").is_some() {
        return Err(StanzaError::BAD_PAYLOAD);
    }
    let token = fields::token(form, "token").ok_or(StanzaError::BAD_PAYLOAD)?;
    Ok(DeviceRegistration { room, ..request.registration(service, request.hash(device_id), token) })
}

/// Fields `device-id` or `android-id`, and the room: as `muc`, which p2 reads, or hashed as `channel`, which
/// Conversations sends.
pub(super) fn unregister(request: &Request<'_>, service: &str) -> Result<DeviceUnregistration, StanzaError> {
    let form = request.form;
    let device_id = fields::device_id(form).ok_or(StanzaError::BAD_PAYLOAD)?;
    let room = form.value("muc").map(|muc| room(muc, device_id)).transpose()?;
    let hashed = form.value("channel").map(|hex| DeviceHash::from_hex(hex.trim()).ok_or(StanzaError::BAD_PAYLOAD));
    let channel = room.map(|room| room.channel).or(hashed.transpose()?);
    Ok(DeviceUnregistration { channel, ..request.unregistration(service, request.hash(device_id)) })
}

/// What an empty form asks for.
pub(super) fn fields(registers: bool) -> Vec<Field> {
    let token = registers.then(|| fields::required("token", "Push token"));
    token.into_iter().chain([fields::required("device-id", "Device id")]).collect()
}

/// A room's bare JID. A full one names somebody in the room.
fn room(muc: &str, device_id: &str) -> Result<Room, StanzaError> {
    let jid = BareJid::new(muc.trim()).map_err(|_| StanzaError::BAD_PAYLOAD)?;
    if jid.node().is_none() {
        return Err(StanzaError::BAD_PAYLOAD);
    }
    Ok(Room { channel: DeviceHash::of(jid.as_str(), device_id), domain: Domain::new(jid.domain().as_str()) })
}

#[cfg(test)]
#[path = "conversations_tests.rs"]
mod tests;
