//! What tests share.

pub(crate) mod vendor;
