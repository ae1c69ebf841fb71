//! How apps register a device, and take it back: commands (XEP-0050) in four dialects. All of them are one step long and
//! nothing is remembered between two: a `sessionid` is neither needed nor looked at.
//!
//! | file | commands | who speaks it |
//! |---|---|---|
//! | `conversations` | `register-push-SERVICE`, `unregister-push-SERVICE` | Conversations and its forks, as to the p2 service |
//! | `webpush` | the same, with a Web Push subscription for a token | web pages |
//! | `tigase` | `register-device`, `unregister-device` | Siskin IM, Snikket iOS, Stork |
//! | `appserver` | `v1-register-push`, `v1-unregister-push` | old apps, as to mod_push_appserver |
//! | `fields` | what forms hold, and what their answers ask for | |

mod appserver;
mod conversations;
mod fields;
mod tigase;
mod webpush;

use crate::xmpp::xml::Element;

use super::answer::StanzaError;
use super::forms::Form;
use super::sender::Sender;
use crate::domain::device::Access;
use crate::domain::ids::{Account, DeviceHash};
use crate::domain::secret::DeviceToken;
use crate::flows::data::{DeviceRegistration, DeviceUnregistration};

/// The longest name of a command, in bytes. Answers repeat it, in up to six times its length, and hosts end the stream
/// of a component whose own stanzas are too big (Prosody at 512 kB). Real ones have 15 to 40.
const MAX_NAME: usize = 256;

/// Tigase's command, whose answer has a form of its own.
pub(super) const TIGASE_REGISTER: &str = "register-device";

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

/// Whether there may be a command of this name. Whether there is an app for it, only the driver knows.
pub(super) fn is_command(name: &str) -> bool {
    Name::read(name).is_some()
}

/// Reads a `<command>`. `providers` are the provider ids that apps may name: one dialect offers them in its form.
///
/// # Errors
///
/// Says what to answer: there is no such command, the asker is not an account, the action is none, or something
/// in the form is missing or malformed.
pub fn command(
    command: Element<'_>,
    from: &Sender,
    providers: impl FnOnce() -> Vec<String>,
) -> Result<Command, StanzaError> {
    let name = command.attribute("node").unwrap_or_default();
    let Name { dialect, registers } = Name::read(name).ok_or(StanzaError::ITEM_NOT_FOUND)?;
    // A device is an account's; a domain has none.
    if !from.is_account() {
        return Err(StanzaError::FORBIDDEN);
    }
    match command.attribute("action").unwrap_or_default() {
        "" | "execute" | "complete" | "next" => {}
        "cancel" => return Ok(Command::Cancelled),
        "prev" => return Err(StanzaError::BAD_ACTION),
        _ => return Err(StanzaError::MALFORMED_ACTION),
    }
    let Some(form) = Form::inside(command) else {
        return Ok(Command::Ask(fields::empty_form(match dialect {
            Dialect::Push("webpush") => webpush::fields(registers),
            Dialect::Push(_) => conversations::fields(registers),
            Dialect::Tigase => tigase::fields(&providers()),
            Dialect::Appserver => appserver::fields(registers),
        })));
    };
    if form.kind() == Some("cancel") {
        return Ok(Command::Cancelled);
    }
    let request = Request { command: name, owner: Account::new(from.bare()), form };
    if registers {
        return Ok(Command::Register(match dialect {
            Dialect::Push(service) if webpush::is_meant(service, form) => webpush::register(&request, service),
            Dialect::Push(service) => conversations::register(&request, service),
            Dialect::Tigase => tigase::register(&request),
            Dialect::Appserver => appserver::register(&request),
        }?));
    }
    Ok(Command::Unregister(match dialect {
        Dialect::Push(service) if webpush::names_device(form) => webpush::unregister(&request, service),
        Dialect::Push(service) => conversations::unregister(&request, service),
        Dialect::Tigase => tigase::unregister(&request),
        Dialect::Appserver => appserver::unregister(&request),
    }?))
}

/// What the name of a command says.
#[derive(Clone, Copy)]
struct Name<'a> {
    dialect: Dialect<'a>,
    registers: bool,
}

/// Whose language a command is in.
#[derive(Clone, Copy)]
enum Dialect<'a> {
    /// Conversations' and Web Push: the service is part of the name, and the form tells which of the two.
    Push(&'a str),
    Tigase,
    Appserver,
}

impl<'a> Name<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (dialect, registers) = match name {
            TIGASE_REGISTER => (Dialect::Tigase, true),
            "unregister-device" => (Dialect::Tigase, false),
            "v1-register-push" => (Dialect::Appserver, true),
            "v1-unregister-push" => (Dialect::Appserver, false),
            _ => match (name.strip_prefix("register-push-"), name.strip_prefix("unregister-push-")) {
                (Some(service), _) => (Dialect::Push(service), true),
                (_, Some(service)) => (Dialect::Push(service), false),
                _ => return None,
            },
        };
        let known = name.len() <= MAX_NAME && !matches!(dialect, Dialect::Push(""));
        known.then_some(Self { dialect, registers })
    }
}

/// A command with a form.
struct Request<'a> {
    /// The whole name.
    command: &'a str,
    /// Who asks.
    owner: Account,
    form: Form<'a>,
}

impl Request<'_> {
    /// The name of a device of the asker's.
    fn hash(&self, device_id: &str) -> DeviceHash {
        DeviceHash::of(self.owner.as_str(), device_id)
    }

    /// A registration of the commonest kind.
    fn registration(&self, service: &str, account: DeviceHash, token: DeviceToken) -> DeviceRegistration {
        DeviceRegistration {
            command: self.command.into(),
            service: service.into(),
            owner: self.owner.clone(),
            account,
            room: None,
            token,
            voip_token: None,
            node: None,
            access: Access::Secret,
        }
    }

    /// An unregistration of a device, and of all its rooms.
    fn unregistration(&self, service: &str, account: DeviceHash) -> DeviceUnregistration {
        DeviceUnregistration {
            command: self.command.into(),
            service: service.into(),
            owner: self.owner.clone(),
            account,
            channel: None,
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
