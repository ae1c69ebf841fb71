//! Speaks XMPP. Elements live and die here: what goes on to the driver is plain data.
//!
//! The way of a stanza in: `frame` cuts it out of the bytes, `read` parses it, `inbound` decides whose it is.

pub mod frame;
pub mod head;
pub mod ns;
