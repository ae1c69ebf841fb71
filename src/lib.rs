//! pushkeeper: an XMPP component that wakes phones.

pub mod clock;
pub mod config;
pub mod domain;
pub mod driver;
pub mod flows;
pub mod store;
pub mod gateway;
