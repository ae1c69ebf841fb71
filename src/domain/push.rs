//! A push: one notification on its way to a vendor. The one value in which push service and rules engine meet.

use std::sync::Arc;
use std::time::Duration;

use super::class::Class;
use super::ids::{Account, AppName, DeviceHash, Node, PushId};
use super::secret::{DeviceToken, Private};

/// How long a vendor may keep trying to reach a phone that is off: four weeks, FCM's maximum.
pub const VENDOR_TTL: Duration = Duration::from_secs(28 * 24 * 3600);

/// How long a ringing call makes sense.
pub const CALL_TTL: Duration = Duration::from_secs(45);

/// One notification, addressed. Gateways turn it into a vendor's request; nothing else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Names it in the verdict.
    pub id: PushId,
    /// Whose credentials send it.
    pub app: AppName,
    /// The device's node.
    pub node: Node,
    /// Which of the device's tokens this is: an outcome of an older one changes nothing.
    pub generation: u32,
    /// Where the vendor delivers it.
    pub token: DeviceToken,
    /// The token for calls (PushKit), if the app gave one.
    pub voip_token: Option<DeviceToken>,
    /// Whose device it is: some apps want the account's address (`tigase`).
    pub owner: Account,
    /// Names the account on that device to the app.
    pub account: DeviceHash,
    /// Names the room, if the node was registered for one.
    pub channel: Option<DeviceHash>,
    /// What it is about.
    pub class: Class,
    /// What it may say.
    pub content: Arc<Content>,
    /// How long the vendor may keep trying.
    pub ttl: Duration,
}

/// What a push may tell the app, already redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How many messages wait.
    pub count: Option<u32>,
    /// Who wrote.
    pub sender: Option<Private>,
    /// What they wrote, or a text that stands for it.
    pub body: Option<Private>,
    /// Their nickname in a room.
    pub nickname: Option<Private>,
    /// What only the client can open.
    pub sealed: Option<Sealed>,
}

/// Content sealed to the client's key (`tigase:push:encrypt:0`), passed through untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The nonce, base64.
    pub iv: Box<str>,
    /// Ciphertext and tag, base64, without white space.
    pub payload: Private,
    /// Whether it announces a call.
    pub voip: bool,
}

/// How long the vendor may keep a push of this class.
#[must_use]
pub const fn ttl(class: Class) -> Duration {
    match class {
        Class::Call => CALL_TTL,
        Class::Important | Class::Unimportant | Class::Clear | Class::Ended => VENDOR_TTL,
    }
}
