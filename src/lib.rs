//! pushkeeper: an XMPP component that wakes phones.

pub mod clock;
pub mod domain;
pub mod driver;
pub mod flows;
pub mod store;
