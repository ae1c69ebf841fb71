//! What a vendor's word is about: what the tables of all vendors sort their words into.

use std::time::Duration;

use crate::domain::outcome::{Outcome, Reason};
use crate::domain::time::Timestamp;

/// What a reason or a code is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The device is no more.
    Gone,
    /// The token is not one of this app, of this environment, or perhaps none at all.
    Suspect,
    /// Too much.
    Throttled,
    /// The vendor's own.
    Unavailable,
    /// Credentials, topic or project; or a request of ours that the vendor does not take, which the operator should
    /// report.
    Operator,
}

impl About {
    /// The outcome, with what the vendor said beside the word: when to come back, and since when the token is dead.
    pub(super) fn outcome(self, reason: Reason, retry_after: Option<Duration>, since: Option<Timestamp>) -> Outcome {
        match self {
            Self::Gone => Outcome::Gone { since },
            Self::Suspect => Outcome::Suspect(reason),
            Self::Throttled => Outcome::Throttled { retry_after, reason },
            Self::Unavailable => Outcome::Unavailable { retry_after, reason },
            Self::Operator => Outcome::OperatorFault(reason),
        }
    }
}
