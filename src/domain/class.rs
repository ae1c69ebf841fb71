//! The five classes of a notification, the same everywhere.

/// What a push is about. Ordered by how much of a phone's attention it deserves, so that merging two keeps the
/// greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing to show any more: badges and notifications may go.
    Clear,
    /// A call is over, or was taken elsewhere.
    Ended,
    /// Something arrived that need not make a sound: wake the app.
    Unimportant,
    /// A message somebody wants read.
    Important,
    /// Ring now.
    Call,
}

impl Class {
    /// True for what should interrupt: a call or a message.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Call | Self::Important)
    }

    /// The name used in payloads, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Ended => "ended",
            Self::Unimportant => "unimportant",
            Self::Important => "important",
            Self::Call => "call",
        }
    }
}
