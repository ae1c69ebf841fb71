//! The registration dialect of Conversations and its forks: XEP-0050 commands `register-push-SERVICE` and
//! `unregister-push-SERVICE`, as the p2 push service speaks it.

use jid::BareJid;
use roxmltree::Node as Element;
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};
use xmpp_parsers::minidom::Element as Tree;

use super::answer::StanzaError;
use super::forms::Form;
use super::inbound::Sender;
use crate::domain::device::Access;
use crate::domain::ids::{Account, DeviceHash, Domain};
use crate::domain::secret::DeviceToken;
use crate::flows::data::{DeviceRegistration, DeviceUnregistration, Room};

/// The longest vendor token, in bytes. Real ones have 64 to 400.
const MAX_TOKEN: usize = 4096;
/// The longest device id, in bytes. Real ones have 16 to 40.
const MAX_DEVICE_ID: usize = 256;

/// The longest name of a command, in bytes. Answers repeat it, in up to six times its length, and hosts end the stream
/// of a component whose own stanzas are too big (Prosody at 512 kB). Real ones have 20 to 40.
const MAX_NAME: usize = 256;

/// Whether there may be a command of this name. Whether there is an app for it, only the driver knows.
pub(super) fn is_command(name: &str) -> bool {
    let service = name.strip_prefix("register-push-").or_else(|| name.strip_prefix("unregister-push-"));
    name.len() <= MAX_NAME && service.is_some_and(|service| !service.is_empty())
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Register a device.
    Register(DeviceRegistration),
    /// Take one back.
    Unregister(DeviceUnregistration),
    /// No form came: this one, as XML with its actions, is to be filled in.
    Ask(String),
    /// The asker thought better of it.
    Cancelled,
}

/// Reads a `<command>`.
///
/// # Errors
///
/// Says what to answer: there is no such command, the asker is not an account, the action is none, or something
/// in the form is missing or malformed.
pub fn command(command: Element<'_, '_>, from: &Sender) -> Result<Command, StanzaError> {
    let name = command.attribute("node").filter(|name| name.len() <= MAX_NAME).unwrap_or_default();
    let (service, registers) = match (name.strip_prefix("register-push-"), name.strip_prefix("unregister-push-")) {
        (Some(service), _) if !service.is_empty() => (service, true),
        (_, Some(service)) if !service.is_empty() => (service, false),
        _ => return Err(StanzaError::ITEM_NOT_FOUND),
    };
    // A device is an account's; a domain has none.
    if from.bare.node().is_none() {
        return Err(StanzaError::FORBIDDEN);
    }
    match command.attribute("action").unwrap_or_default() {
        "" | "execute" | "complete" | "next" => {}
        "cancel" => return Ok(Command::Cancelled),
        "prev" => return Err(StanzaError::BAD_ACTION),
        _ => return Err(StanzaError::MALFORMED_ACTION),
    }
    let Some(form) = Form::inside(command) else {
        return Ok(Command::Ask(empty_form(registers)));
    };
    if form.kind() == Some("cancel") {
        return Ok(Command::Cancelled);
    }
    let device_id = form.value("device-id").or_else(|| form.value("android-id")).ok_or(StanzaError::BAD_PAYLOAD)?;
    if device_id.len() > MAX_DEVICE_ID {
        return Err(StanzaError::BAD_PAYLOAD);
    }
    let owner = Account::new(from.bare.as_str());
    let account = DeviceHash::of(owner.as_str(), device_id);
    let room = form.value("muc").map(|muc| room(muc, device_id)).transpose()?;
    let hashed = form.value("channel").map(|hex| DeviceHash::from_hex(hex.trim()).ok_or(StanzaError::BAD_PAYLOAD));
    let hashed = hashed.transpose()?;
    let (command, service) = (name.into(), service.into());
    if !registers {
        // Conversations sends the room hashed, under another name than it registered it with.
        let channel = room.map(|room| room.channel).or(hashed);
        return Ok(Command::Unregister(DeviceUnregistration { command, service, owner, account, channel }));
    }
    // A hash does not say which domain will publish; without the room this would be another device.
    if room.is_none() && hashed.is_some() {
        return Err(StanzaError::BAD_PAYLOAD);
    }
    let token = form.value("token").and_then(token).ok_or(StanzaError::BAD_PAYLOAD)?;
    let registration = DeviceRegistration {
        command,
        service,
        owner,
        account,
        room,
        token,
        voip_token: None,
        node: None,
        access: Access::Secret,
    };
    Ok(Command::Register(registration))
}

/// A room's bare JID. A full one names somebody in the room.
fn room(muc: &str, device_id: &str) -> Result<Room, StanzaError> {
    let jid = BareJid::new(muc.trim()).map_err(|_| StanzaError::BAD_PAYLOAD)?;
    if jid.node().is_none() {
        return Err(StanzaError::BAD_PAYLOAD);
    }
    Ok(Room { channel: DeviceHash::of(jid.as_str(), device_id), domain: Domain::new(jid.domain().as_str()) })
}

fn token(text: &str) -> Option<DeviceToken> {
    let text = text.trim();
    let fits = (1..=MAX_TOKEN).contains(&text.len()) && !text.contains(char::is_control);
    fits.then(|| DeviceToken::new(text))
}

fn empty_form(registers: bool) -> String {
    let field = |name: &str, label: &str| Field {
        label: Some(label.to_owned()),
        required: true,
        ..Field::new(name, FieldType::TextSingle)
    };
    let mut fields = vec![field("device-id", "Device id")];
    if registers {
        fields.insert(0, field("token", "Push token"));
    }
    let form = DataForm { type_: DataFormType::Form, title: None, instructions: None, fields };
    format!("<actions execute='complete'><complete/></actions>{}", String::from(&Tree::from(form)))
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
