//! What those who run pushkeeper may want to know.

use std::sync::Arc;
use std::time::Duration;

use super::circuit::Fault;
use crate::domain::class::Class;
use crate::domain::device::GoneReason;
use crate::domain::filter::Filter;
use crate::domain::ids::{Account, AppName, Domain};
use crate::domain::outcome::Reason;
use crate::domain::registration::{DisabledReason, RegistrationKey};

/// What an operator should know, once when it begins and once when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An app's pushes are kept back.
    CircuitOpened {
        /// The app.
        app: AppName,
        /// What for.
        fault: Fault,
        /// The vendor's word for it.
        reason: Reason,
    },
    /// The vendor takes pushes of the app again.
    CircuitClosed {
        /// The app.
        app: AppName,
    },
    /// An app's credentials end soon, or have ended.
    CredentialsEnd {
        /// The app.
        app: AppName,
        /// How long they are still good; `None` if they are not.
        left: Option<Duration>,
    },
    /// A host's bridge is linked.
    Linked {
        /// The host.
        host: Domain,
        /// Its software and version.
        software: Box<str>,
        /// The bridge's version.
        bridge: Box<str>,
    },
    /// A host's bridge is not linked.
    Unlinked {
        /// The host.
        host: Domain,
        /// Why.
        why: Reason,
        /// Whether it was before.
        was_linked: bool,
    },
    /// Something changed about a registration.
    Registration {
        /// Which.
        key: RegistrationKey,
        /// What.
        what: Registered,
    },
    /// What the rules decided: for those who ask why a phone was, or was not, woken.
    Decided(Box<Decision>),
}

/// What changed about a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is used from now on, or was enabled again.
    Enabled,
    /// It failed too often.
    Disabled(DisabledReason),
    /// It works again.
    Revived,
    /// It is gone.
    Gone(GoneReason),
}

/// A decision of the rules engine or the session keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whom it is about.
    pub account: Account,
    /// The registration, by its service and a short name of its node.
    pub registration: Option<RegistrationKey>,
    /// The session's resource.
    pub resource: Option<Arc<str>>,
    /// What was decided.
    pub what: Decided,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// A push goes out.
    Pushed {
        /// Its class.
        class: Class,
        /// For how many stanzas.
        stanzas: usize,
    },
    /// A push waits until one more may go.
    Waits,
    /// It was handed over: the service took it, or did not answer in time.
    HandedOver,
    /// It was not.
    NotTaken(Reason),
    /// Not pushed: the same stanza was, or is about to be.
    Known,
    /// Not pushed: it is worth none.
    Worthless,
    /// Not pushed: the account owner wants none for it.
    Filtered(Filter),
    /// What was collected is not pushed: the client has it, or is back.
    Cancelled,
    /// The session may be resumed for that long: nobody has woken its client yet.
    Stretched(Duration),
    /// The session may be resumed for that long: its client was woken.
    Shortened(Duration),
    /// The end of its window is near: its client is woken.
    WokenBeforeEnd,
    /// It is ended: the account has too many that hibernate.
    TooMany,
    /// It is ended: its window is over.
    Overdue,
}
