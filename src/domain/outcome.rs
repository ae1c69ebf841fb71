//! What a vendor said of a push, in words that are the same for all vendors.

use std::borrow::Cow;
use std::time::Duration;

use super::ids::{AppName, Node, PushId};
use super::time::Timestamp;

/// A vendor's answer, or the lack of one. Each gateway maps its vendor's reasons to this in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The vendor took it.
    Accepted,
    /// The token is dead; since when, if the vendor said.
    Gone {
        /// When the vendor last saw the token become invalid.
        since: Option<Timestamp>,
    },
    /// The token does not fit the app: dead, or the operator's credentials are for another app or environment.
    Suspect(Reason),
    /// Too many requests, for the device or the app.
    Throttled {
        /// When to try again, if the vendor said.
        retry_after: Option<Duration>,
        /// Why.
        reason: Reason,
    },
    /// The vendor is down, late or not to be reached.
    Unavailable {
        /// When to try again, if the vendor said.
        retry_after: Option<Duration>,
        /// Why.
        reason: Reason,
    },
    /// Key, certificate, topic, clock or quota of the operator: no user's fault.
    OperatorFault(Reason),
    /// The token can be none of this vendor's: that shows without asking it.
    Unfit(Reason),
    /// The app does not want pushes of this class, so nobody was asked.
    Withheld,
}

/// A vendor's word for what happened (`Unregistered`, `QUOTA_EXCEEDED`), or ours (`timeout`). Never holds a token.
pub type Reason = Cow<'static, str>;

impl Outcome {
    /// A short name for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Gone { .. } => "gone",
            Self::Suspect(_) => "suspect",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::OperatorFault(_) => "operator-fault",
            Self::Unfit(_) => "unfit",
            Self::Withheld => "withheld",
        }
    }

    /// Whether the vendor was asked at all. If not, it says nothing of vendor and credentials.
    #[must_use]
    pub const fn is_the_vendors(&self) -> bool {
        !matches!(self, Self::Unfit(_) | Self::Withheld)
    }

    /// The vendor's word for it, if there was one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Accepted | Self::Gone { .. } | Self::Withheld => None,
            Self::Suspect(reason)
            | Self::Unfit(reason)
            | Self::Throttled { reason, .. }
            | Self::Unavailable { reason, .. }
            | Self::OperatorFault(reason) => Some(reason),
        }
    }
}

/// An outcome with the name of the push it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The push.
    pub push: PushId,
    /// The app it went out under.
    pub app: AppName,
    /// The device.
    pub node: Node,
    /// Which of the device's tokens it went to.
    pub generation: u32,
    /// What the vendor said.
    pub outcome: Outcome,
}
