//! pushkeeper: an XMPP component that wakes phones.

pub mod clock;
pub mod domain;
pub mod flows;
pub mod gateway;
