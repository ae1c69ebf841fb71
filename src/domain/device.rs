//! A device: what an app registered with us, and what became of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::app::Credentials;
use super::ids::{Account, AppName, DeviceHash, Domain, Node};
use super::outcome::Reason;
use super::publish::Publish;
use super::refusal::Later;
use super::secret::{DeviceToken, Secret};
use super::time::Timestamp;

/// How long a device that is gone is remembered, so that answers stay the same and "why?" can be answered.
pub const GONE_REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);

/// A device that no push was ever taken for is gone so long after its latest registration: anybody can register
/// tokens that are none.
pub const UNPROVEN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

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
    pub permitted: Permitted,
    /// What a publish must show.
    pub access: Access,
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

/// The domains whose servers may publish to a device. Most devices have the same few, so a clone takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permitted(Arc<BTreeSet<Domain>>);

impl Permitted {
    /// One more domain.
    pub fn insert(&mut self, domain: Domain) {
        Arc::make_mut(&mut self.0).insert(domain);
    }
}

impl std::ops::Deref for Permitted {
    type Target = BTreeSet<Domain>;

    fn deref(&self) -> &BTreeSet<Domain> {
        &self.0
    }
}

impl FromIterator<Domain> for Permitted {
    fn from_iter<I: IntoIterator<Item = Domain>>(domains: I) -> Self {
        Self(Arc::new(domains.into_iter().collect()))
    }
}

impl<const N: usize> From<[Domain; N]> for Permitted {
    fn from(domains: [Domain; N]) -> Self {
        domains.into_iter().collect()
    }
}

/// How a publish proves that it may push to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// By the device's secret, from a permitted domain.
    #[default]
    Secret,
    /// By naming the node, from a permitted domain: the dialect of Tigase has no secret.
    Node,
    /// By naming the node: it is the vendor's token, and nothing is bound to it (as fpush has it).
    Anyone,
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

/// What is known of a device's pushes. Facts, not promises: up to a second of them may be lost in a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When a server last asked for a push that went out.
    pub last_publish: Option<Timestamp>,
    /// When the vendor last took one.
    pub last_accepted: Option<Timestamp>,
    /// Why the vendor did not take the latest one; `None` if it did.
    pub last_error: Option<Reason>,
    /// Pushes in a row that the vendor did not take.
    pub errors: u32,
    /// When that row began.
    pub errors_since: Option<Timestamp>,
    /// How many of that row said that the token does not fit the app.
    pub suspected: u32,
    /// Its token was called gone since before its registration, and was not believed once.
    pub doubted: bool,
}

/// One line of a device's history: what became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The device.
    pub node: Node,
    /// When the server asked for the push.
    pub published: Timestamp,
    /// When the vendor spoke.
    pub at: Timestamp,
    /// What it said.
    pub said: Said,
}

/// What a vendor said, as a device's history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It took the push.
    Accepted,
    /// The token is gone, since before it was registered.
    Doubtful,
    /// The token does not fit the app.
    Suspect(Reason),
    /// It did not take the push, for a reason that has nothing to do with the device.
    Failed(Reason),
}

impl History {
    /// Adds a line.
    pub fn note(&mut self, fact: &Fact) {
        self.last_publish = Some(fact.published);
        if fact.said == Said::Accepted {
            *self = Self { last_publish: self.last_publish, last_accepted: Some(fact.at), ..Self::default() };
            return;
        }
        self.errors = self.errors.saturating_add(1);
        self.errors_since.get_or_insert(fact.at);
        self.last_error = Some(match &fact.said {
            Said::Accepted | Said::Doubtful => "gone before it was registered".into(),
            Said::Suspect(reason) | Said::Failed(reason) => reason.clone(),
        });
        self.doubted |= fact.said == Said::Doubtful;
        if matches!(fact.said, Said::Suspect(_)) {
            self.suspected = self.suspected.saturating_add(1);
        }
    }
}

/// Whether, and why not, a publish may push to a device.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whether it shows the device's secret.
    pub secret: bool,
    /// Whose servers may publish to it.
    pub permitted: &'a Permitted,
    /// What a publish must show.
    pub access: Access,
    /// Set once the device is dead.
    pub gone: Option<Gone>,
}

impl Terms<'_> {
    /// [`Device::admits`].
    #[must_use]
    pub fn admit(self, publish: &Publish) -> bool {
        let domain = self.permitted.contains(&publish.from);
        let secret = self.secret | !matches!(self.access, Access::Secret);
        let domain = domain | matches!(self.access, Access::Anyone);
        secret & domain & !publish.from_full_jid & self.gone.is_none()
    }

    /// [`Device::objection`].
    #[must_use]
    pub fn object(self, publish: &Publish) -> Option<Objection> {
        match (self.gone, self.access) {
            (Some(gone), _) => Some(Objection::Gone(gone.why)),
            _ if publish.from_full_jid => Some(Objection::Client),
            (None, Access::Secret) if !self.secret => Some(Objection::Secret),
            (None, Access::Secret | Access::Node) if !self.permitted.contains(&publish.from) => {
                Some(Objection::Domain(publish.from.clone()))
            }
            _ => None,
        }
    }
}

/// Why a publish is not served. Who published hears less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The secret is missing or wrong.
    Secret,
    /// The domain is none of the device's.
    Domain(Domain),
    /// It came from a client, not from a server.
    Client,
    /// The device is gone.
    Gone(GoneReason),
    /// Not now.
    Later(Later),
}

/// When and why a device died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: GoneReason,
}

/// Why a device, or a registration, is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// Its owner took it back.
    Owner,
    /// The account made more than it may have; the oldest went.
    MaxDevices,
    /// The vendor says the token is dead.
    VendorGone,
    /// It kept failing: the vendor refused the token as not fitting the app and it never worked, or the push service
    /// took nothing for a week. Or its token can be none of its vendor's.
    Errors,
    /// An admin removed it.
    Admin,
    /// The account is no more.
    AccountDeleted,
    /// It was not enabled again for too long (`rules.registration_ttl`).
    Expired,
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
            Self::Admin => "admin",
            Self::AccountDeleted => "account-deleted",
            Self::Expired => "expired",
        }
    }
}

impl Device {
    /// Whether this publish may push to this device. Looks at everything before it answers: neither the answer nor
    /// the time it takes says what was wrong.
    #[must_use]
    pub fn admits(&self, publish: &Publish) -> bool {
        self.terms(publish).admit(publish)
    }

    /// What is wrong with a publish that it does not admit: for the device's owner and the operator, never for the one
    /// who published. The first that fits.
    #[must_use]
    pub fn objection(&self, publish: &Publish) -> Option<Objection> {
        self.terms(publish).object(publish)
    }

    fn terms(&self, publish: &Publish) -> Terms<'_> {
        let secret = publish.secret.as_ref().is_some_and(|shown| *shown == self.secret);
        Terms { secret, permitted: &self.permitted, access: self.access, gone: self.gone }
    }

    /// Whether a push to it was ever taken under these credentials.
    #[must_use]
    pub fn has_worked(&self, credentials: Credentials) -> bool {
        self.history.last_accepted.is_some_and(|at| at >= credentials.since)
    }

    /// The same device, dead. Its token is forgotten; node and secret stay, for it may be registered again.
    #[must_use]
    pub fn into_gone(self, why: GoneReason, at: Timestamp) -> Self {
        Self { gone: Some(Gone { at, why }), token: DeviceToken::new(""), voip_token: None, ..self }
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
            access: Access::Secret,
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
            module: None,
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

    #[test]
    fn a_history_counts_errors_until_the_next_acceptance() {
        let at = Timestamp::from_secs;
        let fact = |secs, said| Fact { node: Node::new("node-1"), published: at(secs - 1), at: at(secs), said };
        let mut history = History::default();
        history.note(&fact(10, Said::Failed("503".into())));
        history.note(&fact(20, Said::Suspect("BadDeviceToken".into())));
        history.note(&fact(30, Said::Doubtful));
        let bad = History {
            last_publish: Some(at(29)),
            last_accepted: None,
            last_error: Some("gone before it was registered".into()),
            errors: 3,
            errors_since: Some(at(10)),
            suspected: 1,
            doubted: true,
        };
        assert_eq!(history, bad);
        history.note(&fact(40, Said::Accepted));
        let good = History { last_publish: Some(at(39)), last_accepted: Some(at(40)), ..History::default() };
        assert_eq!(history, good);
    }

    #[test]
    fn what_worked_under_former_credentials_proves_nothing() {
        let worked = History { last_accepted: Some(Timestamp::from_secs(50)), ..History::default() };
        let device = Device { history: worked, ..device() };
        let since = |secs| Credentials { fingerprint: 7, since: Timestamp::from_secs(secs) };
        assert!(device.has_worked(since(50)));
        assert!(!device.has_worked(since(51)));
    }

    #[test]
    fn a_dead_device_keeps_no_token() {
        let dead = device().into_gone(GoneReason::Owner, Timestamp::from_secs(5));
        assert_eq!(dead.token.reveal(), "");
        assert_eq!(dead.gone, Some(Gone { at: Timestamp::from_secs(5), why: GoneReason::Owner }));
        assert_eq!((dead.node, dead.secret), (device().node, device().secret));
    }
}
