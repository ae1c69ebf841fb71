//! What operators run beside the daemon.
//!
//! [`doctor`] says what is wrong, and what to do. [`import`] takes over what other programs keep: push registrations of
//! hosts, devices of push services.

pub mod doctor;
pub mod import;
