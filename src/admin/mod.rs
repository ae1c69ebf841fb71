//! What operators run beside the daemon.
//!
//! [`import`] takes over what other programs keep: push registrations of hosts, devices of push services.

pub mod import;
