//! A device: what an app registered with us, and what became of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ids::{Account, AppName, DeviceHash, Domain, Node};
use super::publish::Publish;
use super::secret::{DeviceToken, Secret};
use super::time::Timestamp;

/// How long a device that is gone is remembered, so that answers stay the same and "why?" can be answered.
pub const GONE_REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);

/// One node and the token behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What servers publish to. Stays the same for the device's whole life.
    pub node: Node,
    /// What they must show; stays the same too.
    pub secret: Secret,
    /// What makes a registration the same one again.
    pub key: DeviceKey,
    /// Who registered it.
    pub owner: Account,
    /// Whose servers may publish to it.
    pub permitted: BTreeSet<Domain>,
    /// The vendor's token.
    pub token: DeviceToken,
    /// The token for calls, if there is one.
    pub voip_token: Option<DeviceToken>,
    /// Counts the tokens this device has had: an outcome of an older one changes nothing.
    pub generation: u32,
    /// First registration.
    pub made: Timestamp,
    /// Latest registration.
    pub renewed: Timestamp,
    /// What happened to its pushes.
    pub history: History,
    /// Set once it is dead.
    pub gone: Option<Gone>,
}

/// A registration with the same key is the same device: it keeps its node and its secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    /// The app it registered with.
    pub app: AppName,
    /// Account and device id.
    pub account: DeviceHash,
    /// The room, if the node is for one.
    pub channel: Option<DeviceHash>,
}

/// What is known of a device's pushes. A fact, not a promise: up to a second of it may be lost in a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When a server last asked for a push.
    pub last_publish: Option<Timestamp>,
    /// When the vendor last took one.
    pub last_accepted: Option<Timestamp>,
    /// Pushes in a row that the vendor did not take.
    pub errors: u32,
    /// When that row began.
    pub errors_since: Option<Timestamp>,
    /// Refused as not fitting the app since then, while it had never worked.
    pub suspected: u32,
    /// Its token was called gone since before its registration, and was not believed once.
    pub doubted: bool,
}

/// When and why a device died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: GoneReason,
}

/// Why a device is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// The app unregistered it.
    Owner,
    /// The account registered more devices than it may have; the oldest went.
    MaxDevices,
    /// The vendor says the token is dead.
    VendorGone,
    /// The vendor kept refusing it as not fitting the app, and it never worked.
    Errors,
}

impl GoneReason {
    /// The name shown to operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::MaxDevices => "max-devices",
            Self::VendorGone => "vendor-gone",
            Self::Errors => "errors",
        }
    }
}

impl Device {
    /// Whether this publish may push to this device. Looks at everything before it answers: neither the answer nor
    /// the time it takes says what was wrong.
    #[must_use]
    pub fn admits(&self, publish: &Publish) -> bool {
        let secret = publish.secret.as_ref().is_some_and(|shown| *shown == self.secret);
        let domain = self.permitted.contains(&publish.from);
        secret & domain & !publish.from_full_jid & self.gone.is_none()
    }

    /// Whether the app has ever taken a push under its latest token.
    #[must_use]
    pub const fn has_worked(&self) -> bool {
        self.history.last_accepted.is_some()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::publish::Notification;

    pub(crate) fn device() -> Device {
        Device {
            node: Node::new("node-1"),
            secret: Secret::new("secret-1"),
            key: DeviceKey {
                app: AppName::new("chat"),
                account: DeviceHash::of("romeo@example.org", "phone"),
                channel: None,
            },
            owner: Account::new("romeo@example.org"),
            permitted: [Domain::new("example.org")].into(),
            token: DeviceToken::new("token-1"),
            voip_token: None,
            generation: 1,
            made: Timestamp::from_secs(1000),
            renewed: Timestamp::from_secs(1000),
            history: History::default(),
            gone: None,
        }
    }

    pub(crate) fn publish() -> Publish {
        Publish {
            from: Domain::new("example.org"),
            from_full_jid: false,
            node: Node::new("node-1"),
            secret: Some(Secret::new("secret-1")),
            notification: Notification::default(),
        }
    }

    #[test]
    fn only_the_owners_server_with_the_secret_may_push() {
        let live = device();
        let dead = Device { gone: Some(Gone { at: Timestamp::from_secs(2000), why: GoneReason::Owner }), ..device() };
        let foreign = Publish { from: Domain::new("evil.example"), ..publish() };
        let wrong = Publish { secret: Some(Secret::new("secret-2")), ..publish() };
        let silent = Publish { secret: None, ..publish() };
        let full = Publish { from_full_jid: true, ..publish() };
        let rows = [
            ("right", &live, publish(), true),
            ("dead", &dead, publish(), false),
            ("foreign domain", &live, foreign, false),
            ("wrong secret", &live, wrong, false),
            ("no secret", &live, silent, false),
            ("full JID", &live, full, false),
        ];
        for (what, device, publish, admitted) in rows {
            assert_eq!(device.admits(&publish), admitted, "{what}");
        }
    }
}
