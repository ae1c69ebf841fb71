//! What pushkeeper knows, in memory.

/// A change that lives in memory only.
#[derive(Clone, Debug, PartialEq)]
pub enum Memory {}
