//! What we say no to. A refusal is the other side's affair: answered and counted, never logged loudly. Trouble of
//! our own has types at the edges.

/// Why a request is not served. `xmpp::answer` turns each into a stanza error, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Unknown node, wrong secret, foreign sender, dead token: one answer for all, so that nobody can tell them
    /// apart.
    NoSuchDevice,
    /// An unregistration names a device we do not know.
    NotRegistered,
    /// No app of ours serves what was asked for.
    NoSuchApp,
    /// The domain may not register devices here.
    Forbidden,
    /// The token is none that the app can push to: no Web Push subscription, or one at a host that the operator does not
    /// allow.
    BadToken,
    /// More registrations than `[register]` allows.
    TooManyRegistrations,
    /// An `<enable/>` or `<disable/>` names no push service, or one that can not be one.
    BadService,
    /// An `<enable/>` wants what is said to be encrypted in a way that we do not know.
    NoSuchEncryption,
    /// An `<enable/>` brings a key that is none.
    BadKey,
    /// The bridge of the account's host is not linked: nobody would act on what is registered.
    HostNotLinked,
    /// A command's session is over.
    SessionExpired,
    /// A command's session is none of the asker's.
    BadSession,
    /// A command cannot do that now.
    BadAction,
    /// A command was filled in wrongly too often.
    BadPayload,
    /// Too many commands are under way.
    TooManySessions,
    /// We cannot do it now, through no fault of theirs; the only answer that every server takes for passing.
    TryLater(Later),
}

/// Why not now: tells our own log and counters apart, the other side hears the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Later {
    /// The vendor is down, late or throttling, and the push can not be owed.
    Vendor,
    /// The operator's credentials are at fault.
    Operator,
    /// The sending domain publishes too fast (`push.max_per_domain`).
    DomainRate,
    /// Every slot of the app, or every place for waiting requests, is taken.
    Full,
    /// The store does not take writes.
    Store,
}

impl Refusal {
    /// A short name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSuchDevice => "no-such-device",
            Self::NotRegistered => "not-registered",
            Self::NoSuchApp => "no-such-app",
            Self::Forbidden => "forbidden",
            Self::BadToken => "bad-token",
            Self::TooManyRegistrations => "too-many-registrations",
            Self::BadService => "bad-service",
            Self::NoSuchEncryption => "no-such-encryption",
            Self::BadKey => "bad-key",
            Self::HostNotLinked => "host-not-linked",
            Self::SessionExpired => "session-expired",
            Self::BadSession => "bad-session",
            Self::BadAction => "bad-action",
            Self::BadPayload => "bad-payload",
            Self::TooManySessions => "too-many-sessions",
            Self::TryLater(Later::Vendor) => "vendor",
            Self::TryLater(Later::Operator) => "operator",
            Self::TryLater(Later::DomainRate) => "domain-rate",
            Self::TryLater(Later::Full) => "full",
            Self::TryLater(Later::Store) => "store",
        }
    }
}
