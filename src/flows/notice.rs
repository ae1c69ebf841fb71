//! What those who run pushkeeper may want to know.

use std::time::Duration;

use super::circuit::Fault;
use crate::domain::device::GoneReason;
use crate::domain::ids::{AppName, Domain};
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
