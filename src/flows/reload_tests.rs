//! What other settings change.
