//! What tests stand on.

pub(crate) mod host;
pub(crate) mod vendor;
