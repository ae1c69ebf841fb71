//! A session of a host's user, as its host tells it.

use std::fmt;
use std::sync::Arc;

/// Names a session: minted by the host when it is bound, the same across resumptions (XEP-0198). Not a resumption
/// token, so no secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    /// Wraps the text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({})", &self.0)
    }
}

/// What a host says of a session, in every event about it. What it does not know is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Names it.
    pub sid: Sid,
    /// Its resource.
    pub resource: Arc<str>,
    /// Names the client across sessions (XEP-0388), if there is such a name.
    pub client_id: Option<Arc<str>>,
    /// How it stands.
    pub state: Standing,
    /// When it came to stand so. The host's own text, compared as text, repeated in orders.
    pub since: Arc<str>,
    /// The whole resumption window, in seconds.
    pub timeout: Option<u32>,
    /// What is left of it, in seconds.
    pub left: Option<u32>,
    /// Stanzas of the client that the host handled.
    pub h_in: Option<u32>,
    /// Stanzas of the host that the client acknowledged.
    pub h_out: Option<u32>,
    /// How many stanzas are unacknowledged.
    pub unacked: Option<u32>,
    /// How many stanzas the event's list was cut from.
    pub queued: Option<u32>,
    /// Whether it can still be resumed.
    pub resumable: bool,
    /// Whether the client said that nobody looks at it (XEP-0352).
    pub inactive: bool,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Without XEP-0198.
    Plain,
    /// Connected.
    Active,
    /// Connected, but an acknowledgement is overdue.
    Unresponsive,
    /// Its connection is gone.
    Hibernated,
}

impl Standing {
    /// Whether pushes reach its user sooner than its connection does.
    #[must_use]
    pub const fn is_away(self) -> bool {
        matches!(self, Self::Unresponsive | Self::Hibernated)
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its client closed it.
    Closed,
    /// Its resumption window ran out.
    Timeout,
    /// Another one took its resource.
    Replaced,
    /// Its host closed it.
    Kicked,
    /// The host does not know, or was not asked in time.
    Unknown,
}

impl EndReason {
    /// The name on the wire and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Replaced => "replaced",
            Self::Kicked => "kicked",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the nth stanza of a session is among the first `h`: XEP-0198's counters start again at zero after 2^32 - 1.
#[must_use]
pub const fn is_acked(n: u32, h: u32) -> bool {
    h.wrapping_sub(n) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_count_round_the_end_of_the_numbers() {
        let rows = [
            (1, 0, false),
            (1, 1, true),
            (1, 2, true),
            (u32::MAX, 3, true),
            (3, u32::MAX, false),
            (0, u32::MAX, false),
            (0, 0, true),
        ];
        for (n, h, acked) in rows {
            assert_eq!(is_acked(n, h), acked, "{n} {h}");
        }
    }
}
