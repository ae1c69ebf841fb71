//! What operators run beside the daemon.

pub mod doctor;
